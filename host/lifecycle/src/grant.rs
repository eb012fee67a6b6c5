//! One token: how long it lives, when to renew, check and replace it, what proves it dead.

use std::time::{Duration, Instant};

use rand::rngs::SmallRng;

use crate::backoff::{LastChance, Retry, after, spread};
use crate::{Backoff, Class, Failure, Generation, Token, TokenCheck};

/// Nothing is planned sooner after a grant, so that tiny TTLs don't become storms.
const SHORTEST_PLAN: Duration = Duration::from_millis(500);

/// Servers give TTLs in whole seconds: a smaller difference is none.
const TTL_PRECISION: Duration = Duration::from_secs(1);

/// How long after a first refusal the same is asked again, before it is believed: a standby that
/// lags behind doesn't know a new token yet, and what stands between may be in a bad mood.
const SECOND_OPINION: Duration = Duration::from_secs(4);

/// What is known of one token.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) generation: Generation,
    renewable: bool,
    use_limited: bool,
    /// TTL of the last grant that prolonged the token's life.
    lease: Option<Duration>,
    expires_at: Option<Instant>,
    /// At 60 to 70 % of the lease.
    renew_at: Option<Instant>,
    /// At 80 to 90 % of the lease, and before its last second.
    replace_at: Option<Instant>,
    /// Since when another one is wanted in its place, however long it has to live.
    unwanted_from: Option<Instant>,
    /// Refused, or no longer prolonging anything.
    renewal_ended: bool,
    /// A renewal succeeded, so a later 403 to one means something; `looked_up` likewise.
    renewed: bool,
    looked_up: bool,
    /// The last renewal was refused, which may not happen again; `lookup_refused` likewise.
    renewal_refused: bool,
    lookup_refused: bool,
    lookup_forbidden: bool,
    /// Its wrapping was refused, and it was looked up for that.
    doubted: bool,
    check_at: Instant,
    check_retry: Retry,
    /// For its renewals: alone if it is another identity's or a newer token came, else beside the
    /// machine's own.
    pub(crate) retry: Retry,
    /// A hand-over cut its delivery short: a sink may have it after all.
    pub(crate) may_have_arrived: bool,
    end: Option<End>,
}

/// Why a token is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Died,
    Expired,
}

impl Grant {
    pub(crate) fn new(
        now: Instant,
        generation: Generation,
        token: Token,
        random: &mut SmallRng,
    ) -> Self {
        let mut grant = Self {
            generation,
            renewable: token.renewable,
            use_limited: token.use_limited,
            lease: None,
            expires_at: None,
            renew_at: None,
            replace_at: None,
            unwanted_from: None,
            renewal_ended: false,
            renewed: false,
            looked_up: false,
            renewal_refused: false,
            lookup_refused: false,
            lookup_forbidden: false,
            doubted: false,
            check_at: now,
            check_retry: Retry::default(),
            retry: Retry::default(),
            may_have_arrived: false,
            end: None,
        };
        grant.plan(now, token.ttl, random);
        grant
    }

    pub(crate) fn is_good(&self) -> bool {
        self.end.is_none()
    }

    pub(crate) fn expires_at(&self) -> Option<Instant> {
        self.expires_at
    }

    /// When it should be replaced by another one; `None`: never.
    pub(crate) fn replace_at(&self) -> Option<Instant> {
        self.unwanted_from.or(self.replace_at)
    }

    /// Asks for another one in its place.
    pub(crate) fn unwanted(&mut self, now: Instant) {
        self.unwanted_from = Some(now);
    }

    /// Whether it is another identity's.
    pub(crate) fn is_foreign(&self) -> bool {
        self.unwanted_from.is_some()
    }

    /// When there is another attempt to renew or replace it, where a wait would outlast it: when a
    /// replacement is due, and then again and again after half of what is left.
    pub(crate) fn last_chance(&self, now: Instant) -> Option<LastChance> {
        let end = self.expires_at.filter(|end| *end > now && self.is_good())?;
        let halfway = now + end.saturating_duration_since(now) / 2;
        let at = self.replace_at.filter(|replace_at| *replace_at > now).unwrap_or(halfway);
        Some(LastChance { at, end })
    }

    pub(crate) fn can_renew(&self) -> bool {
        self.renewable && !self.use_limited && !self.renewal_ended && self.expires_at.is_some()
    }

    /// When it should be renewed; `None`: never.
    pub(crate) fn renew_at(&self) -> Option<Instant> {
        self.renew_at.filter(|_| self.can_renew())
    }

