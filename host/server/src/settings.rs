//! Which server to talk to and how, checked once when the client is made.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::{Host, Url};
use usher_secret::Secret;
use usher_secret::redactor::without_userinfo;

use crate::basic::BasicAuth;
use crate::proxy::Proxy;
use crate::tls::Tls;

/// How to reach the server. Everything counts; nothing is taken from the environment.
#[derive(Clone)]
pub struct Settings {
    /// `https://vault.example.org:8200`, `http://127.0.0.1:8200`, `unix:///run/vault.sock`. A path
    /// is kept as a prefix.
    pub address: String,
    /// "user:password" as they stand in a URL, percent-encoded: sent to the address as
    /// `Authorization: Basic`, unless the request has such a header already.
    pub user: Option<Secret<String>>,
    /// Trust and the agent's own client certificate; not used with http and unix addresses.
    pub tls: Tls,
    /// For a whole request with its answer.
    pub timeout: Duration,
    /// Sent as `User-Agent`.
    pub user_agent: String,
    /// `http://proxy.example.org:3128`, `https://…` or `socks5://…`, perhaps with a user and a
    /// password. Not used with a unix address. `None`: no proxy.
    pub proxy: Option<Secret<String>>,
    /// The address names an SRV record, `_http._tcp.HOST`, that names the server. Only for an
    /// address without port, and like all DNS no proof of the server's identity: the certificate
    /// is checked against the name in the record, as the incumbents do, or `tls.server_name`.
    pub srv_lookup: bool,
    /// No redirect is followed, not even that of a standby to the active node.
    pub disable_redirects: bool,
    /// No connection is kept for the next request.
    pub disable_idle_connections: bool,
    /// The same, and the server is told so with each request.
    pub disable_keep_alives: bool,
}

impl Settings {
    /// The defaults: the platform's trust, 60 s, no proxy.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            user: None,
            tls: Tls::default(),
            timeout: Duration::from_mins(1),
            user_agent: concat!("Usher/", env!("CARGO_PKG_VERSION")).to_owned(),
            proxy: None,
            srv_lookup: false,
            disable_redirects: false,
            disable_idle_connections: false,
            disable_keep_alives: false,
        }
    }
}

/// What is wrong with [`Settings`]. Says what to write instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The address can't be used.
    #[error("vault.address \"{address}\": {problem}")]
    Address {
        /// As written, without a password.
        address: String,
        /// What is wrong and what to write.
        problem: String,
    },
    /// The proxy's address can't be used.
    #[error("the proxy (BAO_HTTP_PROXY, BAO_PROXY_ADDR or HTTPS_PROXY): {0}")]
    Proxy(String),
    /// A client certificate without its key, or the other way round.
    #[error("vault.client_cert and vault.client_key belong together: set both or neither")]
    CertificateWithoutKey,
    /// `tls_server_name` can't be used.
    #[error("vault.tls_server_name \"{name}\": {problem}")]
    ServerName {
        /// As written.
        name: String,
        /// What is wrong and what to write.
        problem: &'static str,
    },
    /// A certificate or key can't be used. See [`crate::Client::check_files`].
    #[error("{0}")]
    TlsFiles(String),
    /// The user agent holds characters that HTTP doesn't allow.
    #[error("the user agent holds characters that an HTTP header can't carry")]
    UserAgent,
}

/// A parsed address.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    /// Without trailing slash, as people and plug-ins see it.
    pub(crate) shown: String,
    /// Where requests go; "localhost" for a socket. The path ends with a slash.
    pub(crate) base: Url,
    /// Of a unix address.
    pub(crate) socket: Option<PathBuf>,
    /// A port is written, be it the scheme's own.
    pub(crate) has_port: bool,
}

