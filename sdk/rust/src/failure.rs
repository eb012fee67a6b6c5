//! What a call answers when it can't do what it was asked.

use std::fmt;
use std::time::Duration;

/// Why a call failed. `kind` alone decides what the agent does next; the rest is for people.
///
/// Never put a secret into any part of it: all of it is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Decides what the agent does next.
    pub kind: Kind,
    /// For logs, metrics and tests: lower-case words joined by dots and hyphens, at most
    /// 64 bytes, such as `imds.hop-limit`.
    pub code: String,
    /// One sentence: what happened and what to do.
    pub message: String,
    /// Not before this time has passed. The agent honours whole milliseconds, and only for
    /// [`Kind::Denied`] and [`Kind::Unavailable`].
    pub retry_after: Option<Duration>,
    /// More for people and logs: `url`, `status`, `file`.
    pub details: Vec<(String, String)>,
}

/// The four kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The configuration can't work, now or later. Not tried again before it changes.
    Config,
    /// The platform or the server said no. Tried again, logged as an error.
    Denied,
    /// Not there yet, busy or unreachable. Tried again with back-off.
    Unavailable,
    /// A defect in the plug-in. Tried again, counted as a fault.
    Internal,
}

impl Failure {
    /// The configuration can't work, now or later. A file or service that may still appear
    /// is [`Failure::unavailable`].
    pub fn config(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Kind::Config, code, message)
    }

    /// The platform or the server said no.
    pub fn denied(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Kind::Denied, code, message)
    }

    /// Not there yet, busy or unreachable.
    pub fn unavailable(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, code, message)
    }

    /// A defect in the plug-in.
    pub fn internal(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, code, message)
    }

    /// A failure of any kind.
    pub fn new(kind: Kind, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: code.into(),
            message: message.into(),
            retry_after: None,
            details: Vec::new(),
        }
    }

    /// Adds one detail for people and logs.
    #[must_use]
    pub fn detail(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.details.push((name.into(), value.into()));
        self
    }

    /// Asks the agent not to try again before `wait` has passed.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The same failure as another kind: what is `denied` to one caller is a mistake in the
    /// configuration to another.
    #[must_use]
    pub fn into_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for Failure {}

/// What can't be made into JSON: a defect. JSON is read with [`crate::json`].
impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        let place = format!("line {} column {}", error.line(), error.column());
        Self::internal("json.invalid", format!("JSON could not be handled at {place}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_error_does_not_repeat_the_text() {
        let error = serde_json::from_str::<u8>("\"hunter2\"").unwrap_err();
        assert!(!Failure::from(error).to_string().contains("hunter2"));
    }
}
