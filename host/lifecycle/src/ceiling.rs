//! How much may be asked of a server at once and over time.

use std::time::{Duration, Instant};

/// A ceiling on requests. Keep it at or below that of the lane that carries them: what waits here
/// goes in the order of its urgency, what waits there in the order in which it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceiling {
    /// Requests a second on average, at least one.
    pub per_second: u32,
    /// Requests at once after a quiet time, at least one.
    pub burst: u32,
    /// Requests that may wait for their answers at a time, at least one: with a server that takes
    /// long, the next ones had better be chosen when it is their turn.
    pub in_flight: usize,
}

impl Default for Ceiling {
    /// The agent's: 20 a second, 100 at once; 64 in flight.
    fn default() -> Self {
        Self { per_second: 20, burst: 100, in_flight: 64 }
    }
}

/// Keeps requests below a ceiling: a token bucket that starts full.
#[derive(Debug)]
pub(crate) struct Pace {
    /// From one request to the next on average.
    interval: Duration,
    /// How far ahead of the average requests may be.
    ahead: Duration,
    /// When the bucket is full again.
    full_at: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(ceiling: Ceiling) -> Self {
        let interval = Duration::from_secs(1) / ceiling.per_second.max(1);
        Self { interval, ahead: interval * (ceiling.burst.max(1) - 1), full_at: None }
    }

    /// From when on there may be another request; `None`: at once.
    pub(crate) fn free_at(&self) -> Option<Instant> {
        self.full_at?.checked_sub(self.ahead)
    }

    /// Takes note of a request.
    pub(crate) fn take(&mut self, now: Instant) {
        self.full_at = Some(self.full_at.map_or(now, |at| at.max(now)) + self.interval);
    }
}
