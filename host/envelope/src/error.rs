//! What can be wrong with a key, an envelope or a wrapping token's JSON.

use std::fmt;

/// What was read or written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Document {
    /// The reader's public key, as in the file that `dh_path` names.
    PublicKey,
    /// A private key in [`crate::PrivateKey::to_json`]'s form.
    PrivateKey,
    /// What an encrypted sink delivers.
    Envelope,
    /// What a wrapping sink delivers.
    WrapInfo,
    /// What any sink delivers.
    Content,
}

impl Document {
    /// What it should look like.
    pub fn form(self) -> &'static str {
        match self {
            Self::PublicKey => r#"{"curve25519_public_key": "<32 bytes in base64>"}"#,
            Self::PrivateKey => r#"{"curve25519_private_key": "<32 bytes in base64>"}"#,
            Self::Envelope => {
                r#"{"curve25519_public_key": "…", "nonce": "…", "encrypted_payload": "…"}"#
            }
            Self::WrapInfo => {
                r#"{"token": "…", "accessor": "…", "ttl": 300, "creation_time": "…", "creation_path": "…", "wrapped_accessor": "…"}"#
            }
            Self::Content => {
                r#"a bare token, or {"token": …} of a wrapping sink, or {"encrypted_payload": …} of an encrypted one"#
            }
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::PublicKey => "public key",
            Self::PrivateKey => "private key",
            Self::Envelope => "envelope",
            Self::WrapInfo => "wrapping token",
            Self::Content => "token",
        })
    }
}

/// Why something can't be sealed, opened or read. Never quotes what was read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing, or only white space. A file may be in the making.
    #[error("the {0} is empty; expected {form}", form = .0.form())]
    Empty(Document),
    /// Another form altogether, or cut short.
    #[error("this is no {0}: {1}; expected {form}", form = .0.form())]
    Form(Document, &'static str),
    /// One member is missing, of another type, or not base64.
    #[error("this is no {0}: \"{1}\" {2}; expected {form}", form = .0.form())]
    Member(Document, &'static str, &'static str),
    /// A member's bytes are too few or too many.
    #[error("this is no {document}: \"{member}\" holds {found} bytes instead of {expected}; expected {form}", form = .document.form())]
    Length {
        /// What was read.
        document: Document,
        /// The JSON member.
        member: &'static str,
        /// Bytes after decoding.
        found: usize,
        /// Bytes that it must be.
        expected: usize,
    },
    /// A private key stands where the public one belongs.
    #[error(
        "this is a private key, and a public key belongs here: take it away, keep it to its reader alone, and put the file of `usher token keygen --public-key` here"
    )]
    PrivateInsteadOfPublic,
    /// Every private key has the same shared secret with this one, so it protects nothing
    /// (RFC 7748 section 6.1).
    #[error(
        "the public key is one of the few that protect nothing (all-zero or of low order); make a pair with `usher token keygen`"
    )]
    LowOrder,
    /// `derive_key` can't order two public keys that are the same.
    #[error(
        "reader and agent have the same key pair, with which no key can be derived; make a pair for the reader alone with `usher token keygen`"
    )]
    SameKeys,
    /// Another key pair, other additional data, another `derive_key`, or a changed envelope:
    /// AES-GCM doesn't say which.
    #[error(
        "the envelope doesn't open: it was made for another key pair or with other additional data (aad), or it was changed on its way"
    )]
    DoesNotOpen,
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random bytes")]
    NoRandom,
    /// Larger than AES-GCM allows.
    #[error("the content is too large to be encrypted")]
    TooLarge,
}
