//! Keeps the whole agent below a ceiling of requests, and lower while the server is in trouble.
//!
//! Each lane has a ceiling of its own, or none; an operator's rate limit lowers them. One breaker is
//! shared by all: while it is open one request a second is let through until one succeeds, those for
//! tokens first.
//!
//! The first success after passing errors is told to whoever follows [`Governor::recoveries`], so
//! that what waits out a back-off needn't wait to its end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex as Queue, Notify, watch};

use crate::breaker::{Breaker, Change, OPEN_SPACING, Outcome};
use crate::ceiling::Ceiling;
use crate::lane::Lane;

/// Shared by everything that sends requests to one server. Clones are one and the same.
#[derive(Clone, Default)]
pub struct Governor(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Fair: who asks first is served first.
    tokens: Queue<()>,
    secrets: Queue<()>,
    core: Mutex<Core>,
    closed: Notify,
    /// How often a request succeeded after others had failed.
    recoveries: watch::Sender<u64>,
}

impl Governor {
    /// With the ceilings that [`Lane`] names and the breaker.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with lower ceilings, of `per_second` requests a second and `burst` at once; a
    /// higher one doesn't raise ours. Both are taken for at least one request an hour, one at once.
    pub fn with_rate_limit(per_second: f64, burst: u32) -> Self {
        let mut core = Core::default();
        core.tokens = core.tokens.lowered(per_second, f64::from(burst));
        core.secrets = core.secrets.lowered(per_second, f64::from(burst));
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
        self.core().breaker.is_open()
    }

    /// Takes note of how a request ended, when the answer has been looked into. What ended without
    /// an answer is recorded by [`crate::Connector::send`] itself, as is what goes through
    /// [`Lane::Proxied`].
    pub fn record(&self, outcome: Outcome) {
        let (recovers, change) = {
            let mut core = self.core();
            let recovers = outcome == Outcome::Success && core.breaker.has_failed();
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

    /// Waits until the next request may be sent; in [`Lane::Proxied`] it says instead how long that
    /// would take. Giving up is safe and costs no permit.
    pub(crate) async fn permit(&self, lane: Lane) -> Result<(), Duration> {
        let queue = match lane {
            Lane::Tokens => &self.0.tokens,
            Lane::Secrets => &self.0.secrets,
            Lane::Proxied => return self.core().try_take(lane, Instant::now()),
        };
        let _waiting = Waiting::new(self, lane);
        let _turn = queue.lock().await;
        loop {
            let closed = self.0.closed.notified();
            let verdict = self.core().try_take(lane, Instant::now());
            let Err(wait) = verdict else { return Ok(()) };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = closed => {}
            }
        }
    }

    /// Watches a request that is about to be sent: if it is given up by its caller, who waited for a
    /// while, the server was too slow for it.
    pub(crate) fn watch(&self) -> UnderWay {
        UnderWay { governor: Some(self.clone()), waiting: Some(Instant::now()) }
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

/// A request that was sent. Dropped before [`UnderWay::ended`], it counts as a passing error if the
/// server was waited for at that moment, and for [`LONG`] or more. Less than that says nothing of the
/// server, and neither does an answer that is dropped because somebody has seen enough of it.
pub(crate) struct UnderWay {
    /// `None`: it has ended.
    governor: Option<Governor>,
    /// Since the server is waited for. `None`: it is the reader's turn.
    waiting: Option<Instant>,
}

impl UnderWay {
    /// There is another piece of the answer.
    pub(crate) fn moved(&mut self) {
        self.waiting = None;
    }

    /// The reader would have the next piece.
    pub(crate) fn wants_more(&mut self) {
        self.waiting.get_or_insert_with(Instant::now);
    }

    /// There is all of the answer, or an error.
    pub(crate) fn ended(mut self) {
        self.governor = None;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(governor) = &self.governor
            && self.waiting.is_some_and(|since| since.elapsed() >= LONG)
        {
            governor.record(Outcome::Passing);
        }
    }
}

/// Somebody in a lane who has asked for a permit and has none yet.
struct Waiting<'a> {
    governor: &'a Governor,
    lane: Lane,
}

impl<'a> Waiting<'a> {
    fn new(governor: &'a Governor, lane: Lane) -> Self {
        *governor.core().waiting(lane) += 1;
        Self { governor, lane }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        *self.governor.core().waiting(self.lane) -= 1;
    }
}

/// The arithmetic, with the time passed in.
struct Core {
    breaker: Breaker,
    tokens: Ceiling,
    secrets: Ceiling,
    tokens_waiting: usize,
    secrets_waiting: usize,
    requests: Requests,
}

impl Default for Core {
    fn default() -> Self {
        Self {
            breaker: Breaker::default(),
            tokens: Ceiling::new(20.0, 100.0),
            secrets: Ceiling::new(100.0, 200.0),
            tokens_waiting: 0,
            secrets_waiting: 0,
            requests: Requests::default(),
        }
    }
}

impl Core {
    /// Takes a permit, or says how long to wait before asking again.
    fn try_take(&mut self, lane: Lane, now: Instant) -> Result<(), Duration> {
        // Nobody is held up for somebody who waits for his own ceiling.
        let tokens_first = self.tokens_waiting > 0 && self.tokens.wait(now).is_zero();
        let secrets_first = self.secrets_waiting > 0 && self.secrets.wait(now).is_zero();
        let (mut ceiling, others_first) = match lane {
            Lane::Tokens => (Some(&mut self.tokens), false),
            Lane::Secrets => (Some(&mut self.secrets), tokens_first),
            Lane::Proxied => (None, tokens_first || secrets_first),
        };
        let below = ceiling.as_mut().map_or(Duration::ZERO, |ceiling| ceiling.wait(now));
        if self.breaker.is_open() {
            let wait = if others_first { OPEN_SPACING } else { self.breaker.wait(now) };
            if !wait.is_zero() {
                return Err(wait);
            }
        }
        if !below.is_zero() {
            return Err(below);
        }
        if let Some(ceiling) = ceiling {
            ceiling.take();
        }
        self.breaker.let_through(now);
        Ok(())
    }

    fn record(&mut self, outcome: Outcome, now: Instant) -> Option<Change> {
        match outcome {
            Outcome::Success => self.requests.succeeded += 1,
            Outcome::Refused => self.requests.refused += 1,
            Outcome::Passing => self.requests.passing += 1,
        }
        self.breaker.record(outcome, now)
    }

    fn waiting(&mut self, lane: Lane) -> &mut usize {
        match lane {
            Lane::Secrets => &mut self.secrets_waiting,
            Lane::Tokens | Lane::Proxied => &mut self.tokens_waiting,
        }
    }
}

const LONG: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
