//! A variable of the agent's environment, as the vendor's SDKs read it.

use usher_plugin::{Failure, env};

/// The variable; one that is empty counts as unset, as in the vendor's SDKs.
pub(crate) fn variable(name: &str) -> Result<Option<String>, Failure> {
    Ok(env::get(name)?.filter(|value| !value.is_empty()))
}
