//! Requests that are on their way to the server, so that none is made twice at a time, and what
//! became useless meanwhile, so that no answer is kept that is older than its revocation.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::ask::Ask;
use super::entry::Entry;
use super::key::{Key, TokenId};
use super::selection::{Certainty, Revocation};
use super::static_secrets::Reading;
use super::target::Target;

/// Which one. None is ever used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FlightId(u64);

/// One request on its way.
pub(super) struct Flight {
    pub(super) key: Key,
    pub(super) asker: Option<TokenId>,
    pub(super) target: Target,
    pub(super) ends_by: Option<Instant>,
    /// What it asks for may be a static secret.
    pub(super) reading: Option<Reading>,
    /// Its answer is no older than that.
    pub(super) began: Instant,
    /// What it reads may have changed meanwhile, or who may read it.
    overtaken: bool,
    /// Somebody waits for it.
    pub(super) joined: bool,
    /// The token that asks ended meanwhile.
    spoiled: Option<Certainty>,
    /// How many things had been revoked when it began.
    since: u64,
}

#[derive(Default)]
pub(super) struct Flights {
    open: BTreeMap<FlightId, Flight>,
    joinable: BTreeMap<Key, FlightId>,
    next: u64,
    /// While the oldest of those that are open has been.
    revoked: VecDeque<Revocation>,
    /// How many there were in all.
    revocations: u64,
    /// Requests whose answers weren't worth keeping lately: they aren't joined.
    loners: BTreeSet<Key>,
    /// Until when, in that order.
    loners_end: VecDeque<(Instant, Key)>,
}

/// Whether others may wait for a request's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Company {
    Welcome,
    Alone,
}

impl Flight {
    /// Whether the static secret that it has read may be kept, and shows that its token may read it.
    pub(super) fn is_up_to_date(&self) -> bool {
        !self.overtaken && self.spoiled.is_none()
    }
}

impl Flights {
    /// One that can be joined, which now is.
    pub(super) fn join(&mut self, key: &Key) -> Option<FlightId> {
        let id = *self.joinable.get(key)?;
        self.open.get_mut(&id)?.joined = true;
        Some(id)
    }

    pub(super) fn is_on_its_way(&self, key: &Key) -> bool {
        self.joinable.contains_key(key)
    }

    pub(super) fn begin(&mut self, now: Instant, ask: &Ask, company: Company) -> FlightId {
        let id = FlightId(self.next);
        self.next += 1;
        if company == Company::Welcome {
            self.joinable.entry(ask.key()).or_insert(id);
        }
        let flight = Flight {
            key: ask.key(),
            asker: ask.asker(),
            target: ask.target().clone(),
            ends_by: ask.ends_by(),
            reading: ask.reading().cloned(),
            began: now,
            overtaken: false,
            joined: false,
            spoiled: None,
            since: self.revocations,
        };
        self.open.insert(id, flight);
        id
    }

    /// Ends one. What was revoked meanwhile must be asked for with [`Self::withdrawn`] at once.
    pub(super) fn end(&mut self, id: FlightId) -> Option<Flight> {
        let flight = self.open.remove(&id)?;
        if self.joinable.get(&flight.key) == Some(&id) {
            self.joinable.remove(&flight.key);
        }
        Some(flight)
    }

    /// Takes note of a revocation that has just happened.
    pub(super) fn revoke(&mut self, revocation: &Revocation) {
        self.forget_revocations();
        self.revocations += 1;
        if !self.open.is_empty() {
            self.revoked.push_back(revocation.clone());
            if self.revoked.len() > MOST_REVOCATIONS {
                self.revoked.pop_front();
            }
        }
    }

    /// Takes note that a token has ended.
    pub(super) fn spoil(&mut self, asker: TokenId, certainty: Certainty) {
        for flight in self.open.values_mut().filter(|flight| flight.asker == Some(asker)) {
            flight.spoiled = flight.spoiled.max(Some(certainty));
        }
    }

    /// What those read that this is true of isn't kept.
    pub(super) fn overtake(&mut self, is_meant: impl Fn(&Flight, &Reading) -> bool) {
        for flight in self.open.values_mut() {
            let meant = flight.reading.as_ref().is_some_and(|reading| is_meant(flight, reading));
            flight.overtaken |= meant;
        }
    }

    pub(super) fn get(&self, id: FlightId) -> Option<&Flight> {
        self.open.get(&id)
    }

    /// Whether what a flight has brought was revoked before it came.
    pub(super) fn withdrawn(&self, flight: &Flight, entry: &Entry) -> Option<Certainty> {
        let meanwhile = self.revocations - flight.since;
        let known = self.revoked.len() as u64;
        if meanwhile > known {
            return Some(Certainty::Certain);
        }
        let before = usize::try_from(known - meanwhile).unwrap_or_default();
        let meant = self.revoked.iter().skip(before);
        let meant = meant.filter(|revocation| revocation.selection.means(entry));
        meant.map(|revocation| revocation.certainty).max().max(flight.spoiled)
    }

    /// From now on for a while requests like it go alone.
    pub(super) fn part(&mut self, now: Instant, key: Key) {
        if self.loners.contains(&key) {
            return;
        }
        if self.loners.len() >= MOST_LONERS {
            self.forget_loner();
        }
        let end = now + LONELINESS;
        self.loners.insert(key);
        self.loners_end.push_back((end, key));
    }

    /// Whether a request like it goes alone.
    pub(super) fn goes_alone(&mut self, now: Instant, key: &Key) -> bool {
        while self.loners_end.front().is_some_and(|(end, _)| *end <= now) {
            self.forget_loner();
        }
        self.loners.contains(key)
    }

    fn forget_loner(&mut self) {
        if let Some((_, key)) = self.loners_end.pop_front() {
            self.loners.remove(&key);
        }
    }

    /// Forgets those that are older than all that is open.
    fn forget_revocations(&mut self) {
        let oldest = self.open.first_key_value().map_or(self.revocations, |(_, open)| open.since);
        let needed = usize::try_from(self.revocations - oldest).unwrap_or(usize::MAX);
        while self.revoked.len() > needed {
            self.revoked.pop_front();
        }
    }
}

/// More than that while one request is on its way, and its answer isn't kept.
const MOST_REVOCATIONS: usize = 1024;
/// How long what wasn't worth keeping is taken for that.
const LONELINESS: Duration = Duration::from_mins(1);
const MOST_LONERS: usize = 4096;
