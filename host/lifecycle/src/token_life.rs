//! One token: a lease that is looked up now and then, and what proves it dead.

use std::time::{Duration, Instant};

use rand::rngs::SmallRng;

use crate::backoff::{LastChance, Retry, after, spread};
use crate::lease::{Lease, SECOND_OPINION, Setback};
use crate::{Backoff, Class, Failure, Generation, Granted, Token, TokenCheck};

/// What is known of one token.
#[derive(Debug)]
pub(crate) struct TokenLife {
    generation: Generation,
    /// Its renewals have a schedule of their own there: alone if it is another identity's or a newer
    /// token came, else beside the machine's own.
    lease: Lease,
    use_limited: bool,
    /// Since when another one is wanted in its place, however long it has to live.
    unwanted_from: Option<Instant>,
    /// A renewal succeeded, so a later 403 to one means something; `looked_up` likewise.
    renewed: bool,
    looked_up: bool,
    /// The last look-up was refused, which may not happen again.
    lookup_refused: bool,
    lookup_forbidden: bool,
    /// Its wrapping was refused, and it was looked up for that.
    doubted: bool,
    /// A hand-over cut its delivery short: a sink may have it after all.
    may_have_arrived: bool,
    died: bool,
    check_at: Instant,
    check_retry: Retry,
    /// A request with it was refused, and it is looked up for that from then on.
    suspected_from: Option<Instant>,
    /// When the last look-up began that was made for such a request.
    suspicion_began: Option<Instant>,
}

impl TokenLife {
    pub(crate) fn new(
        now: Instant,
        generation: Generation,
        token: Token,
        random: &mut SmallRng,
    ) -> Self {
        Self {
            generation,
            lease: Lease::new(now, granted(token), random),
            use_limited: token.use_limited,
            unwanted_from: None,
            renewed: false,
            looked_up: false,
            lookup_refused: false,
            lookup_forbidden: false,
            doubted: false,
            may_have_arrived: false,
            died: false,
            check_at: now,
            check_retry: Retry::default(),
            suspected_from: None,
            suspicion_began: None,
        }
    }

    pub(crate) fn generation(&self) -> Generation {
        self.generation
    }

    pub(crate) fn is_good(&self) -> bool {
        !self.died && !self.lease.is_expired()
    }

    pub(crate) fn expires_at(&self) -> Option<Instant> {
        self.lease.expires_at()
    }

    /// When it should be replaced by another one; `None`: never.
    pub(crate) fn replace_at(&self) -> Option<Instant> {
        self.unwanted_from.or(self.lease.replace_at())
    }

    /// Asks for another one in its place.
    pub(crate) fn unwanted(&mut self, now: Instant) {
        self.unwanted_from = Some(now);
    }

    /// Whether it is another identity's.
    pub(crate) fn is_foreign(&self) -> bool {
        self.unwanted_from.is_some()
    }

    /// When there is another attempt to renew or replace it, where a wait would outlast it.
    pub(crate) fn last_chance(&self, now: Instant) -> Option<LastChance> {
        self.lease.last_chance(now).filter(|_| self.is_good())
    }

    pub(crate) fn can_renew(&self) -> bool {
        self.lease.can_renew()
    }

    /// When it should be renewed; `None`: never.
    pub(crate) fn renew_at(&self) -> Option<Instant> {
        self.lease.renew_at()
    }

    /// The first renewal from `at` on that its own back-off and the server allow.
    pub(crate) fn renewal_from(&self, at: Instant) -> Instant {
        self.lease.renewal_from(at)
    }

    /// When it should be looked up; `None`: never.
    pub(crate) fn check_at(&self, check: TokenCheck) -> Option<Instant> {
        let scheduled = self.check_interval(check).map(|_| self.check_at);
        scheduled.into_iter().chain(self.suspected_at()).min()
    }

    pub(crate) fn check_is_failing(&self) -> bool {
        self.check_retry.has_failed() && !self.lookup_refused
    }

    /// Whether a sink may have it although its delivery failed.
    pub(crate) fn may_have_arrived(&self) -> bool {
        self.may_have_arrived
    }

    /// Takes note that a hand-over cut its delivery short.
    pub(crate) fn delivery_cut_short(&mut self) {
        self.may_have_arrived = true;
    }

