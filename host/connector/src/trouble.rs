//! Why a request got no answer that counts, in plain words, with what to do about it.

use std::fmt;
use std::time::Duration;

use usher_secret::redactor;

/// No answer. Shown as one line: what happened, why, and what to do. Never a secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble {
    /// What happened, for code.
    pub kind: TroubleKind,
    /// What happened, why, and where; without live secrets.
    pub what: String,
    /// What to do, a sentence without capital and full stop; "" when there is nothing to say.
    pub remedy: String,
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// When it makes sense to ask again, if that is known.
    pub retry_after: Option<Duration>,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TroubleKind {
    /// No connection, or it broke.
    Connection,
    /// The name of the server, or of the proxy, didn't resolve.
    Dns,
    /// The server's SRV record can't be found or used.
    SrvRecord,
    /// The TLS handshake failed.
    Tls,
    /// No connection or no answer in time.
    Timeout,
    /// A certificate or key file of the settings can't be used at the moment.
    TlsFiles,
    /// The certificate, the key or the authorities of a [`crate::TlsIdentity`] can't be used.
    TlsIdentity,
    /// TLS can't be set up for another reason.
    TlsSetup,
    /// A redirect that makes no sense from a secrets server.
    Redirect,
    /// A redirect to where requests are not sent.
    RedirectElsewhere,
    /// The request can't be sent as it is.
    Request,
    /// The request's own body broke off or stood still before its end.
    RequestBody,
    /// Not sent: the server is in trouble, and only one request a second is let through.
    Held,
}

impl TroubleKind {
    /// Whether trying again can help, with nothing changed.
    pub fn is_passing(self) -> bool {
        !matches!(self, Self::TlsIdentity | Self::RedirectElsewhere | Self::Request)
    }
}

impl Trouble {
    pub(crate) fn new(
        kind: TroubleKind,
        what: impl fmt::Display,
        remedy: impl Into<String>,
    ) -> Self {
        // Whatever a server or a library put into the text, a live secret doesn't leave here.
        let what = redactor::redact(&what.to_string()).into_owned();
        Self { kind, what, remedy: remedy.into(), status: None, retry_after: None }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for Trouble {}

/// The last cause, which says what happened where the ones above say only that something did.
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Text from outside, fit for one log line: at most [`LONGEST_LINE`] bytes and an ellipsis.
pub fn clean(text: &str) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().filter(|character| !character.is_control()));
    }
    if line.len() > LONGEST_LINE {
        let end = (0..=LONGEST_LINE).rev().find(|&at| line.is_char_boundary(at)).unwrap_or(0);
        line.truncate(end);
        line.push('…');
    }
    line
}

/// Longest text from outside that is shown, in bytes.
pub const LONGEST_LINE: usize = 400;
