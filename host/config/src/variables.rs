//! The environment variables, each under the two names that it may have.
//!
//! A variable is looked up as `BAO_X`, then as `VAULT_X`: a present but empty `BAO_X` hides
//! `VAULT_X`.

/// Variables by the name they share, without `BAO_` or `VAULT_`.
pub(crate) struct Environment<'a>(pub(crate) &'a dyn Fn(&str) -> Option<String>);

impl Environment<'_> {
    /// A variable without prefix.
    pub(crate) fn plain(&self, name: &str) -> Option<String> {
        (self.0)(name)
    }

    /// Value and whole name.
    pub(crate) fn get(&self, name: &str) -> Option<(String, String)> {
        ["BAO", "VAULT"].iter().find_map(|prefix| {
            let name = format!("{prefix}_{name}");
            (self.0)(&name).map(|value| (value, name))
        })
    }
}
