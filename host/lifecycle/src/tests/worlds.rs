//! Months and years of one identity in worlds where things go wrong.

use std::time::Duration;

use super::driver::{nth, secs, settings};
use super::simulation::{Role, Simulation};
use crate::{Action, Settings, State, TokenCheck};

const DAY: Duration = Duration::from_hours(24);

fn is_login(action: &Action) -> bool {
    matches!(action, Action::LogIn { .. })
}

fn is_check(action: &Action) -> bool {
    matches!(action, Action::Check { .. })
}

fn is_renewal(action: &Action) -> bool {
    matches!(action, Action::Renew { .. })
}

#[test]
fn one_login_and_its_renewals_last_for_years() {
    let mut world = Simulation::new(settings(2), Role::default(), 1);
    world.run_until(DAY * 365 * 3);
    let life = secs(0)..DAY * 365 * 3;
    assert_eq!(world.count(&life, is_login), 1);
    let renewals = world.count(&life, is_renewal);
    assert!((36_000..45_000).contains(&renewals), "{renewals}");
    assert_eq!(world.uncovered, [secs(0); 2]);
}

#[test]
fn a_role_with_a_maximum_ttl_never_leaves_a_sink_without_a_living_token() {
    let role = Role { max_ttl: Some(DAY), ..Role::default() };
    let mut world = Simulation::new(settings(2), role, 1);
    world.run_until(DAY * 100);
    assert_eq!(world.uncovered, [secs(0); 2]);
    let logins = world.count(&(secs(0)..DAY * 100), is_login);
    assert!((100..106).contains(&logins), "{logins} for a hundred days");
}

#[test]
fn batch_tokens_follow_each_other_without_a_gap() {
    let role = Role { renewable: false, ..Role::default() };
    let mut world = Simulation::new(settings(1), role, 1);
    world.run_until(DAY * 30);
    assert_eq!(world.uncovered, [secs(0)]);
    assert_eq!(world.count(&(secs(0)..DAY * 30), is_renewal), 0);
    let logins = world.count(&(secs(0)..DAY * 30), is_login);
    assert!((800..900).contains(&logins), "{logins} for 720 hours");
}

#[test]
fn a_token_without_the_default_policy_lives_its_whole_ttl_with_one_login() {
    let role = Role { may_look_up: false, may_renew: false, ..Role::default() };
    let mut world = Simulation::new(settings(1), role, 1);
    world.run_until(secs(3600 * 8 / 10));
    assert_eq!(world.count(&(secs(0)..DAY), is_login), 1);
    assert_eq!(world.count(&(secs(0)..DAY), is_check), 2, "a first one and its second opinion");
    assert_eq!(world.lifecycle.state(), State::Valid);
    world.run_until(DAY * 10);
    assert_eq!(world.uncovered, [secs(0)]);
}

#[test]
fn a_revoked_token_is_replaced_in_every_sink_within_one_check() {
    for says_invalid_token in [true, false] {
        let role = Role { says_invalid_token, ..Role::default() };
        let mut world = Simulation::new(settings(2), role, 1);
        world.revocations = (1..20).map(|n| secs(40_000 * n)).collect();
        world.run_until(DAY * 30);
        assert_eq!(world.count(&(secs(0)..DAY * 30), is_login), 20);
        for uncovered in &world.uncovered {
            assert!(*uncovered <= secs(361) * 19, "{uncovered:?} in 19 revocations");
        }
    }
}

#[test]
fn a_revoked_token_that_may_not_look_itself_up_is_replaced_after_a_failed_renewal() {
    let role = Role { may_look_up: false, ..Role::default() };
    let mut world = Simulation::new(settings(1), role, 1);
    world.revocations = vec![secs(10_000)];
    world.run_until(DAY);
    assert_eq!(world.count(&(secs(0)..DAY), is_login), 2);
    assert!(world.uncovered[0] < secs(2520));
    assert!(world.is_alive(nth(2)));
}

#[test]
fn a_server_down_at_start_is_found_within_one_back_off_of_its_return() {
    for hours in 1..20 {
        let mut world = Simulation::new(settings(1), Role::default(), hours);
        let back = Duration::from_mins(37 * hours);
        world.outages.push(secs(0)..back);
        world.run_until(back + secs(301));
        assert_eq!(world.lifecycle.state(), State::Valid);
        assert!(world.lifecycle.all_delivered());
    }
}

#[test]
fn a_server_down_for_less_than_a_third_of_the_ttl_costs_nothing() {
    let mut world = Simulation::new(settings(1), Role::default(), 3);
    world.outages = (1..100).map(|n| secs(20_000 * n)..secs(20_000 * n + 900)).collect();
    world.run_until(DAY * 25);
    assert_eq!(world.uncovered, [secs(0)]);
    let kept = world.issued.iter().filter(|token| token.revoked.is_some()).count();
    assert_eq!(kept, 0, "no token is ever thrown away");
}

#[test]
fn a_one_shot_credential_survives_an_outage_past_the_time_of_a_new_login() {
    for seed in 0..50 {
        let role = Role { one_shot: true, ..Role::default() };
        let mut world = Simulation::new(settings(1), role, seed);
        world.outages.push(secs(60)..secs(2900));
        world.run_until(DAY);
        assert_eq!(world.uncovered, [secs(0)], "seed {seed}");
        assert_eq!(world.lifecycle.state(), State::Valid);
    }
}

#[test]
fn a_long_outage_costs_the_token_but_not_the_server() {
    let mut world = Simulation::new(settings(1), Role::default(), 3);
    let outage = DAY..DAY * 8;
    world.outages.push(outage.clone());
    world.run_until(outage.end + secs(301));
    assert_eq!(world.lifecycle.state(), State::Valid);
    let logins = world.count(&outage, is_login);
    assert!((2016..=2700).contains(&logins), "{logins} in a week of 5-minute waits");
}

#[test]
fn a_broken_sink_keeps_its_old_token_alive_and_the_other_sink_up_to_date() {
    let role = Role { max_ttl: Some(secs(7200)), ..Role::default() };
    let mut world = Simulation::new(settings(2), role, 5);
    world.sink_outages[0].push(secs(6000)..DAY);
    world.run_until(DAY);
    assert_eq!(world.uncovered[1], secs(0));
    assert_eq!(world.holds[0], Some(nth(1)), "it could not be given another one");
    let still_renewed = world.times(|action| *action == Action::Renew { generation: nth(1) });
    assert!(still_renewed.last().is_some_and(|at| *at > secs(5000)));
    world.run_until(DAY + secs(61));
    assert_eq!(world.holds[0], world.holds[1]);
    assert!(world.lifecycle.all_delivered());
}

#[test]
fn requests_stay_rare_whatever_happens() {
    let every = Settings { token_check: TokenCheck::Every(secs(30)), ..settings(1) };
    let role = Role { max_ttl: Some(secs(1200)), ttl: secs(300), ..Role::default() };
    let mut world = Simulation::new(every, role, 5);
    world.outages = (1..50).map(|n| secs(5_000 * n)..secs(5_000 * n + 1500)).collect();
    world.revocations = (1..50).map(|n| secs(3_333 * n)).collect();
    world.run_until(DAY * 3);
    let requests = world.times(|action| is_login(action) || is_renewal(action) || is_check(action));
    for window in requests.windows(60) {
        assert!(window[59] - window[0] > secs(300), "a minute's worth at {:?}", window[0]);
    }
}
