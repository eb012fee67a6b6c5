//! What a life leaves to the one that follows it, and what that makes of it.

use super::driver::{
    Driver, batch, forbidden, log_in, nth, passing, renewable, secs, settings, within,
};
use crate::{Action, Backoff, Event, Settings, State, Token, TokenCheck, Worth};

fn unchecked(sinks: usize) -> Settings {
    Settings { token_check: TokenCheck::Off, ..settings(sinks) }
}

fn heir(settings: Settings, token: Token, holders: Vec<usize>, worth: Worth) -> Driver {
    let mut driver = Driver::new(settings, 3);
    assert_eq!(driver.actions(), [log_in(1)]);
    driver.event(Event::Inherited {
        generation: driver.asked(),
        token,
        check_after: None,
        holders,
        worth,
    });
    driver
}

#[test]
fn an_inherited_token_lives_on_like_one_of_its_own() {
    let mut driver = heir(unchecked(2), renewable(secs(3600)), vec![1], Worth::Own);
    assert_eq!(driver.actions(), [Action::Deliver { sink: 0, generation: nth(1) }]);
    driver.event(Event::Delivered { sink: 0, generation: nth(1) });
    assert!(driver.lifecycle.all_delivered());
    let (wait, actions) = driver.next();
    assert_eq!(actions, [Action::Renew { generation: nth(1) }]);
    assert!(within(wait, secs(3600), 0.6, 0.7), "{wait:?}");
}

#[test]
fn a_foreign_token_is_renewed_and_goes_nowhere_until_a_login_has_succeeded() {
    let never_ends = Token { ttl: None, renewable: false, use_limited: false };
    for token in [renewable(secs(3600)), batch(secs(3600)), never_ends] {
        let mut driver = heir(unchecked(2), token, vec![0], Worth::Foreign);
        assert_eq!(driver.actions(), [log_in(2)]);
        assert!(!driver.lifecycle.all_delivered());
        driver.event(Event::LoginFailed(forbidden()));
        let mut renewals = 0;
        let end = if token.renewable { secs(20_000) } else { secs(3000) };
        while driver.elapsed() < end {
            for action in driver.next().1 {
                match action {
                    Action::LogIn { .. } => driver.event(Event::LoginFailed(forbidden())),
                    Action::Renew { generation } => {
                        renewals += 1;
                        driver.event(Event::Renewed { generation, token });
                    }
                    other => panic!("{other:?} at {:?} of {token:?}", driver.elapsed()),
                }
            }
        }
        assert!(driver.lifecycle.has_good_token());
        assert_eq!(renewals > 5, token.renewable, "{renewals}");
        while driver.next().1 != [log_in(2)] {
            driver.event(Event::Renewed { generation: nth(1), token });
        }
        let own = renewable(secs(3600));
        let actions = driver.after(Event::LoggedIn {
            generation: driver.asked(),
            token: own,
            check_after: None,
        });
        let to = |sink| Action::Deliver { sink, generation: nth(2) };
        assert_eq!(actions, [to(0), to(1)], "and it isn't revoked");
        driver.event(Event::Delivered { sink: 1, generation: nth(2) });
        let actions = driver.after(Event::Delivered { sink: 0, generation: nth(2) });
        assert_eq!(actions, [Action::Forget { generation: nth(1) }]);
        assert_eq!(driver.next().1, [Action::Renew { generation: nth(2) }], "one login is enough");
    }
}

#[test]
fn logins_that_fail_keep_no_foreign_token_from_its_renewal() {
    // Just less than what is left of the token: no wait is cut short for its end.
    let backoff = Backoff { min: secs(90), max: secs(90) };
    let token = renewable(secs(100));
    let settings = Settings { backoff, ..unchecked(0) };
    let mut driver = heir(settings, token, Vec::new(), Worth::Foreign);
    assert_eq!(driver.actions(), [log_in(2)]);
    driver.event(Event::LoginFailed(passing()));
    let (wait, actions) = driver.next();
    assert_eq!(actions, [Action::Renew { generation: nth(1) }]);
    assert!(within(wait, secs(100), 0.6, 0.7), "{wait:?}");
    // And the renewal brings the login no nearer.
    driver.event(Event::Renewed { generation: nth(1), token });
    assert_eq!(driver.actions(), []);
    assert_eq!(driver.next().1, [log_in(2)]);
    assert!(driver.elapsed() >= secs(67), "{:?}", driver.elapsed());
}

#[test]
fn a_changed_credential_hastens_the_login_that_is_to_replace_a_foreign_token() {
    let mut driver = heir(unchecked(0), renewable(secs(36_000)), Vec::new(), Worth::Foreign);
    assert_eq!(driver.actions(), [log_in(2)]);
    for _ in 0..8 {
        driver.event(Event::LoginFailed(passing()));
        driver.next();
    }
    driver.event(Event::LoginFailed(passing()));
    assert_eq!(driver.state(), State::Degraded);
    assert_eq!(driver.after(Event::CredentialsChanged), [log_in(2)]);
}

#[test]
fn handing_over_keeps_a_token_that_nobody_has_received_yet() {
    let mut driver = Driver::with(unchecked(1), renewable(secs(3600)));
    driver.actions();
    driver.event(Event::DeliveryFailed { sink: 0, generation: nth(1), failure: passing() });
    assert_eq!(driver.after(Event::HandOver), [Action::Finished]);
    assert_eq!(driver.lifecycle.generation(), Some(nth(1)));
    assert!(driver.lifecycle.has_good_token());
}

#[test]
fn a_token_that_nobody_received_is_revoked_if_another_arrives_during_the_hand_over() {
    let mut driver = heir(unchecked(1), renewable(secs(3600)), Vec::new(), Worth::Foreign);
    assert_eq!(driver.actions(), [log_in(2)]);
    assert_eq!(driver.after(Event::HandOver), [Action::CancelLogin]);
    let came = Event::LoggedIn {
        generation: driver.asked(),
        token: renewable(secs(60)),
        check_after: None,
    };
    let (revoke, forget) =
        (Action::Revoke { generation: nth(1) }, Action::Forget { generation: nth(1) });
    assert_eq!(driver.after(came), [revoke, forget, Action::Finished]);
    assert_eq!(driver.lifecycle.generation(), Some(nth(2)));
}

#[test]
fn handing_over_keeps_a_token_that_arrives_meanwhile() {
    let mut driver = Driver::new(unchecked(1), 1);
    driver.actions();
    assert_eq!(driver.after(Event::HandOver), [Action::CancelLogin]);
    let came = Event::LoggedIn {
        generation: driver.asked(),
        token: renewable(secs(60)),
        check_after: None,
    };
    assert_eq!(driver.after(came), [Action::Finished]);
    assert_eq!(driver.lifecycle.generation(), Some(nth(1)));
    assert!(driver.lifecycle.has_good_token());
}
