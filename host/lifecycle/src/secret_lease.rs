//! One secret: read, renewed while it has a lease that can be renewed, and read again before that
//! ends or, without a lease, now and then.
//!
//! What the machine looks after is the time in which the value that was read last is good. A value
//! that may still be good is never given up: while the server is away its lease is renewed or it is
//! read again at each chance, to its last second; only then is there nothing but to read it again.

use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::backoff::{LONGEST_WAKING, LastChance, Retry, after, spread};
use crate::lease::{Lease, Setback};
use crate::{
    Class, Failure, Granted, Machine, SecretAction, SecretEvent, SecretSettings, Validity,
};

/// After another token has come, leased secrets are read again within this time, sooner if the old
/// token ends sooner: some thousands of them stay below any reasonable ceiling.
const LONGEST_CHANGEOVER: Duration = Duration::from_mins(10);

/// A secret is never read again sooner, so that leases of an instant don't become storms.
const SHORTEST_LIFE: Duration = Duration::from_millis(500);

/// The life of one secret. The [crate] says how to drive a machine, [`Many`](crate::Many) drives
/// thousands.
#[derive(Debug)]
pub struct SecretLease {
    settings: SecretSettings,
    random: SmallRng,
    phase: Phase,
    in_flight: Option<SecretAction>,
    /// Of the value that was read last.
    lease: Option<Lease>,
    /// When it is to be read, whatever its lease allows.
    read_at: Option<Instant>,
    /// Reads, and at the end revocations.
    retry: Retry,
    /// Whether a renewal goes first when a read is due as well: it leaves the value as it is.
    renewal_first: bool,
    /// The lease belongs to a token that was replaced, and that ends then.
    old_token_ends: Option<Instant>,
    /// What is being read may belong to a token that was replaced meanwhile.
    replaced_in_flight: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Wanted,
    Unwanted { since: Instant },
    Over,
}

impl SecretLease {
    /// Starts a life: its first action is [`SecretAction::Read`]. `seed` feeds the jitter and must
    /// differ from machine to machine.
    pub fn new(now: Instant, settings: SecretSettings, seed: u64) -> Self {
        Self {
            settings,
            random: SmallRng::seed_from_u64(seed),
            phase: Phase::Wanted,
            in_flight: None,
            lease: None,
            read_at: Some(now),
            retry: Retry::default(),
            renewal_first: true,
            old_token_ends: None,
            replaced_in_flight: false,
        }
    }

    /// When the value that was read last ends, with its lease or with the token that it was read
    /// with. `None`: there is none, it has ended already, or it has no lease.
    pub fn ends_at(&self) -> Option<Instant> {
        let expires_at = self.lease.as_ref()?.expires_at();
        expires_at.into_iter().chain(self.old_token_ends).min()
    }

    /// Whether its lease belongs to a token that was replaced. While that is so of one secret, the
    /// old token is still needed.
    pub fn needs_the_old_token(&self) -> bool {
        self.old_token_ends.is_some() || self.replaced_in_flight
    }

    /// Whether there is nothing left to do, after [`SecretEvent::Unwanted`].
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// The request that is due, if there is one.
    fn choose(&self, now: Instant) -> Option<SecretAction> {
        let due = |at: &Instant| *at <= now;
        if let Phase::Unwanted { since } = self.phase {
            return Some(SecretAction::Revoke).filter(|_| due(&self.retry.next_from(since)));
        }
        let read = self.next_read().filter(due).map(|_| SecretAction::Read);
        let renewal = self.next_renewal().filter(due).map(|_| SecretAction::Renew);
        if self.renewal_first { renewal.or(read) } else { read.or(renewal) }
    }

    fn next_read(&self) -> Option<Instant> {
        let replace_at = self.lease.as_ref().and_then(Lease::replace_at);
        let from = replace_at.into_iter().chain(self.read_at).min()?;
        Some(self.retry.next_from(from))
    }

    fn next_renewal(&self) -> Option<Instant> {
        // What is about to be read again isn't worth it.
        let changes_over = self.old_token_ends.is_some() && !self.retry.has_failed();
        let lease = self.lease.as_ref().filter(|_| !changes_over)?;
        Some(lease.renewal_from(lease.renew_at()?))
    }

    fn read_is_due(&self, now: Instant) -> bool {
        let replace_at = self.lease.as_ref().and_then(Lease::replace_at);
        replace_at.into_iter().chain(self.read_at).any(|at| at <= now)
    }

