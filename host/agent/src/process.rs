//! What the agent does to its own process: no core dumps, a pid file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use usher_config::Diagnostic;

use crate::part::{Leaves, Part, PartId, Seat, Tier, Work};

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
    ///
    /// # Errors
    /// Why it can't be written, and what to do.
    pub(crate) fn write(path: &Path) -> Result<Self, Diagnostic> {
        Self::try_write(path).map_err(|error| {
            Diagnostic::new_error(
                "pid_file",
                format!("the pid file can't be written ({error})"),
                "correct pid_file or the permissions of its directory",
                None,
            )
        })
    }

    fn try_write(path: &Path) -> io::Result<Self> {
        let mut file =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(std::process::id().to_string().as_bytes())?;
        Ok(Self(path.to_owned()))
    }
}

impl Part for PidFile {
    fn id(&self) -> PartId {
        PartId::PidFile
    }

    fn tier(&self) -> Tier {
        Tier::Process
    }

    fn run(self: Box<Self>, mut seat: Seat) -> Work {
        Box::pin(async move {
            seat.end().await;
            drop(self);
            Leaves::Nothing
        })
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
