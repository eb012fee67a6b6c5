//! The built-in components, precompiled and embedded.

#![deny(unsafe_code)]

use usher_engine::{BuiltIn, BuiltIns, Kind, Precompiled};

/// All that is built in.
pub fn built_ins() -> BuiltIns {
    BuiltIns { plugins: ALL, scripts: &SCRIPT }
}

/// The built-in component for a type of the configuration.
pub fn find(kind: Kind, name: &str) -> Option<&'static BuiltIn> {
    ALL.iter().find(|built_in| built_in.kind == kind && built_in.name == name)
}

macro_rules! embedded {
    ($path:literal) => {{
        #[allow(unsafe_code, reason = "see the SAFETY comment")]
        // SAFETY: the build script wrote this file, as the unchanged output of the engine's
        // `compile`.
        unsafe {
            Precompiled::embedded(include_bytes!($path))
        }
    }};
}

#[cfg(not(feature = "compile"))]
macro_rules! packed {
    ($path:literal) => {{
        #[allow(unsafe_code, reason = "see the SAFETY comment")]
        // SAFETY: the build script wrote this file: the unchanged output of the engine's
        // `compile`, deflated.
        unsafe {
            Precompiled::packed(include_bytes!($path))
        }
    }};
}

// `ALL`, at least one entry for each crate below `plugins/`, and `SCRIPT`, which runs scripts.
include!(concat!(env!("OUT_DIR"), "/table.rs"));
