//! The proxy between the agent and the server: what it speaks, where it is, and who is let in.

use std::fmt;

use url::Url;

use crate::malformed::Malformed;
use crate::userinfo::Userinfo;

/// `http://proxy.example.org:3128`, apart from the user and the password that may stand in it. Shown
/// without them.
#[derive(Clone, PartialEq, Eq)]
pub struct OutboundProxy {
    scheme: ProxyScheme,
    /// Without user, password and path.
    url: Url,
    user: Option<Userinfo>,
}

/// What is spoken with a proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProxyScheme {
    /// HTTP, in the clear up to the proxy.
    Http,
    /// HTTP over TLS.
    Https,
    /// SOCKS 5 (RFC 1928). The proxy looks names up, as it does for the incumbents by `socks5` and
    /// by `socks5h`.
    Socks5,
}

impl OutboundProxy {
    /// A URL with or without scheme, user and password; what follows the port is left out. Without
    /// scheme it is `http://`. What is wrong follows the name of whatever held the text:
    /// "`HTTPS_PROXY` names no proxy".
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let none = || Malformed::new("names no proxy", "write http://HOST:PORT");
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let lower = scheme.to_ascii_lowercase();
        let spoken = match lower.as_str() {
            "http" => ProxyScheme::Http,
            "https" => ProxyScheme::Https,
            "socks5" | "socks5h" => ProxyScheme::Socks5,
            _ => {
                return Err(Malformed::new(
                    "names a proxy of an unknown kind",
                    "only http://, https:// and socks5:// proxies are spoken to",
                ));
            }
        };
        let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
        let (user, place) = Userinfo::split(authority);
        if place.is_empty() || place.starts_with(':') || place.contains(char::is_whitespace) {
            return Err(none());
        }
        // The parser's own words are left out: they say nothing of a proxy.
        let url = Url::parse(&format!("{lower}://{place}")).map_err(|_| none())?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err(none());
        }
        Ok(Self { scheme: spoken, url, user })
    }

    /// What is spoken with it.
    pub fn scheme(&self) -> ProxyScheme {
        self.scheme
    }

    /// Scheme, host and port, as it was written; of a SOCKS proxy `socks5` or `socks5h`.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whom the proxy lets in.
    pub fn user(&self) -> Option<&Userinfo> {
        self.user.as_ref()
    }

    /// Whether the connection to the proxy itself is TLS.
    pub fn uses_tls(&self) -> bool {
        self.scheme == ProxyScheme::Https
    }
}

/// `http://proxy.example.org:3128`, without user and password.
impl fmt::Display for OutboundProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

/// As `Display` has it.
impl fmt::Debug for OutboundProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_proxy_is_understood_with_and_without_scheme_and_user() {
        for (written, shown, user) in [
            ("proxy.example.org:3128", "http://proxy.example.org:3128", None),
            ("https://proxy.example.org", "https://proxy.example.org", None),
            ("http://[::1]:3128/", "http://[::1]:3128", None),
            (" http://u:p%40ss@proxy:1 ", "http://proxy:1", Some(("u", "p%40ss"))),
            ("http://u@proxy:1", "http://proxy:1", Some(("u", ""))),
            ("u:p@proxy:1", "http://proxy:1", Some(("u", "p"))),
            ("socks5://proxy:1080", "socks5://proxy:1080", None),
            ("SOCKS5://proxy:1080/ignored?a#b", "socks5://proxy:1080", None),
            ("socks5h://u:p%40ss@[::1]", "socks5h://[::1]", Some(("u", "p%40ss"))),
        ] {
            let proxy = OutboundProxy::parse(written).unwrap();
            assert_eq!(proxy.to_string(), shown);
            assert_eq!(proxy.user().map(Userinfo::parts), user, "{written}");
            assert!(!format!("{proxy:?}").contains("ss@"), "{written}");
        }
    }

    #[test]
    fn what_is_spoken_is_told_by_the_scheme() {
        for (written, scheme) in [
            ("proxy", ProxyScheme::Http),
            ("https://proxy", ProxyScheme::Https),
            ("socks5://proxy", ProxyScheme::Socks5),
            ("socks5h://proxy", ProxyScheme::Socks5),
        ] {
            let proxy = OutboundProxy::parse(written).unwrap();
            assert_eq!(proxy.scheme(), scheme);
            assert_eq!(proxy.uses_tls(), scheme == ProxyScheme::Https);
        }
    }

    #[test]
    fn a_wrong_proxy_says_what_to_write_and_never_shows_its_password() {
        for wrong in [
            "http://u:hunter22@[/",
            "socks4://u:hunter22@proxy",
            "http://",
            "http://:3128",
            "http://a b:1",
            "ftp://p",
            "socks5://",
            "socks5://u:hunter22@",
            "",
        ] {
            let problem = OutboundProxy::parse(wrong).unwrap_err().to_string();
            assert!(problem.contains("http://"), "{problem}");
            assert!(!problem.contains("hunter22"), "{problem}");
        }
    }

    proptest! {
        #[test]
        fn a_proxy_is_shown_as_it_can_be_parsed_again(text in "(socks5h?://|https?://)?[a-z:@.0-9/]{0,20}") {
            if let Ok(proxy) = OutboundProxy::parse(&text) {
                let again = OutboundProxy::parse(&proxy.to_string()).unwrap();
                prop_assert_eq!(again.url(), proxy.url());
                prop_assert!(again.user().is_none());
            }
        }

        #[test]
        fn no_password_is_shown(password in "[a-zA-Z0-9:@%!]{6,20}", end in "[a-z0-9:/.?\\[]{0,8}") {
            let shown = match OutboundProxy::parse(&format!("http://usher:secret{password}@{end}")) {
                Ok(proxy) => format!("{proxy} {proxy:?}"),
                Err(malformed) => format!("{malformed} {malformed:?}"),
            };
            prop_assert!(!shown.contains("secret"), "{}", shown);
        }
    }
}