    /// The value has ended: from now on it can only be read again.
    fn expire(&mut self, now: Instant) {
        if self.ends_at().is_some_and(|at| at <= now) {
            self.lease = None;
            self.old_token_ends.take_if(|_| !self.replaced_in_flight);
            self.read_at = Some(self.read_at.map_or(now, |at| at.min(now)));
        }
    }

    fn last_chance(&self, now: Instant) -> Option<LastChance> {
        let chance = self.lease.as_ref()?.last_chance(now)?;
        let end = self.ends_at().filter(|end| *end > now)?;
        Some(if chance.at < end {
            LastChance { end: chance.end.min(end), ..chance }
        } else {
            LastChance { at: now + (end - now) / 2, end }
        })
    }

    fn read(&mut self, now: Instant, validity: Validity) {
        self.retry.reset();
        self.renewal_first = true;
        self.old_token_ends.take_if(|_| !self.replaced_in_flight);
        match validity {
            Validity::Leased(granted) if granted.ttl.is_some_and(|ttl| !ttl.is_zero()) => {
                self.lease = Some(Lease::new(now, granted, &mut self.random));
                if self.phase == Phase::Wanted {
                    self.retry.put_off(after(now, SHORTEST_LIFE));
                }
                self.read_at = None;
                if std::mem::take(&mut self.replaced_in_flight) {
                    self.change_over(now);
                }
            }
            Validity::Leased(_) | Validity::Unleased => {
                self.lease = None;
                self.old_token_ends = None;
                self.replaced_in_flight = false;
                let wait = spread(self.settings.read_again, 0.9, 1.0, &mut self.random);
                self.read_at = Some(after(now, wait.max(self.settings.backoff.min())));
            }
        }
    }

    fn read_failed(&mut self, now: Instant, failure: Failure) {
        self.replaced_in_flight = false;
        self.old_token_ends.take_if(|_| self.lease.is_none());
        let chance = self.last_chance(now);
        let (backoff, random) = (&self.settings.backoff, &mut self.random);
        if failure.class == Class::Configuration {
            self.retry.fail_slowly(now, backoff, random);
        } else {
            self.retry.fail(now, failure.class, backoff, chance, random);
        }
        self.retry.obey(now, failure.retry_after, backoff, chance, random);
        // A server that can't be reached can't renew either; the two take turns.
        if failure.class == Class::Passing
            && let Some(lease) = &mut self.lease
        {
            lease.back_off_along(now, failure.class, backoff, random);
        }
        self.renewal_first = true;
    }

    fn renewed(&mut self, now: Instant, granted: Granted) {
        let Some(lease) = &mut self.lease else { return };
        lease.renewed(now, granted, &mut self.random);
        self.renewal_first = true;
    }

    fn renewal_failed(&mut self, now: Instant, failure: Failure) {
        let (chance, read_is_due) = (self.last_chance(now), self.read_is_due(now));
        let Some(lease) = &mut self.lease else { return };
        let (backoff, random) = (&self.settings.backoff, &mut self.random);
        match lease.renewal_failed(now, failure, backoff, random) {
            Setback::Passing => {
                lease.back_off(now, failure.class, backoff, random);
                if read_is_due {
                    self.retry.fail_along(now, failure.class, backoff, chance, random);
                    self.renewal_first = false;
                }
            }
            Setback::Doubtful => {}
            // The lease may be gone, and the value with it.
            Setback::Final => self.read_at = Some(now),
        }
    }

    fn token_replaced(&mut self, now: Instant, old_ends: Option<Instant>) {
        if self.in_flight == Some(SecretAction::Read) {
            self.replaced_in_flight = old_ends.is_some();
            self.old_token_ends = old_ends;
        }
        if self.lease.is_some() {
            self.old_token_ends = old_ends;
            self.change_over(now);
        }
        if self.retry.has_failed() {
            // What the old token wasn't allowed the new one may be.
            let soon = after(now, spread(LONGEST_WAKING, 0.0, 1.0, &mut self.random));
            let at = self.read_at.map_or(soon, |planned| planned.max(soon));
            self.retry.hasten(at, &self.settings.backoff);
        }
    }

