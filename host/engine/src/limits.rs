//! Counts what one call of a plug-in takes of the machine, and says where it ends.
//!
//! What the operator can set is in [`Limits`]; all else is fixed here.

use thiserror::Error;
use usher_grant::{LARGEST_MEMORY, Limits};
use wasmtime::{ResourceLimiter, Result};

use crate::places::{ONE_STRANGER, Place, STRANGERS};

/// Bytes that may cross from guest to host in one host call or result.
pub(crate) const HOSTCALL_FUEL: usize = 4 << 20;
/// Resource handles in one store.
pub(crate) const MOST_HANDLES: usize = 1024;
/// Host resources (streams, requests) in one store.
pub(crate) const MOST_RESOURCES: usize = 256;
/// Random bytes in one host call.
pub(crate) const MOST_RANDOM: u32 = 64 << 10;
/// Bytes of HTTP headers made through `wasi:http`.
pub(crate) const MOST_FIELD_BYTES: usize = 64 << 10;
/// Lines that one call may write to the log.
pub(crate) const MOST_LOG_LINES: u32 = 100;

/// Linear memories in one store.
const MOST_MEMORIES: usize = 8;
/// Tables in one store.
const MOST_TABLES: usize = 32;
/// Elements of one table.
const LARGEST_TABLE: usize = 20_000;
/// Core instances in one store.
const MOST_INSTANCES: usize = 64;
/// Bytes of one element of a table, at most.
const ELEMENT: usize = 16;

/// Counts what one store takes, all its memories and tables together, against one limit and against
/// what all calls have. Both are free again when the store is dropped.
pub(crate) struct Meter {
    taken: usize,
    most: usize,
    place: Place,
}

/// A store that wants more than its limit.
#[derive(Clone, Copy, Debug, Error)]
pub(crate) enum OverLimit {
    #[error(
        "the plug-in needs more memory than its limit; raise limits.memory if it really needs more"
    )]
    Memory,
    #[error("the plug-in needs larger tables than the limit")]
    Table,
    #[error(
        "there is no memory left for this call to grow, because calls of plug-ins hold it all ({} MiB together, {} MiB those of one plug-in); lower limits.memory or limits.timeout of those that hang",
        STRANGERS,
        ONE_STRANGER
    )]
    Busy,
}

impl Meter {
    /// What a call within `limits` has taken when it begins: nothing but its place.
    pub(crate) fn new(limits: &Limits, place: Place) -> Self {
        let most = usize::try_from(limits.memory.min(LARGEST_MEMORY)).unwrap_or(usize::MAX);
        Self { taken: 0, most, place }
    }

    fn take(&mut self, bytes: usize) -> Result<(), OverLimit> {
        let taken = self.taken.checked_add(bytes).filter(|taken| *taken <= self.most);
        let taken = taken.ok_or(OverLimit::Memory)?;
        if !self.place.hold(taken) {
            return Err(OverLimit::Busy);
        }
        self.taken = taken;
        Ok(())
    }
}

