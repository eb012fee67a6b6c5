//! Logs at most once a minute what stays true for long.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One such message.
#[derive(Default)]
pub(crate) struct LogThrottle(Mutex<Option<Instant>>);

impl LogThrottle {
    pub(crate) fn say(&self, say: impl FnOnce()) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| said.elapsed() >= AGAIN) {
            *said = Some(Instant::now());
            drop(said);
            say();
        }
    }
}

const AGAIN: Duration = Duration::from_mins(1);
