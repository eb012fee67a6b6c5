//! The host's clock, for `Date`, and UTC as the only time zone.

use boa_engine::context::HostHooks;
use boa_engine::context::time::{Clock, JsInstant};

use crate::bindings::usher::plugin::clock;

/// Asks the host, each time.
pub(crate) struct HostClock;

impl Clock for HostClock {
    fn now(&self) -> JsInstant {
        let milliseconds = clock::now();
        let nanoseconds = u32::try_from(milliseconds % 1000).unwrap_or_default() * 1_000_000;
        JsInstant::new(milliseconds / 1000, nanoseconds)
    }

    fn system_time_millis(&self) -> i64 {
        i64::try_from(clock::now()).unwrap_or(i64::MAX)
    }
}

/// A plug-in sees nothing of its machine, the time zone neither.
pub(crate) struct Hooks;

impl HostHooks for Hooks {
    fn local_timezone_offset_seconds(&self, _unix_time_seconds: i64) -> i32 {
        0
    }
}
