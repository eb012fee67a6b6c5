//! Room for calls: how much memory plug-ins may have in flight, all together.
//!
//! A call begins only if its memory limit fits into what is left; until then it waits, in the order
//! in which calls came, and a call that waits too long is one failed attempt. Built-ins have room
//! of their own, so they never stand behind strangers, and one stranger never has more than half of
//! what strangers have.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::failure::{Failure, FailureKind};
use crate::limits::{LARGEST_MEMORY, Limits};

/// Calls of built-ins at once, so that a thousand identities that wake together don't take the
/// memory of a thousand instances. What a built-in takes is known, and little.
const BUILT_INS: usize = 64;

/// Memory of all other plug-ins' calls at once, in MiB.
const STRANGERS: u32 = 1024;
/// Of one of them.
const ONE_STRANGER: u32 = STRANGERS / 2;
/// Of those that are described and prepared, which nobody else's calls may hold up.
const PREPARING: u32 = 256;

/// Whoever begins a call asks here first.
pub(crate) struct Places {
    built_ins: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
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
    Stranger(Arc<Semaphore>),
}

/// Room for one call, free again when it is dropped.
pub(crate) struct Place {
    _permits: [Option<OwnedSemaphorePermit>; 2],
}

impl Share {
    pub(crate) fn of_a_stranger() -> Self {
        Self::Stranger(Arc::new(semaphore(ONE_STRANGER)))
    }
}

impl Default for Places {
    fn default() -> Self {
        Self {
            built_ins: Arc::new(Semaphore::new(BUILT_INS)),
            strangers: Arc::new(semaphore(STRANGERS)),
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
                Ok(Place { _permits: [permit.ok().flatten(), None] })
            }
            Share::Stranger(own) => {
                let memory = mebibytes(limits);
                self.patiently(async {
                    let own = acquire(own, memory).await;
                    Place { _permits: [own, acquire(&self.strangers, memory).await] }
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
            Share::BuiltIn => Ok(Place { _permits: [None, None] }),
            Share::Stranger(_) => {
                self.patiently(async {
                    Place { _permits: [acquire(&self.preparing, mebibytes(limits)).await, None] }
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
                    "there was no memory left for this call within {} s, because calls of plug-ins hold it all ({STRANGERS} MiB together, {ONE_STRANGER} MiB those of one plug-in); lower limits.memory or limits.timeout of those that hang",
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

    async fn places(places: &Places, share: &Share, memory: u64, count: usize) -> Vec<Place> {
        let mut held = Vec::new();
        for _ in 0..count {
            held.push(places.for_call(share, &limits(memory)).await.ok().unwrap());
        }
        held
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