    /// Plans to read the secret again with the token in use, before the old one ends.
    fn change_over(&mut self, now: Instant) {
        if self.old_token_ends.is_none() {
            return;
        }
        let left = self.ends_at().map(|end| end.saturating_duration_since(now));
        let window = left.unwrap_or_default().mul_f64(0.8).min(LONGEST_CHANGEOVER);
        let at = if window.is_zero() {
            now
        } else {
            after(now, spread(window, 0.0, 1.0, &mut self.random))
        };
        self.read_at = Some(self.read_at.map_or(at, |planned| planned.min(at)));
    }

    fn server_reached(&mut self, now: Instant) {
        let at = after(now, spread(LONGEST_WAKING, 0.0, 1.0, &mut self.random));
        let backoff = &self.settings.backoff;
        self.retry.server_reached(at, backoff);
        if let Some(lease) = &mut self.lease {
            lease.server_reached(at, backoff);
        }
        self.renewal_first = true;
    }

    fn revocation_failed(&mut self, now: Instant, failure: Failure) {
        if failure.class != Class::Passing {
            // It is gone already, or may not be revoked: it ends by itself.
            self.phase = Phase::Over;
            return;
        }
        let (backoff, random) = (&self.settings.backoff, &mut self.random);
        self.retry.fail(now, failure.class, backoff, None, random);
        self.retry.obey(now, failure.retry_after, backoff, None, random);
    }

    /// Ends the request that is in flight, if it is this one.
    fn ended(&mut self, action: SecretAction) -> bool {
        self.in_flight.take_if(|in_flight| *in_flight == action).is_some()
    }

    fn finish_if_done(&mut self) {
        let unwanted = matches!(self.phase, Phase::Unwanted { .. });
        if unwanted && self.in_flight.is_none() && self.lease.is_none() {
            self.phase = Phase::Over;
        }
    }
}

impl Machine for SecretLease {
    type Event = SecretEvent;
    type Action = SecretAction;

    fn handle(&mut self, now: Instant, event: SecretEvent) {
        self.expire(now);
        match event {
            SecretEvent::Read(validity) if self.ended(SecretAction::Read) => {
                self.read(now, validity);
            }
            SecretEvent::ReadFailed(failure) if self.ended(SecretAction::Read) => {
                self.read_failed(now, failure);
            }
            SecretEvent::Renewed(granted) if self.ended(SecretAction::Renew) => {
                self.renewed(now, granted);
            }
            SecretEvent::RenewalFailed(failure) if self.ended(SecretAction::Renew) => {
                self.renewal_failed(now, failure);
            }
            SecretEvent::Revoked if self.ended(SecretAction::Revoke) => self.phase = Phase::Over,
            SecretEvent::RevocationFailed(failure) if self.ended(SecretAction::Revoke) => {
                self.revocation_failed(now, failure);
            }
            SecretEvent::Read(_)
            | SecretEvent::ReadFailed(_)
            | SecretEvent::Renewed(_)
            | SecretEvent::RenewalFailed(_)
            | SecretEvent::Revoked
            | SecretEvent::RevocationFailed(_) => {}
            SecretEvent::TokenReplaced { old_ends } => self.token_replaced(now, old_ends),
            SecretEvent::ServerReached => self.server_reached(now),
            SecretEvent::Unwanted => {
                if self.phase == Phase::Wanted {
                    self.phase = Phase::Unwanted { since: now };
                    self.retry.reset();
                }
            }
        }
        self.finish_if_done();
    }

    fn poll_action(&mut self, now: Instant) -> Option<SecretAction> {
        if self.in_flight.is_some() || self.phase == Phase::Over {
            return None;
        }
        self.expire(now);
        self.finish_if_done();
        if self.phase == Phase::Over {
            return None;
        }
        let action = self.choose(now)?;
        match (&mut self.lease, action) {
            (Some(lease), SecretAction::Renew) => lease.renewal_begins(now),
            _ => self.retry.begin(now),
        }
        self.in_flight = Some(action);
        self.in_flight
    }

    fn next_deadline(&self) -> Option<Instant> {
        if self.is_busy() || self.is_over() {
            return None;
        }
        let due = match self.phase {
            Phase::Unwanted { since } => [Some(self.retry.next_from(since)), None],
            Phase::Wanted | Phase::Over => [self.next_read(), self.next_renewal()],
        };
        due.into_iter().flatten().chain(self.ends_at()).min()
    }

    fn is_busy(&self) -> bool {
        self.in_flight.is_some()
    }

    fn lost_at(&self) -> Option<Instant> {
        self.ends_at().filter(|_| self.phase == Phase::Wanted)
    }
}
