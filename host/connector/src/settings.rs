//! Which server to talk to and how, checked once when the connector is made.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderValue;
use rustls::pki_types::ServerName;
use url::Host;
use usher_address::{OutboundProxy, ServerAddress, Userinfo};

use crate::basic::BasicAuth;
use crate::identity::Certificate;
use crate::outbound::Outbound;
use crate::trouble::clean;

/// How to reach the server. Everything counts; nothing is taken from the environment.
#[derive(Clone)]
pub struct Settings {
    /// Where it is. A user in it is sent as `Authorization: Basic`, unless the request has such a
    /// header already.
    pub address: ServerAddress,
    /// Trust and the agent's own client certificate; not used with http and unix addresses.
    pub tls: Tls,
    /// For a whole request with its answer; of what is forwarded, without anything moving.
    pub timeout: Duration,
    /// Sent as `User-Agent`, except with what is forwarded; to a proxy with each request for a
    /// tunnel.
    pub user_agent: String,
    /// Not used with a unix address. `None`: no proxy.
    pub proxy: Option<OutboundProxy>,
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

/// Whom to trust, and the agent's own client certificate. Of several authorities `ca_pem` wins,
/// then `ca_cert`, then `ca_path`; with none the platform's are trusted. No `Debug`: it may hold a key.
#[derive(Clone, Default)]
pub struct Tls {
    /// A PEM file of certificate authorities.
    pub ca_cert: Option<PathBuf>,
    /// A directory of such files, also in directories below it; or one such file.
    pub ca_path: Option<PathBuf>,
    /// Certificate authorities, PEM.
    pub ca_pem: Option<String>,
    /// The agent's own certificate, a PEM file, leaf first. With `client_key`.
    pub client_cert: Option<PathBuf>,
    /// Its key: unencrypted PKCS#8, PKCS#1 or SEC1, a PEM file.
    pub client_key: Option<PathBuf>,
    /// Both as texts; goes before the files.
    pub client_pem: Option<Certificate>,
    /// The name that the server's certificate must carry, and that is asked for (SNI), instead of
    /// the address's.
    pub server_name: Option<String>,
    /// Trust any certificate. Warn of it at each start.
    pub skip_verify: bool,
}

impl Settings {
    /// The defaults: the platform's trust, 60 s, no proxy.
    pub fn new(address: ServerAddress) -> Self {
        Self {
            address,
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
    /// A certificate or key can't be used. See [`crate::Connector::check_files`].
    #[error("{0}")]
    TlsFiles(String),
    /// No connection can be made through this proxy.
    #[error(
        "the proxy {0} can't be used, its URL isn't one that HTTP can carry: correct BAO_HTTP_PROXY, BAO_PROXY_ADDR or HTTPS_PROXY"
    )]
    Proxy(String),
    /// The user agent holds characters that HTTP doesn't allow.
    #[error("the user agent holds characters that an HTTP header can't carry")]
    UserAgent,
}

/// What of the settings is worked with in another form.
pub(crate) struct Checked {
    pub(crate) user_agent: HeaderValue,
    /// For whatever stands before the server.
    pub(crate) user: Option<BasicAuth>,
    pub(crate) proxy: Option<Outbound>,
    pub(crate) server_name: Option<ServerName<'static>>,
}

/// Everything about the settings that needs no file.
pub(crate) fn check(settings: &Settings) -> Result<Checked, SettingsError> {
    let tls = &settings.tls;
    if tls.client_cert.is_some() != tls.client_key.is_some() {
        return Err(SettingsError::CertificateWithoutKey);
    }
    let user_agent =
        HeaderValue::from_str(&settings.user_agent).map_err(|_| SettingsError::UserAgent)?;
    let address = &settings.address;
    let proxy = settings.proxy.as_ref().filter(|_| address.socket().is_none());
    let server_name = tls.server_name.as_deref().map(|name| {
        let wrong = |problem| SettingsError::ServerName { name: name.to_owned(), problem };
        let no_name = wrong("write the DNS name that the server's certificate carries");
        if name.parse::<IpAddr>().is_ok() || !matches!(Host::parse(name), Ok(Host::Domain(_))) {
            return Err(no_name);
        }
        if proxy.is_some() && address.uses_tls() {
            return Err(wrong(
                "can't be combined with a proxy, which would be asked for that name: write the certificate's name in vault.address, or add the server to NO_PROXY",
            ));
        }
        ServerName::try_from(name.to_owned()).map_err(|_| no_name)
    });
    // Without it requests would go past the proxy.
    let outbound = proxy.map(|proxy| {
        let unusable = || SettingsError::Proxy(clean(&proxy.to_string()));
        Outbound::new(proxy, &user_agent).ok_or_else(unusable)
    });
    let (user, password) = address.user().map(Userinfo::parts).unwrap_or_default();
    Ok(Checked {
        user_agent,
        user: BasicAuth::of(user, password),
        proxy: outbound.transpose()?,
        server_name: server_name.transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let with = |change: fn(&mut Settings)| {
            let address = ServerAddress::parse("https://vault:8200").unwrap();
            let mut settings = Settings::new(address);
            change(&mut settings);
            check(&settings).map(|_| ()).map_err(|error| error.to_string())
        };
        assert!(with(|_| {}).is_ok());
        assert!(with(|s| s.tls.server_name = Some("vault.example.org".into())).is_ok());
        assert!(with(|s| s.tls.client_cert = Some("a.pem".into())).is_err());
        assert!(with(|s| s.tls.server_name = Some("127.0.0.1".into())).is_err());
        assert!(with(|s| s.user_agent = "a\nb".into()).is_err());
        // Refused until it is known how to ask the proxy for one name and the server for another.
        let both = with(|s| {
            s.proxy = Some(OutboundProxy::parse("http://proxy:3128").unwrap());
            s.tls.server_name = Some("vault.example.org".into());
        });
        assert!(both.unwrap_err().contains("NO_PROXY"));
    }

    #[test]
    fn a_proxy_that_can_not_be_used_is_no_leave_to_go_past_it() {
        let long = format!("http://{}:3128", "a".repeat(70_000));
        for text in ["http://u:hunter22@pr\"oxy:3128", "socks5://pr\u{f8}xy", long.as_str()] {
            let mut settings = Settings::new(ServerAddress::parse("http://vault:8200").unwrap());
            settings.proxy = Some(OutboundProxy::parse(text).unwrap());
            let Err(error) = check(&settings) else { panic!("{text} is gone past") };
            assert!(matches!(error, SettingsError::Proxy(_)), "{error}");
            assert!(error.to_string().len() < 1000, "{error}");
            assert!(!error.to_string().contains("hunter22"), "{error}");
        }
    }
}
