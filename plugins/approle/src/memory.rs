//! What the method remembers between calls: the last values read, and what was unwrapped.

use serde::{Deserialize, Serialize};
use usher_plugin_lib::RevisionKey;

/// It holds secrets: not shown, not logged.
#[derive(Default, Deserialize, Serialize)]
pub(crate) struct Memory {
    pub(crate) revision_key: RevisionKey,
    pub(crate) role_id: Option<Remembered>,
    pub(crate) secret_id: Option<Remembered>,
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
