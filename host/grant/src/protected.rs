//! What nobody is granted, whatever the operator allows.
//!
//! What a sink writes is *reserved* for it, as it asked for it, with `*` if it has one. Whoever comes
//! second is refused, so each path has one owner, and only the owner touches it. A reload brings
//! uses that take the place of others while these are still in force: of what identities have that
//! are leaving, their successors may reserve the same, and nobody else gains anything.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use crate::paths::{glob, overlap};

/// What is never granted to anyone, besides the fixed list.
#[derive(Debug, Default)]
pub struct Protected {
    /// The agent's own directories and files: plug-in directory, lock, caches, sockets.
    own: RwLock<Vec<PathBuf>>,
    outputs: RwLock<Outputs>,
}

#[derive(Debug, Default)]
struct Outputs {
    reserved: Vec<Reservation>,
    /// Counts the changes of the configuration.
    change: u64,
    /// Identities that this change is about to end.
    leaving: Vec<String>,
}

/// A sink's output.
#[derive(Debug)]
struct Reservation {
    output: String,
    usage: String,
    identity: String,
    /// The change that brought the use.
    change: u64,
    /// Lives as long as the use.
    holder: Weak<()>,
    /// Something was written there: it stays protected after its use has ended.
    is_written: bool,
}

/// A use that wants a file.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// "default/sink/0".
    pub usage: &'a str,
    /// Name of the identity that it belongs to.
    pub identity: &'a str,
    /// Lives as long as the use.
    pub holder: &'a Arc<()>,
    /// The change of the configuration that brought it.
    pub change: u64,
}

/// What a sink is going to write.
pub struct Claim<'a> {
    /// The sink.
    pub asker: Asker<'a>,
    /// A path whose directory is resolved; it may hold a `*`.
    pub output: String,
    /// Who chose it.
    pub naming: Naming,
}

/// Who chose an output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// The operator named this very file.
    ByOperator,
    /// The plug-in, among others that it may write.
    ByPlugin,
}

/// Two uses that would write the same.
#[derive(Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Who came second.
    pub usage: String,
    /// What it would write.
    pub output: String,
    /// Who has it.
    pub holder: String,
    /// What it has: not the same, if there is a `*`.
    pub held: String,
}

impl Protected {
    /// Protects the agent's own `paths`, and what is below them.
    pub fn new(own: Vec<PathBuf>) -> Self {
        Self { own: RwLock::new(own), outputs: RwLock::default() }
    }

    /// Protects one more, from the next call on.
    pub fn protect(&self, path: PathBuf) {
        let mut own = self.own.write().unwrap_or_else(PoisonError::into_inner);
        if !own.contains(&path) {
            own.push(path);
        }
    }

