//! Whose tokens a login brings.

use usher_address::{MountPath, Namespace};
use usher_secret::Secret;

/// Who logs in where: two logins with the same origin bring tokens of the same identity.
#[derive(Clone, PartialEq)]
pub(crate) struct Origin {
    /// URL of the server, without trailing slash.
    pub(crate) server_address: String,
    pub(crate) namespace: Namespace,
    pub(crate) mount_path: MountPath,
    /// Type of the method.
    pub(crate) kind: String,
    /// Of the method's settings those that its plug-in says identify it.
    pub(crate) settings: Secret<String>,
    /// Whether the server wraps what the login grants: with the token itself, the agent can't do
    /// what is asked of it then, and the other way round.
    pub(crate) wraps: bool,
}