/// What can't grow ends the call: a guest that is told so would trap anyway, and with a worse
/// message.
impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Err(OverLimit::Memory.into());
        }
        self.take(desired.saturating_sub(current))?;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> Result<()> {
        Err(error)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        if desired > LARGEST_TABLE || maximum.is_some_and(|maximum| desired > maximum) {
            return Err(OverLimit::Table.into());
        }
        self.take(desired.saturating_sub(current) * ELEMENT)?;
        Ok(true)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> Result<()> {
        Err(error)
    }

    fn instances(&self) -> usize {
        MOST_INSTANCES
    }

    fn tables(&self) -> usize {
        MOST_TABLES
    }

    fn memories(&self) -> usize {
        MOST_MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::{Places, Share};

    fn meter() -> Meter {
        Meter::new(&Limits { memory: 64 << 20, ..Limits::default() }, Place::default())
    }

    #[test]
    fn all_memories_and_tables_count_against_one_limit() {
        let mut meter = meter();
        for _ in 0..6 {
            assert!(meter.memory_growing(0, 10 << 20, None).unwrap());
        }
        assert!(meter.memory_growing(10 << 20, 13 << 20, None).unwrap(), "only what is added");
        for _ in 0..3 {
            assert!(meter.table_growing(0, 20_000, None).unwrap());
        }
        assert!(meter.table_growing(0, 20_000, None).is_err(), "less than 1 MiB was left");
        assert!(meter.memory_growing(0, 1 << 20, None).is_err());
    }

    #[test]
    fn one_memory_or_table_over_the_limit_is_refused() {
        assert!(meter().memory_growing(0, 64 << 20, None).unwrap());
        assert!(meter().memory_growing(0, (64 << 20) + 1, None).is_err());
        assert!(meter().memory_growing(0, 2 << 20, Some(1 << 20)).is_err());
        assert!(meter().table_growing(0, 20_001, None).is_err());
        let most = Limits { memory: u64::MAX, ..Limits::default() };
        assert!(Meter::new(&most, Place::default()).memory_growing(0, 256 << 20, None).unwrap());
        assert!(
            Meter::new(&most, Place::default()).memory_growing(0, (256 << 20) + 1, None).is_err()
        );
    }

    #[tokio::test]
    async fn a_store_that_grows_when_nothing_is_left_fails_and_gives_back_what_it_had() {
        let (places, share) = (Places::default(), Share::of_a_stranger());
        let limits = Limits { memory: 256 << 20, ..Limits::default() };
        let mut meters = Vec::new();
        for _ in 0..3 {
            let place = places.for_call(&share, &limits).await.unwrap();
            meters.push(Meter::new(&limits, place));
        }
        // 512 MiB are one plug-in's, and each call began with 8.
        assert!(meters[0].memory_growing(0, 256 << 20, None).unwrap());
        assert!(meters[1].memory_growing(0, 200 << 20, None).unwrap());
        let error = meters[2].memory_growing(0, 64 << 20, None).unwrap_err();
        assert!(matches!(error.downcast_ref::<OverLimit>(), Some(OverLimit::Busy)), "{error:#}");
        assert!(meters[2].memory_growing(0, 8 << 20, None).unwrap(), "it has that");
        drop(meters.remove(0));
        assert!(meters[1].memory_growing(8 << 20, 128 << 20, None).unwrap());
    }

    /// That the runtime asks for each memory and table, and tells what over the limit it was.
    #[cfg(feature = "compile")]
    #[test]
    fn a_module_with_many_memories_gets_no_more_than_the_limit() {
        use wasmtime::{Instance, Module, Store};

        // In pages of 64 KiB: 512 are 32 MiB.
        for (text, over) in [
            ("(module (memory 512) (memory 500))", None),
            ("(module (memory 512) (memory 513))", Some("more memory")),
            (
                "(module (memory 1) (memory 1) (func $f (drop (memory.grow 1 (i32.const 1024)))) (start $f))",
                Some("more memory"),
            ),
            ("(module (memory 900) (table 20000 funcref) (table 20000 funcref))", None),
            ("(module (memory 1020) (table 20000 funcref))", Some("more memory")),
            (
                "(module (table 1 funcref) (func $f (drop (table.grow (ref.null func) (i32.const 30000)))) (start $f))",
                Some("larger tables"),
            ),
        ] {
            let engine = wasmtime::Engine::new(&crate::configuration::configuration()).unwrap();
            let module = Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
            let mut store = Store::new(&engine, meter());
            store.limiter(|meter| meter);
            store.set_epoch_deadline(1000);
            let error = Instance::new(&mut store, &module, &[]).err();
            let found = error.and_then(|error| error.downcast_ref::<OverLimit>().copied());
            match over {
                None => assert!(found.is_none(), "{text}"),
                Some(words) => assert!(found.unwrap().to_string().contains(words), "{text}"),
            }
        }
    }
}
