//! How long the machine waits: for what the server asks, for a token's last chance, and until
//! something else has reached the server.

use std::time::Duration;

use super::driver::{
    Driver, batch, forbidden, log_in, nth, passing, renewable, secs, settings, within,
};
use crate::{Action, Backoff, Event, Failure, Settings, State, TokenCheck};

fn unchecked(max_backoff: Duration) -> Settings {
    let backoff = Backoff { min: secs(1), max: max_backoff };
    Settings { backoff, token_check: TokenCheck::Off, ..settings(0) }
}

/// Waits of 5 s and more, which nothing but a wake-up shortens.
fn slow() -> Settings {
    Settings {
        backoff: Backoff { min: secs(5), max: secs(300) },
        sink_backoff: Backoff { min: secs(5), max: secs(300) },
        ..unchecked(secs(300))
    }
}

fn busy(seconds: u64) -> Failure {
    Failure { retry_after: Some(secs(seconds)), ..passing() }
}

fn not_renewed(failure: Failure) -> Event {
    Event::RenewalFailed { generation: nth(1), failure }
}

#[test]
fn a_retry_after_is_a_lower_bound_within_the_longest_wait() {
    for (asked, max, low, high) in [
        (30, 300, 30.0, 31.0),
        (120, 5, 3.75, 5.0),
        (5, 5, 3.75, 5.0),
        (4, 5, 4.0, 5.0),
        (u64::MAX, 300, 225.0, 300.0),
        (0, 300, 0.75, 1.0),
    ] {
        let mut driver = Driver::new(unchecked(secs(max)), 1);
        driver.actions();
        driver.event(Event::LoginFailed(busy(asked)));
        let (wait, actions) = driver.next();
        assert_eq!(actions, [log_in(1)]);
        assert!((low..=high).contains(&wait.as_secs_f64()), "{wait:?} for {asked} within {max}");
    }
}

#[test]
fn a_renewal_that_the_server_puts_off_comes_before_the_token_needs_another_login() {
    for asked in [3600, u64::MAX] {
        for ttl in [15, 60, 3600] {
            let mut driver = Driver::with(unchecked(secs(300)), renewable(secs(ttl)));
            assert_eq!(driver.next().1, [Action::Renew { generation: nth(1) }]);
            driver.event(not_renewed(busy(asked)));
            assert_eq!(
                driver.next().1,
                [Action::Renew { generation: nth(1) }],
                "{asked} for {ttl} s"
            );
            assert!(driver.elapsed() <= secs(ttl).mul_f64(0.9));
            let token = renewable(secs(ttl));
            assert_eq!(driver.after(Event::Renewed { generation: nth(1), token }), []);
            assert_eq!(driver.state(), State::Valid);
        }
    }
}

#[test]
fn a_login_comes_while_the_token_surely_lives_whatever_the_server_asks_of_renewals() {
    // A server counts a life from the full second in which it began: a second may be gone. Below six
    // seconds there isn't room for a second attempt that follows the back-off.
    for ttl in [6, 8, 10, 15, 60] {
        for seed in 0..200 {
            let mut driver = Driver::seeded(unchecked(secs(300)), renewable(secs(ttl)), seed);
            loop {
                match driver.next().1[..] {
                    [Action::Renew { .. }] => driver.event(not_renewed(busy(3600))),
                    [Action::LogIn { .. }] => break,
                    ref other => panic!("{other:?}"),
                }
            }
            let elapsed = driver.elapsed();
            assert!(elapsed < secs(ttl - 1), "{elapsed:?} of {ttl} s, seed {seed}");
        }
    }
}

