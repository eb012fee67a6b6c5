//! The built-in plug-ins as WebAssembly modules, as a nested cargo has built them.
//!
//! This crate depends on nothing, so that its build, the longest of all, starts with the first
//! crate of a fresh build and goes on beside the others.

#![forbid(unsafe_code)]

/// A crate below `plugins/`, built to a core module that isn't a component yet.
pub struct Guest {
    /// The crate's directory.
    pub name: &'static str,
    /// The module, with what makes a component of it in custom sections.
    pub module: &'static [u8],
}

// `BUILT_INS`, one entry for each method and sink, and `SCRIPT`, which runs scripts.
include!(concat!(env!("OUT_DIR"), "/guests.rs"));
