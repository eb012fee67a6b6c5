//! When to look whether the method has another credential, beside a token that is still good.

use std::time::{Duration, Instant};

use rand::rngs::SmallRng;

use crate::backoff::{Retry, after};
use crate::{Backoff, Class, Failure};

/// A method that wants to be looked at more often isn't.
const SHORTEST_POLL: Duration = Duration::from_millis(100);

/// The schedule of an identity's looks.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    at: Option<Instant>,
    retry: Retry,
}

impl Looks {
    /// When the next one is due; `None`: only after a change.
    pub(crate) fn at(&self) -> Option<Instant> {
        self.at
    }

    /// Takes note that one begins.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.retry.begin(now);
    }

    /// The method was asked; when it wants to be looked at again, from now.
    pub(crate) fn succeeded(&mut self, now: Instant, check_after: Option<Duration>) {
        self.retry.reset();
        self.at = check_after.map(|wait| after(now, wait.max(SHORTEST_POLL)));
    }

    pub(crate) fn failed(
        &mut self,
        now: Instant,
        failure: Failure,
        backoff: &Backoff,
        random: &mut SmallRng,
    ) {
        if failure.class == Class::Configuration {
            self.retry.fail_slowly(now, backoff, random);
        } else {
            self.retry.fail(now, failure.class, backoff, None, random);
        }
        self.retry.obey(now, failure.retry_after, backoff, None, random);
        self.at = Some(self.retry.next_from(now));
    }

    /// Something changed that calls for one.
    pub(crate) fn hasten(&mut self, now: Instant, backoff: &Backoff) {
        let at = self.retry.hasten(now, backoff);
        self.at = Some(self.at.map_or(at, |look| look.min(at)));
    }

    /// The server was reached: what waits because it wasn't goes on at `at`.
    pub(crate) fn server_reached(&mut self, at: Instant, backoff: &Backoff) {
        if let Some(woken) = self.retry.server_reached(at, backoff) {
            self.at = self.at.map(|look_at| look_at.min(woken));
        }
    }

    /// Other settings are in force: what has begun to wait doesn't wait longer than they allow.
    pub(crate) fn shorten(&mut self, now: Instant, backoff: &Backoff) {
        self.retry.shorten(now, backoff);
        if self.retry.has_failed() {
            self.at = self.at.map(|at| at.min(self.retry.next_from(now)));
        }
    }
}
