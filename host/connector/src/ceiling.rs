//! The ceiling of a lane, a token bucket: the arithmetic, with the time passed in.

use std::time::{Duration, Instant};

pub(crate) struct Ceiling {
    per_second: f64,
    burst: f64,
    /// Requests that may be sent at once, with the fraction that has grown since.
    available: f64,
    counted: Option<Instant>,
}

impl Ceiling {
    pub(crate) fn new(per_second: f64, burst: f64) -> Self {
        Self { per_second, burst, available: burst, counted: None }
    }

    /// The same, if it isn't higher than `per_second` and `burst`; else these. Never less than one
    /// request an hour, one at once.
    pub(crate) fn lowered(self, per_second: f64, burst: f64) -> Self {
        Self::new(
            per_second.clamp(SLOWEST_PER_SECOND, self.per_second),
            burst.clamp(1.0, self.burst),
        )
    }

    /// How long to wait for the next permit.
    pub(crate) fn wait(&mut self, now: Instant) -> Duration {
        if let Some(counted) = self.counted {
            let grown = now.saturating_duration_since(counted).as_secs_f64() * self.per_second;
            self.available = (self.available + grown).min(self.burst);
        }
        self.counted = Some(now);
        // The tolerance absorbs the rounding of a wait that was just enough.
        if self.available < 1.0 - 1e-6 {
            return Duration::from_secs_f64((1.0 - self.available) / self.per_second);
        }
        Duration::ZERO
    }

    /// Takes the permit for which there was nothing to wait.
    pub(crate) fn take(&mut self) {
        self.available -= 1.0;
    }
}

const SLOWEST_PER_SECOND: f64 = 1.0 / 3600.0;