impl Address {
    pub(crate) fn parse(address: &str) -> Result<Self, SettingsError> {
        let address = address.trim();
        let wrong = |problem: String| SettingsError::Address {
            address: without_userinfo(address).into_owned(),
            problem,
        };
        if let Some(path) = address.strip_prefix("unix://") {
            if !path.starts_with('/') {
                return Err(wrong("write an absolute path: unix:///run/vault.sock".into()));
            }
            let base = Url::parse("http://localhost/").map_err(|error| wrong(error.to_string()))?;
            return Ok(Self {
                shown: address.into(),
                base,
                socket: Some(path.into()),
                has_port: false,
            });
        }
        if !address.contains("://") {
            return Err(wrong(format!(
                "write the scheme too: https://{}",
                without_userinfo(address.trim_start_matches('/'))
            )));
        }
        let mut base = Url::parse(address).map_err(|error| wrong(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(wrong(format!(
                "\"{}\" is not spoken; write https://, http:// or unix://",
                base.scheme()
            )));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(wrong("user and password belong apart from it".into()));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(wrong("leave out what follows the path".into()));
        }
        let path = base.path().trim_end_matches('/').to_owned();
        if path == "/v1" || path.ends_with("/v1") {
            return Err(wrong("leave out the \"/v1\": it is added to every request".into()));
        }
        base.set_path(&format!("{path}/"));
        let shown = base.as_str().trim_end_matches('/').into();
        Ok(Self { shown, has_port: has_port(address), base, socket: None })
    }

    pub(crate) fn uses_tls(&self) -> bool {
        self.base.scheme() == "https"
    }
}

/// Settings that can be worked with.
pub(crate) struct Checked {
    pub(crate) address: Address,
    /// For whatever stands before the server.
    pub(crate) user: Option<BasicAuth>,
    pub(crate) proxy: Option<Proxy>,
}

/// Everything about the settings that needs no file.
pub(crate) fn check(settings: &Settings) -> Result<Checked, SettingsError> {
    let address = Address::parse(&settings.address)?;
    let tls = &settings.tls;
    if tls.client_cert.is_some() != tls.client_key.is_some() {
        return Err(SettingsError::CertificateWithoutKey);
    }
    if reqwest::header::HeaderValue::from_str(&settings.user_agent).is_err() {
        return Err(SettingsError::UserAgent);
    }
    let proxy = match (&settings.proxy, &address.socket) {
        (Some(proxy), None) => Some(Proxy::parse(proxy)?),
        _ => None,
    };
    if let Some(name) = &tls.server_name {
        let wrong = |problem| SettingsError::ServerName { name: name.clone(), problem };
        if name.parse::<IpAddr>().is_ok() || !matches!(Host::parse(name), Ok(Host::Domain(_))) {
            return Err(wrong("write the DNS name that the server's certificate carries"));
        }
        if proxy.is_some() && address.uses_tls() {
            return Err(wrong(
                "can't be combined with a proxy, which would be asked for that name: write the certificate's name in vault.address, or add the server to NO_PROXY",
            ));
        }
    }
    let user = settings.user.as_ref().and_then(|user| BasicAuth::of_pair(user.expose()));
    Ok(Checked { address, user, proxy })
}

/// Whether an address as written names a port; its URL forgets the scheme's own.
fn has_port(address: &str) -> bool {
    let authority = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    let after_host = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
    after_host.split_once(':').is_some_and(|(_, port)| !port.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(address: &str) -> String {
        Address::parse(address).unwrap_err().to_string()
    }

    #[test]
    fn addresses_are_understood_with_and_without_slash_and_prefix() {
        for (written, shown, base) in [
            ("https://vault:8200", "https://vault:8200", "https://vault:8200/"),
            (" http://127.0.0.1:8200/ ", "http://127.0.0.1:8200", "http://127.0.0.1:8200/"),
            ("https://proxy/vault/", "https://proxy/vault", "https://proxy/vault/"),
            ("https://[::1]:8200", "https://[::1]:8200", "https://[::1]:8200/"),
        ] {
            let address = Address::parse(written).unwrap();
            assert_eq!(address.shown, shown);
            assert_eq!(address.base.as_str(), base);
            assert!(address.socket.is_none());
        }
        let address = Address::parse("unix:///run/vault.sock").unwrap();
        assert_eq!(address.socket.unwrap(), PathBuf::from("/run/vault.sock"));
        assert_eq!(address.shown, "unix:///run/vault.sock");
    }

    #[test]
    fn a_port_is_seen_even_if_it_is_the_schemes_own() {
        for (address, expected) in [
            ("https://vault", false),
            ("https://vault/", false),
            ("https://vault:443", true),
            ("http://vault:80/a:b", true),
            ("https://vault/a:1", false),
            ("https://[::1]", false),
            ("https://[::1]:443", true),
            ("https://vault:", false),
        ] {
            assert_eq!(Address::parse(address).unwrap().has_port, expected, "{address}");
        }
    }

    #[test]
    fn a_wrong_address_says_what_to_write() {
        assert!(problem("vault:8200").contains("https://vault:8200"));
        assert!(problem("//vault:8200").contains("https://vault:8200"));
        assert!(problem("ftp://vault").contains("\"ftp\" is not spoken"));
        assert!(problem("unix://run/vault.sock").contains("absolute"));
        assert!(problem("https://vault:8200/v1/").contains("leave out the \"/v1\""));
        assert!(problem("https://vault:8200/?a=b").contains("leave out"));
        assert!(problem("https://").contains("vault.address"));
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_shown() {
        for address in [
            "https://user:hunter2@vault:8200",
            "user:hunter2@vault:8200",
            "//user:hunter2@vault:8200",
            "ftp://user:hunter2@vault",
            "https://user:hunter2/x@vault",
            "unix://user:hunter2@run/vault.sock",
        ] {
            let problem = problem(address);
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let with = |change: fn(&mut Settings)| {
            let mut settings = Settings::new("https://vault:8200");
            change(&mut settings);
            check(&settings).map(|_| ()).map_err(|error| error.to_string())
        };
        assert!(with(|_| {}).is_ok());
        assert!(with(|s| s.tls.server_name = Some("vault.example.org".into())).is_ok());
        assert!(with(|s| s.tls.client_cert = Some("a.pem".into())).is_err());
        assert!(with(|s| s.tls.server_name = Some("127.0.0.1".into())).is_err());
        assert!(with(|s| s.user_agent = "a\nb".into()).is_err());
        assert!(with(|s| s.proxy = Some(Secret::new("http://[/".into()))).is_err());
        // Refused until it is known how to ask the proxy for one name and the server for another.
        let both = with(|s| {
            s.proxy = Some(Secret::new("http://proxy:3128".into()));
            s.tls.server_name = Some("vault.example.org".into());
        });
        assert!(both.unwrap_err().contains("NO_PROXY"));
    }
}
