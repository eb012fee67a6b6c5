//! Every use that the agent makes of a plug-in.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::bound::Bound;
use crate::failure::Failure;
use crate::kind::Kind;
use crate::plugin::Plugin;

/// Every use that somebody still holds.
#[derive(Default)]
pub(crate) struct Uses(Mutex<Vec<Weak<Bound>>>);

/// A plug-in that somebody uses.
pub struct InUse {
    /// What it is for.
    pub kind: Kind,
    /// As in the configuration.
    pub name: String,
    /// Or why its uses wait.
    pub plugin: Result<Arc<Plugin>, Failure>,
}

impl Uses {
    pub(crate) fn add(&self, bound: &Arc<Bound>) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uses.retain(|bound| bound.strong_count() > 0);
        uses.push(Arc::downgrade(bound));
    }

    fn all(&self) -> Vec<Arc<Bound>> {
        let uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uses.iter().filter_map(Weak::upgrade).collect()
    }

    /// Those of one plug-in.
    pub(crate) fn of(&self, kind: Kind, name: &str) -> Vec<Arc<Bound>> {
        let mut uses = self.all();
        uses.retain(|bound| bound.kind == kind && bound.name == name);
        uses
    }

    /// What is used: each plug-in once, by kind and name.
    pub(crate) fn in_use(&self) -> Vec<InUse> {
        let mut all: Vec<InUse> = Vec::new();
        for bound in self.all() {
            let plugin = bound.served().plugin;
            match all.iter_mut().find(|one| one.kind == bound.kind && one.name == bound.name) {
                // Of a use that is about to end there may be an older one.
                Some(known) if known.plugin.is_err() => known.plugin = plugin,
                Some(_) => {}
                None => all.push(InUse { kind: bound.kind, name: bound.name.clone(), plugin }),
            }
        }
        all.sort_by(|one, other| {
            (one.kind.name(), &one.name).cmp(&(other.kind.name(), &other.name))
        });
        all
    }
}
