//! Keeping a token alive: renewal, replacement in time, checks, proof of death.

use std::time::Duration;

use super::driver::{
    Driver, batch, forbidden, invalid_token, log_in, nth, passing, renewable, secs, settings,
    within,
};
use crate::{Action, Event, Failure, Notice, Settings, State, Step, Token, TokenCheck};

fn unchecked() -> Settings {
    Settings { token_check: TokenCheck::Off, ..settings(0) }
}

#[test]
fn a_token_is_renewed_at_two_thirds_of_its_ttl() {
    let mut driver = Driver::with(unchecked(), renewable(secs(3600)));
    for generation in [nth(1); 5] {
        let (wait, actions) = driver.next();
        assert!(within(wait, secs(3600), 0.6, 0.7), "{wait:?}");
        assert_eq!(actions, [Action::Renew { generation }]);
        assert_eq!(driver.state(), State::Renewing);
        driver.event(Event::Renewed { generation, token: renewable(secs(3600)) });
        assert_eq!(driver.lifecycle.expires_at(), Some(driver.now + secs(3600)));
    }
}

#[test]
fn a_token_that_cannot_be_renewed_is_replaced_at_80_to_90_percent() {
    let use_limited = Token { use_limited: true, ..renewable(secs(3600)) };
    for token in [batch(secs(3600)), use_limited] {
        let mut driver = Driver::settled(settings(1), token);
        let (at, action) = driver.next_but_checks();
        assert_eq!(action, log_in(2));
        assert!(within(at, secs(3600), 0.8, 0.9), "{at:?}");
        assert_eq!(driver.state(), State::Renewing);
    }
}

#[test]
fn a_token_that_never_expires_is_only_checked() {
    let root = Token { ttl: None, renewable: false, use_limited: false };
    let mut driver = Driver::with(settings(0), root);
    for _ in 0..100 {
        let (wait, actions) = driver.next();
        assert_eq!(actions, [Action::Check { generation: nth(1) }]);
        assert!(driver.elapsed() == secs(0) || within(wait, secs(900), 0.9, 1.0));
        driver.event(Event::Checked { generation: nth(1), token: root });
    }
    let driver = Driver::with(unchecked(), root);
    assert_eq!(driver.lifecycle.next_timeout(), None);
}

#[test]
fn near_its_maximum_ttl_a_token_is_replaced_in_time() {
    let mut driver = Driver::with(unchecked(), renewable(secs(100)));
    driver.next();
    let first = driver.elapsed();
    driver.event(Event::Renewed { generation: nth(1), token: renewable(secs(150) - first) });
    driver.next();
    let left = secs(150) - driver.elapsed();
    let actions = driver.after(Event::Renewed { generation: nth(1), token: renewable(left) });
    assert_eq!(actions, [Action::Say(Notice::RenewalEnded { generation: nth(1) })]);
    let (_, actions) = driver.next();
    assert_eq!(actions, [log_in(2)]);
    let (granted, at) = (secs(150) - first, driver.elapsed() - first);
    assert!(within(at, granted, 0.8, 0.9), "{at:?} of {granted:?}");
}

#[test]
fn a_refused_renewal_without_proof_of_death_only_leads_to_a_timely_login() {
    let mut driver = Driver::with(unchecked(), renewable(secs(3600)));
    driver.next();
    let refused = || Event::RenewalFailed { generation: nth(1), failure: forbidden() };
    assert_eq!(driver.after(refused()), []);
    assert_eq!(driver.state(), State::Valid);
    let (wait, actions) = driver.next();
    assert_eq!(actions, [Action::Renew { generation: nth(1) }], "a second opinion");
    assert!(within(wait, secs(4), 0.75, 1.0), "{wait:?}");
    let actions = driver.after(refused());
    assert_eq!(actions, [Action::Say(Notice::RenewalEnded { generation: nth(1) })]);
    assert_eq!(driver.state(), State::Valid);
    let (_, actions) = driver.next();
    assert_eq!(actions, [log_in(2)]);
    assert!(within(driver.elapsed(), secs(3600), 0.8, 0.9));
}

#[test]
fn a_renewal_that_is_refused_once_costs_nothing() {
    let mut driver = Driver::with(unchecked(), renewable(secs(3600)));
    for failures in [vec![forbidden()], vec![forbidden(), passing(), forbidden()]] {
        assert_eq!(driver.next().1, [Action::Renew { generation: nth(1) }]);
        for failure in failures {
            assert_eq!(driver.after(Event::RenewalFailed { generation: nth(1), failure }), []);
            assert_eq!(driver.next().1, [Action::Renew { generation: nth(1) }]);
        }
        let token = renewable(secs(3600));
        assert_eq!(driver.after(Event::Renewed { generation: nth(1), token }), []);
        assert_eq!(driver.state(), State::Valid);
        // From now on a 403 is proof of another kind.
        driver = Driver::with(unchecked(), renewable(secs(3600)));
    }
}

