//! What the method remembers between calls: the last values read, and what was unwrapped.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use usher_plugin::{json, log, random, state};

/// Kept by the host as the plug-in's state. It holds secrets: not shown, not logged.
#[derive(Default, Deserialize, Serialize)]
pub(crate) struct Memory {
    /// Makes revisions of this use unlike any other's, so that none gives a secret away.
    revision_key: Vec<u8>,
    pub(crate) role_id: Option<Remembered>,
    pub(crate) secret_id: Option<Remembered>,
    #[serde(skip)]
    saved: Vec<u8>,
}

/// One credential and where it came from.
#[derive(Deserialize, Serialize)]
pub(crate) struct Remembered {
    pub(crate) path: String,
    pub(crate) wrapped: bool,
    /// Of the file, without white space: the credential or its wrapping token.
    pub(crate) content: String,
    /// The credential; empty if the wrapping token held none.
    pub(crate) value: String,
}

impl Remembered {
    pub(crate) fn plain(path: &str, content: String) -> Self {
        Self { path: path.to_owned(), wrapped: false, value: content.clone(), content }
    }

    pub(crate) fn unwrapped(path: &str, token: String, value: String) -> Self {
        Self { path: path.to_owned(), wrapped: true, content: token, value }
    }
}

impl Memory {
    pub(crate) fn load() -> Self {
        let saved = state::load_bytes();
        let memory: Self = json::read(&saved).unwrap_or_default();
        Self { saved, ..memory }
    }

    /// Whether it will be there next time. A login is not given up because it won't: a secret-id
    /// that was just unwrapped exists nowhere else.
    pub(crate) fn save(&mut self) -> bool {
        let result = serde_json::to_vec(self).map_err(Into::into).and_then(|value| {
            if value != self.saved {
                state::save_bytes(&value)?;
                self.saved = value;
            }
            Ok(())
        });
        if let Err(failure) = &result {
            let failure: &usher_plugin::Failure = failure;
            log::warn("the credentials could not be remembered", &[("reason", &failure.message)]);
        }
        result.is_ok()
    }

    /// Changes when, and only when, the role-id or what the secret-id file holds changes.
    pub(crate) fn revision(&mut self, role_id: &str, secret_id_content: &str) -> String {
        if self.revision_key.len() != 32 {
            self.revision_key = random::bytes(32);
        }
        let digest = Sha256::new()
            .chain_update(&self.revision_key)
            .chain_update(role_id.len().to_le_bytes())
            .chain_update(role_id)
            .chain_update(secret_id_content)
            .finalize();
        digest.iter().take(16).fold(String::new(), |mut text, byte| {
            // Writing to a String can't fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}
