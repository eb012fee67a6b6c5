//! When to log in: at first, after a failure, once a token is lost or about to be, and when
//! something has changed.

use std::time::Instant;

use rand::rngs::SmallRng;

use crate::backoff::{LastChance, Retry, after};
use crate::token_life::TokenLife;
use crate::{Backoff, Class, Failure};

/// The schedule of an identity's logins.
#[derive(Debug)]
pub(crate) struct Logins {
    /// Logins, and renewals of the current token if it is this identity's own. What the server asks
    /// for with a failure binds its own kind only: a renewal's is kept with the token.
    retry: Retry,
    /// Since when a login is wanted while there is no good token.
    from: Instant,
    /// The last login failed in a way that only another configuration or credential mends.
    blocked: bool,
    /// Whether a renewal goes first when a login is due as well.
    renewal_first: bool,
    /// Tokens lost in quick succession; without this, a server on which each new token is dead
    /// at once would be stormed.
    losses: Retry,
    last_loss: Option<Instant>,
}

impl Logins {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            retry: Retry::default(),
            from: now,
            blocked: false,
            renewal_first: true,
            losses: Retry::default(),
            last_loss: None,
        }
    }

    pub(crate) fn are_failing(&self) -> bool {
        self.retry.has_failed()
    }

    #[cfg(test)]
    pub(crate) fn are_blocked(&self) -> bool {
        self.blocked
    }

    pub(crate) fn renewal_goes_first(&self) -> bool {
        self.renewal_first
    }

    /// When the next login is due; `None`: not as things are.
    pub(crate) fn at(&self, good: Option<&TokenLife>) -> Option<Instant> {
        if self.blocked {
            return None;
        }
        let from = match good {
            Some(token) => token.replace_at()?,
            None => self.from,
        };
        Some(self.retry.next_from(from))
    }

    /// When a renewal wanted from `at` on is due, beside logins that may be failing.
    pub(crate) fn renewal_from(&self, at: Instant) -> Instant {
        self.retry.scheduled_from(at)
    }

    /// Takes note that a login, or a renewal of the identity's own token, begins.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.retry.begin(now);
    }

    pub(crate) fn succeeded(&mut self) {
        self.retry.reset();
        self.blocked = false;
        self.renewal_first = true;
    }

    pub(crate) fn failed(
        &mut self,
        now: Instant,
        failure: Failure,
        chance: Option<LastChance>,
        backoff: &Backoff,
        random: &mut SmallRng,
    ) {
        self.retry.fail(now, failure.class, backoff, chance, random);
        self.retry.obey(now, failure.retry_after, backoff, chance, random);
        self.renewal_first = true;
        self.blocked = failure.class == Class::Configuration;
    }

    /// The identity's own token was renewed.
    pub(crate) fn renewed(&mut self) {
        self.retry.supersede();
        self.blocked = false;
        self.renewal_first = true;
    }

    /// A renewal of the identity's own token failed, while no login was due.
    pub(crate) fn renewal_failed(
        &mut self,
        now: Instant,
        failure: Failure,
        chance: Option<LastChance>,
        backoff: &Backoff,
        random: &mut SmallRng,
    ) {
        if failure.class == Class::Refused {
            self.retry.supersede();
        } else {
            self.retry.fail(now, failure.class, backoff, chance, random);
        }
        // One that the server put off has its turn before the login that would make it needless, if
        // there is time for both.
        let both = |chance: LastChance| {
            let renewal = self.retry.scheduled_from(chance.before_another(backoff));
            after(renewal, backoff.shortest()) <= chance.end
        };
        self.renewal_first = failure.retry_after.is_some() && chance.is_none_or(both);
    }

    /// A renewal of the identity's own token failed, while a login was due: that is next.
    pub(crate) fn renewal_failed_beside_a_login(
        &mut self,
        now: Instant,
        failure: Failure,
        chance: Option<LastChance>,
        backoff: &Backoff,
        random: &mut SmallRng,
    ) {
        self.retry.fail(now, failure.class, backoff, chance, random);
        self.renewal_first = false;
    }

    /// The token has expired. A failing login or renewal is on its schedule already, and stays on
    /// it.
    pub(crate) fn token_expired(&mut self, now: Instant, backoff: &Backoff, random: &mut SmallRng) {
        if self.retry.has_failed() {
            self.from = now;
        } else {
            self.token_lost(now, backoff, random);
        }
    }

    /// Wants a login at once because the token was lost; but not again and again.
    pub(crate) fn token_lost(&mut self, now: Instant, backoff: &Backoff, random: &mut SmallRng) {
        let quick = backoff.max().saturating_mul(2);
        self.from = now;
        if self.last_loss.is_some_and(|last| now < after(last, quick)) {
            self.losses.fail(now, Class::Refused, backoff, None, random);
            self.from = self.losses.next_from(now);
        } else {
            self.losses.reset();
        }
        self.last_loss = Some(now);
        self.retry.supersede();
    }

    /// Something changed that may help.
    pub(crate) fn unblock(&mut self) {
        self.blocked = false;
    }

    /// Something changed that may help a login that is wanted.
    pub(crate) fn hasten(&mut self, now: Instant, backoff: &Backoff) {
        let at = self.retry.hasten(now, backoff);
        self.from = self.from.min(at);
        self.renewal_first = false;
    }

    /// The server was reached: what waits because it wasn't goes on at `at`.
    pub(crate) fn server_reached(&mut self, at: Instant, backoff: &Backoff) {
        self.retry.server_reached(at, backoff);
    }

    /// Other settings are in force: what has begun to wait doesn't wait longer than they allow.
    pub(crate) fn shorten(&mut self, now: Instant, backoff: &Backoff) {
        self.retry.shorten(now, backoff);
        self.from = self.from.min(after(now, backoff.max()));
    }
}