#[test]
fn a_refused_renewal_asks_for_a_check_where_checks_work() {
    let mut driver = Driver::settled(settings(1), renewable(secs(3600)));
    let (_, action) = driver.next_but_checks();
    assert_eq!(action, Action::Renew { generation: nth(1) });
    driver.event(Event::RenewalFailed { generation: nth(1), failure: forbidden() });
    assert!(driver.actions().contains(&Action::Check { generation: nth(1) }));
}

#[test]
fn a_passing_renewal_failure_is_retried_then_renewal_and_login_alternate() {
    let mut driver = Driver::with(unchecked(), renewable(secs(3600)));
    let mut attempts = Vec::new();
    let mut failures = 0;
    while driver.elapsed() < secs(3590) {
        let (wait, actions) = driver.next();
        let [action] = actions[..] else { panic!("{actions:?}") };
        if matches!(action, Action::Say(_)) {
            break;
        }
        if failures > 0 {
            let nominal = secs(1 << (failures - 1)).min(secs(300));
            let at_mark = matches!(action, Action::LogIn { .. });
            // A wait that would outlast the token leaves it half of what it has left.
            let outlasts = driver.elapsed() - wait + nominal >= secs(3600);
            let least = if outlasts { secs(1) } else { nominal };
            assert!(wait >= least.mul_f64(0.75) && (at_mark || wait <= nominal), "{wait:?}");
        }
        failures += 1;
        driver.event(match action {
            Action::LogIn { .. } => Event::LoginFailed(passing()),
            _ => Event::RenewalFailed { generation: nth(1), failure: passing() },
        });
        assert_eq!(driver.state(), State::Degraded);
        assert_eq!(driver.lifecycle.generation(), Some(nth(1)));
        attempts.push(action);
    }
    let first =
        attempts.iter().position(|action| matches!(action, Action::LogIn { .. })).expect("a login");
    assert!(first >= 5, "{attempts:?}");
    for pair in attempts[first..].windows(2) {
        assert_ne!(pair[0], pair[1], "renewal and login alternate");
    }
}

#[test]
fn a_login_that_only_the_operator_can_mend_leaves_renewals_going() {
    let mut driver = Driver::with(unchecked(), renewable(secs(3600)));
    driver.next();
    driver.event(Event::RenewalFailed { generation: nth(1), failure: passing() });
    let mut renewals = 0;
    loop {
        let (_, actions) = driver.next();
        match actions[0] {
            Action::LogIn { .. } => {
                driver.event(Event::LoginFailed(Failure::new(crate::Class::Configuration)));
            }
            Action::Renew { generation } => {
                renewals += 1;
                driver.event(Event::RenewalFailed { generation, failure: passing() });
            }
            _ => break,
        }
    }
    assert!(renewals > 8);
    assert_eq!(driver.state(), State::Expired);
    assert_eq!(driver.lifecycle.next_timeout(), None, "now it waits for the operator");
}

#[test]
fn a_token_is_kept_to_its_last_second_and_logins_go_on_after_it() {
    let mut driver = Driver::settled(settings(1), batch(secs(60)));
    let mut expired = false;
    for _ in 0..30 {
        let (_, actions) = driver.next();
        for action in actions {
            match action {
                Action::LogIn { .. } => driver.event(Event::LoginFailed(passing())),
                Action::Check { generation } => {
                    driver.event(Event::CheckFailed { generation, failure: passing() });
                }
                Action::Say(Notice::Expired { generation }) => {
                    assert_eq!(generation, nth(1));
                    assert_eq!(driver.elapsed(), secs(60));
                    expired = true;
                }
                other => panic!("{other:?}"),
            }
        }
        let states = if expired {
            [State::Expired, State::Authenticating]
        } else {
            [State::Valid, State::Degraded]
        };
        assert!(states.contains(&driver.state()), "{:?}", driver.state());
    }
    assert!(expired && driver.elapsed() > secs(300));
}

