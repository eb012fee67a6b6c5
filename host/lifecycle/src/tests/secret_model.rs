//! One secret on any schedule, held against an independent account of what it was told.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::pace::Pace;
use crate::{
    Backoff, Class, Failure, Granted, Machine, SecretAction, SecretEvent, SecretLease,
    SecretSettings, Validity,
};

#[derive(Clone, Debug)]
enum Step {
    /// What is in flight is answered.
    Answer(Outcome),
    Sleep(Duration),
    SleepToDeadline,
    ServerReached,
    /// The old token ends after this time.
    TokenReplaced(Option<Duration>),
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Success(Validity),
    Failure(Failure),
}

struct Model {
    secret: SecretLease,
    settings: SecretSettings,
    start: Instant,
    now: Instant,
    in_flight: Option<SecretAction>,
    history: Vec<(Duration, SecretAction)>,
    /// The lease of the value read last, and the end of the token that it belongs to.
    lease: Option<Granted>,
    lease_ends: Option<Instant>,
    token_ends: Option<Instant>,
    /// The end of the token with which the read in flight may have been asked.
    asked_with: Option<Instant>,
    reads: Pace,
    renewals: Pace,
}

impl Model {
    fn new(settings: SecretSettings, seed: u64) -> Self {
        let now = Instant::now();
        let mut model = Self {
            secret: SecretLease::new(now, settings, seed),
            settings,
            start: now,
            now,
            in_flight: None,
            history: Vec::new(),
            lease: None,
            lease_ends: None,
            token_ends: None,
            asked_with: None,
            reads: Pace::default(),
            renewals: Pace::default(),
        };
        model.poll();
        model
    }

    /// When the value that was read last ends; `None`: it has, or has no end.
    fn ends(&self) -> Option<Instant> {
        let ends = self.lease_ends.into_iter().chain(self.token_ends).min();
        ends.filter(|at| self.lease_ends.is_some() && *at > self.now)
    }

    fn play(&mut self, step: Step) {
        match step {
            Step::Answer(outcome) => self.answer(outcome),
            Step::Sleep(time) => {
                let end = self.now + time;
                while let Some(at) = self.secret.next_deadline().filter(|at| *at <= end) {
                    self.now = at;
                    self.poll();
                }
                self.now = end;
                self.expire();
            }
            Step::SleepToDeadline => {
                if let Some(at) = self.secret.next_deadline() {
                    self.now = at;
                }
            }
            Step::ServerReached => {
                (self.reads.changed, self.renewals.changed) = (true, true);
                self.secret.handle(self.now, SecretEvent::ServerReached);
            }
            Step::TokenReplaced(left) => {
                let old_ends = left.map(|left| self.now + left);
                self.reads.changed = true;
                if self.ends().is_some() {
                    self.token_ends = old_ends;
                }
                if self.in_flight == Some(SecretAction::Read) {
                    self.asked_with = old_ends;
                }
                self.secret.handle(self.now, SecretEvent::TokenReplaced { old_ends });
            }
        }
        self.poll();
    }

    fn expire(&mut self) {
        if self.ends().is_none() {
            (self.lease, self.lease_ends, self.token_ends) = (None, None, None);
        }
    }

