//! Reads the files of `usher token`, whole and not too large, and removes the one that was read.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use usher_secret::Secret;
use zeroize::Zeroizing;

use crate::terminal::complain;

/// More than any token, envelope, key or additional data.
const LARGEST: usize = 1024 * 1024;

/// A file that was read: where it is, symbolic links followed, and which one it was.
pub(super) struct ReadFile {
    path: PathBuf,
    metadata: Metadata,
}

/// The whole content of `path`, which is called `role` in an error.
pub(super) fn read(role: &str, path: &Path) -> Result<(Secret<Vec<u8>>, ReadFile), String> {
    let problem = |error: std::io::Error| {
        let cure = match error.kind() {
            std::io::ErrorKind::NotFound => "; check the path, and that it has been written",
            std::io::ErrorKind::PermissionDenied => "; read it as its owner",
            _ => "",
        };
        format!("{role} {} can't be read: {error}{cure}", path.display())
    };
    let file = File::open(path).map_err(problem)?;
    let metadata = file.metadata().map_err(problem)?;
    // A pipe has no path of its own.
    let resolved = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    // Never grows, so that no copy is left behind.
    let mut content = Zeroizing::new(Vec::with_capacity(LARGEST + 1));
    file.take(LARGEST as u64 + 1).read_to_end(&mut content).map_err(problem)?;
    if content.len() > LARGEST {
        return Err(format!(
            "{role} {} is larger than 1 MiB, so it is no such file",
            path.display()
        ));
    }
    Ok((Secret::new(content.to_vec()), ReadFile { path: resolved, metadata }))
}

impl ReadFile {
    /// Whether it has a name that can be removed.
    pub(super) fn is_regular(&self) -> bool {
        self.metadata.is_file()
    }

    /// Removes it, unless another file has taken its place.
    pub(super) fn remove(self) -> Result<(), String> {
        let shown = self.path.display();
        match std::fs::symlink_metadata(&self.path) {
            Ok(now) if same(&now, &self.metadata) => std::fs::remove_file(&self.path)
                .map_err(|error| format!("the token was printed, but {shown} can't be removed: {error}; remove it by hand")),
            Ok(_) => {
                complain(&format!("{shown} was written anew meanwhile and is left there"));
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(format!("the token was printed, but {shown} can't be removed: {error}; remove it by hand")),
        }
    }
}

/// In-place writing keeps the inode, and changes the time.
fn same(one: &Metadata, other: &Metadata) -> bool {
    let key =
        |data: &Metadata| (data.dev(), data.ino(), data.size(), data.mtime(), data.mtime_nsec());
    key(one) == key(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_written_anew_meanwhile_is_left() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        for in_place in [false, true] {
            std::fs::write(&path, "first").expect("a file");
            let (content, file) = read("the token file", &path).expect("readable");
            assert_eq!(content.expose(), b"first");
            if in_place {
                std::fs::write(&path, "another").expect("written anew");
            } else {
                let temporary = directory.path().join("new");
                std::fs::write(&temporary, "again").expect("a file");
                std::fs::rename(temporary, &path).expect("replaced");
            }
            assert_eq!(file.remove(), Ok(()));
            assert!(path.exists());
        }
        let (_, file) = read("the token file", &path).expect("readable");
        assert_eq!(file.remove(), Ok(()));
        assert!(!path.exists());
    }
}
