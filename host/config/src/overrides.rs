//! What the command line says, which goes before all else.

use std::collections::BTreeMap;

use crate::dialect::Dialect;
use crate::schema::Flag;

/// Flags that were given; an empty text blanks the setting.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    given: BTreeMap<&'static str, String>,
    /// Which command it is.
    pub dialect: Dialect,
    /// Take warnings for errors.
    pub strict: bool,
}

impl Overrides {
    /// What follows the flag; of one that is given twice, the last.
    pub fn set(&mut self, flag: &Flag, text: impl Into<String>) {
        self.given.insert(flag.name, text.into());
    }

    /// The flag's name and what follows it.
    pub(crate) fn get(&self, flag: &Flag) -> Option<(&'static str, &str)> {
        self.given.get(flag.name).map(|text| (flag.name, text.as_str()))
    }
}
