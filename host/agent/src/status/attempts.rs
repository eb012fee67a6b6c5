//! What an identity tries: how often that went well, and how it last failed.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use usher_lifecycle::Class;
use usher_secret::redactor::redact;

use super::moment;
use crate::metric::{Label, Samples};
use crate::trouble::Trouble;

/// What an identity tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    Login,
    Renewal,
    Check,
    /// To the sink with this index.
    Delivery(usize),
}

/// How often something went well and failed, since the identity was set up.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Went well.
    pub succeeded: u64,
    /// Failed.
    pub failed: u64,
}

/// The last failure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorReport {
    /// "login", "renewal", "check" or "delivery".
    pub action: String,
    /// "passing", "refused" or "configuration".
    pub class: String,
    /// What failed, for programs.
    pub code: String,
    /// What failed, for people; redacted.
    pub message: String,
    /// The first failure in this row.
    #[serde(with = "moment")]
    pub since: SystemTime,
    /// The last one.
    #[serde(with = "moment")]
    pub at: SystemTime,
    /// Failures in a row.
    pub count: u64,
    /// Whether it still matters; false: what failed has succeeded since.
    pub current: bool,
}

pub(super) struct LastError {
    pub(super) attempt: Attempt,
    class: Class,
    code: String,
    message: String,
    since: SystemTime,
    at: SystemTime,
    count: u64,
    pub(super) current: bool,
}

/// The label of a metric that tells what went well from what failed.
pub(super) const RESULT: Label = Label { name: "result", values: "`success` or `failure`" };

impl Counts {
    /// As samples with the label [`RESULT`].
    pub(super) fn sample(self, samples: &mut Samples<'_>) {
        samples.add(&["success"], self.succeeded);
        samples.add(&["failure"], self.failed);
    }
}

impl LastError {
    /// An attempt failed, after what failed `before`.
    pub(super) fn new(attempt: Attempt, trouble: &Trouble, before: Option<&Self>) -> Self {
        let (failure, now) = (trouble.failure(), SystemTime::now());
        let row = before.filter(|error| error.current);
        Self {
            attempt,
            class: trouble.class(),
            code: failure.code.clone(),
            message: redact(&failure.told()).into_owned(),
            since: row.map_or(now, |error| error.since),
            at: now,
            count: row.map_or(0, |error| error.count) + 1,
            current: true,
        }
    }

    pub(super) fn report(&self) -> ErrorReport {
        ErrorReport {
            action: match self.attempt {
                Attempt::Login => "login",
                Attempt::Renewal => "renewal",
                Attempt::Check => "check",
                Attempt::Delivery(_) => "delivery",
            }
            .to_owned(),
            class: match self.class {
                Class::Passing => "passing",
                Class::Refused => "refused",
                Class::Configuration => "configuration",
            }
            .to_owned(),
            code: self.code.clone(),
            message: self.message.clone(),
            since: self.since,
            at: self.at,
            count: self.count,
            current: self.current,
        }
    }
}
