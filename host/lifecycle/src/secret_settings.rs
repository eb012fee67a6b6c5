//! What the operator sets about secrets.

use std::time::Duration;

use crate::Backoff;

/// How a secret is kept. Plain values: the configuration has checked them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretSettings {
    /// Between attempts to read, to renew and to revoke.
    pub backoff: Backoff,
    /// How often a secret without a lease is read again, less up to a tenth.
    pub read_again: Duration,
}

impl Default for SecretSettings {
    /// The incumbents' back-off for the server (1 s doubling to 5 min) and their interval for
    /// secrets without a lease (5 min).
    fn default() -> Self {
        Self {
            backoff: Backoff { min: Duration::from_secs(1), max: Duration::from_mins(5) },
            read_again: Duration::from_mins(5),
        }
    }
}
