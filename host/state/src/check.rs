//! What would keep a place from being opened, as far as its files tell.

use std::fs;
use std::io;
use std::path::Path;

use crate::error::Error;
use crate::key::closed;
use crate::{Key, Place, service_account};

impl Place {
    /// Looks at files without making, locking or writing one.
    ///
    /// Somebody else may ask than runs the agent, and where systemd hands nothing over. So nothing is
    /// said of owners, of a directory that isn't there yet, of credentials and of systemd's store.
    ///
    /// # Errors
    /// [`Store::open`](crate::Store::open) would fail with the same.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Self::File { directory, key } => {
                if matches!(key, Key::File(_)) {
                    key.find(directory)?;
                }
                match existing(directory)? {
                    Some(metadata) => closed(directory, &metadata, 0o022, "chmod 700 it"),
                    None => Ok(()),
                }
            }
            Self::Kubernetes { directory, service_account_token_file, .. } => {
                service_account::binding(service_account_token_file)?;
                existing(directory).map(drop)
            }
            Self::Systemd => Ok(()),
        }
    }
}

/// A directory; `None`: it isn't there.
fn existing(directory: &Path) -> Result<Option<fs::Metadata>, Error> {
    match fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => Ok(Some(metadata)),
        Ok(_) => Err(Error::of(directory)(io::ErrorKind::NotADirectory.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::of(directory)(error)),
    }
}
