//! The identities at work, and what their reports mean for the agent's end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use usher_engine::Kind;
use usher_lifecycle::Class;

use crate::driver::Report;
use crate::exit::Exit;
use crate::identity::{Identity, Life};

/// What the agent is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It keeps tokens alive until it is told to end.
    Stay,
    /// It ends once every sink has its token (`exit_after_auth`).
    Deliver {
        /// Until when it waits for what may still come.
        timeout: Option<Duration>,
    },
}

/// Every identity at work, by the number of its part.
pub(crate) struct Roster {
    purpose: Purpose,
    working: BTreeMap<u64, Working>,
}

/// An identity at work.
pub(crate) struct Working {
    pub(crate) identity: Arc<Identity>,
    /// In force; not always the one that it began with.
    life: watch::Sender<Arc<Life>>,
    exit_on_err: bool,
    delivered: bool,
    /// Since its last success.
    login_failure: Option<Class>,
    sink_failed: bool,
}

/// What the first failed login of an identity means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstFailure {
    /// The agent ends (`exit_on_err`).
    Ends,
    /// It is tried again.
    IsRetried,
}

impl FirstFailure {
    /// As it is configured.
    pub(crate) fn of(configured: &usher_config::Identity) -> Self {
        if configured.method.exit_on_err { Self::Ends } else { Self::IsRetried }
    }
}

impl Working {
    /// One that begins, and where it reads how it lives.
    pub(crate) fn new(
        identity: &Arc<Identity>,
        failure: FirstFailure,
    ) -> (Self, watch::Receiver<Arc<Life>>) {
        let (life, received) = watch::channel(Arc::clone(&identity.life));
        let working = Self {
            identity: Arc::clone(identity),
            life,
            exit_on_err: failure == FirstFailure::Ends,
            delivered: false,
            login_failure: None,
            sink_failed: false,
        };
        (working, received)
    }
}

impl Roster {
    /// Nobody works yet.
    pub(crate) fn new(purpose: Purpose) -> Self {
        Self { purpose, working: BTreeMap::new() }
    }

    /// One begins to work.
    pub(crate) fn add(&mut self, number: u64, working: Working) {
        self.working.insert(number, working);
    }

    /// One works no more; what it was.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Arc<Identity>> {
        let mut found = None;
        self.working.retain(|_, working| {
            let is_it = working.identity.name == name;
            if is_it {
                found = Some(Arc::clone(&working.identity));
            }
            !is_it
        });
        found
    }

    /// Has an identity live otherwise from the next order on.
    pub(crate) fn adjust(&mut self, name: &str, life: Arc<Life>, failure: FirstFailure) {
        for working in self.working.values_mut().filter(|other| other.identity.name == name) {
            working.life.send_replace(Arc::clone(&life));
            working.exit_on_err = failure == FirstFailure::Ends;
        }
    }

    /// Whether the identity of this name uses the plug-in.
    pub(crate) fn uses(&self, identity: &str, kind: Kind, plugin: &str) -> bool {
        let mut working = self.working.values().map(|working| &working.identity);
        working.any(|other| {
            let uses = match kind {
                Kind::AuthMethod => other.kind == plugin,
                Kind::Sink => other.sinks.iter().any(|sink| sink.kind == plugin),
            };
            other.name == identity && uses
        })
    }

    /// Takes a report in; the exit status, if it is a failure that ends the agent.
    pub(crate) fn judge(&mut self, report: &Report) -> Option<Exit> {
        // One that was replaced meanwhile has nothing to say.
        let working = self.working.get_mut(&report.identity())?;
        match *report {
            Report::LoginFailed { class, awaits_plugin, .. } => {
                working.login_failure = Some(class);
                let hopeless = match self.purpose {
                    Purpose::Stay => false,
                    Purpose::Deliver { timeout } => {
                        let may_come = awaits_plugin && timeout.is_some();
                        class == Class::Configuration && !may_come
                    }
                };
                return (working.exit_on_err || hopeless).then(|| class.into());
            }
            Report::LoggedIn { .. } => working.login_failure = None,
            Report::DeliveryFailed { .. } => working.sink_failed = true,
            Report::Delivered { .. } => {
                working.delivered = true;
                working.sink_failed = false;
            }
        }
        None
    }

    /// Whether the agent has done what it is there for, and is to end.
    pub(crate) fn is_done(&self) -> bool {
        let mut working = self.working.values();
        matches!(self.purpose, Purpose::Deliver { .. })
            && !self.working.is_empty()
            && working.all(|working| working.delivered)
    }

    /// A defect ended an identity; the exit status, if that ends the agent.
    pub(crate) fn lose(&mut self, name: &str) -> Option<Exit> {
        self.remove(name);
        let ends = self.working.is_empty() || self.purpose != Purpose::Stay;
        ends.then_some(Exit::Failed)
    }

    /// The exit status when the time for `exit_after_auth` is over.
    pub(crate) fn time_is_over(&self) -> Exit {
        tracing::error!("not every sink has its token within --timeout; giving up");
        // What must be mended first: the login.
        let mut working = self.working.values();
        match working.clone().find_map(|working| working.login_failure) {
            Some(class) => class.into(),
            None if working.any(|working| working.sink_failed) => Exit::Sink,
            None => Exit::Failed,
        }
    }
}
