//! One credential in one file: read for each login, remembered while the file is gone, removed
//! once the server has accepted it.

use crate::{RevisionKey, Saved, refused};
use serde::{Deserialize, Serialize};
use usher_plugin::context::{self, Reason};
use usher_plugin::{Failure, Kind, Need, files};

/// Where a credential is, and how to read it.
#[derive(Clone, Copy)]
pub struct CredentialFile<'a> {
    /// As configured.
    pub path: &'a str,
    /// As messages call the credential: "JWT", "password".
    pub what: &'static str,
    /// What in the file is the credential.
    pub text: Text,
    /// Whether it can be one; only then it is used.
    pub accept: fn(&str) -> bool,
}

/// What in a file is the credential.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// All but the white space around it.
    Trimmed,
    /// All but one line end at its end: blanks may belong to a password.
    Line,
}

/// What becomes of a one-shot file when the server has accepted its credential.
#[derive(Clone, Copy)]
pub struct Removal {
    /// The key of the configuration that turns it off, for the remedy.
    pub key: &'static str,
    /// Remove what a symbolic link leads to, and leave the link.
    pub follow_symlinks: bool,
}

/// What a use remembers of its file.
#[derive(Default, Deserialize, Serialize)]
struct Memory {
    revision_key: RevisionKey,
    last: Option<Last>,
}

/// The last credential and its file.
#[derive(Deserialize, Serialize)]
struct Last {
    path: String,
    credential: String,
}

impl CredentialFile<'_> {
    /// To read it, be called when it changes, and remove it if asked to.
    pub fn needs(&self, removal: Option<Removal>) -> Vec<Need> {
        let mut needs = vec![Need::watch(self.path)];
        needs.extend(removal.map(|removal| {
            // Where a link leads is not known before it is followed.
            Need::remove(if removal.follow_symlinks { "/*" } else { self.path })
        }));
        needs
    }

    /// The credential as it is in the file now.
    ///
    /// What is no credential is `unavailable`: it may be written properly later.
    pub fn read(&self) -> Result<String, Failure> {
        let credential = match self.text {
            Text::Trimmed => files::read_trimmed(self.path)?,
            Text::Line => first_line(self.path)?,
        };
        if (self.accept)(&credential) {
            return Ok(credential);
        }
        let Self { path, what, .. } = self;
        let message = format!("{path} holds no {what}; it is read again as soon as it changes");
        Err(Failure::unavailable("file.not-a-credential", message).detail("file", *path))
    }

    /// The credential in the file, else the one that was there last; and its revision, in which
    /// `others` count too.
    pub fn read_or_recall(&self, others: &[&str]) -> Result<(String, String), Failure> {
        let mut memory = Saved::<Memory>::load();
        let credential = match self.read() {
            Ok(credential) => credential,
            Err(failure) => memory
                .last
                .as_ref()
                .filter(|last| last.path == self.path && is_gone(&failure))
                .map(|last| last.credential.clone())
                .ok_or_else(|| nothing_to_use(self.what, failure))?,
        };
        let mut parts = vec![credential.as_str()];
        parts.extend(others);
        let revision = memory.revision_key.revision(&parts);
        if context::reason() == Reason::Explain {
            return Ok((credential, revision));
        }
        memory.last = Some(Last { path: self.path.to_owned(), credential: credential.clone() });
        let kept = memory.save();
        Ok((credential, if kept { revision } else { String::new() }))
    }

    /// Removes the file, if it still holds the credential that was used last.
    pub fn remove_used(&self, removal: Removal) -> Result<(), Failure> {
        let memory = Saved::<Memory>::load();
        let Some(used) = memory.last.as_ref().filter(|last| last.path == self.path) else {
            return Ok(());
        };
        match self.read() {
            Ok(credential) if credential == used.credential => {}
            // Someone has put a new one there, which is still to be used, or is about to.
            Ok(_) => return Ok(()),
            Err(failure) if is_gone(&failure) => return Ok(()),
            Err(failure) => return Err(failure),
        }
        let removed = if removal.follow_symlinks {
            files::remove_target(self.path)
        } else {
            files::remove(self.path)
        };
        removed.map_err(|failure| {
            let message = format!(
                "the used {} file was not removed: {}; if it is mounted read-only, set {} = false",
                self.what, failure.message, removal.key
            );
            Failure { message, ..failure }
        })
    }
}

/// A file that can't be read may be readable soon; one that isn't granted won't. `what` it should
/// hold is named.
pub fn nothing_to_use(what: &str, failure: Failure) -> Failure {
    if failure.code == "grant.missing" {
        return failure;
    }
    let message = format!("there is no {what}: {}", failure.message);
    Failure { kind: Kind::Unavailable, message, ..failure }
}

/// That a key of the configuration names one file.
pub fn one_file(key: &str, path: &str) -> Result<(), Failure> {
    if path.is_empty() {
        return Err(refused(key, "empty", "is empty; write the path of a file"));
    }
    // In a need both would mean more than this one file.
    if path.contains('*') || path.contains("${") {
        return Err(refused(key, "invalid", "must name one file, without \"*\" and \"${\""));
    }
    Ok(())
}

/// Nothing is there, as after a removal; anything else than nothing is a mistake to be told.
fn is_gone(failure: &Failure) -> bool {
    ["file.not-found", "file.empty"].contains(&failure.code.as_str())
}

fn first_line(path: &str) -> Result<String, Failure> {
    let text = String::from_utf8(files::read(path)?).map_err(|_| {
        Failure::unavailable("file.not-text", format!("{path} is not text (UTF-8)"))
            .detail("file", path)
    })?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        let message =
            format!("{path} is empty; it is read again as soon as something is written to it");
        return Err(Failure::unavailable("file.empty", message).detail("file", path));
    }
    Ok(line.to_owned())
}
