//! The forms in which a secret may be written.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// As it is, and in base64, hexadecimal, JSON and percent-encoding; each once.
pub(super) fn forms(text: &str) -> Vec<Zeroizing<String>> {
    let mut hexadecimal = String::with_capacity(text.len() * 2);
    let mut percent = String::with_capacity(text.len());
    let mut percent_lower = String::with_capacity(text.len());
    let mut json = String::with_capacity(text.len());
    for byte in text.bytes() {
        let _ = write!(hexadecimal, "{byte:02x}");
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            percent.push(char::from(byte));
            percent_lower.push(char::from(byte));
        } else {
            let _ = write!(percent, "%{byte:02X}");
            let _ = write!(percent_lower, "%{byte:02x}");
        }
    }
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            other => json.push(other),
        }
    }
    let mut forms: Vec<_> = [
        text.to_owned(),
        hexadecimal.to_uppercase(),
        hexadecimal,
        percent_lower,
        percent,
        json.replace('/', "\\/"),
        json,
        STANDARD_NO_PAD.encode(text),
        URL_SAFE_NO_PAD.encode(text),
    ]
    .map(Zeroizing::new)
    .into();
    forms.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    forms.dedup();
    forms
}
