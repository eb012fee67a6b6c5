//! What an identity has to do with those who make requests with its token: it hears when they doubt it
//! and answers, and takes it from them when it is no good any more.

use std::time::Instant;

use tokio::sync::watch;
use usher_lifecycle::{Event, Generation};
use usher_proxy::{Doubt, Feed};

use super::Driver;

/// The doubts of those who make requests with the token, if anybody does.
pub(super) struct Doubts(Option<watch::Receiver<Option<Doubt>>>);

impl Doubts {
    pub(super) fn of(feed: Option<&Feed>) -> Self {
        Self(feed.map(Feed::doubts))
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Option<Event> {
        let Some(doubts) = &mut self.0 else { return std::future::pending().await };
        match doubts.changed().await {
            Ok(()) => {
                let Doubt { generation, invalid_token, .. } = (*doubts.borrow_and_update())?;
                Some(Event::RequestRefused { generation, invalid_token })
            }
            Err(_) => std::future::pending().await,
        }
    }
}

impl Driver {
    /// Hands an event to the machine, and answers those who doubt the token that it is about.
    pub(super) fn handle(&mut self, event: Event) {
        let doubted = match event {
            Event::RequestRefused { generation, .. } => Some((generation, None)),
            Event::Checked { generation, .. } | Event::CheckFailed { generation, .. } => {
                Some((generation, Some(self.check_began)))
            }
            _ => None,
        };
        self.machine.handle(Instant::now(), event);
        if let Some((generation, looked_at)) = doubted {
            self.vouch(generation, looked_at);
        }
    }

    /// Answers those who doubt a token, unless it is dead: after the look-up that began at
    /// `looked_at`, also if there is another one to come; or at once if there is none to come.
    fn vouch(&self, generation: Generation, looked_at: Option<Instant>) {
        let Some(feed) = self.identity.feed() else { return };
        let is_known = looked_at.is_some() || !self.machine.is_in_doubt(Instant::now(), generation);
        if is_known && self.machine.has_good_token() {
            feed.vouch(generation, looked_at.unwrap_or_else(Instant::now));
        }
    }

    /// Nobody makes requests with the token any more.
    pub(super) fn take_token_back(&self) {
        if let Some(feed) = self.identity.feed() {
            feed.give(None);
        }
    }
}
