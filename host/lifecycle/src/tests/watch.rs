//! Watches one machine, whatever drives it, and fails the test when it breaks a promise.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::{Action, Event, Generation, Lifecycle, State};

#[derive(Default)]
pub(super) struct Watch {
    /// The request to the server or the method that is in flight.
    pub(super) request: Option<Action>,
    pub(super) deliveries: Vec<Option<Generation>>,
    /// The newest token that each sink was ever offered.
    newest: Vec<Option<Generation>>,
    /// Tokens that a sink took, or was taking when they were superseded.
    pub(super) held: BTreeSet<Generation>,
    forgotten: BTreeSet<Generation>,
    /// Numbers that tokens came under.
    given: BTreeSet<Generation>,
    /// Whether the last login was a look.
    pub(super) looked: bool,
    stopping: bool,
    finished: bool,
}

impl Watch {
    pub(super) fn new(sinks: usize) -> Self {
        Self { deliveries: vec![None; sinks], newest: vec![None; sinks], ..Self::default() }
    }

    /// An event is about to be handed in.
    pub(super) fn before(&mut self, event: &Event) {
        match event {
            Event::Delivered { sink, generation } => {
                self.deliveries[*sink] = None;
                self.held.insert(*generation);
            }
            Event::DeliveryFailed { sink, .. } => self.deliveries[*sink] = None,
            Event::RequestRefused { .. }
            | Event::CredentialsChanged
            | Event::ConfigurationChanged
            | Event::ServerReached => {}
            Event::ShutDown | Event::HandOver => {
                self.stopping = true;
                if !matches!(self.request, Some(Action::LogIn { .. } | Action::Look { .. })) {
                    self.request = None;
                }
            }
            _ => self.request = None,
        }
        let supersedes = match event {
            Event::LoggedIn { generation, token, .. }
            | Event::Inherited { generation, token, .. } => {
                self.given.insert(*generation);
                token.ttl != Some(Duration::ZERO)
            }
            other => matches!(other, Event::ShutDown | Event::HandOver),
        };
        if supersedes {
            self.held.extend(self.deliveries.iter().flatten());
        }
    }

    /// An action was polled.
    pub(super) fn action(&mut self, now: Instant, lifecycle: &Lifecycle, action: Action) {
        assert!(!self.finished, "{action:?} after Finished");
        let begins = matches!(
            action,
            Action::LogIn { .. }
                | Action::Look { .. }
                | Action::Renew { .. }
                | Action::Check { .. }
                | Action::Deliver { .. }
        );
        assert!(!(begins && self.stopping), "{action:?} while shutting down");
        match action {
            Action::LogIn { generation } | Action::Look { generation } => {
                assert!(!self.given.contains(&generation), "{action:?} under a number in use");
                assert_eq!(self.request, None, "{action:?} beside another request");
                self.request = Some(action);
            }
            Action::Renew { generation } | Action::Check { generation } => {
                assert_eq!(self.request, None, "{action:?} beside another request");
                assert!(!self.forgotten.contains(&generation), "{action:?} of a forgotten token");
                self.request = Some(action);
            }
            Action::Deliver { sink, generation } => {
                assert_eq!(self.deliveries[sink], None, "two deliveries to sink {sink}");
                assert!(Some(generation) >= self.newest[sink], "an older token after a newer one");
                assert!(!self.forgotten.contains(&generation), "{action:?} of a forgotten token");
                assert!(lifecycle.expires_at().is_none_or(|at| at > now), "{action:?} expired");
                self.deliveries[sink] = Some(generation);
                self.newest[sink] = Some(generation);
            }
            Action::Revoke { generation } => {
                assert!(!self.held.contains(&generation), "{action:?}, which somebody may hold");
                assert!(!self.deliveries.contains(&Some(generation)), "{action:?} in delivery");
            }
            Action::Forget { generation } => {
                assert!(self.forgotten.insert(generation), "{action:?} twice");
                assert_ne!(lifecycle.generation(), Some(generation), "{action:?} in use");
            }
            Action::CancelLogin => assert!(self.request.is_some(), "nothing to cancel"),
            Action::Finished => self.finished = true,
            Action::Say(_) => {}
        }
    }

    /// All actions were polled; the machine waits.
    pub(super) fn rest(&self, now: Instant, lifecycle: &Lifecycle, may_wait_for_ever: bool) {
        let next = lifecycle.next_timeout();
        assert!(next.is_none_or(|at| at > now), "a time-out that is over is a hot loop");
        if self.stopping {
            let waits = self.request.is_some() || self.deliveries.iter().any(Option::is_some);
            assert!(waits != self.finished, "finished when, and only when, nothing is in flight");
            return;
        }
        let good = matches!(lifecycle.state(), State::Valid | State::Renewing | State::Degraded);
        if let (true, Some(expires_at)) = (good, lifecycle.expires_at()) {
            assert!(expires_at > now, "an expired token taken for good");
            assert!(next.is_some_and(|at| at <= expires_at), "nothing before the deadline");
        }
        let root = good && lifecycle.expires_at().is_none();
        assert!(
            next.is_some() || self.request.is_some() || root || may_wait_for_ever,
            "nothing in flight and nothing due: it would wait for ever"
        );
        if let Some(generation) = lifecycle.generation() {
            assert!(!self.forgotten.contains(&generation), "the token in use is forgotten");
        }
    }

    /// Checks what became of the token in use when this event was handled: `was_good` says
    /// that it was good before, `generation` which one it was.
    pub(super) fn kept(lifecycle: &Lifecycle, generation: Option<Generation>) {
        assert!(lifecycle.generation() >= generation, "the token in use was dropped");
    }
}
