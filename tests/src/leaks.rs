//! Looks for secrets in text, in each form in which they might have been written.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

/// The forms in which `secrets` stand in `text`: "base64 of secret 2". Empty: no leak.
pub fn leaks(text: &str, secrets: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (number, secret) in secrets.iter().enumerate() {
        assert!(secret.len() >= 8, "secret {number} is too short to look for");
        for (form, written) in forms(secret) {
            if text.contains(&written) {
                found.push(format!("{form} of secret {number}"));
            }
        }
    }
    found
}

fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let hex = |upper: bool| {
        let digits = |byte: u8| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") };
        secret.bytes().map(digits).collect::<String>()
    };
    let json = serde_json::to_string(secret).expect("text is JSON");
    let mut forms = vec![
        ("the text", secret.to_owned()),
        ("hex", hex(false)),
        ("upper-case hex", hex(true)),
        ("JSON", json.trim_matches('"').to_owned()),
        ("URL encoding", url_encoded(secret)),
        ("base64", STANDARD.encode(secret)),
        ("base64 without padding", STANDARD_NO_PAD.encode(secret)),
        ("URL-safe base64", URL_SAFE.encode(secret)),
        ("URL-safe base64 without padding", URL_SAFE_NO_PAD.encode(secret)),
    ];
    // Inside a longer encoded text the secret starts at any of three offsets; what its
    // neighbours share with it is left off.
    for offset in 1..=2 {
        let encoded = STANDARD_NO_PAD.encode(format!("{}{secret}", "x".repeat(offset)));
        let middle = encoded.get(4..encoded.len() - 2).unwrap_or_default();
        if middle.len() >= 8 {
            forms.push(("base64 at an offset", middle.to_owned()));
        }
    }
    forms
}

fn url_encoded(secret: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    secret.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_a_secret_is_found() {
        let secret = String::from("s.ab/c\"d+e f123456");
        for (form, written) in forms(&secret) {
            assert_ne!(
                leaks(&format!("a log line {written} ends"), std::slice::from_ref(&secret)),
                [""; 0],
                "{form}"
            );
        }
    }

    #[test]
    fn a_secret_inside_a_longer_encoded_text_is_found() {
        let secret = String::from("s.abcdefghijklmnop");
        for prefix in ["", "a", "ab", "abc"] {
            let written = STANDARD.encode(format!("{prefix}{secret} and more"));
            assert_ne!(leaks(&written, std::slice::from_ref(&secret)), [""; 0], "after {prefix:?}");
        }
    }

    #[test]
    fn a_text_without_secrets_is_clean() {
        assert_eq!(leaks("identity=default token=[redacted]", &["s.abcdefgh".into()]), [""; 0]);
    }
}
