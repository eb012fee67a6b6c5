//! Waiting between attempts: doubling, jittered, and never against the server's word.

use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::SmallRng;

use crate::Class;

/// No schedule waits less, whatever its settings, so that a mistake never becomes a storm.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// Once the server is reached, what waited for it goes on within this time.
pub(crate) const LONGEST_WAKING: Duration = Duration::from_secs(1);

/// Longer than anything here lives; keeps sums of instants representable.
const NEVER: Duration = Duration::from_hours(100 * 365 * 24);

/// The bounds of a back-off: the wait is nominally `min`, doubles with each failure, and stays
/// at `max`. Each wait, the first too, is 75 to 100 % of the nominal one, so that machines
/// which failed together don't come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first nominal wait.
    pub min: Duration,
    /// The longest nominal wait.
    pub max: Duration,
}

impl Backoff {
    /// The wait after `failures` earlier ones, before jitter.
    pub(crate) fn nominal(&self, failures: u32) -> Duration {
        let doubled = self.min().saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX));
        doubled.min(self.max())
    }

    pub(crate) fn min(&self) -> Duration {
        self.min.max(SHORTEST_WAIT)
    }

    pub(crate) fn max(&self) -> Duration {
        self.max.max(self.min())
    }

    /// The first wait with the least of its jitter.
    pub(crate) fn shortest(&self) -> Duration {
        self.min().mul_f64(0.75)
    }
}

/// A token that surely lives until `end`, and the moment at which there is another attempt rather than
/// a wait beyond that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastChance {
    pub(crate) at: Instant,
    pub(crate) end: Instant,
}

impl LastChance {
    /// The moment for what the server puts off, so that something else can still come after it.
    pub(crate) fn before_another(&self, backoff: &Backoff) -> Instant {
        self.end.checked_sub(backoff.min()).map_or(self.at, |room| room.min(self.at))
    }
}

/// One schedule of attempts at one thing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retry {
    failures: u32,
    /// By the back-off alone.
    ready_at: Option<Instant>,
    /// What a `Retry-After` asked for; holds even when something wakes the schedule.
    not_before: Option<Instant>,
    /// The last failure was a passing one: it may be over before the back-off is.
    passing: bool,
    /// How often the schedule was woken since the last success, and from when on it may be again.
    wakes: u32,
    next_wake: Option<Instant>,
    /// Something woke the schedule, and the attempt hasn't begun yet.
    woken: bool,
    /// When the last attempt began that something had woken.
    hastened_at: Option<Instant>,
}

impl Retry {
    /// The first attempt from `at` on.
    pub(crate) fn next_from(&self, at: Instant) -> Instant {
        self.woken_at(self.scheduled_from(at))
    }

