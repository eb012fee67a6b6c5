//! The machine itself: takes events, decides, hands out actions.

use std::collections::VecDeque;
use std::time::Instant;

use crate::{Action, Event, NextStep, Settings, State};

/// The life of one identity. See the [crate] for how to drive it.
#[derive(Debug)]
pub struct Lifecycle {
    settings: Settings,
    actions: VecDeque<Action>,
}

impl Lifecycle {
    /// Starts a life: its first action is [`Action::LogIn`]. `seed` feeds the jitter and must
    /// differ from machine to machine.
    pub fn new(now: Instant, settings: Settings, seed: u64) -> Self {
        let _ = (now, seed);
        Self { settings, actions: VecDeque::from([Action::LogIn]) }
    }

    /// Where the identity stands.
    pub fn state(&self) -> State {
        State::Unauthenticated
    }

    /// The token in use: the newest one, whether good, dead or expired. `None` before the first
    /// and after one that was revoked.
    pub fn generation(&self) -> Option<u64> {
        None
    }

    /// The number given to the latest token that arrived, 0 before the first. Right after
    /// [`Event::LoggedIn`] it names that token.
    pub fn last_generation(&self) -> u64 {
        0
    }

    /// When the token in use expires; `None` if there is none or it never does.
    pub fn expires_at(&self) -> Option<Instant> {
        None
    }

    /// Whether every sink holds the token in use, and that token is good.
    pub fn all_delivered(&self) -> bool {
        self.settings.sinks == 0
    }

    /// What comes next if nothing happens before; `None` while waiting for an answer or event.
    pub fn next_step(&self) -> Option<NextStep> {
        None
    }

    /// Takes note of what happened.
    pub fn handle(&mut self, now: Instant, event: Event) {
        let _ = (now, event);
    }

    /// Does what is due. Call it at [`Self::next_timeout`]; early calls do no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// The next thing to do, `None` when there is nothing more for now.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`Self::handle_timeout`] if no event comes first. `None` only while the
    /// machine waits for an answer or an event and no deadline is near.
    pub fn next_timeout(&self) -> Option<Instant> {
        None
    }
}
