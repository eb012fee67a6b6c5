//! Many machines against one rule each, and against a driver that asks every one of them.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::driver::secs;
use crate::{Ceiling, Machine, Many};

/// Something that is due some time, and then wants an answer that says when it is due again.
#[derive(Clone, Debug)]
struct Job {
    due: Option<Instant>,
    lost_at: Option<Instant>,
    busy: bool,
}

impl Machine for Job {
    type Event = Option<Instant>;
    type Action = ();

    fn handle(&mut self, _: Instant, due: Option<Instant>) {
        self.busy = false;
        self.due = due;
    }

    fn poll_action(&mut self, now: Instant) -> Option<()> {
        let due = self.next_deadline().is_some_and(|due| due <= now);
        self.busy |= due;
        due.then_some(())
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.due.filter(|_| !self.busy)
    }

    fn is_busy(&self) -> bool {
        self.busy
    }

    fn lost_at(&self) -> Option<Instant> {
        self.lost_at
    }
}

fn due(at: Instant) -> Job {
    Job { due: Some(at), lost_at: None, busy: false }
}

fn unlimited() -> Ceiling {
    Ceiling { per_second: 1_000_000_000, burst: 1_000_000_000, in_flight: usize::MAX }
}

fn polled(many: &mut Many<usize, Job>, now: Instant) -> Vec<usize> {
    std::iter::from_fn(|| many.poll_action(now)).map(|(key, ())| key).collect()
}

#[test]
fn the_one_timer_is_that_of_the_earliest() {
    let now = Instant::now();
    let mut many = Many::new(unlimited());
    assert_eq!(many.next_timeout(), None);
    for (key, wait) in [(1, 30), (2, 10), (3, 20)] {
        many.insert(key, due(now + secs(wait)));
    }
    assert_eq!(many.next_timeout(), Some(now + secs(10)));
    assert_eq!(polled(&mut many, now), []);
    assert_eq!(polled(&mut many, now + secs(20)), [2, 3]);
    assert_eq!(many.next_timeout(), Some(now + secs(30)));
    many.handle(now + secs(21), &2, Some(now + secs(25)));
    assert_eq!(many.next_timeout(), Some(now + secs(25)));
    many.handle(now + secs(21), &9, None);
    assert_eq!(many.len(), 3, "an event for nobody is nobody's");
}

#[test]
fn a_machine_that_is_taken_out_or_replaced_is_driven_no_more() {
    let now = Instant::now();
    let mut many = Many::new(unlimited());
    many.insert(1, due(now));
    many.insert(2, due(now));
    assert!(many.remove(&1).is_some());
    assert!(many.remove(&1).is_none());
    assert!(many.insert(2, due(now + secs(5))).is_some());
    assert_eq!(polled(&mut many, now), []);
    assert_eq!(polled(&mut many, now + secs(5)), [2]);
    assert!(many.get(&2).is_some_and(|job| job.busy));
    many.remove(&2);
    assert!(many.is_empty());
    assert_eq!(many.next_timeout(), None);
}

#[test]
fn what_is_due_at_once_goes_at_the_pace_of_the_ceiling() {
    let start = Instant::now();
    let mut many = Many::new(Ceiling { in_flight: 1000, ..Ceiling::default() });
    for key in 0..500 {
        many.insert(key, due(start));
    }
    assert_eq!(polled(&mut many, start).len(), 100);
    let mut now = start;
    let mut rest = 0;
    while rest < 400 {
        let timeout = many.next_timeout().expect("some are left");
        assert!(timeout > now);
        now = timeout;
        rest += polled(&mut many, now).len();
    }
    assert_eq!(now - start, secs(20));
    // A quiet time fills the bucket, but never further than that.
    now += secs(3600);
    many.handle_all(now, &Some(now));
    assert_eq!(polled(&mut many, now).len(), 100);
}

