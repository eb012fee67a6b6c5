//! Room for calls: how much memory plug-ins may have in flight, all together.
//!
//! Most calls need far less than their limit, so a call begins with a little, and what it has grows
//! in steps with its memories and tables. Until there is room for a beginning it waits, in the
//! order in which calls came, and a call that waits too long is one failed attempt; so is one that
//! would grow when nothing is left. Built-ins have room of their own, so they never stand behind
//! strangers, and one stranger never has more than half of what strangers have.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use usher_grant::{LARGEST_MEMORY, Limits};

use crate::failure::{Failure, FailureKind};

/// Calls of built-ins at once, so that a thousand identities that wake together don't take the
/// memory of a thousand instances. What a built-in takes is known, and little.
const BUILT_INS: usize = 64;

/// Calls of all other plug-ins at once.
const STRANGER_CALLS: u32 = 64;
/// Of one of them.
const CALLS_OF_ONE: u32 = STRANGER_CALLS / 2;

/// Memory of all other plug-ins' calls at once, in MiB.
pub(crate) const STRANGERS: u32 = 1024;
/// Of one of them.
pub(crate) const ONE_STRANGER: u32 = STRANGERS / 2;
/// Of those that are described and prepared, which nobody else's calls may hold up. They are short
/// and few: each begins with all that it may take.
const PREPARING: u32 = 256;

/// What a call begins with, in MiB: so little that as many as there may be leave half of the memory
/// to those that grow.
const BASE: u32 = 8;
/// What it grows by, in MiB.
const STEP: u32 = 4;

/// Whoever begins a call asks here first.
pub(crate) struct Places {
    built_ins: Arc<Semaphore>,
    strangers: Pool,
    preparing: Arc<Semaphore>,
    /// After this a built-in goes on without: some that hang must not keep others from their work.
    built_in_wait: Duration,
    /// After this a stranger's call has failed.
    stranger_wait: Duration,
}

/// A plug-in's own share of the room.
#[derive(Clone)]
pub(crate) enum Share {
    BuiltIn,
    Stranger(Pool),
}

/// What calls take from.
#[derive(Clone)]
pub(crate) struct Pool {
    calls: Arc<Semaphore>,
    /// In MiB.
    memory: Arc<Semaphore>,
}

/// Room for one call, free again when it is dropped.
#[derive(Default)]
pub(crate) struct Place {
    _calls: [Option<OwnedSemaphorePermit>; 2],
    /// None: there is room for all that the limits allow.
    drawn: Option<Drawn>,
}

/// Memory of one call, in MiB: the same from its plug-in's share and from what all have.
struct Drawn {
    own: OwnedSemaphorePermit,
    all: OwnedSemaphorePermit,
    /// What its limits allow.
    most: usize,
}

impl Share {
    pub(crate) fn of_a_stranger() -> Self {
        Self::Stranger(Pool::new(CALLS_OF_ONE, ONE_STRANGER))
    }
}

impl Pool {
    fn new(calls: u32, memory: u32) -> Self {
        Self { calls: Arc::new(semaphore(calls)), memory: Arc::new(semaphore(memory)) }
    }
}

impl Place {
    /// Whether there is room for `bytes` in all. Never waits.
    pub(crate) fn hold(&mut self, bytes: usize) -> bool {
        self.drawn.as_mut().is_none_or(|drawn| drawn.hold(bytes.div_ceil(1 << 20)))
    }
}

impl Drawn {
    fn hold(&mut self, memory: usize) -> bool {
        let held = self.own.num_permits();
        let Some(missing) = memory.checked_sub(held).filter(|missing| *missing > 0) else {
            return true;
        };
        let step = usize::try_from(STEP).unwrap_or(1);
        let more = missing.next_multiple_of(step).min(self.most.saturating_sub(held)).max(missing);
        let own = draw(self.own.semaphore(), more);
        // What only one of the two gives is given back here.
        let Some((own, all)) = own.zip(draw(self.all.semaphore(), more)) else { return false };
        self.own.merge(own);
        self.all.merge(all);
        true
    }
}

impl Default for Places {
    fn default() -> Self {
        Self {
            built_ins: Arc::new(Semaphore::new(BUILT_INS)),
            strangers: Pool::new(STRANGER_CALLS, STRANGERS),
            preparing: Arc::new(semaphore(PREPARING)),
            built_in_wait: Duration::from_secs(1),
            stranger_wait: Duration::from_secs(10),
        }
    }
}

