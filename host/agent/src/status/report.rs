//! What `usher status --json` prints: the agent, its identities and its listeners at one moment.
//!
//! The format is documented in `docs/status.md`. Fields are added, never changed or taken away, so
//! the command also understands an agent that is newer or older than itself.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::entry::IdentityReport;
use super::listeners::ListenerReport;
use super::moment;
use super::plugins::PluginReport;
use super::server::ServerReport;

/// The agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Of the agent.
    pub version: String,
    /// When it was started.
    #[serde(with = "moment")]
    pub started_at: SystemTime,
    /// Whether every sink of every identity holds a good token.
    pub ready: bool,
    /// Absent from agents that don't count yet.
    #[serde(default)]
    pub server: ServerReport,
    /// In the order in which they were set up.
    pub identities: Vec<IdentityReport>,
    /// Those in use, methods first. Absent from agents that don't tell yet.
    #[serde(default)]
    pub plugins: Vec<PluginReport>,
    /// In the order of the configuration. Absent from agents that have none yet.
    #[serde(default)]
    pub listeners: Vec<ListenerReport>,
}
