//! What the operator allows one plug-in.

use std::collections::BTreeMap;

use crate::{Capability, Need, Surroundings};

/// What the operator's `allow` block lists, by capability.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow(pub BTreeMap<Capability, Vec<String>>);

impl Allow {
    /// What is listed for one capability, as it is written.
    pub fn targets(&self, capability: Capability) -> &[String] {
        self.0.get(&capability).map(Vec::as_slice).unwrap_or_default()
    }

    /// All of it, with files absolute; what names an unset or empty variable allows nothing.
    pub(crate) fn needs(&self, surroundings: &Surroundings<'_>) -> Vec<Need> {
        let mut needs = Vec::new();
        for (&capability, targets) in &self.0 {
            for target in targets {
                let target = if capability.is_file() {
                    match surroundings.expand(target).0 {
                        Some(target) => surroundings.absolute(&target),
                        None => continue,
                    }
                } else {
                    target.clone()
                };
                needs.push(Need { capability, target });
            }
        }
        needs
    }
}