impl Places {
    /// Room for a call with these limits.
    pub(crate) async fn for_call(&self, share: &Share, limits: &Limits) -> Result<Place, Failure> {
        match share {
            Share::BuiltIn => {
                let permit = timeout(self.built_in_wait, acquire(&self.built_ins, 1)).await;
                Ok(Place { _calls: [permit.ok().flatten(), None], drawn: None })
            }
            Share::Stranger(own) => {
                let most = mebibytes(limits);
                let base = most.min(BASE);
                self.patiently(async {
                    let own_call = acquire(&own.calls, 1).await;
                    let call = acquire(&self.strangers.calls, 1).await;
                    let own = acquire(&own.memory, base).await;
                    let drawn = own.zip(acquire(&self.strangers.memory, base).await);
                    let most = usize::try_from(most).unwrap_or(usize::MAX);
                    Place {
                        _calls: [own_call, call],
                        drawn: drawn.map(|(own, all)| Drawn { own, all, most }),
                    }
                })
                .await
            }
        }
    }

    /// Room to describe or prepare with these limits.
    pub(crate) async fn to_prepare(
        &self,
        share: &Share,
        limits: &Limits,
    ) -> Result<Place, Failure> {
        match share {
            Share::BuiltIn => Ok(Place::default()),
            Share::Stranger(_) => {
                self.patiently(async {
                    let permit = acquire(&self.preparing, mebibytes(limits)).await;
                    Place { _calls: [permit, None], drawn: None }
                })
                .await
            }
        }
    }

    async fn patiently(&self, place: impl Future<Output = Place>) -> Result<Place, Failure> {
        timeout(self.stranger_wait, place).await.map_err(|_| {
            Failure::new(
                FailureKind::Unavailable,
                "limit.busy",
                format!(
                    "there was no room for this call within {} s, because calls of plug-ins hold it all ({STRANGER_CALLS} calls and {STRANGERS} MiB together, {CALLS_OF_ONE} calls and {ONE_STRANGER} MiB those of one plug-in); lower limits.memory or limits.timeout of those that hang",
                    self.stranger_wait.as_secs()
                ),
            )
        })
    }
}

/// The semaphores are never closed.
async fn acquire(semaphore: &Arc<Semaphore>, permits: u32) -> Option<OwnedSemaphorePermit> {
    Arc::clone(semaphore).acquire_many_owned(permits).await.ok()
}

/// At once, or not at all.
fn draw(semaphore: &Arc<Semaphore>, permits: usize) -> Option<OwnedSemaphorePermit> {
    Arc::clone(semaphore).try_acquire_many_owned(u32::try_from(permits).ok()?).ok()
}

fn semaphore(permits: u32) -> Semaphore {
    Semaphore::new(usize::try_from(permits).unwrap_or(Semaphore::MAX_PERMITS))
}

