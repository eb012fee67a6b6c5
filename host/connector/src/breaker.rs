//! Slows all lanes to one request a second while the server is in trouble: the arithmetic, with the
//! time passed in.
//!
//! It opens after five passing errors in a row, from whichever lane, and closes at the first
//! success. A refusal says nothing about the server's health, so it does neither.

use std::time::{Duration, Instant};

/// How a request ended, as far as the server's health is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The server did what was asked.
    Success,
    /// No answer, or one that says that the server is in trouble.
    Passing,
    /// An answer about the request, not about the server.
    Refused,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    Opened,
    Closed,
}

#[derive(Default)]
pub(crate) struct Breaker {
    failures: u32,
    open: bool,
    /// When the last request was let through, for the spacing while it is open.
    last: Option<Instant>,
}

impl Breaker {
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// A success would be the first after passing errors.
    pub(crate) fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// How long to wait until a request may be let through.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        let Some(last) = self.last.filter(|_| self.open) else { return Duration::ZERO };
        OPEN_SPACING.saturating_sub(now.saturating_duration_since(last))
    }

    pub(crate) fn let_through(&mut self, now: Instant) {
        self.last = Some(now);
    }

    pub(crate) fn record(&mut self, outcome: Outcome, now: Instant) -> Option<Change> {
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

pub(crate) const FAILURES_TO_OPEN: u32 = 5;
pub(crate) const OPEN_SPACING: Duration = Duration::from_secs(1);
