//! Logging in: the first time, after failures, after changes; and looking.

use super::driver::{
    Driver, batch, forbidden, invalid_token, log_in, look, nth, passing, renewable, secs, settings,
    within,
};
use crate::{Action, Class, Event, Failure, Notice, Settings, State, TokenCheck};

fn looking() -> Settings {
    Settings {
        reauthenticate_on_new_credentials: true,
        token_check: TokenCheck::Off,
        ..settings(0)
    }
}

#[test]
fn the_first_login_is_at_once() {
    let mut driver = Driver::new(settings(1), 1);
    assert_eq!(driver.actions(), [log_in(1)]);
    assert_eq!(driver.state(), State::Authenticating);
    assert_eq!(driver.lifecycle.next_timeout(), None);
}

#[test]
fn failed_logins_wait_from_min_doubling_to_max_each_with_jitter() {
    for class in [Class::Passing, Class::Refused] {
        let mut first_waits = Vec::new();
        for seed in 0..50 {
            let mut driver = Driver::new(settings(0), seed);
            driver.actions();
            for nominal in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
                driver.event(Event::LoginFailed(Failure::new(class)));
                assert_eq!(driver.state(), State::Unauthenticated);
                let (wait, actions) = driver.next();
                assert_eq!(actions, [log_in(1)]);
                assert!(within(wait, secs(nominal), 0.75, 1.0), "{wait:?} for {nominal} s");
                if nominal == 1 {
                    first_waits.push(wait);
                }
            }
        }
        first_waits.sort();
        first_waits.dedup();
        assert!(first_waits.len() > 40, "the first wait has jitter too");
    }
}

#[test]
fn a_changed_credential_ends_the_wait_but_not_against_a_retry_after() {
    let mut driver = Driver::new(settings(0), 1);
    driver.actions();
    driver.event(Event::LoginFailed(passing()));
    assert_eq!(driver.after(Event::CredentialsChanged), [log_in(1)]);

    driver.event(Event::LoginFailed(Failure { retry_after: Some(secs(30)), ..passing() }));
    driver.sleep(secs(5));
    assert_eq!(driver.after(Event::CredentialsChanged), []);
    let (wait, _) = driver.next();
    assert!(wait >= secs(25));
}

#[test]
fn a_credential_that_flaps_wakes_once_per_min_backoff() {
    let mut driver = Driver::new(settings(0), 1);
    driver.actions();
    for _ in 0..12 {
        driver.event(Event::LoginFailed(passing()));
        driver.next();
    }
    driver.event(Event::LoginFailed(passing()));
    let mut logins = 0;
    for _ in 0..600 {
        driver.event(Event::CredentialsChanged);
        driver.sleep(secs(1) / 10);
        for action in driver.actions() {
            assert_eq!(action, log_in(1));
            logins += 1;
            driver.event(Event::LoginFailed(passing()));
        }
    }
    assert!((55..=61).contains(&logins), "{logins} in a minute");
}

#[test]
fn a_change_while_a_login_is_in_flight_counts_when_that_fails() {
    let mut driver = Driver::new(settings(0), 1);
    driver.actions();
    assert_eq!(driver.after(Event::CredentialsChanged), []);
    assert_eq!(driver.after(Event::LoginFailed(passing())), [log_in(1)]);
}

#[test]
fn after_a_configuration_failure_only_a_change_leads_to_another_login() {
    for change in [Event::ConfigurationChanged, Event::CredentialsChanged] {
        let mut driver = Driver::new(settings(0), 1);
        driver.actions();
        driver.event(Event::LoginFailed(Failure::new(Class::Configuration)));
        assert_eq!(driver.lifecycle.next_timeout(), None);
        driver.sleep(secs(1_000_000));
        assert_eq!(driver.actions(), []);
        assert_eq!(driver.after(change.clone()), [log_in(1)]);

        // Nor does a file that flaps make a storm of it.
        driver.event(Event::LoginFailed(Failure::new(Class::Configuration)));
        assert_eq!(driver.after(change.clone()), []);
        assert_eq!(driver.after(change), []);
        assert_eq!(driver.next(), (secs(1), vec![log_in(1)]));
    }
}

#[test]
fn a_change_frees_the_login_also_while_the_token_has_time_left() {
    for change in [Event::ConfigurationChanged, Event::CredentialsChanged] {
        let settings = Settings { token_check: TokenCheck::Every(secs(10)), ..settings(0) };
        let mut driver = Driver::with(settings, batch(secs(60)));
        assert_eq!(driver.next_but_checks().1, log_in(2));
        driver.event(Event::LoginFailed(Failure::new(Class::Configuration)));
        // Somebody else prolonged the token.
        assert_eq!(driver.next().1, [Action::Check { generation: nth(1) }]);
        driver.event(Event::Checked { generation: nth(1), token: batch(secs(3600)) });
        assert_eq!(driver.after(change), []);
        let (at, action) = driver.next_but_checks();
        assert_eq!(action, log_in(2));
        assert!(at > secs(2000), "{at:?}");
    }
}

