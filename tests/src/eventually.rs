//! Waiting for a condition with a deadline.

use std::time::{Duration, Instant};

/// Waits until `probe` gives a value and returns it; panics after `limit`, naming `what`.
#[track_caller]
pub fn eventually<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} in vain for {what}");
        std::thread::sleep(POLL);
    }
}

/// Waits until `probe` is true; panics after `limit`, naming `what`.
#[track_caller]
pub fn eventually_true(what: &str, limit: Duration, mut probe: impl FnMut() -> bool) {
    eventually(what, limit, || probe().then_some(()));
}

/// Checks again and again for `time` that `probe` is true; panics as soon as it isn't.
#[track_caller]
pub fn always(what: &str, time: Duration, mut probe: impl FnMut() -> bool) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        assert!(probe(), "no longer true: {what}");
        std::thread::sleep(POLL);
    }
}

const POLL: Duration = Duration::from_millis(25);
