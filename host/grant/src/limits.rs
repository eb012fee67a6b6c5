//! How much of the machine one call of a plug-in may take, where the operator says nothing else.

use std::time::Duration;

/// MiB and seconds, as literals: the constants and the words of the documents are made of them.
macro_rules! number {
    (largest_memory) => {
        256
    };
    (memory) => {
        128
    };
    (method_timeout) => {
        10
    };
    (sink_timeout) => {
        5
    };
}

/// The most memory any plug-in can be given, in bytes: what is reserved as address space.
pub const LARGEST_MEMORY: u64 = number!(largest_memory) << 20;

/// What the documents say of the memory limit.
pub const MEMORY_HINT: &str = concat!(
    "All memories and tables of one call together, at most ",
    number!(largest_memory),
    "MiB. Default ",
    number!(memory),
    "MiB."
);

/// What the documents say of the time limit.
pub const TIMEOUT_HINT: &str = concat!(
    "Time of one call. Default ",
    number!(method_timeout),
    "s for a method, ",
    number!(sink_timeout),
    "s for a sink."
);

/// Limits of one call.
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
            memory: number!(memory) << 20,
            method_timeout: Duration::from_secs(number!(method_timeout)),
            sink_timeout: Duration::from_secs(number!(sink_timeout)),
        }
    }
}