#[test]
fn what_the_server_asks_of_renewals_binds_no_login_and_the_other_way_round() {
    let mut driver = Driver::with(unchecked(secs(300)), renewable(secs(60)));
    assert_eq!(driver.next().1, [Action::Renew { generation: nth(1) }]);
    driver.event(not_renewed(busy(3600)));
    assert_eq!(driver.next().1, [Action::Renew { generation: nth(1) }]);
    driver.event(not_renewed(busy(3600)));
    let (wait, actions) = driver.next();
    assert_eq!(actions, [log_in(2)]);
    assert!(wait <= secs(2), "{wait:?}");
    driver.event(Event::LoginFailed(busy(3600)));
    // The renewal waits for half of what the token had left, not for the login's hour.
    let before = driver.elapsed();
    assert_eq!(driver.next().1, [Action::Renew { generation: nth(1) }]);
    assert!(driver.elapsed() - before < secs(60) - before, "not past its end");
    driver.event(Event::Renewed { generation: nth(1), token: renewable(secs(60)) });
    assert_eq!(driver.state(), State::Valid);
}

#[test]
fn a_server_that_always_asks_for_an_hour_is_asked_to_the_tokens_last_second_but_not_stormed() {
    for ttl in [15, 60, 3600] {
        let mut driver = Driver::with(unchecked(secs(300)), renewable(secs(ttl)));
        let mut attempts = Vec::new();
        while driver.state() != State::Expired {
            for action in driver.next().1 {
                match action {
                    Action::LogIn { .. } => driver.event(Event::LoginFailed(busy(3600))),
                    Action::Renew { .. } => driver.event(not_renewed(busy(3600))),
                    _ => continue,
                }
                attempts.push(driver.elapsed());
            }
        }
        let last = attempts.last().expect("attempts");
        assert!(secs(ttl) - *last < secs(3), "{attempts:?}");
        assert!(attempts.windows(2).all(|pair| pair[1] - pair[0] >= secs(1) * 3 / 4));
        assert!(attempts.len() < 30, "{attempts:?}");
    }
}

#[test]
fn a_wait_of_the_back_off_does_not_outlast_a_token_either() {
    // 32 s after the sixth failure would be too late.
    let mut driver = Driver::with(unchecked(secs(300)), batch(secs(60)));
    let mut last = secs(0);
    while driver.state() != State::Expired {
        for action in driver.next().1 {
            if matches!(action, Action::LogIn { .. }) {
                last = driver.elapsed();
                driver.event(Event::LoginFailed(passing()));
            }
        }
    }
    assert!(last > secs(57), "{last:?}");
}

#[test]
fn a_login_beside_a_good_token_is_tried_again_before_that_ends() {
    let mut driver = Driver::with(unchecked(secs(300)), batch(secs(15)));
    assert_eq!(driver.next().1, [log_in(2)]);
    driver.event(Event::LoginFailed(busy(120)));
    assert_eq!(driver.next().1, [log_in(2)]);
    assert!(driver.elapsed() < secs(15), "{:?}", driver.elapsed());
}

#[test]
fn a_wrapping_that_the_server_puts_off_costs_no_token() {
    // As the agent has it: sinks are tried every few seconds, the server may ask for more.
    let sinks = Backoff { min: secs(1), max: secs(3) };
    let settings = Settings { sinks: 1, sink_backoff: sinks, ..unchecked(secs(60)) };
    for (asked, ttl, low, high) in [(30, 3600, 30, 31), (3600, 3600, 45, 60), (3600, 15, 1, 14)] {
        let mut driver = Driver::with(settings.clone(), renewable(secs(ttl)));
        driver.actions();
        let failure = busy(asked);
        driver.event(Event::DeliveryFailed { sink: 0, generation: nth(1), failure });
        let next = loop {
            let (_, actions) = driver.next();
            match actions[0] {
                Action::Renew { generation } => {
                    driver.event(Event::Renewed { generation, token: renewable(secs(ttl)) });
                }
                action => break action,
            }
        };
        assert_eq!(next, Action::Deliver { sink: 0, generation: nth(1) });
        let waited = driver.elapsed();
        assert!((secs(low)..=secs(high)).contains(&waited), "{waited:?} for {asked} of {ttl} s");
    }
}

