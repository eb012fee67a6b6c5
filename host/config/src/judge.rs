//! Judges a value by what the schema says its key takes, where no setting is made of it.

use crate::fields::{Fields, Nested, Report};
use crate::schema::{Block, Kind, State};

impl Fields<'_> {
    /// Judges the keys that have no effect or aren't built, with all that is in them.
    pub(crate) fn judge_unused(&self, report: &mut Report) {
        for key in self.block.keys.iter().filter(|key| key.state != State::Built) {
            self.judge_key(key.name, key.kind, report);
        }
    }

    fn judge_key(&self, key: &'static str, kind: Kind, report: &mut Report) {
        match kind {
            Kind::Text | Kind::Choice(_) => drop(self.string(key, report)),
            Kind::Boolean => drop(self.strict_boolean(key, report)),
            Kind::WeakBoolean => drop(self.weak_boolean(key, report)),
            Kind::Duration => drop(self.duration(key, report)),
            Kind::Integer => drop(self.integer(key, report)),
            Kind::Size => drop(self.size(key, report)),
            Kind::Strings => drop(self.strings(key, report)),
            Kind::Block(block) => {
                if let Some(nested) = self.block(key, report) {
                    judge(&nested, block, report);
                }
            }
            Kind::Typed(block) => {
                for nested in self.blocks(key, report) {
                    judge(&nested, block, report);
                }
            }
            Kind::Named(block) => {
                for (_, nested) in self.named_blocks(key, block, report) {
                    judge(&nested, block, report);
                }
            }
            Kind::Settings => drop(self.blocks(key, report)),
            Kind::Any => {}
        }
    }
}

/// Judges each key of a block.
pub(crate) fn judge(nested: &Nested<'_>, block: &'static Block, report: &mut Report) {
    let fields = Fields::of(nested.object, block, report);
    for key in block.keys {
        fields.judge_key(key.name, key.kind, report);
    }
}
