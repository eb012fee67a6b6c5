//! The secrets server's address: a URL or a socket, and who is let in there.

use std::fmt;
use std::path::{Path, PathBuf};

use url::{Host, Url};

use crate::api_path::ApiPath;
use crate::malformed::Malformed;
use crate::userinfo::Userinfo;

/// `https://vault.example.org:8200`, `http://127.0.0.1:8200/behind/a/path` or
/// `unix:///run/vault.sock`. Shown without trailing slash, user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerAddress {
    /// Its path ends with a slash. `http://localhost/` for a socket.
    base: Url,
    socket: Option<PathBuf>,
    port: Port,
    user: Option<Userinfo>,
}

/// Whether an address names its port; a URL forgets the scheme's own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Port {
    Written,
    OfTheScheme,
}

impl ServerAddress {
    /// With scheme, with or without trailing slash and "user:password@".
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let text = text.trim();
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(Malformed::new("the address has no scheme", with_scheme(text)));
        };
        let rest = rest.trim_end_matches('/');
        if rest.contains("${") {
            return Err(Malformed::new(
                "the address holds a variable, and none is replaced in a configuration; BAO_ADDR goes before this address",
                FORMS,
            ));
        }
        match scheme.to_ascii_lowercase().as_str() {
            "unix" => Self::socket_at(rest),
            "http" => Self::url_of("http", rest),
            "https" => Self::url_of("https", rest),
            _ => Err(Malformed::new("the address has an unknown scheme", FORMS)),
        }
    }

    fn socket_at(path: &str) -> Result<Self, Malformed> {
        if !path.starts_with('/') {
            return Err(Malformed::new("the address names no absolute path of a socket", FORMS));
        }
        let base = Url::parse("http://localhost/").map_err(not_a_url)?;
        Ok(Self { base, socket: Some(path.into()), port: Port::OfTheScheme, user: None })
    }

    /// `rest` is what follows "://".
    fn url_of(scheme: &str, rest: &str) -> Result<Self, Malformed> {
        let wrong = |what: &'static str| Err(Malformed::new(what, FORMS));
        if rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return wrong("the address holds what doesn't belong in one");
        }
        if rest.contains(['?', '#']) {
            return Err(Malformed::new(
                "the address holds what doesn't belong in one",
                "leave out what follows the path",
            ));
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, place) = Userinfo::split(authority);
        let (host, port) = match place.rfind(']') {
            Some(end) => place.split_at(end + 1),
            None => place.split_at(place.find(':').unwrap_or(place.len())),
        };
        if host.is_empty() || host == "[]" {
            return wrong("the address has no host");
        }
        if host.contains(['$', '{', '%']) {
            return wrong("the address has a host that can't be one");
        }
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => Port::OfTheScheme,
            Some(digits) if digits.parse::<u16>().is_ok_and(|number| number > 0) => Port::Written,
            _ => return wrong("the address has no valid port"),
        };
        let mut base = Url::parse(&format!("{scheme}://{place}{path}")).map_err(not_a_url)?;
        let path = base.path().trim_end_matches('/').to_owned();
        if path.ends_with("/v1") {
            return Err(Malformed::new(
                "the address ends in \"/v1\", which is added to every request",
                "leave out the \"/v1\"",
            ));
        }
        base.set_path(&format!("{path}/"));
        Ok(Self { base, socket: None, port, user })
    }

    /// Where requests go, below "v1/": the path ends with a slash. Of a socket `http://localhost/`.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// The URL of a request at this address.
    pub fn url(&self, path: &ApiPath) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}v1/{path}", self.base.path()));
        url
    }

    /// Of a unix address.
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// For whatever stands before the server and lets nobody in without.
    pub fn user(&self) -> Option<&Userinfo> {
        self.user.as_ref()
    }

    /// Whether connections to the server are TLS.
    pub fn uses_tls(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// The name whose SRV record, `_http._tcp.NAME`, may say where the server is: that of the host,
    /// if it is one and no port is written (draft-andrews-http-srv-02).
    pub fn srv_name(&self) -> Option<&str> {
        match self.base.host() {
            Some(Host::Domain(name)) if self.socket.is_none() && self.port != Port::Written => {
                Some(name)
            }
            _ => None,
        }
    }
}

/// The incumbents' own: `https://127.0.0.1:8200`.
impl Default for ServerAddress {
    #[expect(clippy::expect_used, reason = "one constant text, and a test parses it")]
    fn default() -> Self {
        Self::parse("https://127.0.0.1:8200").expect("an address")
    }
}