    fn answer(&mut self, outcome: Outcome) {
        self.expire();
        let backoff = self.settings.backoff;
        let event = match (self.in_flight.take(), outcome) {
            (None, _) => return,
            (Some(SecretAction::Read), Outcome::Success(validity)) => {
                self.reads.reset();
                self.renewals = Pace::default();
                self.token_ends = self.asked_with.take();
                self.lease = match validity {
                    Validity::Leased(granted) => Some(granted),
                    Validity::Unleased => None,
                };
                let ttl = self.lease.and_then(|granted| granted.ttl);
                self.lease_ends = ttl.map(|ttl| self.now + ttl);
                SecretEvent::Read(validity)
            }
            (Some(SecretAction::Read), Outcome::Failure(failure)) => {
                self.asked_with = None;
                let ends = self.ends();
                self.reads.fail(self.now, lowest(backoff, self.now, ends), ends);
                self.reads.hint(self.now, backoff, failure.retry_after, ends);
                SecretEvent::ReadFailed(failure)
            }
            (Some(SecretAction::Renew), Outcome::Success(Validity::Leased(granted))) => {
                self.renewals.reset();
                if self.lease.is_some() {
                    self.lease = Some(granted);
                    self.lease_ends = granted.ttl.map(|ttl| self.now + ttl);
                }
                SecretEvent::Renewed(granted)
            }
            (Some(SecretAction::Renew), Outcome::Failure(failure)) => {
                let lowest = lowest(backoff, self.now, self.lease_ends);
                self.renewals.fail(self.now, lowest, self.lease_ends);
                self.renewals.hint(self.now, backoff, failure.retry_after, self.lease_ends);
                SecretEvent::RenewalFailed(failure)
            }
            (Some(SecretAction::Renew), Outcome::Success(Validity::Unleased)) => {
                let lowest = lowest(backoff, self.now, self.lease_ends);
                self.renewals.fail(self.now, lowest, self.lease_ends);
                self.renewals.hint(self.now, backoff, None, self.lease_ends);
                SecretEvent::RenewalFailed(Failure::new(Class::Refused))
            }
            (Some(SecretAction::Revoke), _) => SecretEvent::Revoked,
        };
        self.secret.handle(self.now, event);
    }

    fn poll(&mut self) {
        self.expire();
        while let Some(action) = self.secret.poll_action(self.now) {
            assert_eq!(self.in_flight, None, "{action:?} beside another");
            self.in_flight = Some(action);
            self.history.push((self.now - self.start, action));
            match action {
                SecretAction::Read => self.reads.attempt(self.now, self.settings.backoff),
                SecretAction::Renew => {
                    assert!(self.ends().is_some(), "renewing what has ended");
                    assert!(self.lease.is_some_and(|lease| lease.renewable), "it can't be");
                    self.renewals.attempt(self.now, self.settings.backoff);
                }
                SecretAction::Revoke => panic!("it is wanted"),
            }
        }
        let ends_at = self.secret.ends_at().filter(|at| *at > self.now);
        assert_eq!(ends_at, self.ends(), "a value given up, or one that isn't there");
        let deadline = self.secret.next_deadline();
        assert_eq!(deadline.is_none(), self.in_flight.is_some(), "it would wait for ever");
        assert!(deadline.is_none_or(|at| at > self.now), "a deadline that is over");
        if let (Some(deadline), Some(ends)) = (deadline, self.ends()) {
            assert!(deadline <= ends, "nothing before the end");
        }
    }
}

/// What bounds the next wait from below. Failed reads count for renewals and the other way round, so
/// that a wait may be longer than one of them knows, outlast the lease, and be cut short for that.
fn lowest(backoff: Backoff, now: Instant, ends: Option<Instant>) -> Backoff {
    let may_be_cut = ends.is_some_and(|ends| now + backoff.max() >= ends);
    Backoff { max: if may_be_cut { backoff.min } else { backoff.max }, ..backoff }
}

fn durations() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (1_u64..5_000).prop_map(Duration::from_millis),
        (1_u64..400).prop_map(Duration::from_secs),
        (1_u64..20_000).prop_map(Duration::from_secs),
    ]
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    let class = prop_oneof![
        1 => Just(Class::Configuration),
        6 => Just(Class::Passing),
        4 => Just(Class::Refused),
    ];
    let leased = (durations(), prop::bool::weighted(0.8)).prop_map(|(ttl, renewable)| {
        Outcome::Success(Validity::Leased(Granted { ttl: Some(ttl), renewable }))
    });
    prop_oneof![
        5 => leased,
        1 => Just(Outcome::Success(Validity::Unleased)),
        4 => (class, prop::option::weighted(0.1, durations())).prop_map(|(class, retry_after)| {
            Outcome::Failure(Failure { retry_after, ..Failure::new(class) })
        }),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => outcomes().prop_map(Step::Answer),
        4 => durations().prop_map(Step::Sleep),
        8 => Just(Step::SleepToDeadline),
        2 => Just(Step::ServerReached),
        1 => prop::option::weighted(0.9, durations()).prop_map(Step::TokenReplaced),
    ]
}

