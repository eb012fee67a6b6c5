//! The life of anything that is granted for a time: when to renew it, when to have another one in
//! its place, and when it ends.

use std::time::{Duration, Instant};

use rand::rngs::SmallRng;

use crate::backoff::{LastChance, Retry, after, spread};
use crate::{Backoff, Class, Failure, Granted};

/// Nothing is planned sooner after it is granted, so that tiny TTLs don't become storms.
const SHORTEST_PLAN: Duration = Duration::from_millis(500);

/// Servers give TTLs in whole seconds: a smaller difference is none.
const TTL_PRECISION: Duration = Duration::from_secs(1);

/// What may already be gone of a TTL when it is granted, and a moment for the request itself: servers
/// count a life from the full second in which it began.
pub(crate) const MARGIN: Duration = Duration::from_millis(1250);

/// How long after a first refusal the same is asked again, before it is believed: a standby that
/// lags behind doesn't know a new token or lease yet, and what stands between may be in a bad mood.
pub(crate) const SECOND_OPINION: Duration = Duration::from_secs(4);

/// What is known of one lease. Whose it is, and what else could end it, is its owner's business.
#[derive(Debug)]
pub(crate) struct Lease {
    renewable: bool,
    /// The TTL that was granted when its life was last prolonged.
    granted: Option<Duration>,
    expires_at: Option<Instant>,
    /// At 60 to 70 % of what was granted, sooner where that is a few seconds.
    renew_at: Option<Instant>,
    /// At 80 to 90 % of what was granted, and before its last second.
    replace_at: Option<Instant>,
    /// Refused, or no longer prolonging anything.
    renewal_ended: bool,
    /// The last renewal was refused, which may not happen again.
    renewal_refused: bool,
    expired: bool,
    /// For its renewals.
    retry: Retry,
}

/// What a failed renewal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setback {
    /// Nobody said no: the next attempt is as good as this one.
    Passing,
    /// The first refusal, which is asked about again in a few seconds.
    Doubtful,
    /// Renewal no longer helps.
    Final,
}

impl Lease {
    pub(crate) fn new(now: Instant, granted: Granted, random: &mut SmallRng) -> Self {
        let mut lease = Self {
            renewable: granted.renewable,
            granted: None,
            expires_at: None,
            renew_at: None,
            replace_at: None,
            renewal_ended: false,
            renewal_refused: false,
            expired: false,
            retry: Retry::default(),
        };
        lease.plan(now, granted.ttl, random);
        lease
    }

    /// The TTL that was granted when it was last prolonged; `None`: it never ends.
    pub(crate) fn granted(&self) -> Option<Duration> {
        self.granted
    }

    pub(crate) fn expires_at(&self) -> Option<Instant> {
        self.expires_at
    }

    /// Whether its time was over when last looked at.
    pub(crate) fn is_expired(&self) -> bool {
        self.expired
    }

