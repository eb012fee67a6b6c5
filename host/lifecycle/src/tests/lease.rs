//! A lease by itself, whatever it is of: its plan, what ends renewal, and a fleet of them.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::driver::{forbidden, passing, secs, within};
use crate::lease::{Lease, MARGIN, Setback};
use crate::{Backoff, Class, Failure, Granted};

const BACKOFF: Backoff = Backoff { min: Duration::from_secs(1), max: Duration::from_mins(5) };

fn granted(ttl: Duration) -> Granted {
    Granted { ttl: Some(ttl), renewable: true }
}

#[test]
fn a_fleet_of_leases_granted_together_is_renewed_and_replaced_apart() {
    let now = Instant::now();
    for at in [Lease::renew_at, Lease::replace_at] {
        let mut times: Vec<Duration> = (0..1000)
            .map(|seed| {
                let mut random = SmallRng::seed_from_u64(seed);
                let lease = Lease::new(now, granted(secs(3600)), &mut random);
                at(&lease).expect("it has an end") - now
            })
            .collect();
        times.sort();
        assert!(times[999] - times[0] > secs(330), "over a tenth of the TTL");
        for window in times.windows(20) {
            assert!(window[19] - window[0] > secs(1), "twenty in a second at {:?}", window[0]);
        }
    }
}

#[test]
fn a_lease_that_never_ends_asks_for_nothing() {
    let now = Instant::now();
    let mut random = SmallRng::seed_from_u64(1);
    let mut lease = Lease::new(now, Granted { ttl: None, renewable: true }, &mut random);
    assert_eq!((lease.renew_at(), lease.replace_at(), lease.expires_at()), (None, None, None));
    assert!(!lease.expire(now + secs(1_000_000_000)));
    assert!(lease.last_chance(now).is_none());
}

#[test]
fn one_refusal_is_doubted_and_two_in_a_row_are_believed() {
    let now = Instant::now();
    let mut random = SmallRng::seed_from_u64(1);
    let mut lease = Lease::new(now, granted(secs(3600)), &mut random);
    for _ in 0..3 {
        let setback = lease.renewal_failed(now, forbidden(), &BACKOFF, &mut random);
        assert_eq!(setback, Setback::Doubtful);
        let again = lease.renewal_from(now) - now;
        assert!(within(again, secs(4), 0.75, 1.0), "{again:?}");
        let setback = lease.renewal_failed(now, passing(), &BACKOFF, &mut random);
        assert_eq!(setback, Setback::Passing);
    }
    lease.renewal_failed(now, forbidden(), &BACKOFF, &mut random);
    let setback = lease.renewal_failed(now, forbidden(), &BACKOFF, &mut random);
    assert_eq!(setback, Setback::Final);
    assert_eq!(lease.renew_at(), None);
    assert!(lease.replace_at().is_some(), "another one is wanted in time");
}

#[derive(Clone, Debug)]
enum Step {
    Sleep(Duration),
    Renewed(Granted),
    Told(Duration),
    Failed(Failure),
    ServerReached,
    Retire,
}

fn durations() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (1_000_u64..5_000).prop_map(Duration::from_millis),
        (1_u64..400).prop_map(Duration::from_secs),
        (1_u64..20_000).prop_map(Duration::from_secs),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let failures = (any::<bool>(), prop::option::weighted(0.2, durations())).prop_map(
        |(refused, retry_after)| {
            let class = if refused { Class::Refused } else { Class::Passing };
            Failure { retry_after, ..Failure::new(class) }
        },
    );
    prop_oneof![
        6 => durations().prop_map(Step::Sleep),
        4 => (durations(), prop::bool::weighted(0.8))
            .prop_map(|(ttl, renewable)| Step::Renewed(Granted { ttl: Some(ttl), renewable })),
        2 => durations().prop_map(Step::Told),
        4 => failures.prop_map(Step::Failed),
        1 => Just(Step::ServerReached),
        1 => Just(Step::Retire),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// It ends when the server said so last and not before; what is due of it is due before that;
    /// refused twice in a row it isn't renewed; a `Retry-After` is obeyed unless it would outlast it.
    #[test]
    fn whatever_happens_the_plan_fits_what_the_server_said(
        ttl in durations(),
        seed in any::<u64>(),
        steps in prop::collection::vec(steps(), 0..60),
    ) {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut now = Instant::now();
        let mut lease = Lease::new(now, granted(ttl), &mut random);
        // Whether the plan was made for just this end.
        let (mut end, mut exact, mut refusals) = (now + ttl, true, 0);
        for step in steps {
            match step {
                Step::Sleep(time) => now += time,
                Step::Renewed(granted) => {
                    lease.renewed(now, granted, &mut random);
                    end = now + granted.ttl.expect("always some");
                    exact = true;
                    refusals = if refusals < 2 { 0 } else { refusals };
                }
                Step::Told(ttl) => {
                    lease.told(now, granted(ttl), &mut random);
                    let told = now + ttl;
                    if told > end + secs(1) || end > told + secs(2) {
                        (end, exact) = (told, false);
                    }
                }
                Step::Failed(failure) => {
                    let setback = lease.renewal_failed(now, failure, &BACKOFF, &mut random);
                    if failure.class == Class::Refused {
                        refusals += 1;
                    } else if refusals < 2 {
                        refusals = 0;
                    }
                    let expected = match (failure.class, refusals) {
                        (Class::Refused, 1) => Setback::Doubtful,
                        (Class::Refused, _) => Setback::Final,
                        _ => Setback::Passing,
                    };
                    // A refusal after renewal has ended counts anew, for whoever asks all the same.
                    prop_assert!(setback == expected || refusals > 2, "{:?}", setback);
                    if setback == Setback::Passing {
                        lease.back_off(now, failure.class, &BACKOFF, &mut random);
                    }
                    let asked = failure.retry_after.unwrap_or_default().min(BACKOFF.max * 3 / 4);
                    if now + BACKOFF.max < end || end <= now {
                        prop_assert!(lease.renewal_from(now) >= now + asked);
                    }
                }
                Step::ServerReached => lease.server_reached(now, &BACKOFF),
                Step::Retire => lease.retire(now, &mut random),
            }
            lease.expire(now);
            prop_assert_eq!(lease.is_expired(), end <= now);
            prop_assert_eq!(lease.expires_at(), Some(end));
            prop_assert!(!lease.can_renew() || refusals < 2);
            let chance = lease.last_chance(now);
            let surely = chance.map(|chance| chance.end + MARGIN);
            prop_assert_eq!(surely, Some(end).filter(|end| *end > now));
            prop_assert!(chance.is_none_or(|chance| chance.at > now));
            if exact && !lease.is_expired() {
                prop_assert!(lease.renew_at().is_none_or(|at| at <= end));
                prop_assert!(lease.replace_at().is_some_and(|at| at <= end));
                prop_assert!(chance.is_some_and(|chance| chance.at <= end));
            }
        }
    }
}
