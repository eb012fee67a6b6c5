//! What the method remembers from one login to the next.

use crate::credentials::Credentials;
use serde::{Deserialize, Serialize};
use usher_plugin_lib::RevisionKey;

/// It holds secrets: not shown, not logged.
#[derive(Default, Deserialize, Serialize)]
pub(crate) struct Memory {
    pub(crate) revision_key: RevisionKey,
    /// Of the instance.
    pub(crate) region: Option<String>,
    /// Those of a session, while they are good.
    pub(crate) session: Option<Credentials>,
}
