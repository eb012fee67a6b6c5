//! The proxy between the agent and the server: its address, its password, and who is let in.
//!
//! To an https address an HTTP proxy opens a tunnel (CONNECT) and sees names and sizes only. To an
//! http address it forwards the requests, tokens and all, as HTTP has it. A SOCKS proxy opens a
//! tunnel to either. User and password go to the proxy alone, and never into a log.

use reqwest::header::HeaderValue;
use url::Url;
use usher_secret::Secret;
use zeroize::Zeroizing;

use crate::basic::BasicAuth;
use crate::settings::SettingsError;

/// A parsed proxy.
pub(crate) struct Proxy {
    /// `http://proxy.example.org:3128/`, without user and password.
    url: Url,
    authorization: Option<BasicAuth>,
    /// What SOCKS takes, which knows no header: the URL with user and password.
    socks: Option<Zeroizing<String>>,
}

impl Proxy {
    /// A URL with or without scheme, user and password.
    pub(crate) fn parse(written: &Secret<String>) -> Result<Self, SettingsError> {
        let wrong = |problem: &str| SettingsError::Proxy(problem.to_owned());
        let written = written.expose().trim();
        let complete =
            if written.contains("://") { written.into() } else { format!("http://{written}") };
        let complete = Zeroizing::new(complete);
        // The parser's own words are left out: they might quote the text.
        let mut url = Url::parse(&complete)
            .ok()
            .filter(|url| url.host_str().is_some_and(|host| !host.is_empty()))
            .ok_or_else(|| wrong("not a proxy's URL; write http://proxy.example.org:3128"))?;
        url.set_path("");
        url.set_query(None);
        url.set_fragment(None);
        let socks = match url.scheme() {
            "http" | "https" => None,
            "socks5" | "socks5h" => {
                // The proxy looks names up, as it does for the incumbents by either scheme.
                let rest = url.as_str().split_once("://").map_or("", |(_, rest)| rest);
                Some(Zeroizing::new(format!("socks5h://{}", rest.trim_end_matches('/'))))
            }
            _ => {
                return Err(wrong("only http://, https:// and socks5:// proxies are spoken to"));
            }
        };
        let authorization = BasicAuth::of(url.username(), url.password().unwrap_or_default());
        // Can't fail: the URL has a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Ok(Self { url, authorization, socks })
    }

    /// For the HTTP client; all its requests go through the proxy.
    pub(crate) fn for_requests(&self) -> Result<reqwest::Proxy, reqwest::Error> {
        if let Some(url) = &self.socks {
            return reqwest::Proxy::all(url.as_str());
        }
        let proxy = reqwest::Proxy::all(self.url.as_str())?;
        Ok(match self.authorization() {
            Some(authorization) => proxy.custom_http_auth(authorization.clone()),
            None => proxy,
        })
    }

    /// Whether the connection to the proxy itself is TLS.
    pub(crate) fn uses_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// For people: `http://proxy.example.org:3128`.
    pub(crate) fn shown(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref().map(BasicAuth::header)
    }
}

#[cfg(test)]
mod tests {
    use usher_secret::redactor;

    use super::*;

    fn parse(text: &str) -> Result<Proxy, SettingsError> {
        Proxy::parse(&Secret::new(text.to_owned()))
    }

    #[test]
    fn a_proxy_is_understood_with_and_without_scheme_and_user() {
        for (written, shown, authorization) in [
            ("proxy.example.org:3128", "http://proxy.example.org:3128", None),
            ("https://proxy.example.org", "https://proxy.example.org", None),
            ("http://[::1]:3128/", "http://[::1]:3128", None),
            (" http://u:p%40ss@proxy:1 ", "http://proxy:1", Some("Basic dTpwQHNz")),
            ("http://u@proxy:1", "http://proxy:1", Some("Basic dTo=")),
            ("socks5://proxy:1080", "socks5://proxy:1080", None),
            ("socks5h://u:p%40ss@[::1]", "socks5h://[::1]", Some("Basic dTpwQHNz")),
        ] {
            let proxy = parse(written).unwrap_or_else(|error| panic!("{written}: {error}"));
            assert_eq!(proxy.shown(), shown);
            let header = proxy.authorization().map(|header| header.to_str().unwrap());
            assert_eq!(header, authorization);
            assert!(proxy.for_requests().is_ok());
        }
    }

    #[test]
    fn a_wrong_proxy_says_what_to_write_and_never_shows_its_password() {
        for wrong in [
            "http://u:hunter22@[/",
            "socks4://u:hunter22@proxy",
            "http://",
            "ftp://p",
            "socks5://",
            "socks5://u:hunter22@",
        ] {
            let problem = parse(wrong).err().unwrap().to_string();
            assert!(problem.contains("http://"), "{problem}");
            assert!(!problem.contains("hunter22"), "{problem}");
        }
    }

    #[test]
    fn a_socks_proxy_gets_the_name_of_the_server_and_its_own_password() {
        for scheme in ["socks5", "socks5h"] {
            let proxy = parse(&format!("{scheme}://u:p%40ss@proxy:1080/ignored?a#b")).unwrap();
            let url = proxy.socks.as_ref().unwrap();
            assert_eq!(url.as_str(), "socks5h://u:p%40ss@proxy:1080");
            assert!(!proxy.uses_tls());
        }
    }

    #[test]
    fn the_password_is_redacted_for_as_long_as_the_proxy_is_in_use() {
        let proxy = parse("http://usher:correct-horse%21@proxy:3128").unwrap();
        let text = "correct-horse! dXNoZXI6Y29ycmVjdC1ob3JzZSE=";
        assert_eq!(redactor::redact(text), "[redacted] [redacted]");
        drop(proxy);
        assert_eq!(redactor::redact(text), text);
    }
}
