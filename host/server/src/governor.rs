//! Keeps the whole agent below a ceiling of requests, and lower while the server is in trouble.
//!
//! The ceiling is a token bucket: 20 requests a second, 100 at once, or less where the operator
//! says so. The breaker opens after
//! five passing errors in a row, whichever identities they came from, and then lets one request
//! a second through until one succeeds. A refusal says nothing about the server's health, so it
//! neither opens nor closes the breaker.
//!
//! The first success after passing errors is told to whoever follows [`Governor::recoveries`], so
//! that what waits out a back-off needn't wait to its end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex as Queue, Notify, watch};

/// Shared by everything that sends requests to one server. Clones are one and the same.
#[derive(Clone, Default)]
pub struct Governor(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Fair: who asks first is served first.
    queue: Queue<()>,
    core: Mutex<Core>,
    closed: Notify,
    /// How often a request succeeded after others had failed.
    recoveries: watch::Sender<u64>,
}

impl Governor {
    /// With the ceiling and the breaker described above.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with a lower ceiling, of `per_second` requests a second and `burst` at once; a
    /// higher one doesn't raise ours. Both are taken for at least one request an hour, one at once.
    pub fn with_rate_limit(per_second: f64, burst: u32) -> Self {
        let core = Core::new(
            per_second.clamp(SLOWEST_PER_SECOND, PER_SECOND),
            f64::from(burst).clamp(1.0, BURST),
        );
        Self(Arc::new(Shared { core: Mutex::new(core), ..Shared::default() }))
    }

    /// How the requests ended so far.
    pub fn requests(&self) -> Requests {
        self.core().requests
    }

    /// Changes each time a request succeeds after one or more that met passing errors.
    pub fn recoveries(&self) -> watch::Receiver<u64> {
        self.0.recoveries.subscribe()
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

    /// Watches a request: if it is given up by its caller, who waited for a while, the server was
    /// too slow for it.
    pub(crate) fn watch(&self) -> UnderWay<'_> {
        UnderWay { governor: self, since: Instant::now() }
    }

    /// Takes note of how a request ended.
    pub(crate) fn record(&self, outcome: Outcome) {
        let (recovers, change) = {
            let mut core = self.core();
            let recovers = outcome == Outcome::Success && core.failures > 0;
            (recovers, core.record(outcome, Instant::now()))
        };
        if recovers {
            self.0.recoveries.send_modify(|count| *count += 1);
        }
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

/// How many requests ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// The server did what was asked.
    pub succeeded: u64,
    /// The server refused it.
    pub refused: u64,
    /// No answer, or one that says that the server is in trouble.
    pub passing: u64,
}

/// A request that was sent. Dropped before [`UnderWay::ended`], it counts as a passing error if it
/// took [`LONG`] or more; less than that says nothing of the server.
pub(crate) struct UnderWay<'a> {
    governor: &'a Governor,
    since: Instant,
}

impl UnderWay<'_> {
    /// There is an answer, or an error.
    pub(crate) fn ended(self) {
        std::mem::forget(self);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if self.since.elapsed() >= LONG {
            self.governor.record(Outcome::Passing);
        }
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
    per_second: f64,
    burst: f64,
    /// Requests that may be sent at once, with the fraction that has grown since.
    available: f64,
    counted: Option<Instant>,
    failures: u32,
    open: bool,
    requests: Requests,
    /// When the last request was let through, for the open breaker's spacing.
    last: Option<Instant>,
}

impl Default for Core {
    fn default() -> Self {
        Self::new(PER_SECOND, BURST)
    }
}

impl Core {
    fn new(per_second: f64, burst: f64) -> Self {
        Self {
            per_second,
            burst,
            available: burst,
            counted: None,
            failures: 0,
            open: false,
            requests: Requests::default(),
            last: None,
        }
    }

    /// Takes a permit, or says how long to wait before asking again.
    fn try_take(&mut self, now: Instant) -> Result<(), Duration> {
        if let Some(counted) = self.counted {
            let grown = now.saturating_duration_since(counted).as_secs_f64() * self.per_second;
            self.available = (self.available + grown).min(self.burst);
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
            return Err(Duration::from_secs_f64((1.0 - self.available) / self.per_second));
        }
        self.available -= 1.0;
        self.last = Some(now);
        Ok(())
    }

    fn record(&mut self, outcome: Outcome, now: Instant) -> Option<Change> {
        match outcome {
            Outcome::Success => {
                self.requests.succeeded += 1;
                self.failures = 0;
                std::mem::take(&mut self.open).then_some(Change::Closed)
            }
            Outcome::Refused => {
                self.requests.refused += 1;
                None
            }
            Outcome::Passing => {
                self.requests.passing += 1;
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
const SLOWEST_PER_SECOND: f64 = 1.0 / 3600.0;
const FAILURES_TO_OPEN: u32 = 5;
const OPEN_SPACING: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(1);

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
    fn a_rate_limit_lowers_the_ceiling_and_never_raises_it() {
        let now = Instant::now();
        let counts = |per_second, burst| {
            let governor = Governor::with_rate_limit(per_second, burst);
            let core = &mut *governor.core();
            let at_once = let_through(core, now, Duration::from_millis(1));
            let later = now + Duration::from_millis(1);
            (at_once, let_through(core, later, Duration::from_secs(100)))
        };
        let (at_once, later) = counts(0.5, 3);
        assert_eq!(at_once, 3);
        assert!((49..=51).contains(&later), "{later}");
        let (at_once, later) = counts(1000.0, 1000);
        assert_eq!(at_once, 100);
        assert!((1999..=2001).contains(&later), "{later}");
        assert_eq!(counts(0.0, 0), (1, 0));
    }

    #[tokio::test]
    async fn a_request_that_its_caller_gave_up_after_a_while_counts_as_a_failure() {
        let governor = Governor::new();
        let long_ago = Instant::now().checked_sub(LONG).unwrap();
        for _ in 0..FAILURES_TO_OPEN {
            // Given up at once, as in a shutdown; ended well; given up in vain.
            drop(governor.watch());
            UnderWay { governor: &governor, since: long_ago }.ended();
            assert!(!governor.is_open());
            drop(UnderWay { governor: &governor, since: long_ago });
        }
        assert!(governor.is_open());
    }

    #[test]
    fn the_first_success_after_passing_errors_is_told_and_no_other() {
        let governor = Governor::new();
        let mut recoveries = governor.clone().recoveries();
        for (outcome, told) in [
            (Outcome::Success, false),
            (Outcome::Refused, false),
            (Outcome::Success, false),
            (Outcome::Passing, false),
            (Outcome::Refused, false),
            (Outcome::Success, true),
            (Outcome::Success, false),
        ] {
            governor.record(outcome);
            assert_eq!(recoveries.has_changed().unwrap(), told, "{outcome:?}");
            recoveries.mark_unchanged();
        }
        for _ in 0..FAILURES_TO_OPEN {
            governor.record(Outcome::Passing);
        }
        assert!(governor.is_open());
        governor.record(Outcome::Success);
        assert!(recoveries.has_changed().unwrap());
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
