//! The plug-ins that are part of the program.

use crate::kind::Kind;
use crate::precompiled::Precompiled;

/// What is part of the program.
#[derive(Clone, Copy)]
pub struct BuiltIns {
    /// Methods and sinks.
    pub plugins: &'static [BuiltIn],
    /// Runs scripts.
    pub scripts: &'static Precompiled,
}

/// One component that is part of the program.
pub struct BuiltIn {
    /// The method's or sink's type in the configuration.
    pub name: &'static str,
    /// What it is for.
    pub kind: Kind,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: &'static str,
    /// Bytes of the component, before it was compiled.
    pub size: u64,
    /// Its machine code; several names can share one.
    pub code: &'static Precompiled,
}
