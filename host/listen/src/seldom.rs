//! Says again and again what stays true, but seldom.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Something that is said at most once a minute.
#[derive(Default)]
pub(crate) struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
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
