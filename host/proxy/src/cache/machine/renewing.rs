//! How what is kept is renewed.

use std::sync::Arc;
use std::time::Instant;

use usher_address::Namespace;
use usher_lifecycle::{Class as FailureClass, Failure, HeldEvent, HeldLease};

use super::Cache;
use crate::cache::counts::Cause;
use crate::cache::entry::{EntryId, Grant};
use crate::cache::event::{Owner, Renewal, Renewed};
use crate::cache::key::TokenId;

impl Cache {
    /// How to renew an entry; `None`: nobody wants it.
    pub(super) fn renewal(&self, now: Instant, id: EntryId) -> Option<Renewal> {
        let entry = self.shelf.get(id)?;
        let unused = now.saturating_duration_since(entry.used_at);
        if self.settings.idle_ttl.is_some_and(|longest| unused >= longest) {
            return None;
        }
        let (what, namespace) = match &entry.grant {
            Grant::Token(granted) => {
                let what = Renewed::Token(Arc::clone(&granted.token));
                (what, entry.target.namespace_before("auth/"))
            }
            Grant::Lease(id) => {
                let owner = self.owner(entry.asker?)?;
                // A lease is named after the path that granted it.
                let path = id.rsplit_once('/').map_or("", |(path, _)| path);
                let what = Renewed::Lease { id: Arc::clone(id), owner };
                (what, entry.target.namespace_before(path))
            }
        };
        Some(Renewal { entry: id, namespace: Namespace::parse(namespace).ok()?, what })
    }

    fn owner(&self, asker: TokenId) -> Option<Owner> {
        if let Some(agent) = self.agent.filter(|agent| agent.token == asker) {
            return Some(Owner::Agent(agent.generation));
        }
        let entry = self.shelf.get(self.shelf.by_token(asker)?)?;
        entry.granted_token().map(|granted| Owner::Token(Arc::clone(&granted.token)))
    }

    pub(super) fn renewal_failed(&mut self, now: Instant, id: EntryId, failure: Failure) {
        if !self.renewals.get(&id).is_some_and(usher_lifecycle::Machine::is_busy) {
            return;
        }
        let Some(entry) = self.shelf.get(id) else { return };
        let asked_with = entry.token().or(entry.asker);
        match (failure.invalid_token, asked_with) {
            (true, Some(token)) => self.token_died(token, Cause::TokenDied),
            _ if failure.class == FailureClass::Refused => self.evict(id, Cause::RenewalRefused),
            _ => self.renewals.handle(now, &id, HeldEvent::RenewalFailed(failure)),
        }
    }

    /// An entry ends when the server says, or sooner.
    pub(super) fn take_over_end(&mut self, id: EntryId) {
        let Some(entry) = self.shelf.get(id) else { return };
        let granted = self.renewals.get(&id).and_then(HeldLease::ends_at);
        let end = granted.into_iter().chain(entry.ends_by).min();
        self.shelf.set_end(id, end);
    }
}
