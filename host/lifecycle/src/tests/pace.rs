//! How soon an attempt may follow another one: the account that the model keeps of a back-off.

use std::time::{Duration, Instant};

use crate::Backoff;
use crate::lease::MARGIN;

/// How soon the next attempt may come.
#[derive(Default)]
pub(super) struct Pace {
    failures: u32,
    earliest: Option<Instant>,
    not_before: Option<Instant>,
    /// Something changed since the last attempt, so that the next may be early.
    pub(super) changed: bool,
    early: Vec<Instant>,
}

impl Pace {
    /// `end`: of the token that a wait must not outlast.
    pub(super) fn fail(&mut self, now: Instant, backoff: Backoff, end: Option<Instant>) {
        let mut nominal = backoff.nominal(self.failures);
        if outlasts(now + nominal, end) {
            nominal = backoff.min();
        }
        self.failures += 1;
        self.earliest = Some(now + nominal.mul_f64(0.75));
    }

    pub(super) fn hint(
        &mut self,
        now: Instant,
        backoff: Backoff,
        retry_after: Option<Duration>,
        end: Option<Instant>,
    ) {
        let longest = backoff.max();
        // One that asks for more than the longest wait gets that, with its jitter.
        let (at_least, at_most) = match retry_after {
            Some(asked) if asked < longest => (asked, asked),
            Some(_) => (longest.mul_f64(0.75), longest),
            None => (Duration::ZERO, Duration::ZERO),
        };
        self.not_before = (!outlasts(now + at_most, end)).then_some(now + at_least);
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
        self.earliest = None;
        self.not_before = None;
    }

    pub(super) fn superseded(&mut self) {
        self.failures = 0;
        self.earliest = None;
    }

    pub(super) fn attempt(&mut self, now: Instant, backoff: Backoff) {
        assert!(self.not_before.is_none_or(|at| now >= at), "against a Retry-After");
        self.attempt_beside(now, backoff);
    }

    /// An attempt at what shares this pace, but not what a `Retry-After` said.
    pub(super) fn attempt_beside(&mut self, now: Instant, backoff: Backoff) {
        let early = self.earliest.is_some_and(|at| now < at);
        if early {
            assert!(self.changed, "sooner than the back-off allows");
            self.early.push(now);
            if let [.., earlier, latest] = self.early[..] {
                assert!(latest - earlier >= backoff.min, "woken too often");
            }
        }
        self.changed = false;
    }
}

/// A wait until then may be too long for a token that ends at `end`, as a server counts.
fn outlasts(then: Instant, end: Option<Instant>) -> bool {
    end.is_some_and(|end| then + MARGIN >= end)
}
