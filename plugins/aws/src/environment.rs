//! The environment variables that AWS's SDKs agree on.

use usher_plugin::{Failure, env};

/// What reading credentials from it needs.
pub(crate) const NEEDS: Needs = &[
    ("env", KEY[0]),
    ("env", KEY[1]),
    ("env", SECRET[0]),
    ("env", SECRET[1]),
    ("env", TOKEN),
    ("env", EXPIRATION),
];

/// Capabilities and targets.
pub(crate) type Needs = &'static [(&'static str, &'static str)];

/// The variable's value without blanks around it. None: unset or empty.
pub(crate) fn variable(name: &str) -> Result<Option<String>, Failure> {
    let value = env::get(name)?.unwrap_or_default();
    let value = value.trim();
    Ok((!value.is_empty()).then(|| value.to_owned()))
}

/// The first of the variables that is set.
pub(crate) fn first(names: &[&str]) -> Result<Option<String>, Failure> {
    for name in names {
        if let Some(value) = variable(name)? {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// Whether the variable says "true", in any case.
pub(crate) fn is_true(name: &str) -> Result<bool, Failure> {
    Ok(variable(name)?.is_some_and(|value| value.eq_ignore_ascii_case("true")))
}

/// The older names come second.
pub(crate) const KEY: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"];
pub(crate) const SECRET: [&str; 2] = ["AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"];
pub(crate) const TOKEN: &str = "AWS_SESSION_TOKEN";
pub(crate) const EXPIRATION: &str = "AWS_CREDENTIAL_EXPIRATION";
