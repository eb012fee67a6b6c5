//! The time of day; `SystemTime::now` doesn't work inside a plug-in.

use crate::{backend, sink};
use std::time::SystemTime;

/// Now, to the millisecond.
pub fn now() -> SystemTime {
    sink::time_from_milliseconds(backend::now())
}