    /// When it should be looked up; `None`: never.
    pub(crate) fn check_at(&self, check: TokenCheck) -> Option<Instant> {
        self.check_interval(check).map(|_| self.check_at)
    }

    pub(crate) fn check_is_failing(&self) -> bool {
        self.check_retry.has_failed() && !self.lookup_refused
    }

    /// Marks it expired if its time has come. Whether that is news.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let expired = self.is_good() && self.expires_at.is_some_and(|at| at <= now);
        if expired {
            self.end = Some(End::Expired);
        }
        expired
    }

    pub(crate) fn die(&mut self) {
        self.end = Some(End::Died);
    }

    /// Takes note of a renewal.
    pub(crate) fn renewed(
        &mut self,
        now: Instant,
        token: Token,
        check: TokenCheck,
        random: &mut SmallRng,
    ) {
        self.renewed = true;
        self.renewal_refused = false;
        self.take_over(now, token);
        let prolonged = match (token.ttl, self.expires_at, self.lease) {
            // By less than a TTL's precision is not at all: servers round up.
            (Some(ttl), Some(expiry), Some(lease)) => {
                after(now, ttl) >= after(expiry, (lease / 10).max(TTL_PRECISION))
            }
            _ => true,
        };
        if prolonged {
            self.plan(now, token.ttl, random);
        } else if let Some(ttl) = token.ttl {
            // The maximum TTL is near. The plan of the last grant stays, unless the server now
            // grants even less.
            self.renewal_ended = true;
            self.expires_at = Some(after(now, ttl));
            let mark = after(now, replacement(ttl, random));
            self.replace_at = Some(self.replace_at.map_or(mark, |at| at.min(mark)));
        }
        self.check_done(now, check, random);
    }

    /// Takes note of what a look-up says.
    pub(crate) fn checked(
        &mut self,
        now: Instant,
        token: Token,
        check: TokenCheck,
        random: &mut SmallRng,
    ) {
        self.looked_up = true;
        self.lookup_refused = false;
        self.take_over(now, token);
        let believed = self.expires_at;
        let told = token.ttl.map(|ttl| after(now, ttl));
        match (believed, told) {
            (None, None) => {}
            (Some(believed), Some(told)) => {
                let tolerance = self.lease.unwrap_or_default() / 10;
                let difference = told.max(believed) - told.min(believed);
                if difference <= TTL_PRECISION {
                    // Servers round what is left down: as believed.
                } else if difference <= tolerance {
                    self.expires_at = Some(told);
                } else {
                    self.plan(now, token.ttl, random);
                }
            }
            _ => self.plan(now, token.ttl, random),
        }
        self.check_done(now, check, random);
    }

    /// Whether a failed renewal proves it dead.
    pub(crate) fn renewal_proves_death(&self, failure: Failure) -> bool {
        failure.invalid_token || (failure.permission_denied && self.renewed)
    }

    /// Whether a failed look-up proves it dead.
    pub(crate) fn check_proves_death(&self, failure: Failure) -> bool {
        failure.invalid_token || (failure.permission_denied && self.looked_up)
    }

    /// Takes note of a refused renewal that proves nothing. It is believed when it comes again
    /// seconds later. Whether it is.
    pub(crate) fn renewal_refused(
        &mut self,
        now: Instant,
        backoff: &Backoff,
        random: &mut SmallRng,
    ) -> bool {
        if std::mem::replace(&mut self.renewal_refused, true) {
            self.renewal_ended = true;
        } else {
            self.retry.fail(now, Class::Refused, backoff, None, random);
            self.retry.put_off(after(now, spread(SECOND_OPINION, 0.75, 1.0, random)));
        }
        self.renewal_ended
    }

    /// Takes note of a renewal that failed otherwise.
    pub(crate) fn renewal_not_refused(&mut self) {
        self.renewal_refused = false;
    }

    /// Asks for a look-up now: something is odd, and the look-up could tell.
    pub(crate) fn check_now(&mut self, now: Instant) {
        if self.looked_up && !self.check_retry.has_failed() {
            self.check_at = self.check_at.min(now);
        }
    }

    /// Asks for a look-up now, once: the server refused to wrap the token. That alone proves
    /// nothing, since its policies may forbid it.
    pub(crate) fn doubt(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.doubted, true) {
            self.check_now(now);
        }
    }

    /// Takes note of a look-up that proves nothing. Whether it means that look-ups are forbidden:
    /// the second refusal does, seconds after the first.
    pub(crate) fn check_failed(
        &mut self,
        now: Instant,
        failure: Failure,
        check: TokenCheck,
        backoff: &Backoff,
        random: &mut SmallRng,
    ) -> bool {
        let refused = failure.class == Class::Refused && !self.looked_up;
        if std::mem::replace(&mut self.lookup_refused, refused) && refused {
            self.lookup_forbidden = true;
            self.check_retry.reset();
            return true;
        }
        self.check_retry.fail(now, failure.class, backoff, None, random);
        self.check_retry.obey(now, failure.retry_after, backoff, None, random);
        let retry_at = self.check_retry.next_from(now);
        self.check_at = match (failure.retry_after, self.check_interval(check)) {
            _ if refused => retry_at.max(after(now, spread(SECOND_OPINION, 0.75, 1.0, random))),
            (None, Some(interval)) => retry_at.min(after(now, interval)),
            _ => retry_at,
        };
        false
    }

    /// Takes note that a check begins.
    pub(crate) fn begin_check(&mut self, now: Instant) {
        self.check_retry.begin(now);
    }

    /// The server was reached: what waits because it wasn't goes on at `at`.
    pub(crate) fn server_reached(&mut self, at: Instant, backoff: &Backoff) {
        self.retry.server_reached(at, backoff);
        if let Some(woken) = self.check_retry.server_reached(at, backoff) {
            self.check_at = self.check_at.min(woken);
        }
    }

    /// Other settings are in force: what has begun to wait doesn't wait longer than they allow.
    pub(crate) fn shorten(&mut self, now: Instant, check: TokenCheck, backoff: &Backoff) {
        self.retry.shorten(now, backoff);
        self.check_retry.shorten(now, backoff);
        if let Some(interval) = self.check_interval(check) {
            self.check_at = self.check_at.min(after(now, interval));
        }
    }

    /// A newer token came. This one is renewed only if the sinks take long to get the newer
    /// one: not before half of what it has left is gone.
    pub(crate) fn retire(&mut self, now: Instant, random: &mut SmallRng) {
        if let (Some(renew_at), Some(expires_at)) = (self.renew_at, self.expires_at) {
            let left = expires_at.saturating_duration_since(now);
            self.renew_at = Some(renew_at.max(after(now, spread(left, 0.4, 0.6, random))));
        }
    }

    fn take_over(&mut self, now: Instant, token: Token) {
        self.renewable = token.renewable;
        self.use_limited = token.use_limited;
        // The server's clock rules: what we took for expired may not be.
        if self.end == Some(End::Expired) && token.ttl.is_none_or(|ttl| after(now, ttl) > now) {
            self.end = None;
        }
    }

    fn plan(&mut self, now: Instant, ttl: Option<Duration>, random: &mut SmallRng) {
        self.lease = ttl;
        self.expires_at = ttl.map(|ttl| after(now, ttl));
        self.renew_at = ttl.map(|ttl| after(now, spread(ttl, 0.6, 0.7, random).max(SHORTEST_PLAN)));
        self.replace_at = ttl.map(|ttl| after(now, replacement(ttl, random)));
    }

    fn check_done(&mut self, now: Instant, check: TokenCheck, random: &mut SmallRng) {
        self.check_retry.reset();
        if let Some(interval) = self.check_interval(check) {
            self.check_at = after(now, spread(interval, 0.9, 1.0, random));
        }
    }

    fn check_interval(&self, check: TokenCheck) -> Option<Duration> {
        const SHORTEST: Duration = Duration::from_secs(10);
        const LONGEST: Duration = Duration::from_mins(15);
        if self.use_limited || self.lookup_forbidden {
            return None;
        }
        match check {
            TokenCheck::Off => None,
            TokenCheck::Every(interval) => Some(interval.max(Duration::from_secs(1))),
            TokenCheck::Auto => {
                Some(self.lease.map_or(LONGEST, |lease| (lease / 10).clamp(SHORTEST, LONGEST)))
            }
        }
    }
}

/// How long after its grant a token should be replaced.
///
/// Servers count a token's life from the full second in which it was made, so up to a second of
/// the TTL is already gone: that matters for TTLs of a few seconds. A renewal still comes first.
fn replacement(ttl: Duration, random: &mut SmallRng) -> Duration {
    let margin = TTL_PRECISION + TTL_PRECISION / 4;
    spread(ttl, 0.8, 0.9, random)
        .min(ttl.saturating_sub(margin).max(ttl.mul_f64(0.7)))
        .max(SHORTEST_PLAN)
}

/// The token of this generation, if it is still known.
pub(crate) fn find<'a>(
    current: &'a mut Option<Grant>,
    old: &'a mut [Grant],
    generation: Generation,
) -> Option<&'a mut Grant> {
    current.iter_mut().chain(old).find(|grant| grant.generation == generation)
}
