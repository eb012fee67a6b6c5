//! What the operator sets about an identity's life.

use std::time::Duration;

use crate::Backoff;

/// How one identity lives. Plain values: the configuration has checked them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Between attempts to log in, to renew and to check.
    pub backoff: Backoff,
    /// Between attempts to deliver, for each sink on its own.
    pub sink_backoff: Backoff,
    /// Whether and how often to ask the server if the token still lives.
    pub token_check: TokenCheck,
    /// Number of sinks; they are named by index from 0.
    pub sinks: usize,
    /// Whether new credentials are a reason to log in while the token is good: only then the
    /// method is looked at, when something changed and when it asked for it.
    pub reauthenticate_on_new_credentials: bool,
}

impl Default for Settings {
    /// The incumbents' back-off for the server (1 s doubling to 5 min), 1 s to 1 min for sinks (the
    /// agent sets less, as the incumbents do), automatic checks, no sinks, no re-authentication on
    /// new credentials.
    fn default() -> Self {
        Self {
            backoff: Backoff { min: Duration::from_secs(1), max: Duration::from_mins(5) },
            sink_backoff: Backoff { min: Duration::from_secs(1), max: Duration::from_mins(1) },
            token_check: TokenCheck::Auto,
            sinks: 0,
            reauthenticate_on_new_credentials: false,
        }
    }
}

/// How often the server is asked whether the token still lives (`token_check_interval`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenCheck {
    /// Each tenth of the token's TTL, but no more often than every 10 seconds and no less often
    /// than every 15 minutes.
    Auto,
    /// At this interval, one second at the shortest.
    Every(Duration),
    /// Never, not even after login.
    Off,
}
