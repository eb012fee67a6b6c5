//! Between the generated types and the SDK's own.

use super::auth_method::exports::usher::plugin::auth_method as method_abi;
use super::plugin::usher::plugin::{files, log, types};
use super::sink::exports::usher::plugin::sink as sink_abi;
use crate::files::{Placement, WriteOptions};
use crate::log::Level;
use crate::method::{Answer, Credential, Login};
use crate::sink::{Delivery, Form, time_from_milliseconds};
use crate::{Failure, Kind};
use std::time::Duration;

impl From<types::Failure> for Failure {
    fn from(failure: types::Failure) -> Self {
        Self {
            kind: match failure.kind {
                types::FailureKind::Config => Kind::Config,
                types::FailureKind::Denied => Kind::Denied,
                types::FailureKind::Unavailable => Kind::Unavailable,
                types::FailureKind::Internal => Kind::Internal,
            },
            code: failure.code,
            message: failure.message,
            retry_after: failure.retry_after_ms.map(|wait| Duration::from_millis(wait.into())),
            details: failure.details,
        }
    }
}

impl From<Failure> for types::Failure {
    fn from(failure: Failure) -> Self {
        Self {
            kind: match failure.kind {
                Kind::Config => types::FailureKind::Config,
                Kind::Denied => types::FailureKind::Denied,
                Kind::Unavailable => types::FailureKind::Unavailable,
                Kind::Internal => types::FailureKind::Internal,
            },
            code: failure.code,
            message: failure.message,
            retry_after_ms: failure.retry_after.map(milliseconds),
            details: failure.details,
        }
    }
}

impl From<Level> for log::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::Error,
            Level::Warn => Self::Warn,
            Level::Info => Self::Info,
            Level::Debug => Self::Debug,
            Level::Trace => Self::Trace,
        }
    }
}

pub(super) fn write_options(options: &WriteOptions) -> files::WriteOptions {
    files::WriteOptions {
        mode: options.mode,
        owner: options.owner.clone(),
        group: options.group.clone(),
        placement: match options.placement {
            Placement::Replace => files::Placement::Replace,
            Placement::InPlace => files::Placement::InPlace,
        },
    }
}

impl From<Answer> for method_abi::Answer {
    fn from(answer: Answer) -> Self {
        Self {
            credential: match answer.credential {
                Credential::Login(login) => method_abi::Credential::Login(login.into()),
                Credential::Token(token) => method_abi::Credential::Token(token),
            },
            revision: answer.revision,
            check_after_ms: answer.check_after.map(milliseconds),
        }
    }
}

impl From<Login> for method_abi::Login {
    fn from(login: Login) -> Self {
        Self {
            path: login.path,
            body: login.body.to_string(),
            headers: login.headers,
            certificate: login.certificate.map(|certificate| method_abi::ClientCertificate {
                chain_pem: certificate.chain_pem,
                key_pem: certificate.key_pem,
            }),
            ca_pem: login.ca_pem,
        }
    }
}

impl From<sink_abi::Delivery> for Delivery {
    fn from(delivery: sink_abi::Delivery) -> Self {
        Self {
            content: delivery.content,
            form: match delivery.form {
                sink_abi::Form::Token => Form::Token,
                sink_abi::Form::Wrapped => Form::Wrapped,
                sink_abi::Form::Encrypted => Form::Encrypted,
            },
            accessor: delivery.accessor,
            expires_at: delivery.expires_at_ms.map(time_from_milliseconds),
            generation: delivery.generation,
            attributes: delivery.attributes,
        }
    }
}

/// Milliseconds for the contract's `u32` fields: as many as fit, about 49 days.
pub(super) fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
