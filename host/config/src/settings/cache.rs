//! What is kept of answers to proxied requests.

use std::time::Duration;

/// The cache of each listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cache {
    /// `cache_static_secrets`. None: static secrets aren't kept.
    pub static_secrets: Option<StaticSecrets>,
}

/// For how long answers of KV mounts are kept, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticSecrets {
    /// How old one may be. Not 0.
    pub ttl: Duration,
    /// How much older, while the server can't be reached.
    pub max_stale: Duration,
    /// How long a token that has read something is given it without asking the server. Not 0.
    pub proof: Duration,
    /// Not 0.
    pub entries: usize,
    /// How much memory they take.
    pub bytes: usize,
}

impl Default for StaticSecrets {
    fn default() -> Self {
        Self {
            ttl: Duration::from_mins(1),
            max_stale: Duration::ZERO,
            proof: Duration::from_mins(5),
            entries: 10_000,
            bytes: 64 << 20,
        }
    }
}
