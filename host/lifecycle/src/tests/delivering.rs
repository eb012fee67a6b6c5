//! Delivering to sinks, what becomes of old tokens, and shutting down.

use super::driver::{
    Driver, batch, invalid_token, log_in, nth, passing, renewable, secs, settings, within,
};
use crate::{Action, Class, Event, Failure, Settings, State, TokenCheck};

/// No checks, and a look whenever credentials change: the quickest way to a newer token.
fn settings_for(sinks: usize) -> Settings {
    Settings {
        token_check: TokenCheck::Off,
        reauthenticate_on_new_credentials: true,
        ..settings(sinks)
    }
}

fn deliver(sink: usize, generation: u64) -> Action {
    Action::Deliver { sink, generation: nth(generation) }
}

/// Gets the driver the next token and returns what follows from it.
fn replace(driver: &mut Driver) -> Vec<Action> {
    driver.sleep(secs(1));
    let generation = driver.asked().next();
    assert_eq!(driver.after(Event::CredentialsChanged), [Action::Look { generation }]);
    driver.after(Event::LoggedIn {
        generation: driver.asked(),
        token: renewable(secs(3600)),
        check_after: None,
    })
}

#[test]
fn a_token_goes_to_every_sink_at_once() {
    let mut driver = Driver::with(settings_for(3), renewable(secs(3600)));
    assert_eq!(driver.actions(), [deliver(0, 1), deliver(1, 1), deliver(2, 1)]);
    driver.event(Event::Delivered { sink: 2, generation: nth(1) });
    driver.event(Event::Delivered { sink: 0, generation: nth(1) });
    assert!(!driver.lifecycle.all_delivered());
    driver.event(Event::Delivered { sink: 1, generation: nth(1) });
    assert!(driver.lifecycle.all_delivered());
}

#[test]
fn a_failed_delivery_is_retried_on_its_own_back_off_and_delays_no_other() {
    let mut driver = Driver::with(settings_for(2), renewable(secs(360_000)));
    driver.actions();
    driver.event(Event::Delivered { sink: 1, generation: nth(1) });
    for nominal in [1, 2, 4, 8, 16, 32, 60, 60] {
        driver.event(Event::DeliveryFailed { sink: 0, generation: nth(1), failure: passing() });
        let (wait, actions) = driver.next();
        assert_eq!(actions, [deliver(0, 1)]);
        assert!(within(wait, secs(nominal), 0.75, 1.0), "{wait:?}");
    }
    assert_eq!(driver.state(), State::Valid);
}

#[test]
fn a_sink_that_only_the_operator_can_mend_is_tried_slowly_and_at_once_after_a_reload() {
    let mut driver = Driver::with(settings_for(1), renewable(secs(360_000)));
    let failure = Failure::new(Class::Configuration);
    driver.actions();
    driver.event(Event::DeliveryFailed { sink: 0, generation: nth(1), failure });
    let (wait, actions) = driver.next();
    assert_eq!(actions, [deliver(0, 1)]);
    assert!(within(wait, secs(60), 0.75, 1.0));
    driver.event(Event::DeliveryFailed { sink: 0, generation: nth(1), failure });
    assert!(driver.after(Event::ConfigurationChanged).contains(&deliver(0, 1)));
}

#[test]
fn a_newer_token_does_not_wait_for_the_retry_of_an_older_one() {
    let mut driver = Driver::with(settings_for(1), renewable(secs(3600)));
    driver.actions();
    for _ in 0..8 {
        driver.event(Event::DeliveryFailed { sink: 0, generation: nth(1), failure: passing() });
        driver.next();
    }
    driver.event(Event::DeliveryFailed { sink: 0, generation: nth(1), failure: passing() });
    assert!(replace(&mut driver).contains(&deliver(0, 2)));
}