#[test]
fn a_changed_credential_beside_a_good_token_leads_to_a_look_only_if_wanted() {
    let token = renewable(secs(3600));
    let mut driver = Driver::with(looking(), token);
    assert_eq!(driver.after(Event::CredentialsChanged), [look(2)]);
    assert_eq!(driver.state(), State::Valid);

    let unwanted = Settings { reauthenticate_on_new_credentials: false, ..looking() };
    let mut driver = Driver::with(unwanted, token);
    assert_eq!(driver.after(Event::CredentialsChanged), []);
}

#[test]
fn a_change_during_a_look_leads_to_another_look() {
    let mut driver = Driver::with(looking(), renewable(secs(3600)));
    assert_eq!(driver.after(Event::CredentialsChanged), [look(2)]);
    assert_eq!(driver.after(Event::CredentialsChanged), []);
    assert_eq!(driver.after(Event::Unchanged { check_after: None }), []);
    assert_eq!(driver.next(), (secs(1), vec![look(2)]));
}

#[test]
fn a_method_is_looked_at_when_it_asked_for_it() {
    let mut driver = Driver::new(looking(), 1);
    driver.actions();
    let token = renewable(secs(3600));
    driver.event(Event::LoggedIn {
        generation: driver.asked(),
        token,
        check_after: Some(secs(60)),
    });
    assert_eq!(driver.next(), (secs(60), vec![look(2)]));
    driver.event(Event::Unchanged { check_after: Some(secs(90)) });
    assert_eq!(driver.next(), (secs(90), vec![look(2)]));
    driver.event(Event::LoggedIn { generation: driver.asked(), token, check_after: None });
    assert_eq!(driver.lifecycle.generation(), Some(nth(2)));
}

#[test]
fn a_method_that_asked_for_it_is_looked_at_only_if_wanted() {
    let unwanted = Settings { reauthenticate_on_new_credentials: false, ..looking() };
    let mut driver = Driver::new(unwanted.clone(), 1);
    driver.actions();
    let token = renewable(secs(3600));
    driver.event(Event::LoggedIn {
        generation: driver.asked(),
        token,
        check_after: Some(secs(60)),
    });
    driver.sleep(secs(120));
    assert_eq!(driver.actions(), []);

    // Another version of the method sees it differently, and then the first one again.
    driver.lifecycle.set(driver.now, looking());
    assert_eq!(driver.after(Event::ConfigurationChanged), [look(2)]);
    driver.event(Event::Unchanged { check_after: Some(secs(60)) });
    driver.lifecycle.set(driver.now, unwanted);
    driver.sleep(secs(120));
    assert_eq!(driver.after(Event::CredentialsChanged), []);
}

#[test]
fn the_number_of_sinks_stays_when_other_settings_count() {
    let mut driver = Driver::new(settings(1), 1);
    driver.actions();
    driver.lifecycle.set(driver.now, settings(2));
    let token = renewable(secs(3600));
    let actions =
        driver.after(Event::LoggedIn { generation: driver.asked(), token, check_after: None });
    assert!(actions.contains(&Action::Deliver { sink: 0, generation: nth(1) }), "{actions:?}");
    driver.event(Event::Delivered { sink: 0, generation: nth(1) });
    assert!(driver.lifecycle.all_delivered());
}

#[test]
fn a_failed_look_changes_nothing_but_is_repeated() {
    for class in [Class::Passing, Class::Refused, Class::Configuration] {
        let mut driver = Driver::with(looking(), renewable(secs(36000)));
        driver.event(Event::CredentialsChanged);
        assert_eq!(driver.actions(), [look(2)]);
        driver.event(Event::LookFailed(Failure::new(class)));
        assert_eq!(driver.state(), State::Valid);
        assert_eq!(driver.lifecycle.generation(), Some(nth(1)));
        let (wait, actions) = driver.next();
        assert_eq!(actions, [look(2)]);
        assert!(wait <= secs(300));
    }
}

#[test]
fn tokens_without_life_are_failed_logins_and_cost_no_good_token() {
    let mut driver = Driver::new(settings(1), 1);
    driver.actions();
    for nominal in [1, 2, 4] {
        driver.event(Event::LoggedIn {
            generation: driver.asked(),
            token: batch(secs(0)),
            check_after: None,
        });
        let generation = driver.asked();
        let actions = driver.actions();
        let lifeless = Action::Say(Notice::Lifeless { generation });
        assert_eq!(actions, [lifeless, Action::Forget { generation }]);
        let (wait, actions) = driver.next();
        assert_eq!(actions, [Action::LogIn { generation: generation.next() }]);
        assert!(within(wait, secs(nominal), 0.75, 1.0));
    }

    let mut driver = Driver::settled(looking(), renewable(secs(3600)));
    driver.event(Event::CredentialsChanged);
    assert_eq!(driver.actions(), [look(2)]);
    driver.event(Event::LoggedIn {
        generation: driver.asked(),
        token: batch(secs(0)),
        check_after: None,
    });
    assert_eq!(driver.lifecycle.generation(), Some(nth(1)));
    assert_eq!(driver.state(), State::Valid);
}

