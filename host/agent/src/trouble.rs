//! What went wrong, whoever it was, as the lifecycle, the log and the next call see it.

use std::fmt;
use std::time::Duration;

use usher_engine::{Failure, FailureKind};
use usher_lifecycle::Class;

/// Why a login, a renewal, a check, a delivery or a revocation came to nothing. What the agent does
/// next follows from the variant, never from a failure's code.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// The agent stops, or hands over, and waits no longer. Nobody needs to be told.
    Stopping,
    /// The plug-in isn't there, or can't be used: another file may come.
    Awaiting(Failure),
    /// The plug-in failed.
    Plugin(Failure),
    /// The server refused, or couldn't be asked.
    Server(usher_server::Error),
    /// The server took longer than this.
    NoAnswer(Duration),
    /// What a sink wants can't be made of the token: its reader's key isn't there, say.
    Payload(Failure),
    /// A login that the server wrapped could not be delivered in time: only another one helps.
    WrapperExpired,
    /// The token in use came before the configuration asked for a wrapped one.
    WrappingAwaited,
    /// Nobody but the reader of a wrapped token could revoke it.
    OutOfReach,
    /// A task of ours ended without an answer.
    Defect,
}

impl Trouble {
    /// What the lifecycle machine needs of it.
    pub(crate) fn for_lifecycle(&self) -> usher_lifecycle::Failure {
        let (permission_denied, invalid_token) = match self {
            Self::Server(error) => (error.permission_denied(), error.invalid_token()),
            Self::WrapperExpired => (false, true),
            _ => (false, false),
        };
        usher_lifecycle::Failure {
            class: self.class(),
            retry_after: self.failure().retry_after,
            permission_denied,
            invalid_token,
        }
    }

    /// Whether the server has refused the token itself, as far as OpenBao says.
    pub(crate) fn says_token_is_no_good(&self) -> bool {
        matches!(self, Self::Server(error) if error.invalid_token() || error.permission_denied())
    }

    pub(crate) fn class(&self) -> Class {
        match self {
            Self::Awaiting(failure) | Self::Plugin(failure) | Self::Payload(failure) => {
                match failure.kind {
                    FailureKind::Config => Class::Configuration,
                    FailureKind::Denied => Class::Refused,
                    FailureKind::Unavailable | FailureKind::Internal => Class::Passing,
                }
            }
            Self::Server(error) => match error.class {
                usher_server::Class::Passing => Class::Passing,
                usher_server::Class::Refused => Class::Refused,
                usher_server::Class::Configuration => Class::Configuration,
            },
            Self::Stopping
            | Self::NoAnswer(_)
            | Self::WrapperExpired
            | Self::WrappingAwaited
            | Self::OutOfReach
            | Self::Defect => Class::Passing,
        }
    }

    /// What people and the plug-in's next call are told.
    pub(crate) fn failure(&self) -> Failure {
        let unavailable =
            |code, message: &str| Failure::new(FailureKind::Unavailable, code, message);
        match self {
            Self::Awaiting(failure) | Self::Plugin(failure) | Self::Payload(failure) => {
                failure.clone()
            }
            Self::Server(error) => told(error),
            Self::NoAnswer(patience) => unavailable(
                "server.unreachable",
                &format!("the server didn't answer within {} s", patience.as_secs_f32()),
            ),
            Self::Stopping => unavailable("host.stopping", "the agent stops"),
            Self::WrapperExpired => unavailable(
                "wrapping.expired",
                "the wrapping token expired before the sink could take it; logging in again",
            ),
            Self::WrappingAwaited => unavailable(
                "wrapping.awaited",
                "the token in use isn't wrapped; waiting for the login that brings a wrapped one",
            ),
            Self::OutOfReach => unavailable(
                "wrapping.used",
                "it was wrapped by the server, and its reader has unwrapped it",
            ),
            Self::Defect => Failure::new(
                FailureKind::Internal,
                "host.failed",
                "a defect in Usher; see the log above",
            ),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure().fmt(formatter)
    }
}

impl From<Failure> for Trouble {
    /// Of a plug-in, or of the host that stands in for one.
    fn from(failure: Failure) -> Self {
        if failure.is_awaited { Self::Awaiting(failure) } else { Self::Plugin(failure) }
    }
}

impl From<usher_server::Error> for Trouble {
    fn from(error: usher_server::Error) -> Self {
        Self::Server(error)
    }
}

/// The failure that a plug-in is told of a failed request.
pub(crate) fn told(error: &usher_server::Error) -> Failure {
    let (kind, code) = match error.class {
        _ if error.wrapping_used() => (FailureKind::Denied, "wrapping.used"),
        usher_server::Class::Passing => (FailureKind::Unavailable, "server.unreachable"),
        usher_server::Class::Refused => (FailureKind::Denied, "server.refused"),
        usher_server::Class::Configuration => (FailureKind::Config, "server.refused"),
    };
    let mut failure = Failure::new(kind, code, error.to_string());
    failure.retry_after = error.retry_after.filter(|after| *after > Duration::ZERO);
    match error.status {
        Some(status) => failure.detail("status", status.to_string()),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plug_in_can_not_pretend_to_be_awaited_or_that_the_agent_stops() {
        for code in ["plugin.awaited", "host.stopping"] {
            let said = Failure::new(FailureKind::Config, code, "says the plug-in");
            let trouble = Trouble::from(said);
            assert!(matches!(trouble, Trouble::Plugin(_)), "{trouble:?}");
            assert_eq!(trouble.class(), Class::Configuration);
        }
        let awaited = Trouble::from(Failure::awaited("not there yet"));
        assert!(matches!(awaited, Trouble::Awaiting(_)), "{awaited:?}");
    }
}