    /// Marks it expired if its time has come. Whether that is news.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        self.is_good() && self.lease.expire(now)
    }

    pub(crate) fn die(&mut self) {
        self.died = true;
    }

    /// Takes note that a renewal begins.
    pub(crate) fn renewal_begins(&mut self, now: Instant) {
        self.lease.renewal_begins(now);
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
        self.use_limited = token.use_limited;
        self.lease.renewed(now, granted(token), random);
        self.check_done(now, check, random);
    }

    /// Whether a failed renewal proves it dead.
    pub(crate) fn renewal_proves_death(&self, failure: Failure) -> bool {
        failure.invalid_token || (failure.permission_denied && self.renewed)
    }

    /// Takes note of a failed renewal that doesn't. After a refusal, a look-up may tell more.
    pub(crate) fn renewal_failed(
        &mut self,
        now: Instant,
        failure: Failure,
        backoff: &Backoff,
        random: &mut SmallRng,
    ) -> Setback {
        let setback = self.lease.renewal_failed(now, failure, backoff, random);
        if setback != Setback::Passing {
            self.check_now(now);
        }
        setback
    }

    /// Makes its next renewal wait on its own schedule.
    pub(crate) fn back_off(
        &mut self,
        now: Instant,
        class: Class,
        backoff: &Backoff,
        random: &mut SmallRng,
    ) {
        self.lease.back_off(now, class, backoff, random);
    }

    /// Takes note that a check begins.
    pub(crate) fn check_begins(&mut self, now: Instant) {
        self.check_retry.begin(now);
        if self.suspected_from.take().is_some() {
            self.suspicion_began = Some(now);
        }
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
        self.use_limited = token.use_limited;
        self.lease.told(now, granted(token), random);
        self.check_done(now, check, random);
    }

    /// Whether a failed look-up proves it dead.
    pub(crate) fn check_proves_death(&self, failure: Failure) -> bool {
        failure.invalid_token || (failure.permission_denied && self.looked_up)
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
        let forbidden = std::mem::replace(&mut self.lookup_refused, refused) && refused;
        self.lookup_forbidden |= forbidden;
        self.check_retry.fail(now, failure.class, backoff, None, random);
        self.check_retry.obey(now, failure.retry_after, backoff, None, random);
        let retry_at = self.check_retry.next_from(now);
        self.check_at = match (failure.retry_after, self.check_interval(check)) {
            _ if refused => retry_at.max(after(now, spread(SECOND_OPINION, 0.75, 1.0, random))),
            (None, Some(interval)) => retry_at.min(after(now, interval)),
            _ => retry_at,
        };
        forbidden
    }

    /// Asks for a look-up now, once: the server refused to wrap the token. That alone proves
    /// nothing, since its policies may forbid it.
    pub(crate) fn doubt(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.doubted, true) {
            self.check_now(now);
        }
    }

    /// Asks for a look-up: a request that was made with it was refused. However many there are, one
    /// look-up in [`BETWEEN_SUSPICIONS`] answers for them.
    pub(crate) fn suspect(&mut self, now: Instant, invalid_token: bool) {
        if self.use_limited || !(invalid_token || self.looked_up) {
            return;
        }
        let last = self.suspicion_began;
        let from = last.map_or(now, |began| after(began, BETWEEN_SUSPICIONS).max(now));
        self.suspected_from.get_or_insert(from);
    }

    /// When it is to be looked up for a request that was refused; `None`: there is none.
    pub(crate) fn suspected_at(&self) -> Option<Instant> {
        self.suspected_from.map(|at| self.check_retry.next_from(at))
    }

    /// A newer token came.
    pub(crate) fn retire(&mut self, now: Instant, random: &mut SmallRng) {
        self.lease.retire(now, random);
    }

    /// The server was reached: what waits because it wasn't goes on at `at`.
    pub(crate) fn server_reached(&mut self, at: Instant, backoff: &Backoff) {
        self.lease.server_reached(at, backoff);
        if let Some(woken) = self.check_retry.server_reached(at, backoff) {
            self.check_at = self.check_at.min(woken);
        }
    }

    /// Other settings are in force: what has begun to wait doesn't wait longer than they allow.
    pub(crate) fn shorten(&mut self, now: Instant, check: TokenCheck, backoff: &Backoff) {
        self.lease.shorten(now, backoff);
        self.check_retry.shorten(now, backoff);
        if let Some(interval) = self.check_interval(check) {
            self.check_at = self.check_at.min(after(now, interval));
        }
    }

    /// Asks for a look-up now: something is odd, and the look-up could tell.
    fn check_now(&mut self, now: Instant) {
        if self.looked_up && !self.check_retry.has_failed() {
            self.check_at = self.check_at.min(now);
        }
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
            TokenCheck::Auto => Some(
                self.lease.granted().map_or(LONGEST, |ttl| (ttl / 10).clamp(SHORTEST, LONGEST)),
            ),
        }
    }
}

/// From one look-up of a token to another that is made because requests are refused.
pub const BETWEEN_SUSPICIONS: Duration = Duration::from_secs(5);

/// A use of its own is too dear for the renewal of a token whose uses count.
fn granted(token: Token) -> Granted {
    Granted { ttl: token.ttl, renewable: token.renewable && !token.use_limited }
}
