//! Encryption of what a sink delivers, and the incumbents' formats for it, byte for byte.
//!
//! Vault Agent and OpenBao Agent can encrypt a sink's content for one reader. The reader makes
//! an X25519 key pair (RFC 7748) and leaves the public key in the file that `dh_path` names
//! ([`PublicKey`]). The agent has a pair of its own; the shared secret of the two, or what
//! HKDF-SHA256 (RFC 5869) makes of it with `derive_key`, is the key of AES-256-GCM
//! (NIST SP 800-38D). [`seal`] writes the envelope, [`open`] reads it.
//!
//! A sink may wrap the token first; [`WrapInfo`] is what it delivers then, and
//! [`Content::parse`] tells from a file's bytes what it holds.
//!
//! Nothing here touches files, and no error quotes what it read: it may be a secret.
//!
//! What this does not protect from: the reader's public key is trusted as found, and an envelope
//! doesn't prove who made it, since anybody who knows the reader's public key can seal one.

#![forbid(unsafe_code)]

mod content;
mod error;
mod json;
mod key;
mod sealing;
mod wrap_info;

pub use content::Content;
pub use error::{Document, Error};
pub use key::{PrivateKey, PublicKey};
pub use sealing::{open, open_any, seal};
pub use wrap_info::WrapInfo;