#[test]
fn who_loses_something_goes_first_and_starves_nobody() {
    let now = Instant::now();
    let mut many = Many::new(unlimited());
    for key in 0..4 {
        many.insert(key, due(now));
    }
    for key in 4..10 {
        let lost_at = Some(now + secs(100 - key as u64));
        many.insert(key, Job { lost_at, ..due(now) });
    }
    assert_eq!(polled(&mut many, now), [9, 0, 8, 1, 7, 2, 6, 3, 5, 4]);
}

#[test]
fn what_is_lost_already_holds_up_nothing_that_can_be_kept() {
    let start = Instant::now();
    let mut many = Many::new(Ceiling { per_second: 1, burst: 1, in_flight: 10 });
    for (key, left) in [(0, 1), (1, 2), (2, 2), (3, 2), (4, 100), (5, 100), (6, 100)] {
        many.insert(key, Job { lost_at: Some(start + secs(left)), ..due(start) });
    }
    assert_eq!(polled(&mut many, start), [0], "all are lined up, and one may go");
    let later = (5..11).flat_map(|wait| polled(&mut many, start + secs(wait)));
    assert_eq!(later.collect::<Vec<_>>(), [1, 4, 2, 5, 3, 6]);
}

#[derive(Clone, Debug)]
enum Step {
    Sleep(u64),
    Answer(usize, Option<u64>),
    AnswerAll(u64),
    Insert(usize, u64, Option<u64>),
    Remove(usize),
}

fn steps() -> impl Strategy<Value = Step> {
    let key = 0_usize..8;
    prop_oneof![
        6 => (0_u64..5_000).prop_map(Step::Sleep),
        6 => (key.clone(), prop::option::of(0_u64..9_000))
            .prop_map(|(key, wait)| Step::Answer(key, wait)),
        1 => (0_u64..9_000).prop_map(Step::AnswerAll),
        4 => (key.clone(), 0_u64..9_000, prop::option::of(0_u64..20_000))
            .prop_map(|(key, wait, left)| Step::Insert(key, wait, left)),
        1 => key.prop_map(Step::Remove),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Nobody is forgotten, and nobody is asked before it is due: polled at each time-out, it is as
    /// if each had a timer of its own.
    #[test]
    fn one_timer_is_as_good_as_one_for_each(
        steps in prop::collection::vec(steps(), 1..100),
    ) {
        let mut now = Instant::now();
        let millis = Duration::from_millis;
        let mut many: Many<usize, Job> = Many::new(unlimited());
        let mut alone: std::collections::BTreeMap<usize, Job> = std::collections::BTreeMap::new();
        for step in steps {
            match step {
                Step::Sleep(wait) => {
                    let end = now + millis(wait);
                    while let Some(at) = many.next_timeout().filter(|at| *at <= end) {
                        prop_assert!(at > now, "a time-out that is over");
                        now = at;
                        let mut together = polled(&mut many, now);
                        together.sort_unstable();
                        let each = alone.iter_mut().filter_map(|(key, job)| {
                            job.poll_action(now).map(|()| *key)
                        });
                        prop_assert_eq!(together, each.collect::<Vec<_>>());
                    }
                    now = end;
                }
                Step::Answer(key, wait) => {
                    let due = wait.map(|wait| now + millis(wait + 1));
                    many.handle(now, &key, due);
                    if let Some(job) = alone.get_mut(&key) {
                        job.handle(now, due);
                    }
                }
                Step::AnswerAll(wait) => {
                    let due = Some(now + millis(wait + 1));
                    many.handle_all(now, &due);
                    for job in alone.values_mut() {
                        job.handle(now, due);
                    }
                }
                Step::Insert(key, wait, left) => {
                    let lost_at = left.map(|left| now + millis(left));
                    let job = Job { lost_at, ..due(now + millis(wait + 1)) };
                    many.insert(key, job.clone());
                    alone.insert(key, job);
                }
                Step::Remove(key) => {
                    prop_assert_eq!(many.remove(&key).is_some(), alone.remove(&key).is_some());
                }
            }
            let earliest = alone.values().filter_map(Job::next_deadline).min();
            prop_assert_eq!(many.next_timeout(), earliest);
        }
    }
}
