//! Finds plug-ins in the plug-in directory, and trusts only what nobody else can change.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::digest::Digest;
use crate::error::LoadError;
use crate::found::{Found, largest};

/// A file of the plug-in directory, read or not.
pub type Scanned = (PathBuf, Result<Found, LoadError>);

/// The plug-in `name` in `directory`; None if it isn't there.
///
/// # Errors
/// When the directory or the file can't be read or belongs to somebody else.
pub fn find(directory: &Path, name: &str) -> Result<Option<Found>, LoadError> {
    check_directory(directory)?;
    // A name is one path component: it can't lead out of the directory.
    if name.is_empty() || name.contains(['/', '\0']) || name == ".." || name == "." {
        return Ok(None);
    }
    let component = directory.join(format!("{name}.wasm"));
    let script = directory.join(format!("{name}.js"));
    match (component.exists(), script.exists()) {
        (true, true) => Err(LoadError::Ambiguous(component, script)),
        (true, false) => read(&component, name).map(Some),
        (false, true) => read(&script, name).map(Some),
        (false, false) => Ok(None),
    }
}

/// Every plug-in in `directory`, by name; each file with its own result.
///
/// # Errors
/// When the directory can't be read or belongs to somebody else.
pub fn scan(directory: &Path) -> Result<Vec<Scanned>, LoadError> {
    check_directory(directory)?;
    let unreadable = |error| LoadError::Unreadable { path: directory.to_owned(), error };
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .map_err(unreadable)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension().is_some_and(|extension| extension == "wasm" || extension == "js")
        })
        .filter(|path| {
            path.file_stem().is_some_and(|stem| !stem.to_string_lossy().starts_with('.'))
        })
        .collect();
    files.sort();
    Ok(files
        .into_iter()
        .map(|path| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let found = read(&path, &name);
            (path, found)
        })
        .collect())
}

fn read(path: &Path, name: &str) -> Result<Found, LoadError> {
    let unreadable = |error| LoadError::Unreadable { path: path.to_owned(), error };
    let file = File::options()
        .read(true)
        .custom_flags(
            i32::try_from((OFlags::NONBLOCK | OFlags::CLOEXEC).bits()).unwrap_or_default(),
        )
        .open(path)
        .map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(LoadError::NotAComponent("it is no regular file".to_owned()));
    }
    check_owner(path, &metadata)?;
    let largest = largest(path);
    if metadata.len() > largest {
        return Err(LoadError::NotAComponent(format!(
            "it is larger than {} MiB; strip it or leave out what it doesn't need",
            largest >> 20
        )));
    }
    let mut bytes = Vec::new();
    file.take(largest).read_to_end(&mut bytes).map_err(unreadable)?;
    let digest = Digest::of(&bytes);
    Ok(Found { name: name.to_owned(), path: path.to_owned(), bytes, digest })
}

/// The content of a small file, such as a lock, that nobody else can change.
///
/// # Errors
/// When it can't be read, belongs to somebody else, or is larger than `most` bytes.
pub(crate) fn read_trusted(path: &Path, most: u64) -> Result<Vec<u8>, LoadError> {
    let unreadable = |error| LoadError::Unreadable { path: path.to_owned(), error };
    let file = File::open(path).map_err(unreadable)?;
    check_owner(path, &file.metadata().map_err(unreadable)?)?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > most {
        return Err(unreadable(std::io::Error::other(format!("it is larger than {most} bytes"))));
    }
    Ok(bytes)
}

fn check_directory(directory: &Path) -> Result<(), LoadError> {
    let metadata = fs::metadata(directory)
        .map_err(|error| LoadError::Unreadable { path: directory.to_owned(), error })?;
    check_owner(directory, &metadata)
}

fn check_owner(path: &Path, metadata: &Metadata) -> Result<(), LoadError> {
    let agent = rustix::process::geteuid().as_raw();
    let refuse = |problem: String, remedy: String| {
        Err(LoadError::Ownership { path: path.to_owned(), problem, remedy })
    };
    if metadata.uid() != 0 && metadata.uid() != agent {
        return refuse(
            format!("belongs to user {}, who could change what the agent runs", metadata.uid()),
            format!("chown it to root or to user {agent}"),
        );
    }
    if metadata.mode() & 0o022 != 0 {
        return refuse(
            format!("can be written by others (mode {:04o})", metadata.mode() & 0o7777),
            format!("run: chmod go-w {}", path.display()),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn directory() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        directory
    }

    fn write(directory: &Path, name: &str, mode: u32) {
        let path = directory.join(name);
        fs::write(&path, name).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_plug_in_is_found_by_its_file_name() {
        let directory = directory();
        write(directory.path(), "acme.wasm", 0o644);
        let found = find(directory.path(), "acme").unwrap().unwrap();
        assert_eq!((found.name.as_str(), found.bytes.as_slice()), ("acme", &b"acme.wasm"[..]));
        assert_eq!(found.digest, Digest::of(b"acme.wasm"));
        assert!(find(directory.path(), "other").unwrap().is_none());
        assert!(find(directory.path(), "../acme").unwrap().is_none());
    }

    #[test]
    fn what_others_can_write_is_refused() {
        let directory = directory();
        write(directory.path(), "acme.wasm", 0o666);
        let error = find(directory.path(), "acme").err().unwrap().to_string();
        assert!(error.contains("mode 0666") && error.contains("chmod go-w"), "{error}");
        write(directory.path(), "good.wasm", 0o644);
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(find(directory.path(), "good"), Err(LoadError::Ownership { .. })));
    }

    #[test]
    fn a_component_beside_a_script_of_the_same_name_is_an_error_naming_both() {
        let directory = directory();
        write(directory.path(), "acme.wasm", 0o644);
        write(directory.path(), "acme.js", 0o644);
        let error = find(directory.path(), "acme").err().unwrap().to_string();
        assert!(error.contains("acme.wasm") && error.contains("acme.js"), "{error}");
    }

    #[test]
    fn a_script_is_found_as_a_component_is() {
        let directory = directory();
        write(directory.path(), "acme.js", 0o644);
        let found = find(directory.path(), "acme").unwrap().unwrap();
        assert_eq!(found.bytes, b"acme.js");
        let scanned = scan(directory.path()).unwrap();
        assert_eq!(scanned[0].1.as_ref().ok().map(|found| found.name.as_str()), Some("acme"));
    }

    #[test]
    fn a_scan_reports_each_file_for_itself() {
        let directory = directory();
        write(directory.path(), "b.wasm", 0o644);
        write(directory.path(), "a.wasm", 0o646);
        write(directory.path(), "notes.txt", 0o644);
        let scanned = scan(directory.path()).unwrap();
        assert_eq!(scanned.len(), 2);
        assert!(scanned[0].1.is_err() && scanned[1].1.is_ok());
    }
}
