//! What a server grants for a time.

use std::time::Duration;

/// A life in time, as the server that grants or prolongs it tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// What is left of it. `None`: it never ends.
    pub ttl: Option<Duration>,
    /// Whether it can be renewed.
    pub renewable: bool,
}
