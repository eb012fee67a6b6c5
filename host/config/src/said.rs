//! What a file says under a key of its top level, and what a later file makes of it.

use std::time::Duration;

use crate::diagnostic::{Diagnostic, Location};
use crate::fields::{Fields, Located, Report};
use crate::schema::Merge;

/// A value with the rule by which it merges.
#[derive(Clone, Debug)]
pub(crate) struct Said<T> {
    key: &'static str,
    merge: Merge,
    value: Option<T>,
}

/// Nothing was said.
impl<T> Default for Said<T> {
    fn default() -> Self {
        Self { key: "", merge: Merge::default(), value: None }
    }
}

impl<T: Mergeable> Said<T> {
    /// What the file says under `key`, as `read` takes it.
    pub(crate) fn read<'a>(
        file: &Fields<'a>,
        key: &'static str,
        read: impl FnOnce(&Fields<'a>, &str, &mut Report) -> Option<T>,
        report: &mut Report,
    ) -> Self {
        let merge = file.block.key(key).map(|key| key.merge).unwrap_or_default();
        Self { key, merge, value: read(file, key, report) }
    }

    /// Lays what a later file says over this.
    pub(crate) fn merge(&mut self, later: Self, report: &mut Report) {
        let Some(newer) = &later.value else { return };
        match later.merge {
            Merge::Filled | Merge::StaysOn if newer.is_empty() => return,
            Merge::Whole => {
                let earlier = self.value.as_ref().and_then(Mergeable::location);
                if let (Some(earlier), Some(newer)) = (earlier, newer.location()) {
                    report.push(replaced(later.key, earlier, newer));
                }
            }
            Merge::Filled | Merge::StaysOn | Merge::Later | Merge::Add | Merge::AsBlock => {}
        }
        *self = later;
    }

    pub(crate) fn get(&self) -> Option<&T> {
        self.value.as_ref()
    }

    pub(crate) fn into_value(self) -> Option<T> {
        self.value
    }
}

/// What the rules ask of a value.
pub(crate) trait Mergeable {
    /// "", or off.
    fn is_empty(&self) -> bool {
        false
    }

    /// Of a block that was read.
    fn location(&self) -> Option<&Location> {
        None
    }
}

impl Mergeable for Located<String> {
    fn is_empty(&self) -> bool {
        self.value.is_empty()
    }
}

impl Mergeable for bool {
    fn is_empty(&self) -> bool {
        !self
    }
}

impl Mergeable for Located<Duration> {}

impl Mergeable for i64 {}

impl Mergeable for Location {
    fn location(&self) -> Option<&Location> {
        Some(self)
    }
}

fn replaced(block: &str, earlier: &Location, later: &Location) -> Diagnostic {
    Diagnostic::new_warning(
        "replaced-block",
        format!("this `{block}` block replaces all of the one at {earlier}"),
        "blocks of several files are not merged; keep one",
        Some(later),
    )
}
