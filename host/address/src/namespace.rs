//! A namespace of the server in the one form in which it is compared and sent.

use std::fmt;

use crate::malformed::Malformed;

/// "" for the root, else "team/": segments without slash in front, each ended by one. Fits into the
/// header `X-Vault-Namespace`.
///
/// The form is the one that OpenBao gives to what it reads, as server and as agent: cleaned like a
/// path (`//`, `.`, `..`). Vault's server cleans nothing, and knows a namespace under this form alone.
/// Nothing leads above the root.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Namespace(String);

impl Namespace {
    /// As people write it: "", "team", "/team/web/", "root" for the root.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let text = text.trim();
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Malformed::new(
                "the namespace can't be sent",
                "write it without blanks, control characters and umlauts, which no namespace's name holds",
            ));
        }
        let mut segments: Vec<&str> = Vec::new();
        for segment in text.split('/') {
            match segment {
                "" | "." => {}
                ".." => {
                    segments.pop();
                }
                other => segments.push(other),
            }
        }
        // "root" is the root namespace's name on the server and on the command line.
        if segments.is_empty() || segments == ["root"] {
            return Ok(Self::default());
        }
        Ok(Self(format!("{}/", segments.join("/"))))
    }

    /// Whether nothing is sent for it.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// As sent: "" or "team/".
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn namespaces_take_the_form_that_is_sent() {
        for (text, sent) in [
            ("", ""),
            (".", ""),
            ("/", ""),
            ("root", ""),
            ("team", "team/"),
            ("/team/", "team/"),
            ("a//b/../c", "a/c/"),
            ("../a", "a/"),
            ("root/a", "root/a/"),
            (" team ", "team/"),
        ] {
            assert_eq!(Namespace::parse(text).unwrap().as_str(), sent, "{text}");
        }
    }

    #[test]
    fn a_namespace_is_sent_with_a_slash_at_its_end_only() {
        for (written, sent) in [
            ("", ""),
            ("/", ""),
            ("root", ""),
            ("team", "team/"),
            ("/team/", "team/"),
            ("a/b", "a/b/"),
        ] {
            assert_eq!(Namespace::parse(written).unwrap().as_str(), sent);
        }
    }

    #[test]
    fn what_no_header_and_no_name_holds_is_refused() {
        for text in ["a\nb", "a\u{0}", "a\tb", "tür", "\u{7f}x", "a b", "a/ b"] {
            let refused = Namespace::parse(text).unwrap_err().to_string();
            assert!(refused.contains("control characters"), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn a_namespace_has_one_form(text in "[ab/.]{0,16}") {
            let namespace = Namespace::parse(&text).unwrap();
            prop_assert_eq!(Namespace::parse(namespace.as_str()), Ok(namespace.clone()));
            prop_assert_eq!(Namespace::parse(&format!("/{namespace}")), Ok(namespace.clone()));
            prop_assert_eq!(namespace.is_root(), namespace.as_str().is_empty());
            if !namespace.is_root() {
                let inner = namespace.as_str().strip_suffix('/').unwrap();
                prop_assert!(inner.split('/').all(|part| !matches!(part, "" | "." | "..")));
            }
        }
    }
}
