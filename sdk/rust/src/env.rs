//! Environment variables of the agent, as far as granted.

use crate::{Failure, backend};

/// None: not set. Not UTF-8, or not granted: a failure.
pub fn get(name: &str) -> Result<Option<String>, Failure> {
    backend::env(name)
}
