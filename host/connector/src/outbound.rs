//! The proxy between the agent and the server, as connections are made through it.
//!
//! To an https address an HTTP proxy opens a tunnel (CONNECT) and sees names and sizes only. To an
//! http address it forwards the requests, tokens and all, as HTTP has it. A SOCKS proxy opens a
//! tunnel to either. User and password go to the proxy alone, and never into a log.

use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use usher_address::{OutboundProxy, ProxyScheme, Userinfo};
use usher_secret::Secret;

use crate::basic::BasicAuth;

/// What a connection needs to know of the proxy.
pub(crate) enum Outbound {
    Http {
        url: Uri,
        authorization: Option<BasicAuth>,
        /// Of a request for a tunnel, which is the agent's own.
        user_agent: HeaderValue,
    },
    Socks {
        url: Uri,
        /// User and password, decoded.
        user: Option<(String, Secret<String>)>,
        /// Keeps the password out of logs.
        _authorization: Option<BasicAuth>,
    },
}

impl Outbound {
    /// `None`: its URL isn't one for the HTTP library, which takes fewer hosts than a URL may have.
    pub(crate) fn new(proxy: &OutboundProxy, user_agent: &HeaderValue) -> Option<Self> {
        let url = proxy.url().as_str().parse().ok()?;
        let (user, password) = proxy.user().map(Userinfo::parts).unwrap_or_default();
        let authorization = BasicAuth::of(user, password);
        Some(match proxy.scheme() {
            ProxyScheme::Http | ProxyScheme::Https => {
                Self::Http { url, authorization, user_agent: user_agent.clone() }
            }
            ProxyScheme::Socks5 => {
                let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
                let user = proxy.user().map(|_| (decoded(user), Secret::new(decoded(password))));
                Self::Socks { url: with_port(url)?, user, _authorization: authorization }
            }
        })
    }

    /// For requests that are forwarded whole.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        match self {
            Self::Http { authorization, .. } => authorization.as_ref().map(BasicAuth::header),
            Self::Socks { .. } => None,
        }
    }
}

/// SOCKS has a port of its own (RFC 1928, §3).
fn with_port(url: Uri) -> Option<Uri> {
    match url.port() {
        Some(_) => Some(url),
        None => format!("socks5://{}:1080/", url.host()?).parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use usher_secret::redactor;

    use super::*;

    fn outbound(text: &str) -> Outbound {
        let user_agent = HeaderValue::from_static("Usher");
        Outbound::new(&OutboundProxy::parse(text).unwrap(), &user_agent).unwrap()
    }

    #[test]
    fn a_socks_proxy_gets_the_name_of_the_server_and_its_own_password() {
        for scheme in ["socks5", "socks5h"] {
            let made = outbound(&format!("{scheme}://u:p%40ss@proxy:1081/ignored?a#b"));
            assert!(made.authorization().is_none());
            let Outbound::Socks { url, user, .. } = made else { panic!("it speaks SOCKS") };
            assert_eq!((url.host(), url.port_u16()), (Some("proxy"), Some(1081)));
            let (user, password) = user.unwrap();
            assert_eq!((user.as_str(), password.expose().as_str()), ("u", "p@ss"));
        }
        let Outbound::Socks { url, user, .. } = outbound("socks5://[::1]") else { panic!("SOCKS") };
        assert_eq!((url.host(), url.port_u16(), user.is_none()), (Some("[::1]"), Some(1080), true));
    }

    #[test]
    fn an_http_proxy_is_told_its_user_as_a_header() {
        for (written, header) in [
            ("proxy:3128", None),
            ("http://u:p%40ss@proxy:1", Some("Basic dTpwQHNz")),
            ("https://u@proxy", Some("Basic dTo=")),
        ] {
            let made = outbound(written);
            assert_eq!(made.authorization().map(|header| header.to_str().unwrap()), header);
        }
    }

    #[test]
    fn the_password_is_redacted_for_as_long_as_the_proxy_is_in_use() {
        for scheme in ["http", "socks5"] {
            let made = outbound(&format!("{scheme}://usher:correct-horse%21@proxy:3128"));
            let text = "correct-horse! dXNoZXI6Y29ycmVjdC1ob3JzZSE=";
            assert_eq!(redactor::redact(text), "[redacted] [redacted]");
            drop(made);
            assert_eq!(redactor::redact(text), text);
        }
    }
}