/// `https://vault.example.org:8200`, without user and password.
impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Some(path) => write!(f, "unix://{}", path.display()),
            None => f.write_str(self.base.as_str().trim_end_matches('/')),
        }
    }
}

/// As `Display` has it.
impl fmt::Debug for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What to write for an address that lacks its scheme alone. What has an `@` or no port is not shown:
/// it may be a password, or a token in the wrong place.
fn with_scheme(text: &str) -> String {
    let whole = format!("https://{}", text.trim_matches('/'));
    match ServerAddress::parse(&whole) {
        Ok(address) if address.port == Port::Written && !text.contains('@') => {
            format!("{FORMS}; here perhaps {address}")
        }
        _ => FORMS.to_owned(),
    }
}

/// The parser's words quote nothing of the text.
fn not_a_url(error: url::ParseError) -> Malformed {
    Malformed::new(format!("the address is no URL ({error})"), FORMS)
}

const FORMS: &str = "write https://HOST:8200, http://HOST:8200 or unix:///PATH";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> ServerAddress {
        ServerAddress::parse(text).unwrap_or_else(|malformed| panic!("{text}: {malformed}"))
    }

    fn problem(text: &str) -> String {
        ServerAddress::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn addresses_are_understood_with_and_without_slash_and_prefix() {
        for (written, shown, base) in [
            ("https://vault:8200", "https://vault:8200", "https://vault:8200/"),
            (" http://127.0.0.1:8200/ ", "http://127.0.0.1:8200", "http://127.0.0.1:8200/"),
            ("https://proxy/vault/", "https://proxy/vault", "https://proxy/vault/"),
            ("https://[::1]:8200", "https://[::1]:8200", "https://[::1]:8200/"),
        ] {
            let address = parse(written);
            assert_eq!(address.to_string(), shown);
            assert_eq!(address.base().as_str(), base);
            assert!(address.socket().is_none());
        }
        let address = parse("unix:///run/vault.sock");
        assert_eq!(address.socket(), Some(Path::new("/run/vault.sock")));
        assert_eq!(address.to_string(), "unix:///run/vault.sock");
        assert_eq!(address.base().as_str(), "http://localhost/");
        assert!(!address.uses_tls() && address.srv_name().is_none());
    }

    #[test]
    fn the_default_is_the_incumbents() {
        assert_eq!(ServerAddress::default().base().as_str(), "https://127.0.0.1:8200/");
    }

    #[test]
    fn addresses_lose_their_slash_and_must_say_all() {
        for (text, address) in [
            ("https://x:8200/", "https://x:8200"),
            (" HTTP://x ", "http://x"),
            ("https://[::1]:8200", "https://[::1]:8200"),
            ("https://x/base/", "https://x/base"),
            ("https://x/v1/base", "https://x/v1/base"),
            ("https://x/base/kv1", "https://x/base/kv1"),
            ("https://x/a@b", "https://x/a@b"),
            ("unix:///run/bao.sock", "unix:///run/bao.sock"),
            ("unix:///run/v1", "unix:///run/v1"),
        ] {
            let checked = parse(text);
            assert_eq!((checked.to_string().as_str(), checked.user().is_none()), (address, true));
        }
        for text in [
            "127.0.0.1:8200",
            "x",
            "https://",
            "https:///x",
            "https://:8200",
            "https://x:port",
            "https://x:",
            "https://x:0",
            "https://x:99999",
            "https://x?y",
            "https://x y",
            "ftp://x",
            "unix://x",
            "unix://",
            "unix:///",
            "https://::1",
            "https://x/v1",
            "https://x/base/v1/",
            "https://x/base/../v1",
            "https://${HOST}:8200",
            "https://$HOST:8200",
            "https://x/${BASE}",
            "unix://${RUN}/bao.sock",
            "unix:///${RUN}/bao.sock",
            "https://{{HOST}}",
            "https://%24HOST",
            "https://u:p/w@x",
            "https://u:p@",
            "https://[::g]",
            "u:p@x:8200",
        ] {
            assert!(ServerAddress::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn user_and_password_are_no_part_of_the_address() {
        for (text, address, user) in [
            ("https://u:p@x", "https://x", Some("u:p")),
            ("https://u:p%40ss@x:8200/base/", "https://x:8200/base", Some("u:p%40ss")),
            ("https://u:p@ss@[::1]:1", "https://[::1]:1", Some("u:p@ss")),
            ("http://token@x", "http://x", Some("token")),
            ("http://@x", "http://x", None),
        ] {
            let checked = parse(text);
            assert_eq!(checked.to_string(), address);
            assert_eq!(format!("{checked:?}"), address);
            assert_eq!(checked.user().map(Userinfo::expose), user, "{text}");
        }
    }

    #[test]
    fn a_port_is_seen_even_if_it_is_the_schemes_own() {
        for (address, srv_name) in [
            ("https://vault", Some("vault")),
            ("https://vault/", Some("vault")),
            ("https://vault:443", None),
            ("http://vault:80/a:b", None),
            ("https://vault/a:1", Some("vault")),
            ("https://u:1@vault", Some("vault")),
            ("https://192.0.2.1", None),
            ("https://[::1]", None),
            ("https://[::1]:443", None),
        ] {
            assert_eq!(parse(address).srv_name(), srv_name, "{address}");
        }
        assert_ne!(parse("https://vault"), parse("https://vault:443"));
    }

    #[test]
    fn a_wrong_address_says_what_to_write() {
        assert!(problem("vault:8200").contains("https://vault:8200"));
        for text in ["vault 8200", "hvs.a-token", "user:password", "user:1@vault:8200"] {
            assert!(!problem(text).contains("perhaps"), "{text}");
        }
        assert!(problem("//vault:8200").contains("https://vault:8200"));
        assert!(problem("ftp://vault").contains("unknown scheme"));
        assert!(problem("unix://run/vault.sock").contains("absolute"));
        assert!(problem("https://vault:8200/v1/").contains("leave out the \"/v1\""));
        assert!(problem("https://vault:8200/?a=b").contains("leave out"));
        assert!(problem("https://").contains("https://HOST:8200"));
    }

    #[test]
    fn a_password_in_a_wrong_address_is_not_shown() {
        for address in [
            "user:hunter2@vault:8200",
            "//user:hunter2@vault:8200",
            "ftp://user:hunter2@vault",
            "https://user:hunter2/x@vault",
            "https://user:hunter2@",
            "unix://user:hunter2@run/vault.sock",
        ] {
            let problem = problem(address);
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }

    #[test]
    fn a_request_goes_below_the_addresss_own_path() {
        let path = ApiPath::parse("secret/data/a%2Fb").unwrap();
        for (address, url) in [
            ("https://x", "https://x/v1/secret/data/a%2Fb"),
            ("https://u:p@x:1/base/", "https://x:1/base/v1/secret/data/a%2Fb"),
            ("unix:///run/bao.sock", "http://localhost/v1/secret/data/a%2Fb"),
        ] {
            assert_eq!(parse(address).url(&path).as_str(), url);
        }
    }

    proptest! {
        #[test]
        fn an_address_is_shown_as_it_can_be_parsed_again(
            text in "(unix|http|https)://[a-zA-Z0-9:@./$%{}\\[\\]\\\\~ ]{0,24}"
        ) {
            if let Ok(address) = ServerAddress::parse(&text) {
                let again = parse(&address.to_string());
                prop_assert_eq!(again.base(), address.base());
                prop_assert_eq!(again.socket(), address.socket());
                prop_assert!(again.user().is_none());
                prop_assert!(address.base().path().ends_with('/'));
                prop_assert_eq!(address.base().username(), "");
            }
        }

        #[test]
        fn a_path_reaches_any_address_byte_for_byte(
            base in "[a-z%2/]{0,8}", path in "[a-zA-Z0-9/.%~|^\\[]{1,16}"
        ) {
            let address = ServerAddress::parse(&format!("https://x/{base}"));
            if let (Ok(address), Ok(path)) = (address, ApiPath::parse(&path)) {
                let whole = format!("{}v1/{path}", address.base().path());
                let url = address.url(&path);
                prop_assert_eq!(url.path(), whole);
            }
        }

        #[test]
        fn no_password_is_shown(
            scheme in "(https://|http://|unix://|ftp://|)",
            password in "[a-zA-Z0-9:@%!]{6,20}",
            end in "[a-z0-9:/.?\\[]{0,8}",
        ) {
            let text = format!("{scheme}usher:secret{password}@{end}");
            let shown = match ServerAddress::parse(&text) {
                Ok(address) => format!("{address} {address:?}"),
                Err(malformed) => format!("{malformed} {malformed:?}"),
            };
            prop_assert!(!shown.contains("secret"), "{}", shown);
        }
    }
}
