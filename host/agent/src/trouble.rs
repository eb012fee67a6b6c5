//! A failure of a plug-in or of the server, as the lifecycle, the log and the next call see it.

use std::time::Duration;

use usher_engine::{Failure, FailureKind};
use usher_lifecycle::Class;

/// What failed, whoever it was.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    /// What the plug-in is told next time.
    pub(crate) failure: Failure,
    class: Class,
    permission_denied: bool,
    invalid_token: bool,
}

impl Trouble {
    /// What the lifecycle machine needs of it.
    pub(crate) fn for_lifecycle(&self) -> usher_lifecycle::Failure {
        usher_lifecycle::Failure {
            class: self.class,
            retry_after: self.failure.retry_after,
            permission_denied: self.permission_denied,
            invalid_token: self.invalid_token,
        }
    }

    pub(crate) fn class(&self) -> Class {
        self.class
    }

    /// A task of ours that ended without an answer.
    pub(crate) fn defect() -> Self {
        Failure::new(FailureKind::Internal, "host.failed", "a defect in Usher; see the log above")
            .into()
    }

    /// The server took too long.
    pub(crate) fn no_answer(patience: Duration) -> Self {
        Failure::new(
            FailureKind::Unavailable,
            "server.unreachable",
            format!("the server didn't answer within {} s", patience.as_secs_f32()),
        )
        .into()
    }

    /// A login that the server wrapped could not be delivered in time: only another one helps.
    pub(crate) fn wrapper_expired() -> Self {
        let failure = Failure::new(
            FailureKind::Unavailable,
            "wrapping.expired",
            "the wrapping token expired before the sink could take it; logging in again",
        );
        Self { invalid_token: true, ..failure.into() }
    }

    /// The token in use came before the configuration asked for a wrapped one.
    pub(crate) fn wrapping_awaited() -> Self {
        Failure::new(
            FailureKind::Unavailable,
            "wrapping.awaited",
            "the token in use isn't wrapped; waiting for the login that brings a wrapped one",
        )
        .into()
    }

    /// Nobody but the reader of a wrapped token could revoke it.
    pub(crate) fn out_of_reach() -> Self {
        Failure::new(
            FailureKind::Unavailable,
            "wrapping.used",
            "it was wrapped by the server, and its reader has unwrapped it",
        )
        .into()
    }

    /// The agent stops and waits no longer.
    pub(crate) fn cancelled() -> Self {
        Failure::new(FailureKind::Unavailable, "host.stopping", "the agent stops").into()
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self {
            class: match failure.kind {
                FailureKind::Config => Class::Configuration,
                FailureKind::Denied => Class::Refused,
                FailureKind::Unavailable | FailureKind::Internal => Class::Passing,
            },
            permission_denied: false,
            invalid_token: false,
            failure,
        }
    }
}

impl From<usher_server::Error> for Trouble {
    fn from(error: usher_server::Error) -> Self {
        Self {
            class: match error.class {
                usher_server::Class::Passing => Class::Passing,
                usher_server::Class::Refused => Class::Refused,
                usher_server::Class::Configuration => Class::Configuration,
            },
            permission_denied: error.permission_denied(),
            invalid_token: error.invalid_token(),
            failure: failure(&error),
        }
    }
}

/// The failure that a plug-in is told of a failed request.
pub(crate) fn failure(error: &usher_server::Error) -> Failure {
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