    /// Reserves all of `claims`, each for as long as its use lives, or none: if nobody has them, and
    /// `confirm`, which is run only then, succeeds.
    pub fn reserve<E: From<Conflict>>(
        &self,
        claims: &[Claim<'_>],
        confirm: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let mut outputs = self.outputs.write().unwrap_or_else(PoisonError::into_inner);
        outputs.reserved.retain(|reservation| reservation.is_written || reservation.lives());
        for (index, claim) in claims.iter().enumerate() {
            let conflict = |usage: &str, held: &str| {
                Err(E::from(Conflict {
                    usage: claim.asker.usage.to_owned(),
                    output: claim.output.clone(),
                    holder: usage.to_owned(),
                    held: held.to_owned(),
                }))
            };
            if outputs.has(claim) {
                continue;
            }
            if let Some(other) = outputs.reserved.iter().find(|other| outputs.bars(other, claim)) {
                return conflict(&other.usage, &other.output);
            }
            let with_it = claims[..index].iter().find(|other| {
                !Arc::ptr_eq(other.asker.holder, claim.asker.holder)
                    && overlap(&other.output, &claim.output)
            });
            if let Some(other) = with_it {
                return conflict(other.asker.usage, &other.output);
            }
        }
        confirm()?;
        for claim in claims {
            outputs.take(claim);
        }
        Ok(())
    }

    /// From now on these identities' outputs, and no others, may be reserved by their successors:
    /// the uses that come before the next call of this.
    pub fn leaving(&self, identities: Vec<String>) {
        let mut outputs = self.outputs.write().unwrap_or_else(PoisonError::into_inner);
        outputs.change += 1;
        outputs.leaving = identities;
    }

    /// The change of the configuration that brings what is bound now.
    pub fn change(&self) -> u64 {
        self.outputs.read().unwrap_or_else(PoisonError::into_inner).change
    }

    /// The use has written `path` (resolved).
    pub fn is_written(&self, path: &Path, asker: Asker<'_>) {
        let mut outputs = self.outputs.write().unwrap_or_else(PoisonError::into_inner);
        for reservation in &mut outputs.reserved {
            if reservation.is_of(asker) && reservation.covers(path) {
                reservation.is_written = true;
            }
        }
    }

    /// Why nobody, or not this use, may touch `path` (resolved).
    pub fn refuses(&self, path: &Path, asker: Asker<'_>) -> Option<&'static str> {
        const SYSTEM: [&str; 3] = ["/proc", "/sys", "/dev"];
        // A RAM disk for ordinary files; the usual place for a token that must not reach a disk.
        if !path.starts_with("/dev/shm") && SYSTEM.iter().any(|system| path.starts_with(system)) {
            return Some("/proc, /sys and /dev are never granted");
        }
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        if own.iter().any(|own| path.starts_with(own)) {
            return Some("it belongs to the agent itself");
        }
        let outputs = self.outputs.read().unwrap_or_else(PoisonError::into_inner);
        let mut refusal = None;
        for reservation in outputs.reserved.iter().filter(|other| other.covers(path)) {
            if reservation.is_of(asker) {
                return None;
            }
            if reservation.lives() {
                refusal = Some("it is the output of another sink");
            } else if reservation.is_written && refusal.is_none() {
                refusal = Some(
                    "it is what a sink wrote that is gone; remove it if nobody needs it any more",
                );
            }
        }
        refusal
    }
}

impl Outputs {
    /// Whether `other` stands in the way of `claim`.
    fn bars(&self, other: &Reservation, claim: &Claim<'_>) -> bool {
        let asker = claim.asker;
        if other.is_of(asker) || !overlap(&other.output, &claim.output) {
            return false;
        }
        let may_follow = other.identity == asker.identity || claim.naming == Naming::ByOperator;
        if other.lives() {
            let is_leaving = asker.change == self.change
                && other.change != self.change
                && self.leaving.contains(&other.identity);
            return !(is_leaving && may_follow);
        }
        other.is_written && !may_follow && !other.is_gone()
    }

    /// Whether the use has it already.
    fn has(&self, claim: &Claim<'_>) -> bool {
        let mut reserved = self.reserved.iter();
        reserved.any(|other| other.output == claim.output && other.is_of(claim.asker))
    }

    fn take(&mut self, claim: &Claim<'_>) {
        let asker = claim.asker;
        if self.has(claim) {
            return;
        }
        // What lies there goes on being protected, as the new one's.
        let ended = |other: &mut Reservation| other.output == claim.output && !other.lives();
        let ended: Vec<Reservation> = self.reserved.extract_if(.., ended).collect();
        let is_written = ended.iter().any(|other| other.is_written);
        self.reserved.push(Reservation {
            output: claim.output.clone(),
            usage: asker.usage.to_owned(),
            identity: asker.identity.to_owned(),
            change: asker.change,
            holder: Arc::downgrade(asker.holder),
            is_written,
        });
    }
}

impl Reservation {
    fn lives(&self) -> bool {
        self.holder.strong_count() > 0
    }

    fn is_of(&self, asker: Asker<'_>) -> bool {
        std::ptr::eq(self.holder.as_ptr(), Arc::as_ptr(asker.holder))
    }

    /// Whether `path` belongs to it, also while it is written and has another name.
    fn covers(&self, path: &Path) -> bool {
        let covers = |path: &Path| {
            if !self.output.contains('*') {
                return Path::new(&self.output) == path;
            }
            path.to_str().is_some_and(|path| glob(&self.output, path))
        };
        covers(path) || temporary_for(path).is_some_and(|path| covers(&path))
    }

    /// Nothing lies there any more.
    fn is_gone(&self) -> bool {
        !self.output.contains('*') && !Path::new(&self.output).exists()
    }
}

/// Between the name of a file and 16 hexadecimal digits, in the name that it has while it is
/// written; a dot is the first.
pub const TEMPORARY: &str = ".usher-";

/// The file that a temporary file beside it becomes.
fn temporary_for(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let (name, end) = name.strip_prefix('.')?.rsplit_once(TEMPORARY)?;
    let is_end = end.len() == 16 && end.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_end.then(|| path.with_file_name(name))
}

#[cfg(test)]
mod tests;
