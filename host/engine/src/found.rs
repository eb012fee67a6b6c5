//! A plug-in's file as it was read.

use std::path::{Path, PathBuf};

use crate::digest::Digest;

/// The largest component, in bytes.
pub(crate) const LARGEST_COMPONENT: u64 = 64 << 20;
/// The largest script, in bytes: each call reads it anew.
const LARGEST_SCRIPT: u64 = 1 << 20;

/// A component or script as it was read, once.
pub struct Found {
    /// The file's name without `.wasm` or `.js`: the plug-in's name in the configuration.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its bytes; what is hashed, checked and compiled.
    pub bytes: Vec<u8>,
    /// Of the bytes.
    pub digest: Digest,
}

/// Whether a file of the plug-in directory is a script, by its name.
pub(crate) fn is_script(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "js")
}

/// Bytes that a file of the plug-in directory may have.
pub(crate) fn largest(path: &Path) -> u64 {
    if is_script(path) { LARGEST_SCRIPT } else { LARGEST_COMPONENT }
}
