//! What went wrong with a request, whether trying again can help, and what to do about it.

use std::fmt;
use std::time::Duration;

use usher_address::Malformed;
use usher_connector::{Trouble, TroubleKind};

use crate::operation::Operation;

/// Whether trying again can help.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// The server can't be reached, is busy or isn't itself; nothing about the request is wrong.
    Passing,
    /// The server understood the request and said no.
    Refused,
    /// The request can't be sent as it is, now or later.
    Configuration,
}

/// What happened. For code that must tell one failure from another, and for metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// No connection, or it broke.
    Connection,
    /// The name of the server, or of the proxy, didn't resolve.
    Dns,
    /// The TLS handshake failed, or http was spoken where https is expected.
    Tls,
    /// No whole answer in time.
    Timeout,
    /// A certificate or key file of the `vault` block can't be used at the moment.
    TlsFiles,
    /// The server answered with an error; see [`Error::status`].
    Status,
    /// The server says that the token is invalid: revoked, expired or never its own. `HashiCorp`
    /// Vault does; OpenBao's 403 is the same for a dead token and for a disabled entity.
    InvalidToken,
    /// The wrapping token was already used, has expired, or was never the server's.
    WrappingUsed,
    /// An answer that isn't the server's JSON, is cut short or too large.
    Unreadable,
    /// A redirect that is not followed.
    Redirect,
    /// The request is against the rules: a header or a path that a method may not set.
    Request,
    /// The server asks for a second factor.
    SecondFactor,
}

impl Reason {
    /// As a metric label: "connection", "wrapping-used".
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::TlsFiles => "tls-files",
            Self::Status => "status",
            Self::InvalidToken => "invalid-token",
            Self::WrappingUsed => "wrapping-used",
            Self::Unreadable => "unreadable",
            Self::Redirect => "redirect",
            Self::Request => "request",
            Self::SecondFactor => "second-factor",
        }
    }
}

/// A failed request. Shown as one line: what happened, why, and what to do. Never a secret.
#[derive(Clone, Debug, thiserror::Error)]
pub struct Error {
    /// Whether trying again can help.
    pub class: Class,
    /// What happened.
    pub reason: Reason,
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// How long the server asks to be left alone.
    pub retry_after: Option<Duration>,
    /// What was tried, and why it failed; of the server's own words at most 400 bytes, on one
    /// line and without live secrets.
    pub message: String,
    /// What to do, a sentence without capital and full stop; "" when there is nothing to say.
    pub remedy: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

/// What can't be sent as it is, now or later.
impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        let Malformed { what, remedy } = malformed;
        Self::new(Class::Configuration, Reason::Request, what, remedy)
    }
}

impl Error {
    /// The server says that this token is dead. `false` proves nothing.
    pub fn invalid_token(&self) -> bool {
        self.reason == Reason::InvalidToken
    }

    /// The server itself answered 403. One that isn't in its words may be a proxy's, and says
    /// nothing of the token.
    pub fn permission_denied(&self) -> bool {
        self.status == Some(403) && self.reason != Reason::Unreadable
    }

    /// The wrapping token was already used, has expired or is unknown.
    pub fn wrapping_used(&self) -> bool {
        self.reason == Reason::WrappingUsed
    }

    /// A request that is refused before it is sent.
    pub(crate) fn against_the_rules(message: String, remedy: &str) -> Self {
        Self::new(Class::Configuration, Reason::Request, message, remedy)
    }

