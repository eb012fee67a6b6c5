//! How much of the machine one call of a plug-in may take.

use std::time::Duration;

use wasmtime::{StoreLimits, StoreLimitsBuilder};

/// The most memory any plug-in can be given, in bytes: what is reserved as address space.
pub const LARGEST_MEMORY: u64 = 256 << 20;

/// Limits of one call. Everything that has no field here is fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory; at most [`LARGEST_MEMORY`].
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

impl Limits {
    pub(crate) fn for_store(&self) -> StoreLimits {
        StoreLimitsBuilder::new()
            .memory_size(usize::try_from(self.memory.min(LARGEST_MEMORY)).unwrap_or(usize::MAX))
            .memories(8)
            .tables(32)
            .table_elements(20_000)
            .instances(64)
            .trap_on_grow_failure(true)
            .build()
    }
}
