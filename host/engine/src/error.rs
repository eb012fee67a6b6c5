//! Why a plug-in can't be loaded or bound to a use.

use std::path::PathBuf;

use thiserror::Error;
use usher_grant::{Conflict, Refusal};

use crate::failure::Failure;

/// Each message names the thing and the remedy; the caller adds which plug-in it is.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file or directory can't be read.
    #[error("{} can't be read: {error}; check that it exists and that the agent may read it", path.display())]
    Unreadable {
        /// What was read.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// Somebody else could change the file.
    #[error("{} {problem}; {remedy}", path.display())]
    Ownership {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// The command that mends it.
        remedy: String,
    },
    /// `acme.wasm` beside `acme.js`.
    #[error("{} and {} have the same name; remove one of them", .0.display(), .1.display())]
    Ambiguous(PathBuf, PathBuf),
    /// A script, and this program has no script component.
    #[error("{} is a script, which this program can't run; build it as a component with componentize-js", .0.display())]
    Script(PathBuf),
    /// The bytes are no component.
    #[error("{0}")]
    NotAComponent(String),
    /// Built for another contract.
    #[error(
        "it is built for {found}, and this agent speaks usher:plugin {expected}; rebuild it with the SDK of this version"
    )]
    Contract {
        /// What the component exports.
        found: String,
        /// What this agent speaks.
        expected: &'static str,
    },
    /// An auth method was expected and a sink found, or the other way round.
    #[error("it is {found}, not {expected}; use it in the other block")]
    Kind {
        /// What it is.
        found: &'static str,
        /// What is needed.
        expected: &'static str,
    },
    /// The digest isn't the pinned one.
    #[error(
        "its sha256 is {found}, but the configuration pins {pinned}; if you trust the new file, change the pin"
    )]
    Pinned {
        /// Digest of the file.
        found: String,
        /// Digest in the configuration.
        pinned: String,
    },
    /// The lock doesn't list the digest.
    #[error(
        "its sha256 is {found}, which {} doesn't list{}; if you trust it, run: usher plugin approve {plugin} --config FILE (usher plugin lock takes all there are)",
        lock.display(),
        known.as_ref().map(|known| format!(" (it has {known})")).unwrap_or_default()
    )]
    Unlisted {
        /// The plug-in.
        plugin: String,
        /// Digest of the file.
        found: String,
        /// Digest in the lock, if it has the plug-in.
        known: Option<String>,
        /// The lock.
        lock: PathBuf,
    },
    /// The lock can't be understood.
    #[error("the lock {} {problem}; write it anew with: usher plugin lock --config FILE", path.display())]
    Lock {
        /// The lock.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The compiler failed.
    #[error("it can't be compiled: {0}")]
    Compile(String),
    /// The lean flavour has no compiler, and the cache no code.
    #[error(
        "this build of Usher has no compiler, and {} for it; run `usher plugin inspect {}` with the full build of this version, as the same user and with the same CACHE_DIRECTORY, then reload the agent",
        cache.as_ref().map_or_else(
            || "there is no cache with code (set CACHE_DIRECTORY or HOME)".to_owned(),
            |cache| format!("its cache {} has no code", cache.display()),
        ),
        file.display()
    )]
    NoCompiler {
        /// The component.
        file: PathBuf,
        /// The cache.
        cache: Option<PathBuf>,
    },
    /// The component imports what this host doesn't have.
    #[error(
        "it can't be linked: {0}; build it against the contract of this version (`usher plugin inspect` shows what it imports)"
    )]
    Link(String),
    /// An instance can't be made, or `describe` failed.
    #[error("it doesn't start: {0}")]
    Start(Failure),
    /// `prepare` refused the configuration.
    #[error("it refuses its configuration: {0}")]
    Prepare(Failure),
    /// Another sink writes the same.
    #[error(
        "the sink {usage:?} would write {output}, but {holder:?} writes {}; give each a file of its own",
        if held == output { "it" } else { held.as_str() }
    )]
    Taken {
        /// The use that came second: IDENTITY/sink/INDEX.
        usage: String,
        /// What it would write.
        output: String,
        /// The use that has it.
        holder: String,
        /// What that one writes.
        held: String,
    },
    /// Its needs aren't granted.
    #[error("{0}")]
    Refused(Refusal),
}

impl From<Conflict> for LoadError {
    fn from(Conflict { usage, output, holder, held }: Conflict) -> Self {
        Self::Taken { usage, output, holder, held }
    }
}
