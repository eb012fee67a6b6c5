//! What outlives the process, and where.

use std::path::PathBuf;

use crate::diagnostic::Location;
use crate::field::fields;

/// Where it is kept what identities need after a restart: their tokens, and what their methods
/// remember. Two are equal if they are the same but for their place in the file.
#[derive(Clone, Debug)]
pub struct Persist {
    /// The place.
    pub place: PersistPlace,
    /// End if what an earlier run left can't be read.
    pub exit_on_err: bool,
    /// Of the block.
    pub location: Location,
}

fields!(Persist {
    place: [
        "type",
        "path",
        "service_account_token_file",
        "keep_after_import",
        "key_credential",
        "key_file"
    ],
    exit_on_err: ["exit_on_err"],
} and { location });

impl PartialEq for Persist {
    fn eq(&self, other: &Self) -> bool {
        Self::FIELDS.iter().all(|field| (field.is_same)(self, other))
    }
}

impl Eq for Persist {}

/// The place by its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PersistPlace {
    /// A directory that the containers of a pod share, with its key in it.
    Kubernetes {
        /// The directory.
        path: PathBuf,
        /// Says which pod it is.
        service_account_token_file: PathBuf,
        /// What an earlier container left stays once it was read, and is gone on with.
        keep_after_import: bool,
    },
    /// A directory of the agent's own.
    File {
        /// The directory.
        path: PathBuf,
        /// What the file in it is sealed with.
        key: PersistKey,
    },
    /// systemd's file descriptor store.
    Systemd,
}

/// Where the key comes from that a file is sealed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PersistKey {
    /// A credential of systemd's, by its name (`LoadCredentialEncrypted=`).
    Credential(String),
    /// A file. It doesn't lie where what it seals is kept, as far as the two paths tell.
    File(PathBuf),
}
