//! Tells one credential from the next without giving any away.

use crate::Saved;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use usher_plugin::context::{self, Reason};
use usher_plugin::random;

/// Makes revisions of one use unlike any other's: kept with what the plug-in remembers.
#[derive(Default, Deserialize, Serialize)]
#[serde(transparent)]
pub struct RevisionKey(Vec<u8>);

impl RevisionKey {
    /// Changes when, and only when, one of the `parts` changes.
    pub fn revision(&mut self, parts: &[&str]) -> String {
        if self.0.len() != 32 {
            self.0 = random::bytes(32);
        }
        let mut digest = Sha256::new_with_prefix(&self.0);
        for part in parts {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        digest.finalize().iter().take(16).fold(String::new(), |mut text, byte| {
            // Writing to a String can't fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// The revision of a credential of which nothing else is remembered; "" if its key can't be kept.
pub fn revision(parts: &[&str]) -> String {
    let mut key = Saved::<RevisionKey>::load();
    let revision = key.revision(parts);
    let kept = context::reason() == Reason::Explain || key.save();
    if kept { revision } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use usher_plugin::testing::Host;

    #[test]
    fn a_revision_changes_with_each_part_and_only_then() {
        let host = Host::install();
        let first = revision(&["role", "secret"]);
        assert_eq!(revision(&["role", "secret"]), first);
        for other in [["role", "secre"], ["roles", "ecret"], ["rol", "esecret"], ["secret", "role"]]
        {
            assert_ne!(revision(&other), first, "{other:?}");
        }
        host.set_state(b"");
        assert_ne!(revision(&["role", "secret"]), first, "no plain digest");
    }
}
