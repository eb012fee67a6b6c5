//! One sink's share of the machine: which token it holds, which one it is given next.

use std::time::Instant;

use rand::rngs::SmallRng;

use crate::backoff::{Backoff, LastChance, Retry};
use crate::{Class, Failure, Generation, Settings};

/// The deliveries to one sink. They never overlap, and generations only rise.
#[derive(Debug)]
pub(crate) struct Delivery {
    in_flight: Option<Generation>,
    delivered: Option<Generation>,
    /// What the sink ought to hold; `None` while there is no good token.
    wanted: Option<Generation>,
    /// The latest token ever wanted, and since when.
    latest: Option<Generation>,
    since: Instant,
    retry: Retry,
}

impl Delivery {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            in_flight: None,
            delivered: None,
            wanted: None,
            latest: None,
            since: now,
            retry: Retry::default(),
        }
    }

    /// Sets what the sink ought to hold. A newer token doesn't wait for the retry of an older
    /// one.
    pub(crate) fn want(&mut self, now: Instant, generation: Option<Generation>) {
        if generation > self.latest {
            self.latest = generation;
            self.since = now;
            self.retry.supersede();
        }
        self.wanted = generation;
    }

    /// When the next delivery is due; `None` if none is wanted or one is in flight.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        (self.in_flight.is_none() && self.wanted > self.delivered)
            .then(|| self.retry.next_from(self.since))
    }

    /// Starts the delivery if it is due.
    pub(crate) fn start(&mut self, now: Instant) -> Option<Generation> {
        if self.due_at()? > now {
            return None;
        }
        self.retry.begin(now);
        self.in_flight = self.wanted;
        self.in_flight
    }

    /// Whether this answers the delivery in flight, which then has ended.
    pub(crate) fn end(&mut self, generation: Generation) -> bool {
        let answers = self.in_flight == Some(generation);
        if answers {
            self.in_flight = None;
        }
        answers
    }

    pub(crate) fn succeeded(&mut self, generation: Generation) {
        self.delivered = Some(generation);
        self.retry.reset();
    }

    /// Takes note of a failure. What a `Retry-After` asks for is bounded as for a login: where a
    /// sink wraps, it is the server that failed, and not the sink.
    pub(crate) fn failed(
        &mut self,
        now: Instant,
        generation: Generation,
        failure: Failure,
        settings: &Settings,
        chance: Option<LastChance>,
        random: &mut SmallRng,
    ) {
        if Some(generation) < self.latest {
            // A newer one is waiting, and has its own first attempt.
            return;
        }
        if failure.class == Class::Configuration {
            self.retry.fail_slowly(now, &settings.sink_backoff, random);
        } else {
            self.retry.fail(now, failure.class, &settings.sink_backoff, None, random);
        }
        self.retry.obey(now, failure.retry_after, &settings.backoff, chance, random);
    }

    /// The server was reached: a delivery that waits because it wasn't comes at `at`.
    pub(crate) fn server_reached(&mut self, at: Instant, backoff: &Backoff) {
        self.retry.server_reached(at, backoff);
    }

    /// Other settings are in force: what has begun to wait doesn't wait longer than they allow.
    pub(crate) fn shorten(&mut self, now: Instant, backoff: &Backoff, longest: &Backoff) {
        let longer = if backoff.max() > longest.max() { backoff } else { longest };
        self.retry.shorten(now, longer);
    }

    /// Brings a waiting retry forward.
    pub(crate) fn hasten(&mut self, now: Instant, backoff: &Backoff) {
        self.retry.hasten(now, backoff);
    }

    /// Whether somebody may read this token from the sink, now or soon.
    pub(crate) fn holds(&self, generation: Generation) -> bool {
        self.has(generation) || self.in_flight == Some(generation)
    }

    pub(crate) fn has(&self, generation: Generation) -> bool {
        self.delivered == Some(generation)
    }

    pub(crate) fn delivered(&self) -> Option<Generation> {
        self.delivered
    }

    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }
}