    /// The first attempt from `at` on at something else that shares this back-off, but not what the
    /// server said of the first.
    pub(crate) fn scheduled_from(&self, at: Instant) -> Instant {
        self.ready_at.map_or(at, |ready| ready.max(at))
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// Takes note of a failed attempt: the next one waits.
    pub(crate) fn fail(
        &mut self,
        now: Instant,
        class: Class,
        backoff: &Backoff,
        chance: Option<LastChance>,
        random: &mut SmallRng,
    ) {
        self.wait(now, class, backoff.nominal(self.failures), backoff, chance, random);
    }

    /// Takes note that another thing failed of what this one would have failed of too. That brings
    /// no attempt forward.
    pub(crate) fn fail_along(
        &mut self,
        now: Instant,
        class: Class,
        backoff: &Backoff,
        chance: Option<LastChance>,
        random: &mut SmallRng,
    ) {
        let planned = self.ready_at;
        self.fail(now, class, backoff, chance, random);
        self.ready_at = self.ready_at.max(planned);
    }

    /// Takes note of a failure that won't pass by itself: the longest wait at once.
    pub(crate) fn fail_slowly(&mut self, now: Instant, backoff: &Backoff, random: &mut SmallRng) {
        self.wait(now, Class::Configuration, backoff.max(), backoff, None, random);
    }

    fn wait(
        &mut self,
        now: Instant,
        class: Class,
        nominal: Duration,
        backoff: &Backoff,
        chance: Option<LastChance>,
        random: &mut SmallRng,
    ) {
        let scheduled = after(now, spread(nominal, 0.75, 1.0, random));
        let shortest = after(now, backoff.shortest());
        self.ready_at = Some(match chance {
            Some(chance) if scheduled >= chance.end => chance.at.max(shortest).min(scheduled),
            _ => scheduled,
        });
        self.passing = class == Class::Passing;
        self.woken = false;
        self.failures = self.failures.saturating_add(1);
    }

    /// Takes note of what the server asked for with the last failure. It is obeyed within the
    /// longest wait: beyond that it is as likely a proxy's idea of a day off as the server's.
    pub(crate) fn obey(
        &mut self,
        now: Instant,
        retry_after: Option<Duration>,
        backoff: &Backoff,
        chance: Option<LastChance>,
        random: &mut SmallRng,
    ) {
        let longest = backoff.max();
        self.not_before = retry_after.map(|asked| {
            // Jitter goes on top of what the server asked for: it told everybody the same.
            let wait = if asked >= longest {
                spread(longest, 0.75, 1.0, random)
            } else {
                asked.saturating_add(spread(backoff.min(), 0.0, 0.25, random)).min(longest)
            };
            match chance {
                Some(chance) if after(now, asked.min(wait)) >= chance.end => {
                    chance.before_another(backoff)
                }
                _ => after(now, wait),
            }
        });
    }

    /// Puts the next attempt off until `at` at least.
    pub(crate) fn put_off(&mut self, at: Instant) {
        self.not_before = Some(self.woken_at(at));
    }

    /// Other bounds are in force: no wait that has begun is longer than they allow.
    pub(crate) fn shorten(&mut self, now: Instant, backoff: &Backoff) {
        let latest = after(now, backoff.max());
        self.ready_at = self.ready_at.map(|at| at.min(latest));
        self.not_before = self.not_before.map(|at| at.min(latest));
    }

    /// `at`, or later if a `Retry-After` says so.
    fn woken_at(&self, at: Instant) -> Instant {
        self.not_before.map_or(at, |bound| bound.max(at))
    }

    /// Something woke the schedule: brings the next attempt forward to `at`, but not to less than
    /// `min` after the last one that was brought forward, whatever woke that and however long it
    /// then had to wait; so that a file that flaps, or a server that comes and goes, is no storm.
    /// When it now may come.
    pub(crate) fn hasten(&mut self, at: Instant, backoff: &Backoff) -> Instant {
        let at = self.hastened_at.map_or(at, |last| after(last, backoff.min()).max(at));
        self.ready_at = self.ready_at.map(|ready| ready.min(at));
        self.woken = true;
        self.woken_at(at)
    }

    /// Takes note that an attempt begins.
    pub(crate) fn begin(&mut self, now: Instant) {
        if std::mem::take(&mut self.woken) {
            self.hastened_at = Some(now);
        }
    }

    /// The server was reached by something else: an attempt that waits because it wasn't comes at
    /// `at`. Where that doesn't help, waking follows a back-off of its own. When the attempt may
    /// come, if this woke it.
    pub(crate) fn server_reached(&mut self, at: Instant, backoff: &Backoff) -> Option<Instant> {
        let wakes =
            self.has_failed() && self.passing && self.next_wake.is_none_or(|next| next <= at);
        wakes.then(|| {
            self.next_wake = Some(after(at, backoff.nominal(self.wakes)));
            self.wakes = self.wakes.saturating_add(1);
            self.hasten(at, backoff)
        })
    }

    /// Starts anew for another reason: only a `Retry-After` still holds.
    pub(crate) fn supersede(&mut self) {
        let not_before = self.not_before;
        self.reset();
        self.not_before = not_before;
    }

    /// Starts anew: the next attempt is free at once.
    pub(crate) fn reset(&mut self) {
        let Self { next_wake, hastened_at, .. } = *self;
        *self = Self { next_wake, hastened_at, ..Self::default() };
    }
}

/// `now + wait`, or as good as never where that can't be represented.
pub(crate) fn after(now: Instant, wait: Duration) -> Instant {
    now + wait.min(NEVER)
}

/// A random share of `whole` between `low` and `high`.
pub(crate) fn spread(whole: Duration, low: f64, high: f64, random: &mut SmallRng) -> Duration {
    whole.min(NEVER).mul_f64(random.random_range(low..high))
}
