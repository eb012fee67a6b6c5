//! What the built-in auth methods share: credentials in files, metadata services, token endpoints,
//! JWTs, request signatures, DER.

mod credential;
pub mod der;
pub mod ini;
mod jwt;
mod memory;
mod metadata;
mod oauth;
mod percent;
mod revision;
mod setting;
pub mod sigv4;
mod timestamp;

pub use credential::{CredentialFile, Removal, Text, nothing_to_use, one_file};
pub use jwt::{looks_like_jwt, sign_jwt};
pub use memory::Saved;
pub use metadata::{MetadataTokens, ask_metadata, refusal, said};
pub use oauth::{AccessToken, access_token, request_token};
pub use percent::{form, percent_encode};
pub use revision::{RevisionKey, revision};
pub use setting::{named_role, refused};
pub use timestamp::{basic_date_time, date_time, http_date, rfc3339};
