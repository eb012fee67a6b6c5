//! Where the entries stand, and each way to find one.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use super::entry::{Entry, EntryId};
use super::key::{AccessorId, Key, TokenId};
use super::selection::Selection;

/// All entries. What is found by digests that come in no order stands in trees, whose order nobody
/// from outside can make worse.
#[derive(Default)]
pub(super) struct Shelf {
    entries: BTreeMap<EntryId, Box<Entry>>,
    keys: BTreeMap<Key, EntryId>,
    tokens: BTreeMap<TokenId, EntryId>,
    accessors: BTreeMap<AccessorId, EntryId>,
    leases: BTreeMap<Arc<str>, EntryId>,
    /// By the token that asked.
    askers: BTreeSet<(TokenId, EntryId)>,
    ends: BTreeSet<(Instant, EntryId)>,
    /// The ends of the list of all by their last use, which each entry is a link of.
    least_used: Option<EntryId>,
    most_used: Option<EntryId>,
    weight: usize,
    last: u64,
}

impl Shelf {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Of all, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    pub(super) fn get(&self, id: EntryId) -> Option<&Entry> {
        self.entries.get(&id).map(|entry| &**entry)
    }

    pub(super) fn by_key(&self, key: &Key) -> Option<EntryId> {
        self.keys.get(key).copied()
    }

    pub(super) fn by_token(&self, token: TokenId) -> Option<EntryId> {
        self.tokens.get(&token).copied()
    }

    pub(super) fn by_accessor(&self, accessor: AccessorId) -> Option<EntryId> {
        self.accessors.get(&accessor).copied()
    }

    pub(super) fn by_lease(&self, lease: &str) -> Option<EntryId> {
        self.leases.get(lease).copied()
    }

    /// What was asked for with this token.
    pub(super) fn by_asker(&self, token: TokenId) -> Vec<EntryId> {
        let range = (token, EntryId(NonZeroU64::MIN))..=(token, EntryId(NonZeroU64::MAX));
        self.askers.range(range).map(|(_, id)| *id).collect()
    }

    /// Those that are meant themselves.
    pub(super) fn meant(&self, selection: &Selection) -> Vec<EntryId> {
        match selection {
            Selection::Token(token) | Selection::TokenAlone(token) => {
                self.by_token(*token).into_iter().collect()
            }
            Selection::Accessor(accessor) => self.by_accessor(*accessor).into_iter().collect(),
            Selection::Lease(lease) => self.by_lease(lease).into_iter().collect(),
            Selection::Leases { prefix, .. } => {
                let from = (Bound::Included(&**prefix), Bound::Unbounded);
                let below = self.leases.range::<str, _>(from);
                let below = below.take_while(|(lease, _)| lease.starts_with(&**prefix));
                let means = |id| self.get(id).is_some_and(|entry| selection.means(entry));
                below.map(|(_, id)| *id).filter(|id| means(*id)).collect()
            }
            Selection::All | Selection::RequestPath { .. } => {
                let meant = self.entries.iter().filter(|(_, entry)| selection.means(entry));
                meant.map(|(id, _)| *id).collect()
            }
        }
    }

    /// The one that nobody has used for longest.
    pub(super) fn least_used(&self) -> Option<EntryId> {
        self.least_used
    }

    /// One that has ended by now.
    pub(super) fn ended(&self, now: Instant) -> Option<EntryId> {
        self.ends.first().filter(|(at, _)| *at <= now).map(|(_, id)| *id)
    }

    /// When the next one ends.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.ends.first().map(|(at, _)| *at)
    }

    /// When the oldest was stored.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.entries.first_key_value().map(|(_, entry)| entry.stored_at)
    }

    /// What has its key already is given to nobody any more.
    pub(super) fn insert(&mut self, entry: Entry) -> EntryId {
        self.last = self.last.saturating_add(1);
        let id = EntryId(NonZeroU64::MIN.saturating_add(self.last));
        if let Some(key) = entry.key
            && let Some(former) = self.keys.insert(key, id)
            && let Some(former) = self.entries.get_mut(&former)
        {
            former.key = None;
        }
        self.tokens.extend(entry.token().map(|token| (token, id)));
        self.accessors.extend(entry.accessor().map(|accessor| (accessor, id)));
        self.leases.extend(entry.lease().map(|lease| (Arc::clone(lease), id)));
        self.askers.extend(entry.asker.map(|asker| (asker, id)));
        self.ends.extend(entry.ends_at.map(|at| (at, id)));
        self.weight += entry.weight();
        self.entries.insert(id, Box::new(entry));
        self.link(id);
        id
    }

    pub(super) fn remove(&mut self, id: EntryId) -> Option<Box<Entry>> {
        self.withhold(id);
        self.orphan(id);
        self.set_end(id, None);
        self.unlink(id);
        let entry = self.entries.remove(&id)?;
        if let Some(token) = entry.token() {
            self.tokens.remove(&token);
        }
        if let Some(accessor) = entry.accessor() {
            self.accessors.remove(&accessor);
        }
        if let Some(lease) = entry.lease() {
            self.leases.remove(lease);
        }
        self.weight -= entry.weight();
        Some(entry)
    }

    /// From now on it is given to nobody.
    pub(super) fn withhold(&mut self, id: EntryId) {
        let key = self.entries.get_mut(&id).and_then(|entry| entry.key.take());
        if let Some(key) = key {
            self.keys.remove(&key);
        }
    }

    /// From now on it depends on no other.
    pub(super) fn orphan(&mut self, id: EntryId) {
        let asker = self.entries.get_mut(&id).and_then(|entry| entry.asker.take());
        if let Some(asker) = asker {
            self.askers.remove(&(asker, id));
        }
    }

    /// From now on it ends then.
    pub(super) fn set_end(&mut self, id: EntryId, end: Option<Instant>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let former = std::mem::replace(&mut entry.ends_at, end);
        if former != end {
            if let Some(at) = former {
                self.ends.remove(&(at, id));
            }
            self.ends.extend(end.map(|at| (at, id)));
        }
    }

    /// Takes note that somebody uses it.
    pub(super) fn touch(&mut self, now: Instant, id: EntryId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.used_at = now;
        if self.most_used != Some(id) {
            self.unlink(id);
            self.link(id);
        }
    }

    /// Makes it the one that was used last.
    fn link(&mut self, id: EntryId) {
        let before = self.most_used.replace(id);
        if let Some(entry) = self.entries.get_mut(&id) {
            (entry.older, entry.newer) = (before, None);
        }
        match before.and_then(|before| self.entries.get_mut(&before)) {
            Some(before) => before.newer = Some(id),
            None => self.least_used = Some(id),
        }
    }

    /// Takes it out of the list.
    fn unlink(&mut self, id: EntryId) {
        let Some(entry) = self.entries.get(&id) else { return };
        let (older, newer) = (entry.older, entry.newer);
        match older.and_then(|older| self.entries.get_mut(&older)) {
            Some(older) => older.newer = newer,
            None => self.least_used = newer,
        }
        match newer.and_then(|newer| self.entries.get_mut(&newer)) {
            Some(newer) => newer.older = older,
            None => self.most_used = older,
        }
    }
}
