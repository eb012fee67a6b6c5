//! A thousand machines and one server: what happens to one must not happen to it all at once.

use std::time::Duration;

use super::driver::{secs, settings};
use super::simulation::{Role, Simulation};
use crate::{Action, Settings, TokenCheck};

const MACHINES: u64 = 1000;

/// All requests of this kind that a fleet makes in the time after `from`, each machine started
/// at the same moment.
fn fleet(
    outage: std::ops::Range<Duration>,
    settings: &Settings,
    role: &Role,
    until: Duration,
    kind: impl Fn(&Action) -> bool,
) -> Vec<Duration> {
    let mut times = Vec::new();
    for seed in 0..MACHINES {
        let mut world = Simulation::new(settings.clone(), role.clone(), seed);
        world.outages.push(outage.clone());
        world.run_until(until);
        times.extend(world.times(&kind).into_iter().filter(|at| *at >= outage.end));
    }
    times.sort();
    times
}

/// The most of `times` that fall into one second.
fn busiest_second(times: &[Duration]) -> usize {
    (0..times.len())
        .map(|first| times[first..].iter().take_while(|at| **at < times[first] + secs(1)).count())
        .max()
        .unwrap_or_default()
}

fn unchecked() -> Settings {
    Settings { token_check: TokenCheck::Off, ..settings(0) }
}

#[test]
fn a_fleet_that_starts_during_an_outage_logs_in_spread_over_a_back_off() {
    let back = secs(3600);
    let logins = fleet(secs(0)..back, &unchecked(), &Role::default(), back + secs(400), |action| {
        matches!(action, Action::LogIn { .. })
    });
    assert_eq!(logins.len(), 1000, "one login each once the server is back");
    assert!(logins[999] <= back + secs(301));
    assert!(busiest_second(&logins) < 25, "{} in one second", busiest_second(&logins));
}

#[test]
fn a_fleet_that_starts_together_renews_apart() {
    let renewals = fleet(secs(0)..secs(0), &unchecked(), &Role::default(), secs(3600), |action| {
        matches!(action, Action::Renew { .. })
    });
    assert_eq!(renewals.len(), 1000);
    assert!(busiest_second(&renewals) < 20, "{} in one second", busiest_second(&renewals));
}

#[test]
fn a_fleet_that_lost_its_tokens_in_an_outage_comes_back_apart() {
    let role = Role { renewable: false, ..Role::default() };
    let outage = secs(1000)..secs(8000);
    let logins = fleet(outage, &unchecked(), &role, secs(8400), |action| {
        matches!(action, Action::LogIn { .. })
    });
    assert_eq!(logins.len(), 1000);
    assert!(busiest_second(&logins) < 25, "{} in one second", busiest_second(&logins));
}
