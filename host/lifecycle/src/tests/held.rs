//! The rules of a lease that somebody else holds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::driver::secs;
use crate::{Backoff, Class, Failure, Granted, HeldAction, HeldEvent, HeldLease, Machine};

fn held(now: Instant, ttl: u64, seed: u64) -> HeldLease {
    let backoff = Backoff { min: Duration::from_secs(1), max: Duration::from_mins(5) };
    HeldLease::new(now, granted(ttl), Arc::new(backoff), seed)
}

fn granted(ttl: u64) -> Granted {
    Granted { ttl: Some(secs(ttl)), renewable: true }
}

/// Lets it come to its next renewal.
fn renew(lease: &mut HeldLease) -> Instant {
    let at = lease.next_deadline().expect("it is renewed some time");
    assert_eq!(lease.poll_action(at), Some(HeldAction::Renew));
    assert!(lease.is_busy());
    assert_eq!(lease.next_deadline(), None);
    at
}

#[test]
fn it_is_renewed_at_two_thirds_until_that_no_longer_helps() {
    let start = Instant::now();
    let mut lease = held(start, 1000, 7);
    let at = renew(&mut lease);
    assert!((600..700).contains(&(at - start).as_secs()));
    lease.handle(at, HeldEvent::Renewed(granted(1000)));
    assert_eq!(lease.ends_at(), Some(at + secs(1000)));
    assert_eq!(lease.worth_until(), lease.ends_at());
    let last = renew(&mut lease);
    let left = lease.ends_at().unwrap() - last;
    lease.handle(last, HeldEvent::Renewed(Granted { ttl: Some(left), renewable: true }));
    assert_eq!(lease.next_deadline(), None, "its maximum TTL is near");
    assert!(lease.worth_until() < lease.ends_at());
    assert_eq!(lease.poll_action(last + secs(5000)), None);
}

#[test]
fn a_refusal_is_final_at_once_and_anything_else_is_tried_again() {
    let mut lease = held(Instant::now(), 1000, 7);
    let at = renew(&mut lease);
    lease.handle(at, HeldEvent::RenewalFailed(Failure::new(Class::Passing)));
    let again = renew(&mut lease);
    assert!(again - at <= secs(1));
    lease.handle(again, HeldEvent::RenewalFailed(Failure::new(Class::Refused)));
    assert_eq!(lease.next_deadline(), None);
    assert!(lease.worth_until() < lease.ends_at());
}

#[test]
fn what_nobody_wants_is_not_renewed_until_somebody_does() {
    let mut lease = held(Instant::now(), 1000, 7);
    let at = renew(&mut lease);
    lease.handle(at, HeldEvent::Unwanted);
    assert!(!lease.is_busy() && !lease.is_wanted());
    assert_eq!((lease.next_deadline(), lease.lost_at()), (None, None));
    let later = at + secs(100);
    lease.handle(later, HeldEvent::Wanted);
    assert_eq!(lease.poll_action(later), Some(HeldAction::Renew));
}

#[test]
fn it_goes_on_when_the_server_is_back() {
    let mut lease = held(Instant::now(), 100_000, 7);
    let mut at = renew(&mut lease);
    for _ in 0..9 {
        lease.handle(at, HeldEvent::RenewalFailed(Failure::new(Class::Passing)));
        at = renew(&mut lease);
    }
    lease.handle(at, HeldEvent::RenewalFailed(Failure::new(Class::Passing)));
    assert!(lease.next_deadline().unwrap() - at > secs(200));
    lease.handle(at, HeldEvent::ServerReached);
    assert!(lease.next_deadline().unwrap() - at <= secs(1));
}

#[derive(Clone, Debug)]
enum Step {
    Sleep(u64),
    ToDeadline,
    Tell(HeldEvent),
}

fn steps() -> impl Strategy<Value = Step> {
    let failure = (prop::bool::ANY, prop::option::of(0_u64..4000)).prop_map(|(passing, wait)| {
        let class = if passing { Class::Passing } else { Class::Refused };
        Failure { retry_after: wait.map(secs), ..Failure::new(class) }
    });
    prop_oneof![
        2 => (0_u64..900).prop_map(Step::Sleep),
        6 => Just(Step::ToDeadline),
        4 => (0_u64..2000, prop::bool::weighted(0.9)).prop_map(|(ttl, renewable)| {
            Step::Tell(HeldEvent::Renewed(Granted { ttl: Some(secs(ttl)), renewable }))
        }),
        2 => failure.prop_map(|failure| Step::Tell(HeldEvent::RenewalFailed(failure))),
        1 => Just(Step::Tell(HeldEvent::Unwanted)),
        2 => Just(Step::Tell(HeldEvent::Wanted)),
        1 => Just(Step::Tell(HeldEvent::ServerReached)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens: one renewal at a time, none after the end or a refusal, and no deadline
    /// that is over once it was polled.
    #[test]
    fn a_held_lease_keeps_its_promises(
        seed in any::<u64>(),
        ttl in 1_u64..2000,
        steps in prop::collection::vec(steps(), 1..80),
    ) {
        let mut now = Instant::now();
        let mut lease = held(now, ttl, seed);
        let (mut in_flight, mut refused, mut ends) = (false, false, now + secs(ttl));
        for step in steps {
            match step {
                Step::Sleep(wait) => now += secs(wait),
                Step::ToDeadline => now = lease.next_deadline().map_or(now, |at| at.max(now)),
                Step::Tell(event) => {
                    match event {
                        HeldEvent::Renewed(granted) if in_flight => {
                            in_flight = false;
                            ends = now + granted.ttl.unwrap();
                        }
                        HeldEvent::RenewalFailed(failure) if in_flight => {
                            in_flight = false;
                            refused |= failure.class == Class::Refused;
                        }
                        HeldEvent::Unwanted => in_flight = false,
                        _ => {}
                    }
                    lease.handle(now, event);
                }
            }
            if lease.poll_action(now).is_some() {
                prop_assert!(!in_flight && !refused && now < ends && lease.is_wanted());
                in_flight = true;
            }
            prop_assert_eq!(lease.ends_at(), Some(ends));
            prop_assert!(lease.worth_until() <= Some(ends));
            prop_assert!(lease.next_deadline().is_none_or(|at| at > now && at < ends));
            prop_assert_eq!(lease.is_busy(), in_flight);
        }
    }
}