    /// Marks it expired if its time has come. Whether that is news.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let expires = !self.expired && self.expires_at.is_some_and(|at| at <= now);
        self.expired |= expires;
        expires
    }

    pub(crate) fn can_renew(&self) -> bool {
        self.renewable && !self.renewal_ended && self.expires_at.is_some()
    }

    /// When it should be renewed; `None`: never.
    pub(crate) fn renew_at(&self) -> Option<Instant> {
        self.renew_at.filter(|_| self.can_renew())
    }

    /// When another one should be in its place; `None`: never.
    pub(crate) fn replace_at(&self) -> Option<Instant> {
        self.replace_at
    }

    /// When there is another attempt to renew or replace it, where a wait would outlast it: when a
    /// replacement is due, and then again and again after half of what is surely left.
    pub(crate) fn last_chance(&self, now: Instant) -> Option<LastChance> {
        let expires_at = self.expires_at.filter(|at| *at > now && !self.expired)?;
        let end = expires_at.checked_sub(MARGIN)?;
        let last = if end > now { end } else { expires_at };
        let at = self.replace_at.filter(|at| *at > now).unwrap_or(now + (last - now) / 2);
        Some(LastChance { at, end })
    }

    /// The first renewal from `at` on that its own back-off and the server allow.
    pub(crate) fn renewal_from(&self, at: Instant) -> Instant {
        self.retry.next_from(at)
    }

    /// Takes note that a renewal begins.
    pub(crate) fn renewal_begins(&mut self, now: Instant) {
        self.retry.begin(now);
    }

    /// Takes note of a renewal.
    pub(crate) fn renewed(&mut self, now: Instant, granted: Granted, random: &mut SmallRng) {
        self.renewal_refused = false;
        self.retry.reset();
        self.take_over(now, granted);
        let prolonged = match (granted.ttl, self.expires_at, self.granted) {
            // By less than a TTL's precision is not at all: servers round up.
            (Some(ttl), Some(expiry), Some(before)) => {
                after(now, ttl) >= after(expiry, (before / 10).max(TTL_PRECISION))
            }
            _ => true,
        };
        if prolonged {
            self.plan(now, granted.ttl, random);
        } else if let Some(ttl) = granted.ttl {
            // The maximum TTL is near. The plan that was made stays, unless the server now grants
            // even less.
            self.renewal_ended = true;
            self.expires_at = Some(after(now, ttl));
            let mark = after(now, replacement(ttl, random));
            self.replace_at = Some(self.replace_at.map_or(mark, |at| at.min(mark)));
        }
    }

    /// Takes note of a renewal that failed and proves nothing. A refusal is believed when it comes
    /// again seconds later. Whoever has no other schedule for it then calls [`Self::back_off`].
    pub(crate) fn renewal_failed(
        &mut self,
        now: Instant,
        failure: Failure,
        backoff: &Backoff,
        random: &mut SmallRng,
    ) -> Setback {
        self.retry.obey(now, failure.retry_after, backoff, self.last_chance(now), random);
        if failure.class != Class::Refused {
            self.renewal_refused = false;
            return Setback::Passing;
        }
        if std::mem::replace(&mut self.renewal_refused, true) {
            self.renewal_ended = true;
            return Setback::Final;
        }
        self.retry.fail(now, Class::Refused, backoff, None, random);
        self.retry.put_off(after(now, spread(SECOND_OPINION, 0.75, 1.0, random)));
        Setback::Doubtful
    }

    /// Makes the next renewal wait after one that failed but was not refused.
    pub(crate) fn back_off(
        &mut self,
        now: Instant,
        class: Class,
        backoff: &Backoff,
        random: &mut SmallRng,
    ) {
        self.retry.fail(now, class, backoff, self.last_chance(now), random);
    }

    /// Makes the next renewal wait since another request met what a renewal would have met.
    pub(crate) fn back_off_along(
        &mut self,
        now: Instant,
        class: Class,
        backoff: &Backoff,
        random: &mut SmallRng,
    ) {
        self.retry.fail_along(now, class, backoff, self.last_chance(now), random);
    }

    /// Takes note of what the server says is left of it.
    pub(crate) fn told(&mut self, now: Instant, granted: Granted, random: &mut SmallRng) {
        self.take_over(now, granted);
        let believed = self.expires_at;
        let told = granted.ttl.map(|ttl| after(now, ttl));
        match (believed, told) {
            (None, None) => {}
            (Some(believed), Some(told)) => {
                let tolerance = self.granted.unwrap_or_default() / 10;
                let difference = told.max(believed) - told.min(believed);
                // Servers round down twice: when it began, and what is left of it.
                let precision = if told < believed { 2 * TTL_PRECISION } else { TTL_PRECISION };
                if difference <= precision {
                    // As believed.
                } else if difference <= tolerance {
                    self.expires_at = Some(told);
                } else {
                    self.plan(now, granted.ttl, random);
                }
            }
            _ => self.plan(now, granted.ttl, random),
        }
    }

    /// Another one is on its way to whoever has this one, which is renewed only if that takes long:
    /// not before half of what it has left is gone.
    pub(crate) fn retire(&mut self, now: Instant, random: &mut SmallRng) {
        if let (Some(renew_at), Some(expires_at)) = (self.renew_at, self.expires_at) {
            let left = expires_at.saturating_duration_since(now);
            self.renew_at = Some(renew_at.max(after(now, spread(left, 0.4, 0.6, random))));
        }
    }

    /// The server was reached: a renewal that waits because it wasn't goes on at `at`.
    pub(crate) fn server_reached(&mut self, at: Instant, backoff: &Backoff) {
        self.retry.server_reached(at, backoff);
    }

    /// Other settings are in force: what has begun to wait doesn't wait longer than they allow.
    pub(crate) fn shorten(&mut self, now: Instant, backoff: &Backoff) {
        self.retry.shorten(now, backoff);
    }

    fn take_over(&mut self, now: Instant, granted: Granted) {
        self.renewable = granted.renewable;
        // The server's clock rules: what we took for expired may not be.
        if granted.ttl.is_none_or(|ttl| after(now, ttl) > now) {
            self.expired = false;
        }
    }

    fn plan(&mut self, now: Instant, ttl: Option<Duration>, random: &mut SmallRng) {
        self.granted = ttl;
        self.expires_at = ttl.map(|ttl| after(now, ttl));
        self.renew_at = ttl.map(|ttl| after(now, renewal(ttl, random)));
        self.replace_at = ttl.map(|ttl| after(now, replacement(ttl, random)));
    }
}

/// How long after it is granted it should be renewed: so that there is time for a second attempt, and
/// for having another one after that.
fn renewal(ttl: Duration, random: &mut SmallRng) -> Duration {
    let attempts = Duration::from_secs(3);
    let latest = ttl.saturating_sub(attempts).max(ttl / 2);
    spread(ttl, 0.6, 0.7, random).min(spread(latest, 0.9, 1.0, random)).max(SHORTEST_PLAN)
}

/// How long after it is granted another one should be in its place. [`MARGIN`] matters for TTLs of a
/// few seconds. A renewal still comes first.
fn replacement(ttl: Duration, random: &mut SmallRng) -> Duration {
    spread(ttl, 0.8, 0.9, random)
        .min(ttl.saturating_sub(MARGIN).max(ttl.mul_f64(0.7)))
        .max(SHORTEST_PLAN)
}
