//! What a plug-in, or the host on its behalf, answers when it can't do what was asked.

use std::fmt;
use std::time::Duration;

use usher_grant::{Missing, Need};

use crate::bindings::usher::plugin::types as wit;
use crate::text;

/// Decides what the agent does next. Mirrors `failure-kind` of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The configuration can't work. Not retried before it, or the plug-in, changes.
    Config,
    /// The platform or the server said no. Retried, logged as an error.
    Denied,
    /// Not there yet, busy or unreachable. Retried with back-off.
    Unavailable,
    /// A defect in the plug-in. Retried, counted as a fault.
    Internal,
}

/// A typed failure. Its texts come from a plug-in: they are cleaned of control characters and
/// cut, and contain no live secret when displayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the agent does next.
    pub kind: FailureKind,
    /// Lower-case words joined by dots and hyphens, at most 64 bytes.
    pub code: String,
    /// One sentence: what happened and what to do.
    pub message: String,
    /// Not before this.
    pub retry_after: Option<Duration>,
    /// More for people and logs.
    pub details: Vec<(String, String)>,
    /// Of a defect: what the plug-in wrote last in this call.
    pub last_lines: Box<[String]>,
    /// The plug-in isn't there, or can't be used, and the host answers in its place. No plug-in can
    /// say that of itself.
    pub is_awaited: bool,
}

impl Failure {
    /// A failure of `kind` with a `code` of the contract's list.
    pub fn new(kind: FailureKind, code: &str, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: code.to_owned(),
            message: message.into(),
            retry_after: None,
            details: Vec::new(),
            last_lines: Box::default(),
            is_awaited: false,
        }
    }

    /// What is answered in the place of a plug-in that isn't there, or can't be used.
    pub fn awaited(message: impl Into<String>) -> Self {
        let failure = Self::new(FailureKind::Config, "plugin.awaited", message);
        Self { is_awaited: true, ..failure }
    }

    /// Whether a method that was asked to explain itself found a credential that works once, and
    /// left it unused.
    pub fn left_one_shot_unused(&self) -> bool {
        self.kind == FailureKind::Unavailable && self.code == ONE_SHOT
    }

    /// The plug-in is over a limit, which is a defect of it.
    pub(crate) fn exceeded(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Internal, "limit.exceeded", message)
    }

    /// The message with the last lines, without the code.
    pub fn told(&self) -> String {
        format!("{}{}", self.message, LastLines(&self.last_lines))
    }

    /// Bytes of its texts.
    pub(crate) fn size(&self) -> usize {
        let details = self.details.iter().map(|(name, value)| name.len() + value.len());
        self.code.len()
            + self.message.len()
            + details.sum::<usize>()
            + self.last_lines.iter().map(String::len).sum::<usize>()
    }

    /// Adds one detail.
    #[must_use]
    pub fn detail(mut self, name: &str, value: impl Into<String>) -> Self {
        self.details.push((name.to_owned(), value.into()));
        self
    }
}

/// What a call of the host answers that the grant of `plugin` doesn't cover.
pub(crate) fn missing(plugin: &str, what: &str, need: Need) -> Failure {
    let message = Missing { plugin, what, need }.to_string();
    Failure::new(FailureKind::Config, Missing::CODE, message)
}

/// The one code that the contract gives a meaning for the host; see `types.wit`.
const ONE_SHOT: &str = "explain.one-shot";

impl fmt::Display for FailureKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Config => "config",
            Self::Denied => "denied",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({}){}", self.message, self.code, LastLines(&self.last_lines))
    }
}

struct LastLines<'a>(&'a [String]);

impl fmt::Display for LastLines<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        formatter.write_str("; it last wrote:")?;
        self.0.iter().try_for_each(|line| write!(formatter, "\n  {line}"))
    }
}

impl std::error::Error for Failure {}

impl From<wit::Failure> for Failure {
    fn from(failure: wit::Failure) -> Self {
        Self {
            kind: match failure.kind {
                wit::FailureKind::Config => FailureKind::Config,
                wit::FailureKind::Denied => FailureKind::Denied,
                wit::FailureKind::Unavailable => FailureKind::Unavailable,
                wit::FailureKind::Internal => FailureKind::Internal,
            },
            code: text::code(&failure.code),
            message: text::line(&failure.message),
            retry_after: failure.retry_after_ms.map(|ms| Duration::from_millis(ms.into())),
            details: text::fields(&failure.details),
            last_lines: Box::default(),
            is_awaited: false,
        }
    }
}

impl From<Failure> for wit::Failure {
    fn from(failure: Failure) -> Self {
        Self {
            kind: match failure.kind {
                FailureKind::Config => wit::FailureKind::Config,
                FailureKind::Denied => wit::FailureKind::Denied,
                FailureKind::Unavailable => wit::FailureKind::Unavailable,
                FailureKind::Internal => wit::FailureKind::Internal,
            },
            code: failure.code,
            message: failure.message,
            retry_after_ms: failure
                .retry_after
                .map(|after| u32::try_from(after.as_millis()).unwrap_or(u32::MAX)),
            details: failure.details,
        }
    }
}
