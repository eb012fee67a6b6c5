//! What a method may ask of the secrets server, never with a token of the agent's.

use crate::{Failure, backend};

/// The JSON answer of `sys/wrapping/unwrap`. Needs [`crate::Need::unwrap`].
///
/// With `creation_path` the host looks the wrapping token up first; another path is `denied`,
/// `wrapping.creation-path`, and leaves it wrapped. Already used, expired or unknown is
/// `denied`, `wrapping.used`.
pub fn unwrap(token: &str, creation_path: Option<&str>) -> Result<String, Failure> {
    backend::unwrap(token, creation_path)
}
