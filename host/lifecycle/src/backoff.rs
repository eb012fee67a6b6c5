//! Waiting between attempts: doubling, jittered, and never against the server's word.

use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::SmallRng;

/// No schedule waits less, whatever its settings, so that a mistake never becomes a storm.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// A `Retry-After` beyond this (or beyond `max`, if that is more) is not believed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// Longer than anything here lives; keeps sums of instants representable.
const NEVER: Duration = Duration::from_hours(100 * 365 * 24);

/// The bounds of a back-off: the wait is nominally `min`, doubles with each failure, and stays
/// at `max`. Each wait, the first too, is 75 to 100 % of the nominal one, so that machines
/// which failed together don't come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first nominal wait.
    pub min: Duration,
    /// The longest nominal wait.
    pub max: Duration,
}

impl Backoff {
    /// The wait after `failures` earlier ones, before jitter.
    pub(crate) fn nominal(&self, failures: u32) -> Duration {
        let doubled = self.min().saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX));
        doubled.min(self.max())
    }

    pub(crate) fn min(&self) -> Duration {
        self.min.max(SHORTEST_WAIT)
    }

    pub(crate) fn max(&self) -> Duration {
        self.max.max(self.min())
    }
}

/// One schedule of attempts at one thing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retry {
    failures: u32,
    ready_at: Option<Instant>,
    /// What a `Retry-After` asked for; holds even when something wakes the schedule.
    not_before: Option<Instant>,
}

impl Retry {
    /// The earliest next attempt; `None`: at once.
    pub(crate) fn ready_at(&self) -> Option<Instant> {
        self.ready_at
    }

    /// The first attempt from `at` on.
    pub(crate) fn next_from(&self, at: Instant) -> Instant {
        self.ready_at.map_or(at, |ready| ready.max(at))
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// Takes note of a failed attempt: the next one waits.
    pub(crate) fn fail(
        &mut self,
        now: Instant,
        backoff: &Backoff,
        retry_after: Option<Duration>,
        random: &mut SmallRng,
    ) {
        self.wait(now, backoff.nominal(self.failures), backoff, retry_after, random);
        self.failures = self.failures.saturating_add(1);
    }

    /// Takes note of a failure that won't pass by itself: the longest wait at once.
    pub(crate) fn fail_slowly(
        &mut self,
        now: Instant,
        backoff: &Backoff,
        retry_after: Option<Duration>,
        random: &mut SmallRng,
    ) {
        self.wait(now, backoff.max(), backoff, retry_after, random);
        self.failures = self.failures.saturating_add(1);
    }

    fn wait(
        &mut self,
        now: Instant,
        nominal: Duration,
        backoff: &Backoff,
        retry_after: Option<Duration>,
        random: &mut SmallRng,
    ) {
        let scheduled = after(now, spread(nominal, 0.75, 1.0, random));
        // Jitter goes on top of what the server asked for: it told everybody the same.
        let longest = backoff.max().max(LONGEST_RETRY_AFTER);
        self.not_before = retry_after.map(|asked| {
            after(now, asked.min(longest).saturating_add(spread(nominal, 0.0, 0.25, random)))
        });
        self.ready_at = Some(self.not_before.map_or(scheduled, |bound| bound.max(scheduled)));
    }

    /// The earliest attempt if something wakes this schedule at `at`: a `Retry-After` holds.
    pub(crate) fn woken_at(&self, at: Instant) -> Instant {
        self.not_before.map_or(at, |bound| bound.max(at))
    }

    /// Brings the next attempt forward to `at`.
    pub(crate) fn hasten(&mut self, at: Instant) {
        let woken = self.woken_at(at);
        self.ready_at = self.ready_at.map(|ready| ready.min(woken));
    }

    /// Starts anew for another reason: only a `Retry-After` still holds.
    pub(crate) fn supersede(&mut self) {
        *self = Self { failures: 0, ready_at: self.not_before, not_before: self.not_before };
    }

    /// Starts anew: the next attempt is free at once.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}

/// `now + wait`, or as good as never where that can't be represented.
pub(crate) fn after(now: Instant, wait: Duration) -> Instant {
    now + wait.min(NEVER)
}

/// A random share of `whole` between `low` and `high`.
pub(crate) fn spread(whole: Duration, low: f64, high: f64, random: &mut SmallRng) -> Duration {
    whole.min(NEVER).mul_f64(random.random_range(low..high))
}
