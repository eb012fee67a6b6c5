//! What a path must be to reach the server byte for byte: segments that no URL parser changes.

use std::fmt::Write as _;

use crate::malformed::Malformed;

/// The first rule that a path breaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flaw {
    Empty,
    /// It begins with a slash, or two follow each other.
    EmptySegment,
    /// "." or "..", percent-encoded or not: it would lead elsewhere.
    DotSegment,
    /// A byte that has to be percent-encoded.
    Bare(u8),
}

/// None: a URL can hold the path as it is (<https://url.spec.whatwg.org/#path-state>).
pub(crate) const fn flaw(path: &str) -> Option<Flaw> {
    let bytes = path.as_bytes();
    if bytes.is_empty() {
        return Some(Flaw::Empty);
    }
    let (mut at, mut start, mut dots, mut only_dots) = (0, 0, 0, true);
    loop {
        if at == bytes.len() || bytes[at] == b'/' {
            let is_last = at == bytes.len();
            if at == start && !is_last {
                return Some(Flaw::EmptySegment);
            }
            if only_dots && (dots == 1 || dots == 2) {
                return Some(Flaw::DotSegment);
            }
            if is_last {
                return None;
            }
            (at, dots, only_dots) = (at + 1, 0, true);
            start = at;
            continue;
        }
        if is_bare(bytes[at]) {
            return Some(Flaw::Bare(bytes[at]));
        }
        if bytes[at] == b'.' {
            dots += 1;
        } else if is_encoded_dot(bytes, at) {
            (dots, at) = (dots + 1, at + 2);
        } else {
            only_dots = false;
        }
        at += 1;
    }
}

/// Whether a URL holds this byte in another form, or ends its path there.
const fn is_bare(byte: u8) -> bool {
    !byte.is_ascii_graphic()
        || matches!(byte, b'"' | b'#' | b'<' | b'>' | b'?' | b'\\' | b'`' | b'{' | b'}')
}

/// The text with each byte percent-encoded that a path can't hold.
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_bare(byte) {
            let _ = write!(encoded, "%{byte:02X}");
        } else {
            encoded.push(char::from(byte));
        }
    }
    encoded
}

const fn is_encoded_dot(bytes: &[u8], at: usize) -> bool {
    at + 2 < bytes.len()
        && bytes[at] == b'%'
        && bytes[at + 1] == b'2'
        && matches!(bytes[at + 2], b'e' | b'E')
}

impl Flaw {
    /// `name` is what the path is, "the login path".
    pub(crate) fn of(self, name: &str, path: &str) -> Malformed {
        let why = match self {
            Self::Empty => return Malformed::new(format!("{name} is empty"), REMEDY),
            Self::EmptySegment => "a segment is empty".to_owned(),
            Self::DotSegment => "it has a dot segment".to_owned(),
            Self::Bare(byte) if byte.is_ascii_graphic() => {
                format!("it holds a bare '{}'", char::from(byte))
            }
            Self::Bare(b' ') => "it holds a blank".to_owned(),
            Self::Bare(byte) if byte.is_ascii() => "it holds a control character".to_owned(),
            Self::Bare(_) => "it holds a character that isn't ASCII".to_owned(),
        };
        let shown: String = path.chars().take(LONGEST_SHOWN).flat_map(char::escape_debug).collect();
        Malformed::new(format!("{name} \"{shown}\" can't be sent: {why}"), REMEDY)
    }
}

const REMEDY: &str =
    "a path is segments joined by single slashes, percent-encoded, without dot segments";

/// Of a path in a message, in characters.
const LONGEST_SHOWN: usize = 200;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    #[test]
    fn each_flaw_is_named() {
        for (path, flaw, words) in [
            ("", Flaw::Empty, "is empty"),
            ("/a", Flaw::EmptySegment, "a segment is empty"),
            ("a//b", Flaw::EmptySegment, "a segment is empty"),
            ("a/./b", Flaw::DotSegment, "a dot segment"),
            ("a/..", Flaw::DotSegment, "a dot segment"),
            ("%2e./b", Flaw::DotSegment, "a dot segment"),
            ("a/%2E%2e", Flaw::DotSegment, "a dot segment"),
            ("a b", Flaw::Bare(b' '), "a blank"),
            ("a?b", Flaw::Bare(b'?'), "a bare '?'"),
            ("a\\b", Flaw::Bare(b'\\'), "a bare '\\'"),
            ("a\nb", Flaw::Bare(b'\n'), "a control character"),
            ("ä", Flaw::Bare(0xc3), "isn't ASCII"),
        ] {
            assert_eq!(super::flaw(path), Some(flaw), "{path}");
            let malformed = flaw.of("the path", path);
            assert!(malformed.what.contains(words), "{malformed}");
            assert!(!malformed.what.contains('\n'), "{malformed}");
            assert!(malformed.remedy.contains("percent-encoded"), "{malformed}");
        }
    }

    proptest! {
        #[test]
        fn a_path_without_flaw_is_kept_byte_for_byte_by_a_url(
            path in prop_oneof![
                "[a./%2eE]{0,12}",
                "[ -~]{0,12}",
                ".{0,8}",
                "[a-z./\t\n%é]{0,12}",
            ]
        ) {
            let whole = format!("/base/v1/{path}");
            let mut url = Url::parse("https://vault.example.org/").unwrap();
            url.set_path(&whole);
            let kept = url.path() == whole;
            let joined = !path.is_empty() && !path.starts_with('/') && !path.contains("//");
            prop_assert_eq!(flaw(&path).is_none(), joined && kept, "{}", path);
        }
    }
}
