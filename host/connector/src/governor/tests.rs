//! The ceilings and the breaker in virtual time, and who is served first.

use bytes::Bytes;

use super::*;
use crate::body::Body;
use crate::breaker::FAILURES_TO_OPEN;

const LANES: [Lane; 3] = [Lane::Tokens, Lane::Secrets, Lane::Proxied];

/// Requests let through in `span` by somebody who asks again exactly when told to.
fn let_through(core: &mut Core, start: Instant, span: Duration) -> u32 {
    let mut now = start;
    let mut count = 0;
    while now < start + span {
        match core.try_take(Lane::Tokens, now) {
            Ok(()) => count += 1,
            Err(wait) => now += wait.max(Duration::from_nanos(1)),
        }
    }
    count
}

fn opened(now: Instant) -> Core {
    let mut core = Core::default();
    for _ in 1..FAILURES_TO_OPEN {
        assert_eq!(core.record(Outcome::Passing, now), None);
    }
    assert_eq!(core.record(Outcome::Passing, now), Some(Change::Opened));
    core
}

#[test]
fn a_burst_of_a_hundred_passes_and_then_twenty_a_second() {
    let now = Instant::now();
    let mut core = Core::default();
    assert_eq!(let_through(&mut core, now, Duration::from_millis(1)), 100);
    let next = let_through(&mut core, now + Duration::from_millis(1), Duration::from_secs(10));
    assert!((199..=201).contains(&next), "{next}");
}

#[test]
fn a_rate_limit_lowers_the_ceiling_and_never_raises_it() {
    let now = Instant::now();
    let counts = |per_second, burst| {
        let governor = Governor::with_rate_limit(per_second, burst);
        let core = &mut *governor.core();
        let at_once = let_through(core, now, Duration::from_millis(1));
        let later = now + Duration::from_millis(1);
        (at_once, let_through(core, later, Duration::from_secs(100)))
    };
    let (at_once, later) = counts(0.5, 3);
    assert_eq!(at_once, 3);
    assert!((49..=51).contains(&later), "{later}");
    let (at_once, later) = counts(1000.0, 1000);
    assert_eq!(at_once, 100);
    assert!((1999..=2001).contains(&later), "{later}");
    assert_eq!(counts(0.0, 0), (1, 0));
}

#[tokio::test]
async fn a_request_that_its_caller_gave_up_after_a_while_counts_as_a_failure() {
    let governor = Governor::new();
    let long_ago = Instant::now().checked_sub(LONG).unwrap();
    let under_way = |since| UnderWay { governor: Some(governor.clone()), waiting: Some(since) };
    for _ in 0..FAILURES_TO_OPEN {
        // Given up at once, as in a shutdown; ended well; given up in vain.
        drop(governor.watch());
        under_way(long_ago).ended();
        assert!(!governor.is_open());
        drop(under_way(long_ago));
    }
    assert!(governor.is_open());
}

#[test]
fn an_answer_that_its_reader_drops_says_nothing_of_the_server() {
    let governor = Governor::new();
    let long_ago = Instant::now().checked_sub(LONG).unwrap();
    let slow = || UnderWay { governor: Some(governor.clone()), waiting: Some(long_ago) };
    // Its head took long, and its reader had seen enough.
    for body in [Body::default(), Body::from(Bytes::from_static(b"unread"))] {
        drop(body.watched(Some(slow())));
    }
    assert_eq!(governor.requests(), Requests::default());
    // The next piece is waited for from when it was asked for.
    let mut under_way = slow();
    under_way.moved();
    under_way.wants_more();
    drop(under_way);
    assert_eq!(governor.requests(), Requests::default());
    // Asking again makes the wait no shorter.
    let mut under_way = slow();
    under_way.wants_more();
    drop(under_way);
    assert_eq!(governor.requests().passing, 1);
}

#[test]
fn the_first_success_after_passing_errors_is_told_and_no_other() {
    let governor = Governor::new();
    let mut recoveries = governor.clone().recoveries();
    for (outcome, told) in [
        (Outcome::Success, false),
        (Outcome::Refused, false),
        (Outcome::Success, false),
        (Outcome::Passing, false),
        (Outcome::Refused, false),
        (Outcome::Success, true),
        (Outcome::Success, false),
    ] {
        governor.record(outcome);
        assert_eq!(recoveries.has_changed().unwrap(), told, "{outcome:?}");
        recoveries.mark_unchanged();
    }
    for _ in 0..FAILURES_TO_OPEN {
        governor.record(Outcome::Passing);
    }
    assert!(governor.is_open());
    governor.record(Outcome::Success);
    assert!(recoveries.has_changed().unwrap());
}

#[test]
fn the_burst_grows_back_but_never_beyond_a_hundred() {
    let now = Instant::now();
    let mut core = Core::default();
    let_through(&mut core, now, Duration::from_millis(1));
    let later = now + Duration::from_hours(1);
    assert_eq!(let_through(&mut core, later, Duration::from_millis(1)), 100);
}

#[test]
fn five_passing_errors_in_a_row_slow_everybody_to_one_a_second() {
    let now = Instant::now();
    let mut core = opened(now);
    let count = let_through(&mut core, now, Duration::from_mins(1));
    assert!((58..=60).contains(&count), "{count}");
}

