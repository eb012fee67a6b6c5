//! Tells from the bytes that a sink delivered what they are.

use serde::Deserialize;
use serde::de::IgnoredAny;
use usher_secret::Secret;

use crate::error::{Document, Error};
use crate::json;
use crate::wrap_info::WrapInfo;

/// What a sink delivered, decrypted or not.
pub enum Content {
    /// The bare token.
    Token(Secret<String>),
    /// A wrapping token.
    Wrapped(WrapInfo),
    /// Encrypted; see [`crate::open_any`]. Not looked into yet.
    Sealed,
}

impl Content {
    /// Looks at a file's bytes. A token is one word of visible ASCII characters; white space
    /// around it is no part of it.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Members {
            token: Option<IgnoredAny>,
            encrypted_payload: Option<IgnoredAny>,
            curve25519_public_key: Option<IgnoredAny>,
            curve25519_private_key: Option<IgnoredAny>,
        }
        const DOCUMENT: Document = Document::Content;
        let text = bytes.trim_ascii();
        if text.starts_with(b"{") {
            // Which members there are decides; each form complains for itself of the rest.
            let members: Members = json::read(DOCUMENT, text)?;
            return if members.encrypted_payload.is_some() {
                Ok(Self::Sealed)
            } else if members.curve25519_private_key.is_some() {
                Err(Error::Form(DOCUMENT, "it is a private key"))
            } else if members.curve25519_public_key.is_some() {
                Err(Error::Form(DOCUMENT, "it is a public key"))
            } else if members.token.is_some() {
                WrapInfo::from_json(text).map(Self::Wrapped)
            } else {
                Err(Error::Form(DOCUMENT, "it is other JSON"))
            };
        }
        match std::str::from_utf8(text) {
            Ok("") => Err(Error::Empty(DOCUMENT)),
            Ok(token) if text.iter().all(u8::is_ascii_graphic) => {
                Ok(Self::Token(Secret::new(token.to_owned())))
            }
            Ok(_) => Err(Error::Form(DOCUMENT, "a token is one word of visible characters")),
            Err(_) => Err(Error::Form(DOCUMENT, "it is not text")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &[u8]) -> String {
        match Content::parse(text) {
            Ok(Content::Token(token)) => format!("token {}", token.expose()),
            Ok(Content::Wrapped(info)) => format!("wrapped {}", info.token.expose()),
            Ok(Content::Sealed) => "sealed".into(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn each_form_is_told_from_the_others() {
        assert_eq!(kind(b"s.token"), "token s.token");
        assert_eq!(kind(b" hvs.CAES-token_1\r\n"), "token hvs.CAES-token_1");
        assert_eq!(kind(br#"{"token":"s.w","ttl":60}"#), "wrapped s.w");
        assert_eq!(kind(b"{\"curve25519_public_key\":1,\"encrypted_payload\":2}\n"), "sealed");
    }

    #[test]
    fn anything_else_is_named_and_not_quoted() {
        for (text, expected) in [
            (&b""[..], "the token is empty"),
            (b"\n", "the token is empty"),
            (b"two secrets", "one word"),
            (b"\xffsecret", "it is not text"),
            (b"{\"token\":\"secret", "cut short"),
            (br#"{"data":{"token":"secret"}}"#, "it is other JSON"),
            (br#"{"curve25519_private_key":"secret"}"#, "it is a private key"),
            (br#"{"curve25519_public_key":"secret"}"#, "it is a public key"),
            (b"-----BEGIN PRIVATE KEY-----\nsecret", "one word"),
        ] {
            let problem = kind(text);
            assert!(problem.contains(expected), "{problem}");
            assert!(!problem.contains("secret"), "{problem}");
        }
    }
}
