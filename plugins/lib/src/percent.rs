//! Percent-encoding as signatures and forms want it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Encodes all but the unreserved characters of RFC 3986 (letters, digits, "-", "_", ".", "~"),
/// with upper-case hexadecimal digits.
pub fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, &RESERVED).to_string()
}

/// A query, or the body of a form (`application/x-www-form-urlencoded`), in the order given.
pub fn form(fields: &[(&str, &str)]) -> String {
    let pairs = fields
        .iter()
        .map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// RFC 3986, section 2.3.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_unreserved_characters_stay() {
        assert_eq!(percent_encode("aZ0-_.~"), "aZ0-_.~");
        assert_eq!(percent_encode("a b+c/d=é*"), "a%20b%2Bc%2Fd%3D%C3%A9%2A");
        assert_eq!(form(&[("a", "1 2"), ("b&", "=")]), "a=1%202&b%26=%3D");
    }
}
