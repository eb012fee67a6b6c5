//! What the board keeps of one identity, and how a report and the metrics tell it.

use std::time::{Instant, SystemTime};

use serde::{Deserialize, Serialize};
use usher_lifecycle::{Generation, NextStep, State, Step};

use super::attempts::{Attempt, Counts, ErrorReport, LastError, RESULT};
use super::moment;
use super::sink::{SinkEntry, SinkReport};
use crate::metric::{Kind, Label, Metric, Metrics, seconds};
use crate::trouble::Trouble;

/// One identity.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IdentityReport {
    /// As in the configuration.
    pub name: String,
    /// The auth method's type, such as "approle".
    pub method: String,
    /// One of `STATES`.
    pub state: String,
    /// Whether every sink holds the good token.
    pub ready: bool,
    /// None: no login has succeeded yet.
    pub token: Option<TokenReport>,
    /// None while an answer is awaited.
    pub next_action: Option<ActionReport>,
    /// None: no login has succeeded yet.
    #[serde(with = "moment::optional")]
    pub last_login_at: Option<SystemTime>,
    /// Attempts to log in.
    pub logins: Counts,
    /// Attempts to renew the token.
    pub renewals: Counts,
    /// Look-ups of the token, to see whether it still lives.
    pub checks: Counts,
    /// Of logins, renewals and checks.
    pub last_error: Option<ErrorReport>,
    /// In the order of the configuration.
    pub sinks: Vec<SinkReport>,
}

/// The newest token, good or not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenReport {
    /// As the server calls it.
    pub accessor: String,
    /// Counts the identity's tokens from 1.
    pub generation: u64,
    /// Its deadline; None: it never expires.
    #[serde(with = "moment::optional")]
    pub expires_at: Option<SystemTime>,
}

/// What comes next.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ActionReport {
    /// "login", "look", "renewal", "check", "delivery" or "expiry".
    pub action: String,
    /// When it is due.
    #[serde(with = "moment")]
    pub at: SystemTime,
}

pub(super) struct Entry {
    pub(super) name: String,
    method: String,
    /// None: a defect ended it.
    pub(super) state: Option<State>,
    pub(super) ready: bool,
    pub(super) generation: Option<Generation>,
    pub(super) accessor: String,
    pub(super) expires_at: Option<Instant>,
    pub(super) next: Option<NextStep>,
    last_login_at: Option<SystemTime>,
    logins: Counts,
    renewals: Counts,
    checks: Counts,
    last_error: Option<LastError>,
    pub(super) sinks: Vec<SinkEntry>,
}

/// The two clocks read together, to tell people when something is due.
#[derive(Clone, Copy)]
pub(super) struct Clocks {
    pub(super) instant: Instant,
    pub(super) system: SystemTime,
}

impl Entry {
    /// An identity that has tried nothing yet.
    pub(super) fn new(name: &str, method: &str, sinks: Vec<SinkEntry>) -> Self {
        Self {
            name: name.to_owned(),
            method: method.to_owned(),
            state: Some(State::Unauthenticated),
            ready: false,
            generation: None,
            accessor: String::new(),
            expires_at: None,
            next: None,
            last_login_at: None,
            logins: Counts::default(),
            renewals: Counts::default(),
            checks: Counts::default(),
            last_error: None,
            sinks,
        }
    }

    pub(super) fn succeeded(&mut self, attempt: Attempt) {
        if attempt == Attempt::Login {
            self.last_login_at = Some(SystemTime::now());
        }
        if let Attempt::Delivery(sink) = attempt {
            self.sinks[sink].last_delivery_at = Some(SystemTime::now());
        }
        let (counts, error) = self.of(attempt);
        counts.succeeded += 1;
        if let Some(error) = error
            && (error.attempt == attempt || attempt == Attempt::Login)
        {
            error.current = false;
        }
    }

    pub(super) fn failed(&mut self, attempt: Attempt, trouble: &Trouble) {
        let (counts, error) = self.of(attempt);
        counts.failed += 1;
        *error = Some(LastError::new(attempt, trouble, error.as_ref()));
    }

    fn of(&mut self, attempt: Attempt) -> (&mut Counts, &mut Option<LastError>) {
        match attempt {
            Attempt::Login => (&mut self.logins, &mut self.last_error),
            Attempt::Renewal => (&mut self.renewals, &mut self.last_error),
            Attempt::Check => (&mut self.checks, &mut self.last_error),
            Attempt::Delivery(sink) => {
                let sink = &mut self.sinks[sink];
                (&mut sink.deliveries, &mut sink.last_error)
            }
        }
    }

