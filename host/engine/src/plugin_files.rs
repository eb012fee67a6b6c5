//! The files of the plug-in directory, and which of them may be loaded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::LoadError;
use crate::found::Found;
use crate::lock::Lock;
use crate::plugin::Plugin;
use crate::registry::find;

/// Where plug-in files are, and what decides about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginFiles {
    /// The plug-in directory.
    pub directory: PathBuf,
    /// Lists the digests that may be loaded; None: any may.
    pub lock: Option<PathBuf>,
    /// The only digest that a plug-in may have, by its name: 64 lower-case hexadecimal digits.
    pub pins: BTreeMap<String, String>,
}

impl PluginFiles {
    /// The file of `name`, if there is one.
    ///
    /// # Errors
    /// When the directory or the file can't be read or others can change it.
    pub async fn read(&self, name: &str) -> Result<Option<Found>, LoadError> {
        let (directory, name) = (self.directory.clone(), name.to_owned());
        // Reading and hashing 12 MB takes too long for the thread on which renewals run.
        aside(&self.directory, move || find(&directory, &name)).await
    }

    /// Whether pin and lock let it be loaded.
    pub(crate) async fn admit(&self, found: &Found) -> Result<(), LoadError> {
        let digest = found.digest.to_string();
        if let Some(pinned) = self.pins.get(&found.name)
            && *pinned != digest
        {
            return Err(LoadError::Pinned { found: digest, pinned: pinned.clone() });
        }
        let Some(path) = &self.lock else { return Ok(()) };
        let file = path.clone();
        aside(path, move || Lock::read(&file)).await?.admit(path, found)
    }

    /// Whether what is loaded already would be admitted by the pin.
    pub(crate) fn pin_fits(&self, plugin: &Plugin) -> bool {
        self.pins.get(&plugin.name).is_none_or(|pinned| *pinned == plugin.digest)
    }
}

/// Work with files, on a thread where it may take its time.
async fn aside<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(LoadError::Unreadable { path: path.to_owned(), error: std::io::Error::other(error) })
    })
}
