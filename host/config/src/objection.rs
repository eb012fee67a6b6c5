//! What is said of a key that only the other dialect has.

use crate::diagnostic::Diagnostic;
use crate::dialect::Dialect;
use crate::schema::Block;
use crate::tree::Name;

/// Why a key has no effect in this dialect, if only the other one has it.
pub(crate) fn objection(dialect: Dialect, block: &Block, name: &Name) -> Option<Diagnostic> {
    let key = block.key(&name.text)?;
    let other = key.only.filter(|only| *only != dialect)?;
    let help = if key.name == other.api() {
        format!("it is for `usher {}`; write {}", other.name(), dialect.api())
    } else {
        format!("it is for `usher {}`; take it out", other.name())
    };
    let message = format!("`{}` has no effect for `usher {}`", key.name, dialect.name());
    Some(Diagnostic::new_warning("no-effect", message, help, Some(&name.location)))
}
