//! What no schedule of events, however mad, leads to.

use std::time::Duration;

use proptest::prelude::*;

use super::driver::nth;
use super::model::Model;
use crate::{Action, Backoff, Class, Event, Failure, Settings, Token, TokenCheck, Worth};

/// One thing that happens next.
#[derive(Clone, Debug)]
enum Step {
    /// The oldest unanswered delivery, or the request in flight, is answered.
    Answer(Outcome),
    /// This much time passes, however many time-outs fall into it.
    Sleep(Duration),
    /// Time passes to the next time-out.
    SleepToTimeout,
    /// Something changes, or is answered that nobody asked.
    Event(Event),
}

#[derive(Clone, Debug)]
enum Outcome {
    Success(Token, Option<Duration>),
    /// As `Success`, but a login brings what an earlier life left.
    Inherited(Token, Vec<usize>, Worth),
    Failure(Failure),
    /// As `Success`, but a look finds the old credential.
    Unchanged(Token, Option<Duration>),
}

fn durations() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0_u64..5_000).prop_map(Duration::from_millis),
        (1_u64..400).prop_map(Duration::from_secs),
        (1_u64..20_000).prop_map(Duration::from_secs),
    ]
}

fn tokens() -> impl Strategy<Value = Token> {
    let ttl = prop_oneof![
        1 => Just(None),
        1 => Just(Some(Duration::ZERO)),
        20 => durations().prop_map(Some),
    ];
    (ttl, prop::bool::weighted(0.8), prop::bool::weighted(0.1))
        .prop_map(|(ttl, renewable, use_limited)| Token { ttl, renewable, use_limited })
}

fn failures() -> impl Strategy<Value = Failure> {
    let class = prop_oneof![
        1 => Just(Class::Configuration),
        6 => Just(Class::Passing),
        4 => Just(Class::Refused),
    ];
    (class, prop::option::weighted(0.1, durations()), any::<bool>(), prop::bool::weighted(0.1))
        .prop_map(|(class, retry_after, permission_denied, invalid_token)| {
            let refused = class == Class::Refused;
            Failure {
                class,
                retry_after,
                permission_denied: refused && permission_denied,
                invalid_token: refused && permission_denied && invalid_token,
            }
        })
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    let check_after = || prop::option::weighted(0.2, durations());
    prop_oneof![
        4 => (tokens(), check_after()).prop_map(|(token, after)| Outcome::Success(token, after)),
        1 => (tokens(), check_after()).prop_map(|(token, after)| Outcome::Unchanged(token, after)),
        1 => inheritances(),
        4 => failures().prop_map(Outcome::Failure),
    ]
}

fn inheritances() -> impl Strategy<Value = Outcome> {
    let worth = prop_oneof![Just(Worth::Own), Just(Worth::Foreign)];
    (tokens(), prop::collection::vec(0_usize..4, 0..4), worth)
        .prop_map(|(token, holders, worth)| Outcome::Inherited(token, holders, worth))
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => outcomes().prop_map(Step::Answer),
        4 => durations().prop_map(Step::Sleep),
        8 => Just(Step::SleepToTimeout),
        2 => Just(Step::Event(Event::CredentialsChanged)),
        1 => Just(Step::Event(Event::ConfigurationChanged)),
        2 => Just(Step::Event(Event::ServerReached)),
        2 => refusals().prop_map(Step::Event),
    ]
}

fn refusals() -> impl Strategy<Value = Event> {
    (1_u64..4, any::<bool>()).prop_map(|(number, invalid_token)| Event::RequestRefused {
        generation: nth(number),
        invalid_token,
    })
}

fn settings() -> impl Strategy<Value = Settings> {
    let check = prop_oneof![
        Just(TokenCheck::Auto),
        Just(TokenCheck::Off),
        durations().prop_map(TokenCheck::Every)
    ];
    (0_usize..4, check, any::<bool>(), 1_u64..20, 1_u64..30).prop_map(
        |(sinks, token_check, reauthenticate_on_new_credentials, min, factor)| {
            let seconds = Duration::from_secs;
            Settings {
                backoff: Backoff { min: seconds(min), max: seconds(min * factor) },
                sink_backoff: Backoff { min: seconds(min), max: seconds(min * factor) },
                token_check,
                sinks,
                reauthenticate_on_new_credentials,
            }
        },
    )
}

fn play(model: &mut Model, steps: Vec<Step>) {
    for step in steps {
        match step {
            Step::Sleep(time) => model.sleep(time),
            Step::SleepToTimeout => model.sleep_to_timeout(),
            Step::Event(event) => model.hand_in(event),
            Step::Answer(outcome) => {
                let outcome = match outcome {
                    // What the sinks have from an earlier life they have before this one's first.
                    Outcome::Inherited(token, _, worth) if model.knows_a_token() => {
                        Outcome::Inherited(token, Vec::new(), worth)
                    }
                    other => other,
                };
                if let Some(action) = model.next_unanswered() {
                    model.hand_in(answer(action, outcome));
                }
            }
        }
    }
}