#[test]
fn deliveries_to_one_sink_never_overlap_and_never_go_back() {
    let mut driver = Driver::with(settings_for(1), renewable(secs(3600)));
    assert_eq!(driver.actions(), [deliver(0, 1)]);
    assert_eq!(replace(&mut driver), [], "the first is still in flight");
    assert_eq!(
        replace(&mut driver)[..2],
        [Action::Revoke { generation: nth(2) }, Action::Forget { generation: nth(2) }]
    );
    let failed = Event::DeliveryFailed { sink: 0, generation: nth(1), failure: passing() };
    let actions = driver.after(failed);
    assert_eq!(actions, [Action::Forget { generation: nth(1) }, deliver(0, 3)]);
}

#[test]
fn an_old_token_is_renewed_until_its_sink_has_the_newer_one_and_never_revoked() {
    let mut driver = Driver::settled(settings_for(2), renewable(secs(3600)));
    assert_eq!(replace(&mut driver), [deliver(0, 2), deliver(1, 2)]);
    assert_eq!(driver.after(Event::Delivered { sink: 0, generation: nth(2) }), []);
    let mut renewals = [0; 3];
    while driver.elapsed() < secs(20_000) {
        for action in driver.next().1 {
            match action {
                Action::Renew { generation } => {
                    renewals[usize::try_from(generation.number()).expect("small")] += 1;
                    let token = renewable(secs(3600));
                    driver.event(Event::Renewed { generation, token });
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(renewals[1] >= 7 && renewals[2] >= 7, "{renewals:?}");
    let actions = driver.after(Event::Delivered { sink: 1, generation: nth(2) });
    assert_eq!(actions, [Action::Forget { generation: nth(1) }]);
}

#[test]
fn sinks_get_time_to_take_the_newer_token_before_the_old_one_is_renewed() {
    let mut driver = Driver::settled(settings_for(1), renewable(secs(3600)));
    while driver.next().1 != [log_in(2)] {
        driver.event(Event::RenewalFailed { generation: nth(1), failure: passing() });
    }
    let left = secs(3600) - driver.elapsed();
    let token = renewable(secs(3600));
    assert_eq!(
        driver.after(Event::LoggedIn { generation: driver.asked(), token, check_after: None }),
        [deliver(0, 2)]
    );
    let (wait, actions) = driver.next();
    assert_eq!(actions, [Action::Renew { generation: nth(1) }]);
    assert!(within(wait, left, 0.4, 0.6));
}

#[test]
fn an_old_token_that_dies_or_expires_is_forgotten() {
    let mut driver = Driver::settled(settings_for(1), renewable(secs(100)));
    replace(&mut driver);
    let (_, actions) = driver.next();
    assert_eq!(actions, [Action::Renew { generation: nth(1) }]);
    let died = Event::RenewalFailed { generation: nth(1), failure: invalid_token() };
    assert_eq!(driver.after(died), [Action::Forget { generation: nth(1) }]);
    assert_eq!(driver.state(), State::Valid);

    let mut driver = Driver::settled(settings_for(1), batch(secs(100)));
    replace(&mut driver);
    let (wait, actions) = driver.next();
    assert_eq!((wait, actions), (secs(99), vec![Action::Forget { generation: nth(1) }]));
}

#[test]
fn a_token_that_no_sink_ever_got_is_revoked_when_superseded() {
    let mut driver = Driver::with(settings_for(1), renewable(secs(3600)));
    driver.actions();
    let failure = Failure::new(Class::Configuration);
    driver.event(Event::DeliveryFailed { sink: 0, generation: nth(1), failure });
    let actions = replace(&mut driver);
    assert_eq!(
        actions,
        [
            Action::Revoke { generation: nth(1) },
            Action::Forget { generation: nth(1) },
            deliver(0, 2)
        ]
    );
}

#[test]
fn a_dead_token_is_delivered_no_more_and_its_replacement_to_every_sink() {
    let checked = Settings { token_check: TokenCheck::Auto, ..settings_for(2) };
    let mut driver = Driver::with(checked, renewable(secs(3600)));
    driver.actions();
    driver.event(Event::Delivered { sink: 0, generation: nth(1) });
    driver.event(Event::DeliveryFailed { sink: 1, generation: nth(1), failure: passing() });
    driver.event(Event::CheckFailed { generation: nth(1), failure: invalid_token() });
    driver.actions();
    driver.sleep(secs(100));
    assert_eq!(driver.actions(), [], "no delivery of a dead token");
    let token = renewable(secs(3600));
    let actions =
        driver.after(Event::LoggedIn { generation: driver.asked(), token, check_after: None });
    assert_eq!(actions[..3], [Action::Forget { generation: nth(1) }, deliver(0, 2), deliver(1, 2)]);
}

#[test]
fn shutting_down_with_everything_delivered_just_finishes() {
    let mut driver = Driver::settled(settings_for(1), renewable(secs(3600)));
    assert_eq!(driver.after(Event::ShutDown), [Action::Finished]);
    assert_eq!(driver.state(), State::ShutDown);
    assert_eq!(driver.lifecycle.next_timeout(), None);
    driver.sleep(secs(100_000));
    assert_eq!(driver.after(Event::CredentialsChanged), []);
}

#[test]
fn shutting_down_during_a_login_waits_for_it_and_revokes_what_came() {
    let mut driver = Driver::new(settings_for(1), 1);
    driver.actions();
    assert_eq!(driver.after(Event::ShutDown), [Action::CancelLogin]);
    assert_eq!(driver.after(Event::CredentialsChanged), []);
    let came = Event::LoggedIn {
        generation: driver.asked(),
        token: renewable(secs(60)),
        check_after: None,
    };
    let generation = nth(1);
    assert_eq!(
        driver.after(came),
        [Action::Revoke { generation }, Action::Forget { generation }, Action::Finished]
    );

    let mut driver = Driver::new(settings_for(1), 1);
    driver.actions();
    driver.event(Event::ShutDown);
    driver.actions();
    assert_eq!(driver.after(Event::LoginFailed(passing())), [Action::Finished]);
}

#[test]
fn shutting_down_revokes_a_token_that_no_sink_has() {
    let mut driver = Driver::with(settings_for(1), renewable(secs(3600)));
    driver.actions();
    driver.event(Event::DeliveryFailed { sink: 0, generation: nth(1), failure: passing() });
    let generation = nth(1);
    assert_eq!(
        driver.after(Event::ShutDown),
        [Action::Revoke { generation }, Action::Forget { generation }, Action::Finished]
    );
}

#[test]
fn shutting_down_waits_for_deliveries_and_revokes_nothing_that_may_have_arrived() {
    let mut driver = Driver::with(settings_for(2), renewable(secs(3600)));
    driver.actions();
    driver.event(Event::DeliveryFailed { sink: 0, generation: nth(1), failure: passing() });
    assert_eq!(driver.after(Event::ShutDown), []);
    let failed = Event::DeliveryFailed { sink: 1, generation: nth(1), failure: passing() };
    assert_eq!(driver.after(failed), [Action::Finished]);
}

#[test]
fn a_token_that_the_server_calls_invalid_when_it_is_wrapped_is_replaced_at_once() {
    let mut driver = Driver::with(settings_for(1), renewable(secs(3600)));
    assert_eq!(driver.actions(), [deliver(0, 1)]);
    let failure = invalid_token();
    let actions = driver.after(Event::DeliveryFailed { sink: 0, generation: nth(1), failure });
    assert!(actions.contains(&log_in(2)), "{actions:?}");
}

#[test]
fn a_token_that_may_not_be_wrapped_is_only_looked_up() {
    let settings = Settings { token_check: TokenCheck::Auto, ..settings_for(1) };
    let mut driver = Driver::with(settings, renewable(secs(3600)));
    assert_eq!(driver.actions(), [deliver(0, 1), Action::Check { generation: nth(1) }]);
    let alive = renewable(secs(3600));
    assert_eq!(driver.after(Event::Checked { generation: nth(1), token: alive }), []);
    let failure = Failure { permission_denied: true, ..Failure::new(Class::Refused) };
    let actions = driver.after(Event::DeliveryFailed { sink: 0, generation: nth(1), failure });
    assert_eq!(actions, [Action::Check { generation: nth(1) }]);
}