#[test]
fn tokens_that_are_dead_at_once_are_replaced_once_and_then_on_the_back_off() {
    let mut driver = Driver::new(settings(0), 1);
    driver.actions();
    let mut waits = Vec::new();
    for generation in (1..=6).map(nth) {
        driver.event(Event::LoggedIn {
            generation: driver.asked(),
            token: renewable(secs(3600)),
            check_after: None,
        });
        assert_eq!(driver.actions().last(), Some(&Action::Check { generation }));
        driver.event(Event::CheckFailed { generation, failure: invalid_token() });
        assert_eq!(driver.actions()[0], Action::Say(Notice::Died { generation }));
        if driver.state() == State::Authenticating {
            waits.push(secs(0));
        } else {
            assert_eq!(driver.state(), State::Expired);
            let (wait, actions) = driver.next();
            assert_eq!(actions, [Action::LogIn { generation: generation.next() }]);
            waits.push(wait);
        }
    }
    assert_eq!(waits[0], secs(0));
    for (wait, nominal) in waits[1..].iter().zip([1, 2, 4, 8, 16]) {
        assert!(within(*wait, secs(nominal), 0.75, 1.0), "{waits:?}");
    }
}

#[test]
fn tokens_of_a_few_milliseconds_make_no_storm() {
    let mut driver = Driver::new(settings(0), 1);
    driver.actions();
    let mut logins = 1;
    while driver.elapsed() < secs(3600) {
        driver.event(Event::LoggedIn {
            generation: driver.asked(),
            token: renewable(secs(1) / 1000),
            check_after: None,
        });
        loop {
            let (_, actions) = driver.next();
            if actions.iter().any(|action| matches!(action, Action::LogIn { .. })) {
                break;
            }
            for action in actions {
                if let Action::Check { generation } = action {
                    driver.event(Event::CheckFailed { generation, failure: passing() });
                }
            }
        }
        logins += 1;
    }
    assert!(logins < 30, "{logins} in an hour");
}

#[test]
fn an_answer_that_nobody_asked_for_changes_nothing() {
    let mut driver = Driver::settled(settings(1), renewable(secs(3600)));
    for event in [
        Event::LoginFailed(forbidden()),
        Event::LookFailed(forbidden()),
        Event::Unchanged { check_after: Some(secs(1)) },
        Event::RenewalFailed { generation: nth(1), failure: invalid_token() },
        Event::CheckFailed { generation: nth(1), failure: invalid_token() },
        Event::CheckFailed { generation: nth(9), failure: invalid_token() },
        Event::Delivered { sink: 9, generation: nth(1) },
        Event::DeliveryFailed { sink: 0, generation: nth(1), failure: forbidden() },
    ] {
        let before = driver.lifecycle.next_step();
        assert_eq!(driver.after(event), []);
        assert_eq!(driver.lifecycle.next_step(), before);
        assert_eq!(driver.state(), State::Valid);
    }
    // A token nobody waits for is at least not left behind.
    let generation = nth(2);
    let stray = Event::LoggedIn { generation, token: renewable(secs(60)), check_after: None };
    assert_eq!(driver.after(stray), [Action::Revoke { generation }, Action::Forget { generation }]);
    assert_eq!(driver.lifecycle.generation(), Some(nth(1)));
}

#[test]
fn no_number_names_two_tokens() {
    let mut driver = Driver::settled(looking(), renewable(secs(3600)));
    let token = renewable(secs(60));
    let again = |number| Event::LoggedIn { generation: nth(number), token, check_after: None };
    assert_eq!(driver.after(again(1)), [], "not even to revoke it: it would hit the first");
    assert_eq!(driver.after(Event::CredentialsChanged), [look(2)]);
    assert_eq!(driver.after(again(1)), []);
    assert_eq!(driver.lifecycle.generation(), Some(nth(1)));
    driver.event(again(2));
    assert_eq!(driver.lifecycle.generation(), Some(nth(2)), "the look was still to be answered");
}

#[test]
fn a_login_that_brings_no_token_leaves_its_number_to_the_next() {
    let mut driver = Driver::new(settings(0), 1);
    assert_eq!(driver.actions(), [log_in(1)]);
    driver.event(Event::LoginFailed(passing()));
    assert_eq!(driver.next().1, [log_in(1)]);
    driver.event(Event::LoggedIn {
        generation: driver.asked(),
        token: batch(secs(0)),
        check_after: None,
    });
    driver.actions();
    assert_eq!(driver.next().1, [log_in(2)], "one without life is a token all the same");
}
