//! Why a text is none of the values here: the rule that it breaks, and what to write instead.

use std::borrow::Cow;

/// A text that can't be parsed. Shown as one line, what is wrong and what to do, and never with a
/// user or a password.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what}; {remedy}")]
pub struct Malformed {
    /// The rule that is broken: "the address has no scheme".
    pub what: Cow<'static, str>,
    /// What to write: "write http://HOST:PORT".
    pub remedy: Cow<'static, str>,
}

impl Malformed {
    pub(crate) fn new(
        what: impl Into<Cow<'static, str>>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}
