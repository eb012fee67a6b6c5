//! Keeps the whole agent below a ceiling of requests, and lower while the server is in trouble.
//!
//! The ceiling is a token bucket: 20 requests a second, 100 at once. The breaker opens after
//! five passing errors in a row, whichever identities they came from, and then lets one request
//! a second through until one succeeds. A refusal says nothing about the server's health, so it
//! neither opens nor closes the breaker.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex as Queue, Notify};

/// Shared by everything that sends requests to one server. Clones are one and the same.
#[derive(Clone, Default)]
pub struct Governor(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Fair: who asks first is served first.
    queue: Queue<()>,
    core: Mutex<Core>,
    closed: Notify,
}

impl Governor {
    /// With the ceiling and the breaker described above.
    pub fn new() -> Self {
        Self::default()
    }

    /// True while the server is in trouble and requests are held to one a second.
    pub fn is_open(&self) -> bool {
        self.core().open
    }

    /// Waits until the next request may be sent. Giving up is safe and costs no permit.
    pub(crate) async fn permit(&self) {
        let _turn = self.0.queue.lock().await;
        loop {
            let closed = self.0.closed.notified();
            let verdict = self.core().try_take(Instant::now());
            let Err(wait) = verdict else { return };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = closed => {}
            }
        }
    }

    /// Takes note of how a request ended.
    pub(crate) fn record(&self, outcome: Outcome) {
        let change = self.core().record(outcome, Instant::now());
        match change {
            Some(Change::Opened) => {
                tracing::warn!("the server is in trouble: at most one request a second now");
            }
            Some(Change::Closed) => {
                tracing::info!("the server answers again");
                self.0.closed.notify_waiters();
            }
            None => {}
        }
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.0.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a request ended, as far as the server's health is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Success,
    Passing,
    /// An answer about the request, not about the server.
    Refused,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Change {
    Opened,
    Closed,
}

/// The arithmetic, with the time passed in.
struct Core {
    /// Requests that may be sent at once, with the fraction that has grown since.
    available: f64,
    counted: Option<Instant>,
    failures: u32,
    open: bool,
    /// When the last request was let through, for the open breaker's spacing.
    last: Option<Instant>,
}

impl Default for Core {
    fn default() -> Self {
        Self { available: BURST, counted: None, failures: 0, open: false, last: None }
    }
}

impl Core {
    /// Takes a permit, or says how long to wait before asking again.
    fn try_take(&mut self, now: Instant) -> Result<(), Duration> {
        if let Some(counted) = self.counted {
            let grown = now.saturating_duration_since(counted).as_secs_f64() * PER_SECOND;
            self.available = (self.available + grown).min(BURST);
        }
        self.counted = Some(now);
        if self.open
            && let Some(last) = self.last
        {
            let wait = OPEN_SPACING.saturating_sub(now.saturating_duration_since(last));
            if !wait.is_zero() {
                return Err(wait);
            }
        }
        // The tolerance absorbs the rounding of a wait that was just enough.
        if self.available < 1.0 - 1e-6 {
            return Err(Duration::from_secs_f64((1.0 - self.available) / PER_SECOND));
        }
        self.available -= 1.0;
        self.last = Some(now);
        Ok(())
    }

    fn record(&mut self, outcome: Outcome, now: Instant) -> Option<Change> {
        match outcome {
            Outcome::Success => {
                self.failures = 0;
                std::mem::take(&mut self.open).then_some(Change::Closed)
            }
            Outcome::Refused => None,
            Outcome::Passing => {
                self.failures = self.failures.saturating_add(1);
                if self.open || self.failures < FAILURES_TO_OPEN {
                    return None;
                }
                self.open = true;
                // The first probe is a whole spacing away from the failure that opened it.
                self.last = Some(now);
                Some(Change::Opened)
            }
        }
    }
}

const PER_SECOND: f64 = 20.0;
const BURST: f64 = 100.0;
const FAILURES_TO_OPEN: u32 = 5;
const OPEN_SPACING: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests let through in `span` by somebody who asks again exactly when told to.
    fn let_through(core: &mut Core, start: Instant, span: Duration) -> u32 {
        let mut now = start;
        let mut count = 0;
        while now < start + span {
            match core.try_take(now) {
                Ok(()) => count += 1,
                Err(wait) => now += wait.max(Duration::from_nanos(1)),
            }
        }
        count
    }

    fn opened(now: Instant) -> Core {
        let mut core = Core::default();
        for _ in 1..FAILURES_TO_OPEN {
            assert_eq!(core.record(Outcome::Passing, now), None);
        }
        assert_eq!(core.record(Outcome::Passing, now), Some(Change::Opened));
        core
    }

    #[test]
    fn a_burst_of_a_hundred_passes_and_then_twenty_a_second() {
        let now = Instant::now();
        let mut core = Core::default();
        assert_eq!(let_through(&mut core, now, Duration::from_millis(1)), 100);
        let next = let_through(&mut core, now + Duration::from_millis(1), Duration::from_secs(10));
        assert!((199..=201).contains(&next), "{next}");
    }

    #[test]
    fn the_burst_grows_back_but_never_beyond_a_hundred() {
        let now = Instant::now();
        let mut core = Core::default();
        let_through(&mut core, now, Duration::from_millis(1));
        let later = now + Duration::from_hours(1);
        assert_eq!(let_through(&mut core, later, Duration::from_millis(1)), 100);
    }

    #[test]
    fn five_passing_errors_in_a_row_slow_everybody_to_one_a_second() {
        let now = Instant::now();
        let mut core = opened(now);
        let count = let_through(&mut core, now, Duration::from_mins(1));
        assert!((58..=60).contains(&count), "{count}");
    }

    #[test]
    fn refusals_neither_open_nor_close_the_breaker() {
        let now = Instant::now();
        let mut core = Core::default();
        for _ in 0..1000 {
            assert_eq!(core.record(Outcome::Refused, now), None);
        }
        assert!(!core.open);
        let mut core = opened(now);
        assert_eq!(core.record(Outcome::Refused, now), None);
        assert!(core.open);
    }

    #[test]
    fn one_success_closes_the_breaker_and_forgets_the_failures() {
        let now = Instant::now();
        let mut core = opened(now);
        assert_eq!(core.record(Outcome::Success, now), Some(Change::Closed));
        assert_eq!(core.try_take(now), Ok(()));
        assert_eq!(core.record(Outcome::Passing, now), None);
        assert!(!core.open);
    }

    #[test]
    fn successes_between_failures_keep_the_breaker_closed() {
        let now = Instant::now();
        let mut core = Core::default();
        for _ in 0..100 {
            core.record(Outcome::Passing, now);
            core.record(Outcome::Passing, now);
            core.record(Outcome::Success, now);
        }
        assert!(!core.open);
    }

    #[test]
    fn a_clock_that_stands_still_gives_no_permits() {
        let now = Instant::now();
        let mut core = Core::default();
        for _ in 0..100 {
            assert_eq!(core.try_take(now), Ok(()));
        }
        for _ in 0..100 {
            assert!(core.try_take(now).is_err());
        }
    }

    #[tokio::test]
    async fn permits_are_given_in_the_order_of_asking() {
        let governor = Governor::new();
        for _ in 0..100 {
            governor.permit().await;
        }
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = Vec::new();
        for number in 0..5 {
            let (governor, order) = (governor.clone(), Arc::clone(&order));
            waiting.push(tokio::spawn(async move {
                governor.permit().await;
                order.lock().unwrap().push(number);
            }));
            tokio::task::yield_now().await;
        }
        for task in waiting {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
    }
}
