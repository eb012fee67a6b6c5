//! Whose tokens a login brings.

use sha2::{Digest, Sha256};
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

impl Origin {
    /// Tells it from others without saying what it is.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let Self { server_address, namespace, mount_path, kind, settings, wraps } = self;
        let (namespace, mount_path) = (namespace.to_string(), mount_path.to_string());
        let mut digest = Sha256::new();
        for part in [server_address, &namespace, &mount_path, kind, settings.expose()] {
            digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            digest.update(part);
        }
        digest.update([u8::from(*wraps)]);
        digest.finalize().into()
    }
}
