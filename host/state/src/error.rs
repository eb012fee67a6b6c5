//! Why nothing can be kept.

use std::io;
use std::path::PathBuf;

/// Why nothing can be kept, and what to do where the system's own words don't tell.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory can't be used.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file or directory that others could use, too.
    #[error("{path} is open to others than its owner: {remedy}", path = path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// What to do.
        remedy: String,
    },
    /// A file or directory of somebody else.
    #[error("{path} belongs to user {owner}, not to the one that the agent runs as, {user}: give it to that user with chown", path = path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who asks.
        user: u32,
    },
    /// Another process has the directory.
    #[error("{path} is in use by another agent: give each its own directory", path = path.display())]
    InUse {
        /// Which.
        path: PathBuf,
    },
    /// There is no key, or it is none.
    #[error("{0}")]
    Key(String),
    /// What is to be kept is too large.
    #[error("what is to be kept is larger than {most} MiB", most = crate::records::LARGEST >> 20)]
    TooLarge,
    /// systemd's store can't be used.
    #[error("{0}")]
    Systemd(String),
}

impl Error {
    pub(crate) fn of(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::File { path, source }
    }
}