fn mebibytes(limits: &Limits) -> u32 {
    let memory = limits.memory.min(LARGEST_MEMORY).div_ceil(1 << 20);
    u32::try_from(memory).unwrap_or(PREPARING)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(future)
    }

    /// Whose calls give up soon.
    fn impatient() -> Places {
        let wait = Duration::from_millis(20);
        Places { built_in_wait: wait, stranger_wait: wait, ..Places::default() }
    }

    fn limits(mebibytes: u64) -> Limits {
        Limits { memory: mebibytes << 20, ..Limits::default() }
    }

    /// Calls that have begun, and have grown to their limit.
    async fn places(places: &Places, share: &Share, memory: u64, count: usize) -> Vec<Place> {
        let mut held = Vec::new();
        for _ in 0..count {
            let mut place = places.for_call(share, &limits(memory)).await.ok().unwrap();
            assert!(place.hold(usize::try_from(memory << 20).unwrap()));
            held.push(place);
        }
        held
    }

    /// Permits that are left to calls of all strangers: calls, and MiB.
    fn left(places: &Places) -> (usize, usize) {
        let Pool { calls, memory } = &places.strangers;
        (calls.available_permits(), memory.available_permits())
    }

    #[test]
    fn as_many_small_calls_as_there_may_be_begin_at_once_whatever_their_limit() {
        run(async {
            let all = impatient();
            let (one, other) = (Share::of_a_stranger(), Share::of_a_stranger());
            let mut held = Vec::new();
            for share in [&one, &other] {
                for _ in 0..CALLS_OF_ONE {
                    held.push(all.for_call(share, &limits(256)).await.ok().unwrap());
                }
                assert!(all.for_call(share, &limits(1)).await.is_err(), "half is for others");
            }
            assert_eq!(held.len(), 64);
            assert_eq!(left(&all).0, 0);
            assert!(all.for_call(&Share::of_a_stranger(), &limits(1)).await.is_err());
            for place in &mut held {
                assert!(place.hold(16 << 20), "and each may double what it began with");
            }
            assert_eq!(left(&all), (0, 0));
        });
    }

    #[test]
    fn what_calls_draw_is_never_more_than_there_is_and_all_of_it_comes_back() {
        run(async {
            let all = impatient();
            let before = left(&all);
            let shares = [Share::of_a_stranger(), Share::of_a_stranger(), Share::of_a_stranger()];
            let mut held = Vec::new();
            for share in &shares {
                for _ in 0..8 {
                    held.push(all.for_call(share, &limits(128)).await.ok().unwrap());
                }
            }
            let mut refused = 0;
            for mebibytes in 1..=128_usize {
                for place in &mut held {
                    refused += u32::from(!place.hold(mebibytes << 20));
                }
                let drawn: usize = held
                    .iter()
                    .filter_map(|place| place.drawn.as_ref())
                    .map(|drawn| {
                        assert_eq!(drawn.own.num_permits(), drawn.all.num_permits());
                        assert!(drawn.own.num_permits() <= 128);
                        drawn.all.num_permits()
                    })
                    .sum();
                assert_eq!(drawn + left(&all).1, before.1);
            }
            assert!(refused > 0, "24 calls don't have 128 MiB each");
            drop(held);
            assert_eq!(left(&all), before);
            for share in &shares {
                let Share::Stranger(own) = share else { panic!("a stranger") };
                assert_eq!(own.memory.available_permits(), 512);
                assert_eq!(own.calls.available_permits(), 32);
            }
        });
    }

    #[test]
    fn a_call_that_would_grow_when_nothing_is_left_is_refused_and_keeps_what_it_has() {
        run(async {
            let all = impatient();
            let (hostile, other) = (Share::of_a_stranger(), Share::of_a_stranger());
            let mut small = places(&all, &hostile, 8, 1).await;
            let mut held = places(&all, &hostile, 252, 2).await;
            assert!(!small[0].hold(9 << 20));
            assert!(small[0].hold(8 << 20), "it has that");
            let mut hungry = all.for_call(&other, &limits(128)).await.ok().unwrap();
            assert!(hungry.hold(128 << 20), "another plug-in's share is untouched");
            let mut last = all.for_call(&other, &limits(9)).await.ok().unwrap();
            assert!(last.hold(9 << 20), "no step goes over its limit");
            assert_eq!(last.drawn.as_ref().unwrap().own.num_permits(), 9);
            held.truncate(1);
            assert_eq!(places(&all, &hostile, 128, 1).await.len(), 1, "it is free again");
        });
    }

    #[test]
    fn one_stranger_leaves_room_for_another_and_for_built_ins() {
        run(async {
            let all = impatient();
            let (hostile, other) = (Share::of_a_stranger(), Share::of_a_stranger());
            let _held = places(&all, &hostile, 128, 4).await;
            let refused = all.for_call(&hostile, &limits(128)).await.err().unwrap();
            assert_eq!((refused.kind, &*refused.code), (FailureKind::Unavailable, "limit.busy"));
            let _others = places(&all, &other, 256, 2).await;
            // Now strangers have all they can have.
            let third = Share::of_a_stranger();
            assert!(all.for_call(&third, &limits(1)).await.is_err());
            assert!(all.to_prepare(&third, &limits(256)).await.is_ok());
            let _built_ins = places(&all, &Share::BuiltIn, 256, BUILT_INS).await;
            assert_eq!(all.built_ins.available_permits(), 0);
            // A built-in has to wait for other built-ins, and goes on without them.
            assert_eq!(places(&all, &Share::BuiltIn, 256, 1).await.len(), 1);
        });
    }

    #[test]
    fn a_call_that_waits_begins_when_another_ends() {
        run(async {
            let all = Places::default();
            let share = Share::of_a_stranger();
            let held = places(&all, &share, 256, 2).await;
            let limits = limits(256);
            let mut waits = std::pin::pin!(all.for_call(&share, &limits));
            let at_once = timeout(Duration::from_millis(20), &mut waits).await;
            assert!(at_once.is_err(), "there is no room");
            drop(held);
            assert!(waits.await.is_ok());
        });
    }

    #[test]
    fn a_call_that_gave_up_holds_nothing() {
        run(async {
            let all = impatient();
            let (one, other) = (Share::of_a_stranger(), Share::of_a_stranger());
            let held = (places(&all, &one, 256, 2).await, places(&all, &other, 256, 2).await);
            let third = Share::of_a_stranger();
            assert!(all.for_call(&third, &limits(256)).await.is_err());
            drop(held);
            assert_eq!(places(&all, &third, 256, 2).await.len(), 2);
        });
    }
}