fn answer(action: Action, outcome: Outcome) -> Event {
    let outcome = match (action, outcome) {
        (Action::LogIn { generation }, Outcome::Inherited(token, holders, worth)) => {
            return Event::Inherited { generation, token, check_after: None, holders, worth };
        }
        (_, Outcome::Inherited(token, ..)) => Outcome::Success(token, None),
        (_, other) => other,
    };
    match (action, outcome) {
        (Action::Look { .. }, Outcome::Unchanged(_, check_after)) => {
            Event::Unchanged { check_after }
        }
        (
            Action::LogIn { generation } | Action::Look { generation },
            Outcome::Success(token, check_after) | Outcome::Unchanged(token, check_after),
        ) => Event::LoggedIn { generation, token, check_after },
        (Action::Look { .. }, Outcome::Failure(failure)) if failure.retry_after.is_none() => {
            Event::LookFailed(failure)
        }
        (Action::LogIn { .. } | Action::Look { .. }, Outcome::Failure(failure)) => {
            Event::LoginFailed(failure)
        }
        (Action::Renew { generation }, Outcome::Failure(failure)) => {
            Event::RenewalFailed { generation, failure }
        }
        (
            Action::Renew { generation },
            Outcome::Success(token, _) | Outcome::Unchanged(token, _),
        ) => Event::Renewed { generation, token },
        (Action::Check { generation }, Outcome::Failure(failure)) => {
            Event::CheckFailed { generation, failure }
        }
        (
            Action::Check { generation },
            Outcome::Success(token, _) | Outcome::Unchanged(token, _),
        ) => Event::Checked { generation, token },
        (Action::Deliver { sink, generation }, Outcome::Failure(failure)) => {
            Event::DeliveryFailed { sink, generation, failure }
        }
        (Action::Deliver { sink, generation }, _) => Event::Delivered { sink, generation },
        (other, _) => panic!("{other:?} has no answer"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Never two requests or two deliveries to a sink at once, never an older token after a
    /// newer one, never an attempt sooner than the back-off allows, never a good token dropped
    /// or revoked, never a time-out that is over, never nothing to do before a deadline: see
    /// `Watch` and `Model`.
    #[test]
    fn every_promise_holds_on_every_schedule(
        settings in settings(),
        seed in any::<u64>(),
        steps in prop::collection::vec(steps(), 1..200),
    ) {
        play(&mut Model::new(settings, seed), steps);
    }

    #[test]
    fn shutting_down_ends_from_wherever_it_starts(
        settings in settings(),
        seed in any::<u64>(),
        before in prop::collection::vec(steps(), 0..60),
        answers in prop::collection::vec(outcomes(), 8),
        end in prop_oneof![Just(Event::ShutDown), Just(Event::HandOver)],
    ) {
        let mut model = Model::new(settings, seed);
        play(&mut model, before);
        model.hand_in(end);
        play(&mut model, answers.into_iter().map(Step::Answer).collect());
        prop_assert!(model.is_finished());
    }

    #[test]
    fn the_same_seed_and_events_give_the_same_life(
        settings in settings(),
        seed in any::<u64>(),
        steps in prop::collection::vec(steps(), 1..60),
    ) {
        let mut one = Model::new(settings.clone(), seed);
        let mut other = Model::new(settings, seed);
        play(&mut one, steps.clone());
        play(&mut other, steps);
        prop_assert_eq!(one.history(), other.history());
    }

    /// Whatever happened before: once every answer is a success, all sinks hold a good token
    /// within one longest back-off, and keep it.
    #[test]
    fn when_everything_works_again_all_is_well_soon(
        settings in settings(),
        seed in any::<u64>(),
        steps in prop::collection::vec(steps(), 0..80),
    ) {
        let longest = settings.backoff.max * 2;
        let mut model = Model::new(settings, seed);
        play(&mut model, steps);
        model.hand_in(Event::ConfigurationChanged);
        let ttl = Some(Duration::from_hours(6));
        let token = Token { ttl, renewable: true, use_limited: false };
        let end = model.elapsed() + longest;
        while model.elapsed() < end {
            while let Some(action) = model.next_unanswered() {
                model.hand_in(answer(action, Outcome::Success(token, None)));
            }
            model.sleep(Duration::from_secs(10));
        }
        while let Some(action) = model.next_unanswered() {
            model.hand_in(answer(action, Outcome::Success(token, None)));
        }
        prop_assert!(model.lifecycle.all_delivered());
    }
}
