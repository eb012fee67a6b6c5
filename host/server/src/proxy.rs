//! The proxy between the agent and the server: its address, its password, and who is let in.
//!
//! To an https address the proxy opens a tunnel (CONNECT) and sees names and sizes only. To an http
//! address it forwards the requests, tokens and all, as HTTP has it. User and password go to the
//! proxy alone, and never into a log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use reqwest::header::HeaderValue;
use url::Url;
use usher_secret::Secret;
use usher_secret::redactor::{self, Live, REDACTED};
use zeroize::Zeroizing;

use crate::settings::SettingsError;

/// A parsed proxy.
pub(crate) struct Proxy {
    /// `http://proxy.example.org:3128/`, without user and password.
    url: Url,
    /// "Basic …"
    authorization: Option<HeaderValue>,
    /// The password and what is made of it.
    _live: Vec<Live>,
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
            .map_err(|_| wrong("not a proxy's URL; write http://proxy.example.org:3128"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("only http:// and https:// proxies are spoken to"));
        }
        let mut live = Vec::new();
        let mut authorization = None;
        if !url.username().is_empty() || url.password().is_some() {
            let decoded =
                |text: &str| Zeroizing::new(percent_decode_str(text).collect::<Vec<u8>>());
            let user = decoded(url.username());
            let password = decoded(url.password().unwrap_or_default());
            let pair = Zeroizing::new([&user[..], b":", &password[..]].concat());
            let encoded = Zeroizing::new(STANDARD.encode(&*pair));
            if let Ok(password) = std::str::from_utf8(&password) {
                live.push(redactor::keep_text_out_of_logs(password));
            }
            live.push(redactor::keep_text_out_of_logs(&encoded));
            let mut header = HeaderValue::from_str(&format!("Basic {}", *encoded))
                .map_err(|_| wrong("its user and password can't be sent"))?;
            header.set_sensitive(true);
            authorization = Some(header);
            // Can't fail: the URL has a host.
            let _ = url.set_username("");
            let _ = url.set_password(None);
        }
        url.set_path("");
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self { url, authorization, _live: live })
    }

    /// For the HTTP client; all its requests go through the proxy.
    pub(crate) fn for_requests(&self) -> Result<reqwest::Proxy, reqwest::Error> {
        let proxy = reqwest::Proxy::all(self.url.as_str())?;
        Ok(match &self.authorization {
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
}

/// A URL without what stands between the scheme and the last `@`.
pub(crate) fn without_password(address: &str) -> String {
    match (address.find("://"), address.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            format!("{}{REDACTED}{}", &address[..scheme + 3], &address[at..])
        }
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
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
        ] {
            let proxy = parse(written).unwrap_or_else(|error| panic!("{written}: {error}"));
            assert_eq!(proxy.shown(), shown);
            let header = proxy.authorization.as_ref().map(|header| header.to_str().unwrap());
            assert_eq!(header, authorization);
            assert!(proxy.for_requests().is_ok());
        }
    }

    #[test]
    fn a_wrong_proxy_says_what_to_write_and_never_shows_its_password() {
        for wrong in ["http://u:hunter22@[/", "socks5://u:hunter22@proxy", "http://", "ftp://p"] {
            let problem = parse(wrong).err().unwrap().to_string();
            assert!(problem.contains("http://"), "{problem}");
            assert!(!problem.contains("hunter22"), "{problem}");
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
