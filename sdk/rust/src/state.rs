//! A plug-in's only memory: one value for each use of the plug-in, kept by the host.
//!
//! It outlives failed calls, traps, time-outs and a reload of the plug-in, and ends with the
//! agent, unless the operator has a method's kept over a restart. At most 64 KiB.

use crate::{Failure, backend, json};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What was saved last. Nothing, or what can't be understood (an older version wrote it), is
/// the default.
pub fn load<T: DeserializeOwned + Default>() -> T {
    json::read(&backend::load()).unwrap_or_default()
}

/// In force at once, also if this call fails later: save a one-shot secret the moment it has
/// been received.
pub fn save<T: Serialize>(value: &T) -> Result<(), Failure> {
    backend::save(&serde_json::to_vec(value)?)
}

/// The bytes themselves; empty at first.
pub fn load_bytes() -> Vec<u8> {
    backend::load()
}

/// Saves bytes instead of JSON.
pub fn save_bytes(value: &[u8]) -> Result<(), Failure> {
    backend::save(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Host;

    #[test]
    fn what_was_saved_is_loaded_and_garbage_is_absent() {
        let host = Host::install();
        assert_eq!(load::<Vec<String>>(), Vec::<String>::new());
        save(&vec!["a"]).unwrap();
        assert_eq!(load::<Vec<String>>(), ["a"]);
        host.set_state(b"\xff not json");
        assert_eq!(load::<Vec<String>>(), Vec::<String>::new());
    }

    #[test]
    fn too_much_is_refused_and_changes_nothing() {
        let host = Host::install();
        save_bytes(b"small").unwrap();
        assert_eq!(save_bytes(&vec![0; 64 * 1024 + 1]).unwrap_err().code, "limit.exceeded");
        assert_eq!(host.state(), b"small");
    }
}