    pub(super) fn report(&self, clocks: Clocks) -> IdentityReport {
        // With a token about which nothing is amiss, a check that the server forbids is over.
        let well = matches!(self.state, Some(State::Valid | State::Renewing));
        IdentityReport {
            name: self.name.clone(),
            method: self.method.clone(),
            state: self.state.map_or("failed", state_name).to_owned(),
            ready: self.ready,
            token: self.generation.map(|generation| TokenReport {
                accessor: self.accessor.clone(),
                generation: generation.number(),
                expires_at: self.expires_at.map(|at| clocks.system_time(at)),
            }),
            next_action: self.next.map(|next| ActionReport {
                action: step_name(next.step).to_owned(),
                at: clocks.system_time(next.at),
            }),
            last_login_at: self.last_login_at,
            logins: self.logins,
            renewals: self.renewals,
            checks: self.checks,
            last_error: self.last_error.as_ref().map(|error| {
                let mut report = error.report();
                report.current &= !well;
                report
            }),
            sinks: self.sinks.iter().map(SinkEntry::report).collect(),
        }
    }
}

impl Clocks {
    fn system_time(self, at: Instant) -> SystemTime {
        let moved = match at.checked_duration_since(self.instant) {
            Some(ahead) => self.system.checked_add(ahead),
            None => self.system.checked_sub(self.instant.saturating_duration_since(at)),
        };
        moved.unwrap_or(self.system)
    }
}

pub(crate) const METRICS: Metrics<IdentityReport, 1> = Metrics {
    labels: [Label::named("identity")],
    each: &[
        Metric {
            name: "usher_identity_state",
            kind: Kind::Gauge,
            help: "1 for the state that the identity is in.",
            labels: &[Label::named("method"), Label { name: "state", values: "as above" }],
            samples: |identity, samples| {
                for state in STATES {
                    samples.add(&[&identity.method, state], u8::from(identity.state == state));
                }
            },
        },
        Metric {
            name: "usher_identity_ready",
            kind: Kind::Gauge,
            help: "Whether every sink of the identity has its token.",
            labels: &[],
            samples: |identity, samples| samples.add(&[], u8::from(identity.ready)),
        },
        Metric {
            name: "usher_token_expiry_timestamp_seconds",
            kind: Kind::Gauge,
            help: "When the token expires, or did; absent if it never does.",
            labels: &[],
            samples: |identity, samples| {
                if let Some(at) = identity.token.as_ref().and_then(|token| token.expires_at) {
                    samples.add(&[], seconds(at));
                }
            },
        },
        Metric {
            name: "usher_last_login_timestamp_seconds",
            kind: Kind::Gauge,
            help: "When the identity last logged in.",
            labels: &[],
            samples: |identity, samples| {
                if let Some(at) = identity.last_login_at {
                    samples.add(&[], seconds(at));
                }
            },
        },
        Metric {
            name: "usher_failures_in_a_row",
            kind: Kind::Gauge,
            help: "Failed logins, renewals and checks since the last success.",
            labels: &[],
            samples: |identity, samples| {
                let current = identity.last_error.as_ref().filter(|error| error.current);
                samples.add(&[], current.map_or(0, |error| error.count));
            },
        },
        Metric {
            name: "usher_logins_total",
            kind: Kind::Counter,
            help: "Logins.",
            labels: &[RESULT],
            samples: |identity, samples| identity.logins.sample(samples),
        },
        Metric {
            name: "usher_renewals_total",
            kind: Kind::Counter,
            help: "Renewals of the token.",
            labels: &[RESULT],
            samples: |identity, samples| identity.renewals.sample(samples),
        },
        Metric {
            name: "usher_token_checks_total",
            kind: Kind::Counter,
            help: "Look-ups of the token.",
            labels: &[RESULT],
            samples: |identity, samples| identity.checks.sample(samples),
        },
    ],
};

/// Every state that a report may name. "failed": a defect in Usher ended the identity.
const STATES: [&str; 8] = [
    "unauthenticated",
    "authenticating",
    "valid",
    "renewing",
    "degraded",
    "expired",
    "stopping",
    "failed",
];

fn state_name(state: State) -> &'static str {
    match state {
        State::Unauthenticated => "unauthenticated",
        State::Authenticating => "authenticating",
        State::Valid => "valid",
        State::Renewing => "renewing",
        State::Degraded => "degraded",
        State::Expired => "expired",
        State::ShutDown => "stopping",
    }
}

fn step_name(step: Step) -> &'static str {
    match step {
        Step::LogIn => "login",
        Step::Look => "look",
        Step::Renew => "renewal",
        Step::Check => "check",
        Step::Deliver => "delivery",
        Step::Expire => "expiry",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_listed() {
        for state in [
            State::Unauthenticated,
            State::Authenticating,
            State::Valid,
            State::Renewing,
            State::Degraded,
            State::Expired,
            State::ShutDown,
        ] {
            assert!(STATES.contains(&state_name(state)));
        }
    }
}
