//! A lease that somebody else holds: renewed while that helps and somebody wants it, never replaced.
//!
//! Whoever holds it has a copy of its own, so there is nothing to read again: it is renewed to its
//! maximum TTL, and then ends.

use std::sync::Arc;
use std::time::Instant;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use crate::backoff::{LONGEST_WAKING, after, spread};
use crate::lease::Lease;
use crate::{Backoff, Class, Failure, Granted, Machine};

/// The life of one lease that is kept for others. [`Many`](crate::Many) drives thousands.
#[derive(Debug)]
pub struct HeldLease {
    backoff: Arc<Backoff>,
    /// Of the next random numbers. A generator would take four times as much, and it is seldom needed.
    seed: u64,
    lease: Lease,
    in_flight: bool,
    wanted: bool,
    /// By the server, which is final.
    refused: bool,
}

/// What the caller has to do. Each is answered by exactly one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldAction {
    /// Renew it. Answer: [`HeldEvent::Renewed`], [`HeldEvent::RenewalFailed`] or
    /// [`HeldEvent::Unwanted`].
    Renew,
}

/// What happened. An answer to what isn't in flight changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldEvent {
    /// Answers [`HeldAction::Renew`]; what the server now grants.
    Renewed(Granted),
    /// Answers [`HeldAction::Renew`]. One that was refused is the last.
    RenewalFailed(Failure),
    /// Nobody wants it any more: it isn't renewed until somebody does. May answer
    /// [`HeldAction::Renew`].
    Unwanted,
    /// Somebody wants it again.
    Wanted,
    /// After a passing failure the server did what it was asked, whoever asked for it.
    ServerReached,
}

impl HeldLease {
    /// It was granted now. `seed` feeds the jitter and must differ from machine to machine; the
    /// back-off of thousands is one.
    pub fn new(now: Instant, granted: Granted, backoff: Arc<Backoff>, mut seed: u64) -> Self {
        let lease = Lease::new(now, granted, &mut random(&mut seed));
        Self { backoff, seed, lease, in_flight: false, wanted: true, refused: false }
    }

    /// When it ends; `None`: never.
    pub fn ends_at(&self) -> Option<Instant> {
        self.lease.expires_at()
    }

    /// Until when it is worth giving to somebody else: to its end while it can be renewed, else only
    /// until another one should be in its place. `None`: for ever.
    pub fn worth_until(&self) -> Option<Instant> {
        if self.can_renew() {
            return self.ends_at();
        }
        self.ends_at().into_iter().chain(self.lease.replace_at()).min()
    }

    /// Whether it is renewed again when its time comes.
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    fn can_renew(&self) -> bool {
        self.lease.can_renew() && !self.refused
    }

    fn renewal_failed(&mut self, now: Instant, failure: Failure) {
        if failure.class == Class::Refused {
            self.refused = true;
            return;
        }
        let (backoff, random) = (&self.backoff, &mut random(&mut self.seed));
        self.lease.renewal_failed(now, failure, backoff, random);
        self.lease.back_off(now, failure.class, backoff, random);
    }
}

impl Machine for HeldLease {
    type Event = HeldEvent;
    type Action = HeldAction;

    fn handle(&mut self, now: Instant, event: HeldEvent) {
        match event {
            HeldEvent::Renewed(granted) if std::mem::take(&mut self.in_flight) => {
                self.lease.renewed(now, granted, &mut random(&mut self.seed));
            }
            HeldEvent::RenewalFailed(failure) if std::mem::take(&mut self.in_flight) => {
                self.renewal_failed(now, failure);
            }
            HeldEvent::Renewed(_) | HeldEvent::RenewalFailed(_) => {}
            HeldEvent::Unwanted => (self.wanted, self.in_flight) = (false, false),
            HeldEvent::Wanted => self.wanted = true,
            HeldEvent::ServerReached => {
                let at = after(now, spread(LONGEST_WAKING, 0.0, 1.0, &mut random(&mut self.seed)));
                self.lease.server_reached(at, &self.backoff);
            }
        }
    }

    fn poll_action(&mut self, now: Instant) -> Option<HeldAction> {
        self.lease.expire(now);
        self.next_deadline().filter(|at| *at <= now)?;
        self.lease.renewal_begins(now);
        self.in_flight = true;
        Some(HeldAction::Renew)
    }

    /// There is none at its end: what that means is its owner's business.
    fn next_deadline(&self) -> Option<Instant> {
        let waits = self.wanted && !self.refused && !self.in_flight && !self.lease.is_expired();
        let renew_at = self.lease.renew_at().filter(|_| waits)?;
        Some(self.lease.renewal_from(renew_at))
            .filter(|at| self.ends_at().is_none_or(|end| *at < end))
    }

    fn is_busy(&self) -> bool {
        self.in_flight
    }

    fn lost_at(&self) -> Option<Instant> {
        self.ends_at().filter(|_| self.wanted)
    }
}

fn random(seed: &mut u64) -> SmallRng {
    let mut random = SmallRng::seed_from_u64(*seed);
    *seed = random.random();
    random
}
