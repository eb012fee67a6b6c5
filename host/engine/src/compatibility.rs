//! What tells machine code that fits from machine code that doesn't.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;

/// A hash over the exact version of the engine, its settings and the processor that it compiles
/// for; shown as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compatibility(u64);

/// Text that is no such hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoCompatibility;

impl Compatibility {
    /// Of what this engine compiles.
    #[cfg(feature = "compile")]
    pub(crate) fn of(engine: &wasmtime::Engine) -> Self {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self(hasher.finish())
    }

    /// Of an engine that there isn't.
    #[cfg(test)]
    pub(crate) fn made_up(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for Compatibility {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

impl FromStr for Compatibility {
    type Err = NoCompatibility;

    fn from_str(text: &str) -> Result<Self, NoCompatibility> {
        if text.len() != 16 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NoCompatibility);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| NoCompatibility)
    }
}