    /// A request that got no answer that counts.
    pub(crate) fn unanswered(operation: Operation<'_>, trouble: Trouble) -> Self {
        let reason = match trouble.kind {
            TroubleKind::Connection | TroubleKind::Held => Reason::Connection,
            TroubleKind::Dns | TroubleKind::SrvRecord => Reason::Dns,
            TroubleKind::Tls | TroubleKind::TlsSetup => Reason::Tls,
            TroubleKind::Timeout => Reason::Timeout,
            TroubleKind::TlsFiles | TroubleKind::TlsIdentity => Reason::TlsFiles,
            TroubleKind::Redirect | TroubleKind::RedirectElsewhere => Reason::Redirect,
            TroubleKind::Request | TroubleKind::RequestBody => Reason::Request,
        };
        let class = match trouble.kind {
            TroubleKind::Request => Class::Configuration,
            kind if kind.is_passing() => Class::Passing,
            _ => Class::Refused,
        };
        let message = match trouble.kind {
            // It didn't come to any operation.
            TroubleKind::SrvRecord
            | TroubleKind::TlsFiles
            | TroubleKind::TlsIdentity
            | TroubleKind::TlsSetup => trouble.what,
            _ => format!("{operation}: {}", trouble.what),
        };
        let error = Self::new(class, reason, message, trouble.remedy);
        Self { status: trouble.status, retry_after: trouble.retry_after, ..error }
    }

    pub(crate) fn new(
        class: Class,
        reason: Reason,
        message: impl fmt::Display,
        remedy: impl Into<String>,
    ) -> Self {
        // Whatever a server or a library put into the text, a live secret doesn't leave here.
        let message = usher_secret::redactor::redact(&message.to_string()).into_owned();
        Self { class, reason, status: None, retry_after: None, message, remedy: remedy.into() }
    }
}

/// The class of an answer by its status alone, for any status that is not a success.
pub(crate) fn class_of(status: u16) -> Class {
    match status {
        // 412: not yet replicated; 472, 473: a standby of a recovery or performance cluster.
        412 | 429 | 472 | 473 => Class::Passing,
        400..=499 => Class::Refused,
        _ => Class::Passing,
    }
}

/// `Retry-After`: seconds, however many, or an HTTP date (RFC 9110, §10.2.3) seen from `now`.
pub(crate) fn retry_after(value: &str, now: time::OffsetDateTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let date = time::PrimitiveDateTime::parse(value, format).ok()?.assume_utc();
    Some(Duration::try_from(date - now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passing_and_refused_are_told_apart_by_status() {
        for status in [412, 429, 472, 473, 500, 501, 502, 503, 504, 599, 304, 204] {
            assert_eq!(class_of(status), Class::Passing, "{status}");
        }
        for status in [400, 401, 403, 404, 405, 408, 409, 413, 418, 422, 471, 474, 499] {
            assert_eq!(class_of(status), Class::Refused, "{status}");
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_date() {
        let now = time::macros::datetime!(2026-11-22 01:00:00 UTC);
        let read = |value| retry_after(value, now);
        assert_eq!(read(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(read("0"), Some(Duration::ZERO));
        assert_eq!(read("Sun, 22 Nov 2026 01:02:00 GMT"), Some(Duration::from_mins(2)));
        assert_eq!(read("Sun, 22 Nov 2020 01:02:00 GMT"), Some(Duration::ZERO));
        assert!(
            read("Fri, 31 Dec 9999 23:59:59 GMT") > Some(Duration::from_hours(24 * 365 * 7000))
        );
        // Too many to count is no reason to come at once.
        let longest = "9".repeat(400);
        for huge in ["99999999999999999999", "4294967296", longest.as_str()] {
            assert!(read(huge) > Some(Duration::from_hours(24 * 365 * 100)), "{huge}");
        }
        for nonsense in ["", "-1", "+1", "soon", "1.5", "1e9", "Sun, 31 Feb 2026"] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn an_error_is_one_line_that_ends_with_the_remedy() {
        let error = Error::new(Class::Refused, Reason::Status, "login: no", "ask the operator");
        assert_eq!(error.to_string(), "login: no; ask the operator");
    }

    #[test]
    fn a_live_secret_never_enters_a_message() {
        let secret = usher_secret::Secret::new(String::from("hvs.never-in-a-message"));
        let _live = usher_secret::redactor::keep_out_of_logs(&secret);
        let error = Error::new(Class::Refused, Reason::Status, secret.expose(), "");
        assert_eq!(error.to_string(), "[redacted]");
    }
}
