//! How much a client may ask of a listener without asking anything.

use std::time::Duration;

/// The limits of one listener. What is asked in a request, and how long its body may take, is the
/// service's matter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// From the first byte of a request to the end of its head, and for the TLS handshake.
    pub header: Duration,
    /// How long a connection may stand still: between requests, or with an answer of which the
    /// client takes nothing.
    pub idle: Duration,
    /// At once; more wait in the system's queue. A connection that was upgraded counts to its end.
    pub connections: usize,
    /// The largest head of a request, in bytes, and what is buffered of an answer; at least 8 KiB.
    pub head_bytes: usize,
    /// How long requests under way may take when the listener stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            idle: Duration::from_mins(5),
            connections: 4096,
            head_bytes: 64 << 10,
            drain: Duration::from_secs(30),
        }
    }
}
