//! What is wrong with one setting of a method's `config` block.

use usher_plugin::Failure;

/// That a key can't have its value: the code is "config.WHY" ("empty", "missing", "invalid"), the
/// message "`config.KEY` WHAT", which says what to write instead and never repeats the value.
pub fn refused(key: &str, why: &str, what: &str) -> Failure {
    Failure::config(format!("config.{why}"), format!("`config.{key}` {what}"))
        .detail("key", format!("config.{key}"))
}

/// That the name of the method's role is there.
pub fn named_role(role: &str) -> Result<(), Failure> {
    if role.is_empty() {
        return Err(refused("role", "empty", "is empty; write the role's name"));
    }
    Ok(())
}