#[test]
fn checks_come_at_a_tenth_of_the_ttl_within_10_seconds_and_15_minutes() {
    for (ttl, interval) in [(60, 10), (3600, 360), (1_000_000, 900)] {
        let mut driver = Driver::settled(settings(1), renewable(secs(ttl)));
        let (wait, actions) = driver.next();
        assert_eq!(actions, [Action::Check { generation: nth(1) }]);
        assert!(within(wait, secs(interval), 0.9, 1.0), "{wait:?} for {ttl}");
    }
    let every = Settings { token_check: TokenCheck::Every(secs(5)), ..settings(1) };
    let mut driver = Driver::settled(every, renewable(secs(3600)));
    assert!(within(driver.next().0, secs(5), 0.9, 1.0));
}

#[test]
fn a_token_is_checked_right_after_login_unless_its_uses_are_counted() {
    let mut driver = Driver::with(settings(0), renewable(secs(3600)));
    assert_eq!(driver.actions(), [Action::Check { generation: nth(1) }]);
    let counted = Token { use_limited: true, ..renewable(secs(3600)) };
    let mut driver = Driver::with(settings(0), counted);
    assert_eq!(driver.actions(), []);
    assert_eq!(driver.next().1, [log_in(2)]);
}

#[test]
fn a_403_to_a_check_is_proof_only_after_a_check_that_succeeded() {
    let mut driver = Driver::settled(settings(1), renewable(secs(3600)));
    driver.next();
    let actions = driver.after(Event::CheckFailed { generation: nth(1), failure: forbidden() });
    assert_eq!(actions, [Action::Say(Notice::Died { generation: nth(1) }), log_in(2)]);
    assert_eq!(driver.state(), State::Authenticating);
    driver.event(Event::LoggedIn {
        generation: driver.asked(),
        token: renewable(secs(3600)),
        check_after: None,
    });
    let actions = driver.actions();
    assert!(actions.contains(&Action::Forget { generation: nth(1) }), "{actions:?}");
    assert!(actions.contains(&Action::Deliver { sink: 0, generation: nth(2) }), "{actions:?}");
}

#[test]
fn a_token_that_may_not_look_itself_up_lives_on_unchecked_and_that_is_said_once() {
    let mut driver = Driver::with(settings(0), renewable(secs(3600)));
    driver.actions();
    let refused = |generation| Event::CheckFailed { generation, failure: forbidden() };
    assert_eq!(driver.after(refused(nth(1))), []);
    assert_eq!(driver.state(), State::Valid);
    assert_eq!(driver.next().1, [Action::Check { generation: nth(1) }]);
    assert_eq!(driver.after(refused(nth(1))), [Action::Say(Notice::CheckingForbidden)]);
    assert_eq!(driver.state(), State::Valid);
    for _ in 0..2 {
        assert_eq!(driver.next().1, [Action::Renew { generation: nth(1) }]);
        driver.event(Event::RenewalFailed { generation: nth(1), failure: forbidden() });
    }
    driver.actions();
    assert_eq!(driver.next().1, [log_in(2)]);

    driver.event(Event::LoggedIn {
        generation: driver.asked(),
        token: renewable(secs(3600)),
        check_after: None,
    });
    assert!(
        driver.actions().contains(&Action::Check { generation: nth(2) }),
        "policies may differ"
    );
    assert_eq!(driver.after(refused(nth(2))), []);
    assert_eq!(driver.next().1, [Action::Check { generation: nth(2) }]);
    assert_eq!(driver.after(refused(nth(2))), []);
}

#[test]
fn a_first_look_up_that_is_refused_is_believed_only_when_it_is_again_seconds_later() {
    for (failures, switched_off) in [
        (vec![forbidden()], false),
        (vec![forbidden(), passing(), forbidden()], false),
        (vec![passing(), forbidden()], false),
        (vec![Failure::new(crate::Class::Refused)], false),
        (vec![forbidden(), forbidden()], true),
    ] {
        let mut driver = Driver::with(settings(0), renewable(secs(3600)));
        assert_eq!(driver.actions(), [Action::Check { generation: nth(1) }]);
        for (index, failure) in failures.iter().enumerate() {
            driver.event(Event::CheckFailed { generation: nth(1), failure: *failure });
            if index + 1 == failures.len() && switched_off {
                break;
            }
            let (wait, actions) = driver.next();
            assert_eq!(actions, [Action::Check { generation: nth(1) }], "{failures:?}");
            if failure.class == crate::Class::Refused {
                assert!(within(wait, secs(4), 0.75, 1.0), "{wait:?}");
            }
        }
        if switched_off {
            assert_eq!(driver.actions(), [Action::Say(Notice::CheckingForbidden)]);
            assert_eq!(driver.next().1, [Action::Renew { generation: nth(1) }]);
            continue;
        }
        // The checks go on, and prove a death later on.
        driver.event(Event::Checked { generation: nth(1), token: renewable(secs(3600)) });
        assert_eq!(driver.next().1, [Action::Check { generation: nth(1) }]);
        driver.event(Event::CheckFailed { generation: nth(1), failure: forbidden() });
        assert!(driver.actions().contains(&Action::Say(Notice::Died { generation: nth(1) })));
    }
}

