//! What the agent does to its own process: no core dumps, a pid file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// Keeps the memory, which holds tokens, out of core dumps and away from other processes of the
/// same user.
pub fn forbid_core_dumps() {
    // It can't fail for these arguments; an exotic kernel that refuses is no reason not to start.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// The pid file; removed when dropped.
pub(crate) struct PidFile(PathBuf);

impl PidFile {
    /// Writes the process id, decimal and without newline, mode 0600.
    pub(crate) fn write(path: &Path) -> io::Result<Self> {
        let mut file =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(std::process::id().to_string().as_bytes())?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Another agent may have taken the file over.
        let own = std::process::id().to_string();
        if fs::read_to_string(&self.0).is_ok_and(|written| written.trim() != own) {
            return;
        }
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "the pid file can't be removed");
        }
    }
}
