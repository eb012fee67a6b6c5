//! What the built-in auth methods share: credentials in files, read, remembered, and removed once
//! they have served.

mod credential;
mod jwt;
mod memory;
mod revision;

pub use credential::{CredentialFile, Removal, Text, nothing_to_use, one_file};
pub use jwt::looks_like_jwt;
pub use memory::Saved;
pub use revision::{RevisionKey, revision};
