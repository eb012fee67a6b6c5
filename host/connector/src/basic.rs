//! User and password as HTTP takes them (RFC 7617), out of a URL.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use usher_secret::redactor::{self, Live};
use zeroize::Zeroizing;

/// Kept out of logs for as long as it exists.
pub struct BasicAuth {
    /// "Basic …"
    header: HeaderValue,
    /// The password and what is made of it.
    _live: Vec<Live>,
}

impl BasicAuth {
    /// Both as they stand in a URL. `None`: there is neither.
    pub fn of(user: &str, password: &str) -> Option<Self> {
        if user.is_empty() && password.is_empty() {
            return None;
        }
        let decoded = |text: &str| Zeroizing::new(percent_decode_str(text).collect::<Vec<u8>>());
        let (user, plain) = (decoded(user), decoded(password));
        let pair = Zeroizing::new([&user[..], b":", &plain[..]].concat());
        let encoded = Zeroizing::new(STANDARD.encode(&*pair));
        let mut header = HeaderValue::from_str(&format!("Basic {}", *encoded)).ok()?;
        header.set_sensitive(true);
        let mut live = vec![
            redactor::keep_text_out_of_logs(password),
            redactor::keep_text_out_of_logs(&encoded),
        ];
        if let Ok(plain) = std::str::from_utf8(&plain) {
            live.push(redactor::keep_text_out_of_logs(plain));
        }
        Some(Self { header, _live: live })
    }

    /// "user:password".
    #[cfg(test)]
    fn of_pair(pair: &str) -> Option<Self> {
        let (user, password) = pair.split_once(':').unwrap_or((pair, ""));
        Self::of(user, password)
    }

    /// For `Authorization` or `Proxy-Authorization`; sensitive.
    pub fn header(&self) -> &HeaderValue {
        &self.header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_decoded_before_they_are_encoded() {
        for (pair, sent) in [
            ("u:p%40ss", "Basic dTpwQHNz"),
            ("u", "Basic dTo="),
            ("u:", "Basic dTo="),
            (":p", "Basic OnA="),
            ("u:p:q", "Basic dTpwOnE="),
        ] {
            let made = BasicAuth::of_pair(pair).unwrap();
            assert_eq!(made.header(), sent, "{pair}");
            assert!(!format!("{:?}", made.header()).contains("dTp"));
        }
        assert!(BasicAuth::of_pair("").is_none());
    }

    #[test]
    fn the_password_is_redacted_for_as_long_as_it_is_in_use() {
        let made = BasicAuth::of_pair("usher:correct-staple%21");
        let text = "correct-staple! dXNoZXI6Y29ycmVjdC1zdGFwbGUh";
        assert_eq!(redactor::redact(text), "[redacted] [redacted]");
        drop(made);
        assert_eq!(redactor::redact(text), text);
    }
}
