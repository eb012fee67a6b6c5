//! How entries leave the cache, and what goes with them.

use std::time::Instant;

use super::Cache;
use crate::cache::counts::Cause;
use crate::cache::entry::{Entry, EntryId};
use crate::cache::key::TokenId;
use crate::cache::selection::Certainty;

impl Cache {
    /// Lets go of what has ended.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(id) = self.shelf.ended(now) {
            self.evict(id, Cause::Ended);
        }
        if let Some(secrets) = &mut self.static_secrets {
            secrets.expire(now, &mut self.counts);
        }
    }

    /// A token is no good any more, and what was asked for with it neither.
    pub(super) fn token_died(&mut self, token: TokenId, cause: Cause) {
        self.agent.take_if(|agent| agent.token == token);
        match self.shelf.by_token(token) {
            Some(id) => self.evict(id, cause),
            None => self.left_by_token(token, cause),
        }
    }

    /// Lets go of what was asked for with a token that isn't kept, or isn't any more.
    pub(super) fn left_by_token(&mut self, token: TokenId, cause: Cause) {
        let mut left = Vec::new();
        self.leave(token, cause, &mut left);
        self.evict_all(left, cause);
    }

    pub(super) fn evict(&mut self, id: EntryId, cause: Cause) {
        self.evict_all(vec![id], cause);
    }

    /// Lets go of entries and of what depends on them.
    pub(super) fn evict_all(&mut self, mut left: Vec<EntryId>, cause: Cause) {
        while let Some(id) = left.pop() {
            let Some(entry) = self.shelf.remove(id) else { continue };
            self.renewals.remove(&id);
            self.counts.evicted(cause);
            if let Some(token) = entry.token() {
                self.leave(token, cause, &mut left);
            }
        }
        debug_assert_eq!(self.renewals.len(), self.shelf.len());
    }

    /// Adds to `left` what ends with a token. An orphan doesn't, but whoever asked for it with that
    /// token isn't given it again.
    pub(super) fn leave(&mut self, token: TokenId, cause: Cause, left: &mut Vec<EntryId>) {
        self.forget_proofs(token, cause);
        if cause.ends_the_token() {
            self.flights.spoil(token, Certainty::Certain);
        }
        for id in self.shelf.by_asker(token) {
            if !self.shelf.get(id).is_some_and(Entry::is_orphan) {
                left.push(id);
            } else if cause.ends_the_token() {
                self.shelf.withhold(id);
                self.shelf.orphan(id);
            }
        }
    }

    /// The children of a token live on without it.
    pub(super) fn spare_children(&mut self, token: TokenId) {
        for id in self.shelf.by_asker(token) {
            if self.shelf.get(id).is_some_and(|entry| entry.token().is_some()) {
                self.shelf.withhold(id);
                self.shelf.orphan(id);
            }
        }
    }

    /// Gives an entry, and what depends on it, to nobody any more.
    pub(super) fn withhold(&mut self, id: EntryId) {
        self.shelf.withhold(id);
        if let Some(token) = self.shelf.get(id).and_then(Entry::token) {
            self.withhold_what_asked(token);
        }
    }

    pub(super) fn withhold_what_asked(&mut self, token: TokenId) {
        let mut tokens = vec![token];
        while let Some(token) = tokens.pop() {
            self.flights.spoil(token, Certainty::Possible);
            self.forget_proofs(token, Cause::Revoked);
            for id in self.shelf.by_asker(token) {
                self.shelf.withhold(id);
                tokens.extend(self.shelf.get(id).and_then(Entry::token));
            }
        }
    }
}
