//! The lock: which plug-in files may be loaded, by digest.
//!
//! It lies outside of the plug-in directory, so that whoever can put a file there can't admit it.
//! The agent only reads it; `usher plugin lock` and `usher plugin approve` write it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::LoadError;
use crate::found::Found;
use crate::registry::read_trusted;

/// The only version of the format so far.
const VERSION: u32 = 1;
/// In bytes. Thousands of plug-ins fit.
const LARGEST: u64 = 4 << 20;

/// What the file holds: JSON, with everything in order, so that it can be kept under version
/// control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    /// By name.
    pub plugins: BTreeMap<String, Entry>,
}

/// One plug-in that may be loaded. Only the digest decides; the rest is for whoever compares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// 64 hexadecimal digits.
    pub sha256: String,
    /// What the plug-in says.
    pub version: String,
    /// "auth-method" or "sink".
    pub kind: String,
    /// Version of the contract.
    pub contract: String,
    /// What it needs for the configuration: `read "/run/acme/id"`. None: the configuration doesn't
    /// use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Vec<String>>,
}

impl Default for Lock {
    fn default() -> Self {
        Self { version: VERSION, plugins: BTreeMap::new() }
    }
}

impl Lock {
    /// Reads the lock, which nobody but root and the agent's user may be able to change.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let broken = |problem: String| LoadError::Lock { path: path.to_owned(), problem };
        let bytes = match read_trusted(path, LARGEST) {
            Err(LoadError::Unreadable { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                return Err(broken("isn't there".to_owned()));
            }
            read => read?,
        };
        let lock: Self = serde_json::from_slice(&bytes)
            .map_err(|error| broken(format!("can't be understood ({error})")))?;
        if lock.version != VERSION {
            return Err(broken(format!("has version {}, not {VERSION}", lock.version)));
        }
        Ok(lock)
    }

    /// Puts the lock in place, whole or not at all, for everybody to read.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        let unfinished = path.with_extension(format!("new-{:016x}", rand::random::<u64>()));
        let written = File::options()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&unfinished)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&unfinished, path));
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written
    }

    /// Whether this file may be loaded; `path` is the lock's own, for the message.
    pub fn admit(&self, path: &Path, found: &Found) -> Result<(), LoadError> {
        let digest = found.digest.to_string();
        let known = self.plugins.get(&found.name).map(|entry| entry.sha256.clone());
        if known.as_ref() == Some(&digest) {
            return Ok(());
        }
        Err(LoadError::Unlisted {
            plugin: found.name.clone(),
            found: digest,
            known,
            lock: path.to_owned(),
        })
    }
}

impl Entry {
    /// What differs from an older entry, for people to judge; empty if nothing does.
    pub fn changes(&self, old: Option<&Self>) -> Vec<String> {
        let mut lines = Vec::new();
        for (what, of) in [
            ("sha256", (|entry| &entry.sha256) as fn(&Self) -> &String),
            ("version", |entry| &entry.version),
            ("kind", |entry| &entry.kind),
            ("contract", |entry| &entry.contract),
        ] {
            match old.map(of) {
                Some(old) if old == of(self) => {}
                Some(old) => lines.push(format!("{what:<9} {old} -> {}", of(self))),
                None => lines.push(format!("{what:<9} {}", of(self))),
            }
        }
        let needs = |entry: &Self| entry.needs.clone().unwrap_or_default();
        let (before, after) = (old.map(needs).unwrap_or_default(), needs(self));
        for need in after.iter().filter(|need| !before.contains(need)) {
            lines.push(format!("needs     + {need}"));
        }
        for need in before.iter().filter(|need| !after.contains(need)) {
            lines.push(format!("needs     - {need}"));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::digest::Digest;

    fn entry(sha256: &str, needs: &[&str]) -> Entry {
        Entry {
            sha256: sha256.to_owned(),
            version: "1.0.0".to_owned(),
            kind: "sink".to_owned(),
            contract: "0.1.0".to_owned(),
            needs: Some(needs.iter().map(|&need| need.to_owned()).collect()),
        }
    }

    fn found(name: &str, digest: &str) -> Found {
        Found {
            name: name.into(),
            path: "/p/acme.wasm".into(),
            bytes: Vec::new(),
            digest: Digest::of(digest.as_bytes()),
        }
    }

    #[test]
    fn only_a_listed_digest_is_admitted() {
        let mut lock = Lock::default();
        let (listed, other) = (Digest::of(b"aa").to_string(), Digest::of(b"bb").to_string());
        lock.plugins.insert("acme".to_owned(), entry(&listed, &[]));
        let admit = |name, digest| lock.admit(Path::new("/l"), &found(name, digest));
        assert!(admit("acme", "aa").is_ok());
        let changed = admit("acme", "bb").unwrap_err().to_string();
        for part in [&*other, &*listed, "/l", "usher plugin approve acme", "usher plugin lock"] {
            assert!(changed.contains(part), "{part}: {changed}");
        }
        assert!(admit("other", "aa").is_err());
    }

    #[test]
    fn a_lock_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("usher.lock");
        let message = |path: &Path| Lock::read(path).unwrap_err().to_string();
        assert!(message(&path).contains("isn't there"));
        let mut lock = Lock::default();
        lock.plugins.insert("b".to_owned(), entry("bb", &["read \"/x\""]));
        lock.plugins.insert("a".to_owned(), Entry { needs: None, ..entry("aa", &[]) });
        lock.write(&path).unwrap();
        assert_eq!(Lock::read(&path).unwrap(), lock);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(message(&path).contains("mode 0666"));
        fs::write(&path, "{").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(message(&path).contains("usher plugin lock"));
        fs::write(&path, r#"{"version": 2, "plugins": {}}"#).unwrap();
        assert!(message(&path).contains("has version 2"));
    }

    #[test]
    fn what_changed_is_told() {
        let old = entry("aa", &["read \"/x\"", "env \"A\""]);
        let new =
            Entry { version: "1.1.0".to_owned(), ..entry("bb", &["read \"/x\"", "read \"/y\""]) };
        assert_eq!(
            new.changes(Some(&old)),
            [
                "sha256    aa -> bb",
                "version   1.0.0 -> 1.1.0",
                "needs     + read \"/y\"",
                "needs     - env \"A\""
            ]
        );
        assert!(old.changes(Some(&old)).is_empty());
        assert_eq!(old.changes(None).len(), 6);
    }
}