#[test]
fn a_403_to_a_renewal_is_proof_only_after_a_renewal_that_succeeded() {
    let mut driver = Driver::with(unchecked(), renewable(secs(3600)));
    driver.next();
    driver.event(Event::Renewed { generation: nth(1), token: renewable(secs(3600)) });
    driver.next();
    let actions = driver.after(Event::RenewalFailed { generation: nth(1), failure: forbidden() });
    assert_eq!(actions, [Action::Say(Notice::Died { generation: nth(1) }), log_in(2)]);
}

#[test]
fn the_words_invalid_token_are_always_proof() {
    let mut driver = Driver::with(settings(0), renewable(secs(3600)));
    driver.actions();
    let actions = driver.after(Event::CheckFailed { generation: nth(1), failure: invalid_token() });
    assert_eq!(actions, [Action::Say(Notice::Died { generation: nth(1) }), log_in(2)]);
}

#[test]
fn requests_that_are_refused_have_the_token_looked_up_once_in_five_seconds() {
    let refused = Event::RequestRefused { generation: nth(1), invalid_token: false };
    let check = [Action::Check { generation: nth(1) }];
    let mut driver = Driver::settled(settings(0), renewable(secs(3600)));
    driver.sleep(secs(10));
    assert!(!driver.lifecycle.is_in_doubt(driver.now, nth(1)));
    assert_eq!(driver.after(refused.clone()), check);
    let token = driver.believed();
    driver.event(Event::Checked { generation: nth(1), token });
    assert!(!driver.lifecycle.is_in_doubt(driver.now, nth(1)));
    for _ in 0..100 {
        assert_eq!(driver.after(refused.clone()), []);
    }
    assert!(!driver.lifecycle.is_in_doubt(driver.now, nth(1)), "the next look-up has to wait");
    let (wait, actions) = driver.next();
    assert_eq!((wait, &actions[..]), (secs(5), &check[..]));
    let token = driver.believed();
    driver.event(Event::Checked { generation: nth(1), token });
    assert!(driver.next().0 > secs(60), "what was asked once is done once");
    assert!(
        driver.lifecycle.is_in_doubt(driver.now, nth(1))
            && !driver.lifecycle.is_in_doubt(driver.now, nth(2))
    );
    let after = driver.after(Event::CheckFailed { generation: nth(1), failure: forbidden() });
    assert_eq!(after, [Action::Say(Notice::Died { generation: nth(1) }), log_in(2)]);
}

#[test]
fn a_token_that_may_not_look_itself_up_is_looked_up_where_somebody_says_that_it_is_invalid() {
    let refused = |invalid_token| Event::RequestRefused { generation: nth(1), invalid_token };
    let mut driver = Driver::with(unchecked(), renewable(secs(3600)));
    assert_eq!(driver.after(refused(false)), []);
    let check = [Action::Check { generation: nth(1) }];
    assert_eq!(driver.after(refused(true)), check);
    // Whoever said so was not the server.
    driver.event(Event::CheckFailed { generation: nth(1), failure: forbidden() });
    assert_eq!(driver.state(), State::Valid);
    driver.sleep(secs(10));
    assert_eq!(driver.after(refused(true)), check);
    driver.event(Event::CheckFailed { generation: nth(1), failure: invalid_token() });
    assert_eq!(driver.state(), State::Authenticating);
    let limited = Token { use_limited: true, ..renewable(secs(3600)) };
    let mut driver = Driver::settled(settings(0), limited);
    assert_eq!(driver.after(refused(true)), [], "a look-up is a use");
}

#[test]
fn look_ups_that_are_forbidden_follow_the_back_off_where_requests_are_refused() {
    let mut driver = Driver::with(settings(0), renewable(secs(3600)));
    let check = [Action::Check { generation: nth(1) }];
    assert_eq!(driver.actions(), check);
    driver.event(Event::CheckFailed { generation: nth(1), failure: forbidden() });
    assert_eq!(driver.next().1, check);
    // The second time it is believed, and no look-up is planned any more.
    driver.event(Event::CheckFailed { generation: nth(1), failure: forbidden() });
    driver.actions();
    driver.event(Event::RequestRefused { generation: nth(1), invalid_token: true });
    let (wait, actions) = driver.next();
    assert_eq!(actions, check);
    assert!(wait >= settings(0).backoff.min * 3 / 4, "{wait:?}");
}