#[test]
fn what_waits_for_the_server_goes_on_within_a_second_of_its_return() {
    let mut waits = Vec::new();
    for seed in 0..50 {
        let mut driver = Driver::new(unchecked(secs(300)), seed);
        driver.actions();
        for _ in 0..8 {
            driver.event(Event::LoginFailed(passing()));
            driver.next();
        }
        driver.event(Event::LoginFailed(passing()));
        driver.sleep(secs(10));
        assert_eq!(driver.after(Event::ServerReached), []);
        let (wait, actions) = driver.next();
        assert_eq!(actions, [log_in(1)]);
        assert!(wait <= secs(1), "{wait:?}");
        waits.push(wait);
    }
    waits.sort();
    waits.dedup();
    assert!(waits.len() > 40, "not all at the same moment");
}

#[test]
fn renewals_checks_and_deliveries_go_on_too_when_the_server_is_reached() {
    let settings = Settings { token_check: TokenCheck::Every(secs(600)), ..settings(1) };
    let mut driver = Driver::with(settings, renewable(secs(36_000)));
    let mut actions = driver.actions();
    let mut woken = false;
    while !woken {
        for action in actions {
            driver.event(match action {
                Action::Check { generation } => {
                    Event::CheckFailed { generation, failure: passing() }
                }
                Action::Deliver { sink, generation } => {
                    Event::DeliveryFailed { sink, generation, failure: passing() }
                }
                other => panic!("{other:?}"),
            });
        }
        if driver.lifecycle.next_timeout() > Some(driver.now + secs(10)) {
            driver.event(Event::ServerReached);
            driver.sleep(secs(1));
            actions = driver.actions();
            assert!(actions.contains(&Action::Check { generation: nth(1) }), "{actions:?}");
            assert!(
                actions.contains(&Action::Deliver { sink: 0, generation: nth(1) }),
                "{actions:?}"
            );
            woken = true;
        } else {
            actions = driver.next().1;
        }
    }

    let mut driver = Driver::with(unchecked(secs(300)), renewable(secs(36_000)));
    for _ in 0..8 {
        assert_eq!(driver.next().1, [Action::Renew { generation: nth(1) }]);
        driver.event(not_renewed(passing()));
    }
    driver.event(Event::ServerReached);
    let (wait, actions) = driver.next();
    assert!(wait <= secs(1), "{wait:?}");
    assert_eq!(actions, [Action::Renew { generation: nth(1) }]);
}

#[test]
fn reaching_the_server_wakes_neither_refusals_nor_what_it_put_off() {
    let mut driver = Driver::new(unchecked(secs(300)), 1);
    driver.actions();
    for failure in [forbidden(), busy(200)] {
        for _ in 0..9 {
            driver.event(Event::LoginFailed(failure));
            driver.next();
        }
        driver.event(Event::LoginFailed(failure));
        driver.event(Event::ServerReached);
        let (wait, actions) = driver.next();
        assert_eq!(actions, [log_in(1)]);
        assert!(wait >= secs(200), "{wait:?}");
    }
}

#[test]
fn where_waking_does_not_help_it_follows_a_back_off_of_its_own() {
    // The server works, but for this login: something is reached every second.
    let mut driver = Driver::new(unchecked(secs(300)), 1);
    driver.actions();
    driver.event(Event::LoginFailed(passing()));
    let mut logins = 0;
    while driver.elapsed() < secs(3600) {
        driver.event(Event::ServerReached);
        driver.sleep(secs(1));
        for action in driver.actions() {
            assert_eq!(action, log_in(1));
            logins += 1;
            driver.event(Event::LoginFailed(passing()));
        }
    }
    assert!(logins < 45, "{logins} in an hour");
    // Once it has worked, the next outage is a new one.
    driver.event(Event::ServerReached);
    driver.next();
    driver.event(Event::LoggedIn {
        generation: driver.asked(),
        token: renewable(secs(3600)),
        check_after: None,
    });
    assert_eq!(driver.next().1, [Action::Renew { generation: nth(1) }]);
    driver.event(not_renewed(passing()));
    driver.next();
    driver.event(not_renewed(passing()));
    driver.event(Event::ServerReached);
    assert!(driver.next().0 <= secs(1));
}

