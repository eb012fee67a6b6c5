//! What the board keeps of one identity, and how a report tells it.

use std::time::{Instant, SystemTime};

use usher_lifecycle::{Class, Generation, NextStep, State, Step};

use super::Attempt;
use super::report::{ActionReport, Counts, ErrorReport, IdentityReport, SinkReport, TokenReport};

pub(super) struct Entry {
    pub(super) name: String,
    pub(super) method: String,
    /// None: a defect ended it.
    pub(super) state: Option<State>,
    pub(super) ready: bool,
    pub(super) generation: Option<Generation>,
    pub(super) accessor: String,
    pub(super) expires_at: Option<Instant>,
    pub(super) next: Option<NextStep>,
    pub(super) last_login_at: Option<SystemTime>,
    pub(super) logins: Counts,
    pub(super) renewals: Counts,
    pub(super) checks: Counts,
    pub(super) last_error: Option<LastError>,
    pub(super) sinks: Vec<SinkEntry>,
}

pub(super) struct SinkEntry {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) pending: bool,
    pub(super) generation: Option<Generation>,
    pub(super) last_delivery_at: Option<SystemTime>,
    pub(super) deliveries: Counts,
    pub(super) last_error: Option<LastError>,
}

pub(super) struct LastError {
    pub(super) attempt: Attempt,
    pub(super) class: Class,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) since: SystemTime,
    pub(super) at: SystemTime,
    pub(super) count: u64,
    pub(super) current: bool,
}

impl Entry {
    pub(super) fn of(&mut self, attempt: Attempt) -> (&mut Counts, &mut Option<LastError>) {
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

impl SinkEntry {
    pub(super) fn report(&self) -> SinkReport {
        SinkReport {
            name: self.name.clone(),
            kind: self.kind.clone(),
            pending: self.pending,
            generation: self.generation.map(Generation::number),
            last_delivery_at: self.last_delivery_at,
            deliveries: self.deliveries,
            last_error: self.last_error.as_ref().map(LastError::report),
        }
    }
}

impl LastError {
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

/// The two clocks read together, to tell people when something is due.
#[derive(Clone, Copy)]
pub(super) struct Clocks {
    pub(super) instant: Instant,
    pub(super) system: SystemTime,
}

impl Clocks {
    pub(super) fn system_time(self, at: Instant) -> SystemTime {
        let moved = match at.checked_duration_since(self.instant) {
            Some(ahead) => self.system.checked_add(ahead),
            None => self.system.checked_sub(self.instant.saturating_duration_since(at)),
        };
        moved.unwrap_or(self.system)
    }
}

pub(super) fn state_name(state: State) -> &'static str {
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

pub(super) fn step_name(step: Step) -> &'static str {
    match step {
        Step::LogIn => "login",
        Step::Look => "look",
        Step::Renew => "renewal",
        Step::Check => "check",
        Step::Deliver => "delivery",
        Step::Expire => "expiry",
    }
}
