//! A method's memory between calls, saved only when it has changed.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ops::{Deref, DerefMut};
use usher_plugin::{Failure, json, log, state};

/// Kept by the host as the plug-in's state. It may hold secrets: not shown, not logged.
pub struct Saved<T> {
    value: T,
    saved: Vec<u8>,
}

impl<T: Serialize + DeserializeOwned + Default> Saved<T> {
    /// What was saved last; what another version saved counts as nothing.
    pub fn load() -> Self {
        let saved = state::load_bytes();
        Self { value: json::read(&saved).unwrap_or_default(), saved }
    }

    /// Whether it will be there next time. No login is given up because it won't: a one-shot
    /// credential exists nowhere else.
    pub fn save(&mut self) -> bool {
        let result = serde_json::to_vec(&self.value).map_err(Failure::from).and_then(|value| {
            if value != self.saved {
                state::save_bytes(&value)?;
                self.saved = value;
            }
            Ok(())
        });
        if let Err(failure) = &result {
            log::warn("the credentials could not be remembered", &[("reason", &failure.message)]);
        }
        result.is_ok()
    }
}

impl<T> Deref for Saved<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Saved<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}
