//! One thing that a configuration needs from the host.

use std::fmt;

use crate::Capability;

/// One thing that a configuration needs from the host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Need {
    /// What kind of thing.
    pub capability: Capability,
    /// Which one; see `wit/plugin.wit`.
    pub target: String,
}

impl fmt::Display for Need {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {:?}", self.capability.name(), self.target)
    }
}