fn settings() -> impl Strategy<Value = SecretSettings> {
    (1_u64..20, 1_u64..30, durations()).prop_map(|(min, factor, read_again)| {
        let seconds = Duration::from_secs;
        let backoff = Backoff { min: seconds(min), max: seconds(min * factor) };
        SecretSettings { backoff, read_again }
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Never two requests at once, never an attempt sooner than the back-off allows, never a value
    /// given up that is good, never a deadline that is over or none at all: see `Model`.
    #[test]
    fn every_promise_about_a_secret_holds_on_every_schedule(
        settings in settings(),
        seed in any::<u64>(),
        steps in prop::collection::vec(steps(), 1..200),
    ) {
        let mut model = Model::new(settings, seed);
        for step in steps {
            model.play(step);
        }
    }

    #[test]
    fn the_same_seed_and_events_give_the_same_life_to_a_secret(
        settings in settings(),
        seed in any::<u64>(),
        steps in prop::collection::vec(steps(), 1..60),
    ) {
        let mut lives = [Model::new(settings, seed), Model::new(settings, seed)];
        for step in steps {
            for life in &mut lives {
                life.play(step.clone());
            }
        }
        let [one, other] = lives;
        prop_assert_eq!(one.history, other.history);
    }

    /// Whatever happened before: once every answer is a success, it has a good value within one
    /// longest back-off, needs no old token soon, and stays well.
    #[test]
    fn when_everything_works_again_a_secret_is_good_soon_and_stays_so(
        settings in settings(),
        seed in any::<u64>(),
        steps in prop::collection::vec(steps(), 0..80),
    ) {
        let mut model = Model::new(settings, seed);
        for step in steps {
            model.play(step);
        }
        model.play(Step::ServerReached);
        let granted = Granted { ttl: Some(Duration::from_hours(6)), renewable: true };
        let well = Step::Answer(Outcome::Success(Validity::Leased(granted)));
        // A value that is good stays until its time comes.
        let changeover = Duration::from_mins(11);
        let end = model.now + settings.backoff.max * 2 + settings.read_again.max(changeover);
        while model.now < end {
            model.play(well.clone());
            model.play(Step::Sleep(Duration::from_secs(10)));
        }
        prop_assert!(!model.secret.needs_the_old_token());
        let until = model.now + Duration::from_hours(100);
        while model.now < until {
            model.play(well.clone());
            prop_assert!(model.secret.ends_at().is_some());
            model.play(Step::SleepToDeadline);
        }
    }

    /// Whenever nobody needs it any more, it ends with the answers that are due and the end of its
    /// lease.
    #[test]
    fn an_unwanted_secret_ends_from_wherever_it_is(
        settings in settings(),
        seed in any::<u64>(),
        steps in prop::collection::vec(steps(), 0..60),
        fails in any::<bool>(),
    ) {
        let mut model = Model::new(settings, seed);
        for step in steps {
            model.play(step);
        }
        let Model { mut secret, mut now, mut in_flight, .. } = model;
        secret.handle(now, SecretEvent::Unwanted);
        let failure = Failure::new(Class::Passing);
        for _ in 0..100_000 {
            if secret.is_over() {
                break;
            }
            let event = match (in_flight.take(), fails) {
                (None, _) => SecretEvent::ServerReached,
                (Some(SecretAction::Read), _) => SecretEvent::ReadFailed(failure),
                (Some(SecretAction::Renew), _) => SecretEvent::RenewalFailed(failure),
                (Some(SecretAction::Revoke), true) => SecretEvent::RevocationFailed(failure),
                (Some(SecretAction::Revoke), false) => SecretEvent::Revoked,
            };
            secret.handle(now, event);
            now = secret.next_deadline().map_or(now, |at| at.max(now));
            in_flight = secret.poll_action(now);
            prop_assert!(in_flight.is_none_or(|action| action == SecretAction::Revoke));
        }
        prop_assert!(secret.is_over());
    }
}