#[test]
fn a_change_and_the_servers_return_share_one_attempt_per_min_backoff() {
    let both = [Event::CredentialsChanged, Event::ServerReached];
    for [first, second] in [both.clone(), [both[1].clone(), both[0].clone()]] {
        let mut driver = Driver::new(slow(), 1);
        driver.actions();
        for _ in 0..8 {
            driver.event(Event::LoginFailed(passing()));
            driver.next();
        }
        driver.event(Event::LoginFailed(passing()));
        driver.event(first);
        assert!(driver.next().0 <= secs(1));
        driver.event(Event::LoginFailed(passing()));
        driver.event(second);
        assert_eq!(driver.next(), (secs(5), vec![log_in(1)]));
    }
}

#[test]
fn an_attempt_that_was_woken_but_put_off_counts_from_when_it_came() {
    let mut driver = Driver::new(slow(), 1);
    driver.actions();
    for _ in 0..8 {
        driver.event(Event::LoginFailed(passing()));
        driver.next();
    }
    driver.event(Event::LoginFailed(busy(30)));
    driver.event(Event::CredentialsChanged);
    assert!(driver.next().0 >= secs(30));
    driver.event(Event::LoginFailed(passing()));
    driver.event(Event::CredentialsChanged);
    assert_eq!(driver.next(), (secs(5), vec![log_in(1)]));
}

#[test]
fn looks_checks_and_deliveries_are_no_storm_either_whatever_wakes_them() {
    let settings = Settings {
        sinks: 1,
        token_check: TokenCheck::Every(secs(60)),
        reauthenticate_on_new_credentials: true,
        ..slow()
    };
    let mut driver = Driver::with(settings, renewable(secs(36_000)));
    let [mut looks, mut checks, mut deliveries] = [0; 3];
    while driver.elapsed() < secs(600) {
        driver.event(Event::ConfigurationChanged);
        driver.event(Event::ServerReached);
        driver.event(Event::CredentialsChanged);
        for action in driver.actions() {
            let (attempts, failed) = match action {
                Action::Look { .. } => (&mut looks, Event::LookFailed(passing())),
                Action::Check { generation } => {
                    (&mut checks, Event::CheckFailed { generation, failure: passing() })
                }
                Action::Deliver { sink, generation } => (
                    &mut deliveries,
                    Event::DeliveryFailed { sink, generation, failure: passing() },
                ),
                other => panic!("{other:?}"),
            };
            *attempts += 1;
            driver.event(failed);
        }
        driver.sleep(secs(1) / 10);
    }
    for attempts in [looks, checks, deliveries] {
        // One woken per 5 s, and those of the back-off or the interval.
        assert!((1..=600 / 5 + 12).contains(&attempts), "{looks}, {checks}, {deliveries}");
    }
}

#[test]
fn other_bounds_hold_at_once_also_for_a_wait_that_has_begun() {
    let mut driver = Driver::new(unchecked(secs(300)), 1);
    driver.actions();
    for _ in 0..10 {
        driver.event(Event::LoginFailed(busy(3600)));
        driver.next();
    }
    driver.event(Event::LoginFailed(busy(3600)));
    let shorter = unchecked(secs(5));
    driver.lifecycle.set(driver.now, shorter);
    let (wait, actions) = driver.next();
    assert_eq!((wait, actions), (secs(5), vec![log_in(1)]));
    driver.event(Event::LoginFailed(passing()));
    assert!(within(driver.next().0, secs(5), 0.75, 1.0));
}
