//! What the operator sets about the cache.

use std::time::Duration;

use usher_lifecycle::{Backoff, Ceiling, SecretSettings};

use super::static_secrets::StaticSettings;

/// How much is kept, and for whom. Plain values: the configuration has checked them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// How many answers.
    pub(crate) entries: usize,
    /// How much memory, with what each takes beside its answer.
    pub(crate) bytes: usize,
    /// What nobody asked for in this time isn't renewed any more. `None`: everything is.
    pub(crate) idle_ttl: Option<Duration>,
    /// Between attempts to renew.
    pub(crate) backoff: Backoff,
    /// On renewals.
    pub(crate) ceiling: Ceiling,
    /// `None`: no static secrets are kept.
    pub(crate) static_secrets: Option<StaticSettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            entries: 100_000,
            bytes: 256 << 20,
            idle_ttl: None,
            backoff: SecretSettings::default().backoff,
            ceiling: Ceiling::default(),
            static_secrets: None,
        }
    }
}