#[test]
fn refusals_neither_open_nor_close_the_breaker() {
    let now = Instant::now();
    let mut core = Core::default();
    for _ in 0..1000 {
        assert_eq!(core.record(Outcome::Refused, now), None);
    }
    assert!(!core.breaker.is_open());
    let mut core = opened(now);
    assert_eq!(core.record(Outcome::Refused, now), None);
    assert!(core.breaker.is_open());
}

#[test]
fn one_success_closes_the_breaker_and_forgets_the_failures() {
    let now = Instant::now();
    let mut core = opened(now);
    assert_eq!(core.record(Outcome::Success, now), Some(Change::Closed));
    assert_eq!(core.try_take(Lane::Tokens, now), Ok(()));
    assert_eq!(core.record(Outcome::Passing, now), None);
    assert!(!core.breaker.is_open());
}

#[test]
fn successes_between_failures_keep_the_breaker_closed() {
    let now = Instant::now();
    let mut core = Core::default();
    for _ in 0..100 {
        core.record(Outcome::Passing, now);
        core.record(Outcome::Passing, now);
        core.record(Outcome::Success, now);
    }
    assert!(!core.breaker.is_open());
}

#[test]
fn a_clock_that_stands_still_gives_no_permits() {
    let now = Instant::now();
    let mut core = Core::default();
    for _ in 0..100 {
        assert_eq!(core.try_take(Lane::Tokens, now), Ok(()));
    }
    for _ in 0..100 {
        assert!(core.try_take(Lane::Tokens, now).is_err());
    }
}

#[tokio::test]
async fn permits_are_given_in_the_order_of_asking() {
    let governor = Governor::new();
    for _ in 0..100 {
        governor.permit(Lane::Tokens).await.unwrap();
    }
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut waiting = Vec::new();
    for number in 0..5 {
        let (governor, order) = (governor.clone(), Arc::clone(&order));
        waiting.push(tokio::spawn(async move {
            governor.permit(Lane::Tokens).await.unwrap();
            order.lock().unwrap().push(number);
        }));
        tokio::task::yield_now().await;
    }
    for task in waiting {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
}

#[test]
fn each_lane_has_a_ceiling_of_its_own_and_what_is_forwarded_has_none() {
    let now = Instant::now();
    let mut core = Core::default();
    for lane in LANES {
        let taken = (0..1000).take_while(|_| core.try_take(lane, now).is_ok()).count();
        let expected = match lane {
            Lane::Tokens => 100,
            Lane::Secrets => 200,
            Lane::Proxied => 1000,
        };
        assert_eq!(taken, expected, "{lane:?}");
    }
}

#[test]
fn passing_errors_of_one_lane_slow_the_others() {
    let now = Instant::now();
    for slowed in LANES {
        let mut core = opened(now);
        assert!(core.try_take(slowed, now).is_err(), "{slowed:?}");
        assert_eq!(core.try_take(slowed, now + OPEN_SPACING), Ok(()), "{slowed:?}");
        // That was the one of this second for all.
        for lane in LANES {
            assert!(core.try_take(lane, now + OPEN_SPACING).is_err(), "{lane:?}");
        }
    }
}

#[test]
fn a_login_probes_a_server_in_trouble_before_anything_else_does() {
    let now = Instant::now();
    let mut core = opened(now);
    let later = now + OPEN_SPACING;
    *core.waiting(Lane::Tokens) += 1;
    assert!(core.try_take(Lane::Secrets, later).is_err());
    assert!(core.try_take(Lane::Proxied, later).is_err());
    assert_eq!(core.try_take(Lane::Tokens, later), Ok(()));
    *core.waiting(Lane::Tokens) -= 1;
    *core.waiting(Lane::Secrets) += 1;
    assert!(core.try_take(Lane::Proxied, later + OPEN_SPACING).is_err());
    assert_eq!(core.try_take(Lane::Secrets, later + OPEN_SPACING), Ok(()));
}

#[test]
fn whoever_waits_for_a_rate_limit_holds_no_probe_back() {
    let now = Instant::now();
    let governor = Governor::with_rate_limit(0.0, 1);
    let core = &mut *governor.core();
    assert_eq!(core.try_take(Lane::Tokens, now), Ok(()));
    for _ in 0..FAILURES_TO_OPEN {
        core.record(Outcome::Passing, now);
    }
    *core.waiting(Lane::Tokens) += 1;
    assert!(core.try_take(Lane::Tokens, now + OPEN_SPACING).is_err());
    assert_eq!(core.try_take(Lane::Proxied, now + OPEN_SPACING), Ok(()));
}

#[tokio::test]
async fn whoever_gives_up_waiting_holds_nobody_back() {
    let governor = Governor::new();
    for _ in 0..FAILURES_TO_OPEN {
        governor.record(Outcome::Passing);
    }
    let waiting = governor.permit(Lane::Tokens);
    assert!(tokio::time::timeout(Duration::from_millis(1), waiting).await.is_err());
    assert_eq!(governor.core().tokens_waiting, 0);
}