#[test]
fn a_passing_failure_of_a_check_keeps_the_token_and_is_retried_within_the_interval() {
    let mut driver = Driver::settled(settings(1), renewable(secs(3600)));
    driver.next();
    for _ in 0..12 {
        assert_eq!(driver.after(Event::CheckFailed { generation: nth(1), failure: passing() }), []);
        assert_eq!(driver.state(), State::Degraded);
        assert_eq!(driver.lifecycle.generation(), Some(nth(1)));
        let (wait, actions) = driver.next();
        assert!(wait <= secs(360));
        assert_eq!(actions, [Action::Check { generation: nth(1) }]);
    }
    let token = driver.believed();
    driver.event(Event::Checked { generation: nth(1), token });
    assert_eq!(driver.state(), State::Valid);
}

#[test]
fn a_successful_renewal_counts_as_a_check() {
    let every = Settings { token_check: TokenCheck::Every(secs(10_000)), ..settings(0) };
    let mut driver = Driver::settled(every, renewable(secs(12_000)));
    let (_, action) = driver.next_but_checks();
    assert_eq!(action, Action::Renew { generation: nth(1) });
    driver.event(Event::Renewed { generation: nth(1), token: renewable(secs(12_000)) });
    assert_eq!(driver.next().1, [Action::Renew { generation: nth(1) }], "no check in between");
}

#[test]
fn a_look_up_that_rounds_down_takes_nothing_from_a_short_life() {
    let mut driver = Driver::with(settings(0), renewable(secs(3)));
    driver.actions();
    let expiry = driver.lifecycle.expires_at();
    driver.event(Event::Checked { generation: nth(1), token: renewable(secs(2)) });
    assert_eq!(driver.lifecycle.expires_at(), expiry);
    assert_eq!(driver.next_but_checks().1, Action::Renew { generation: nth(1) });
}

#[test]
fn a_look_up_that_rounds_down_twice_neither_ends_a_short_life_nor_puts_its_renewal_off() {
    let mut driver = Driver::with(settings(0), renewable(secs(3)));
    driver.actions();
    let expiry = driver.lifecycle.expires_at();
    driver.now += Duration::from_millis(1700);
    driver.event(Event::Checked { generation: nth(1), token: renewable(secs(0)) });
    assert_eq!(driver.lifecycle.expires_at(), expiry);
    assert_eq!(driver.next_but_checks().1, Action::Renew { generation: nth(1) });
}

#[test]
fn a_renewal_that_gains_less_than_a_second_gains_nothing() {
    let mut driver = Driver::settled(settings(0), renewable(secs(3)));
    assert_eq!(driver.next_but_checks().1, Action::Renew { generation: nth(1) });
    driver.event(Event::Renewed { generation: nth(1), token: renewable(secs(1)) });
    let actions = driver.actions();
    assert_eq!(actions, [Action::Say(Notice::RenewalEnded { generation: nth(1) })]);
    assert_eq!(driver.next_but_checks().1, log_in(2));
    assert!(driver.lifecycle.expires_at().is_some_and(|at| at > driver.now));
}

#[test]
fn the_servers_word_on_what_is_left_counts_both_ways() {
    let mut driver = Driver::with(settings(0), renewable(secs(3600)));
    driver.actions();
    driver.event(Event::Checked { generation: nth(1), token: renewable(secs(100)) });
    assert_eq!(driver.lifecycle.expires_at(), Some(driver.now + secs(100)));
    let (at, action) = driver.next_but_checks();
    assert_eq!(action, Action::Renew { generation: nth(1) });
    assert!(within(at, secs(100), 0.6, 0.7));

    let mut driver = Driver::with(settings(0), batch(secs(60)));
    driver.actions();
    driver.event(Event::Checked { generation: nth(1), token: batch(secs(6000)) });
    assert_eq!(driver.lifecycle.expires_at(), Some(driver.now + secs(6000)));
}

#[test]
fn checks_that_confirm_the_expiry_do_not_put_the_renewal_off() {
    let mut driver = Driver::settled(settings(1), renewable(secs(3600)));
    let (at, action) = driver.next_but_checks();
    assert_eq!(action, Action::Renew { generation: nth(1) });
    assert!(within(at, secs(3600), 0.6, 0.7));
}

#[test]
fn the_next_step_is_shown() {
    let driver = Driver::with(unchecked(), renewable(secs(3600)));
    let next = driver.lifecycle.next_step().expect("a renewal");
    assert_eq!(next.step, Step::Renew);
    assert_eq!(Some(next.at), driver.lifecycle.next_timeout());
}
