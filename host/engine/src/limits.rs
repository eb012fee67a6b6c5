//! How much of the machine one call of a plug-in may take.

use std::time::Duration;

use thiserror::Error;
use wasmtime::{ResourceLimiter, Result};

/// The most memory any plug-in can be given, in bytes: what is reserved as address space.
pub const LARGEST_MEMORY: u64 = 256 << 20;

/// Limits of one call. Everything that has no field here is fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all linear memories and tables together; at most [`LARGEST_MEMORY`].
    pub memory: u64,
    /// Wall-clock time of a call of an auth method, host calls included.
    pub method_timeout: Duration,
    /// The same for a sink.
    pub sink_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 128 << 20,
            method_timeout: Duration::from_secs(10),
            sink_timeout: Duration::from_secs(5),
        }
    }
}

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

/// Counts what one store takes, all its memories and tables together, against one limit.
pub(crate) struct Meter {
    left: usize,
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
}

impl Limits {
    pub(crate) fn meter(&self) -> Meter {
        Meter { left: usize::try_from(self.memory.min(LARGEST_MEMORY)).unwrap_or(usize::MAX) }
    }
}

impl Meter {
    fn take(&mut self, bytes: usize) -> Result<(), OverLimit> {
        self.left = self.left.checked_sub(bytes).ok_or(OverLimit::Memory)?;
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

    fn meter() -> Meter {
        Limits { memory: 64 << 20, ..Limits::default() }.meter()
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
        assert!(most.meter().memory_growing(0, 256 << 20, None).unwrap());
        assert!(most.meter().memory_growing(0, (256 << 20) + 1, None).is_err());
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
