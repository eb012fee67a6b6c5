//! The cache itself.

mod leaving;
mod renewing;
mod static_secrets;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use usher_lifecycle::{Backoff, Granted, HeldEvent, HeldLease, Many};

use super::answer::Answer;
use super::ask::Ask;
use super::class::Class;
use super::counts::{Cause, Counts};
use super::entry::{Entry, EntryId, Grant, GrantedToken};
use super::event::{Action, AgentToken, Denial, Event, Hit, Outcome, Reply, Unkept, Woken};
use super::facts::{Facts, Uses};
use super::flights::{Company, Flight, FlightId, Flights};
use super::key::{Keyring, TokenId};
use super::limited::Limited;
use super::selection::{Certainty, Revocation, Selection};
use super::settings::Settings;
use super::shelf::Shelf;
use super::static_secrets::StaticSecrets;

/// The leases and tokens that the server granted through this agent. The [module](super) says how to
/// drive it. No `Debug`: it holds secrets.
pub(crate) struct Cache {
    settings: Settings,
    keyring: Arc<Keyring>,
    seed: u64,
    backoff: Arc<Backoff>,
    agent: Option<AgentToken>,
    shelf: Shelf,
    renewals: Many<EntryId, HeldLease>,
    flights: Flights,
    wakes: VecDeque<(FlightId, Woken)>,
    static_secrets: Option<StaticSecrets>,
    /// Tokens that are good for so many requests only.
    limited: Limited,
    counts: Counts,
}

impl Cache {
    /// Empty. `seed` feeds the jitter.
    pub(crate) fn new(settings: Settings, keyring: Arc<Keyring>, seed: u64) -> Self {
        Self {
            settings,
            keyring,
            seed,
            backoff: Arc::new(settings.backoff),
            agent: None,
            shelf: Shelf::default(),
            renewals: Many::new(settings.ceiling),
            flights: Flights::default(),
            wakes: VecDeque::new(),
            static_secrets: settings.static_secrets.map(StaticSecrets::new),
            limited: Limited::default(),
            counts: Counts::default(),
        }
    }

    /// What became of a request before it goes on.
    pub(crate) fn request(&mut self, now: Instant, ask: &Ask) -> Reply {
        self.look(now, ask, Company::Welcome)
    }

    /// The same for one that waited for another in vain: it waits for none again.
    pub(crate) fn apart(&mut self, now: Instant, ask: &Ask) -> Reply {
        self.look(now, ask, Company::Alone)
    }

    /// Takes note of what became of a request. An answer that is kept has this number.
    pub(crate) fn answered(
        &mut self,
        now: Instant,
        flight: FlightId,
        outcome: Outcome,
    ) -> Result<EntryId, Unkept> {
        self.expire(now);
        if !matches!(outcome, Outcome::Unreachable) {
            self.reached(now);
        }
        let Some(ended) = self.flights.end(flight) else { return Err(Unkept::Nothing) };
        let success = matches!(outcome, Outcome::Granted(..) | Outcome::Nothing);
        if success || matches!(outcome, Outcome::Missing) {
            self.superseded(now, &ended);
        }
        let kept = match outcome {
            Outcome::Granted(facts, answer) => self.keep(now, &ended, facts, answer),
            Outcome::Nothing | Outcome::Missing | Outcome::Failure | Outcome::Unreachable => {
                Err(Unkept::Nothing)
            }
        };
        if success && kept.is_err() {
            self.flights.part(now, ended.key);
        }
        let shown = kept.is_ok_and(|id| self.shelf.by_key(&ended.key) == Some(id));
        if ended.joined {
            let how = if shown { Woken::Again } else { Woken::Apart };
            self.wakes.push_back((flight, how));
        }
        kept
    }

    /// The request was abandoned before it had an answer, as by a client that left: one of those that
    /// wait makes it.
    pub(crate) fn gave_up(&mut self, flight: FlightId) {
        if self.flights.end(flight).is_some_and(|ended| ended.joined) {
            self.wakes.push_back((flight, Woken::Again));
        }
    }

    /// The server revoked something, or may have: a request to do so was sent and has no answer.
    pub(crate) fn revoked(&mut self, now: Instant, revocation: &Revocation) {
        self.expire(now);
        self.flights.revoke(revocation);
        let Revocation { selection, certainty } = revocation;
        for id in self.shelf.meant(selection) {
            match (certainty, selection) {
                (Certainty::Possible, _) => self.withhold(id),
                (Certainty::Certain, Selection::TokenAlone(token)) => {
                    self.spare_children(*token);
                    self.evict(id, Cause::Revoked);
                }
                (Certainty::Certain, _) => self.evict(id, Cause::Revoked),
            }
        }
        // Those that aren't kept themselves, as the agent's, may have asked for what is.
        let token = match selection {
            Selection::Token(token) | Selection::TokenAlone(token) => Some(*token),
            Selection::Accessor(accessor) => {
                let agent = self.agent.filter(|agent| agent.accessor == Some(*accessor));
                agent.map(|agent| agent.token)
            }
            _ => None,
        };
        match (token, certainty) {
            (Some(token), Certainty::Certain) => {
                if matches!(selection, Selection::TokenAlone(_)) {
                    self.spare_children(token);
                }
                self.token_died(token, Cause::Revoked);
            }
            (Some(token), Certainty::Possible) => self.withhold_what_asked(token),
            (None, _) => {}
        }
    }

    /// The server refused a request that was made with this token.
    pub(crate) fn denied(&mut self, now: Instant, token: TokenId, denial: Denial) {
        self.expire(now);
        match denial {
            Denial::InvalidToken => self.token_died(token, Cause::TokenDied),
            Denial::Unsaid => {
                // The login that it came from is made anew when somebody asks for it.
                if let Some(id) = self.shelf.by_token(token) {
                    self.shelf.withhold(id);
                }
            }
        }
    }

    /// Another token is the agent's from now on; `None`: it has none. What was asked for with the old
    /// one goes.
    pub(crate) fn token_replaced(&mut self, now: Instant, agent: Option<AgentToken>) {
        self.expire(now);
        let old = std::mem::replace(&mut self.agent, agent);
        if let Some(old) = old.filter(|old| agent.is_none_or(|new| new.token != old.token)) {
            self.left_by_token(old.token, Cause::TokenReplaced);
        }
    }

    /// Forgets what is meant. The agent's token stays the agent's.
    pub(crate) fn clear(&mut self, now: Instant, selection: &Selection) {
        self.expire(now);
        let certainty = Certainty::Certain;
        if let Some(secrets) = &mut self.static_secrets {
            secrets.clear(selection, &mut self.counts);
            self.flights.overtake(|_, _| true);
        }
        self.flights.revoke(&Revocation { selection: selection.clone(), certainty });
        for id in self.shelf.meant(selection) {
            self.evict(id, Cause::Cleared);
        }
        let agent = self.agent.filter(|agent| match selection {
            Selection::Token(token) => agent.token == *token,
            Selection::Accessor(accessor) => agent.accessor == Some(*accessor),
            _ => false,
        });
        if let Some(agent) = agent {
            self.flights.spoil(agent.token, certainty);
            self.left_by_token(agent.token, Cause::Cleared);
        }
    }

    /// Takes note of what happened.
    pub(crate) fn handle(&mut self, now: Instant, event: Event) {
        self.expire(now);
        if !matches!(event, Event::RenewalFailed(..)) {
            self.reached(now);
        }
        match event {
            Event::Renewed(id, granted) => {
                self.renewals.handle(now, &id, HeldEvent::Renewed(granted));
                self.counts.renewed += 1;
                self.take_over_end(id);
                self.expire(now);
            }
            Event::RenewalFailed(id, failure) => self.renewal_failed(now, id, failure),
            Event::ServerReached => self.renewals.handle_all(now, &HeldEvent::ServerReached),
        }
    }

    /// The next thing to do, `None` when there is nothing more for now.
    pub(crate) fn poll_action(&mut self, now: Instant) -> Option<Action> {
        self.expire(now);
        if let Some((flight, how)) = self.wakes.pop_front() {
            return Some(Action::Wake { flight, how });
        }
        while let Some((id, _)) = self.renewals.poll_action(now) {
            match self.renewal(now, id) {
                Some(renewal) => return Some(Action::Renew(renewal)),
                None => self.renewals.handle(now, &id, HeldEvent::Unwanted),
            }
        }
        None
    }

    /// When to call [`Self::poll_action`] if nothing happens first; `None`: only that leads on.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let static_end = self.static_secrets.as_ref().and_then(StaticSecrets::next_end);
        let ends = self.shelf.next_end().into_iter().chain(static_end);
        self.renewals.next_timeout().into_iter().chain(ends).min()
    }

    /// What requests and tokens are known by.
    #[cfg(test)]
    pub(crate) fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether this one is kept, given to others or not.
    #[cfg(test)]
    pub(crate) fn keeps(&self, entry: EntryId) -> bool {
        self.shelf.get(entry).is_some()
    }

    /// How many answers are kept.
    pub(crate) fn len(&self) -> usize {
        self.shelf.len() + self.static_secrets.as_ref().map_or(0, StaticSecrets::len)
    }

    /// What they take, in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.shelf.weight() + self.static_secrets.as_ref().map_or(0, StaticSecrets::weight)
    }

    /// How old the oldest is.
    pub(crate) fn oldest_age(&self, now: Instant) -> Option<Duration> {
        let oldest_static = self.static_secrets.as_ref().and_then(StaticSecrets::oldest);
        let oldest = self.shelf.oldest().into_iter().chain(oldest_static).min();
        oldest.map(|stored_at| now.saturating_duration_since(stored_at))
    }

    fn look(&mut self, now: Instant, ask: &Ask, company: Company) -> Reply {
        self.expire(now);
        if let Some(asker) = ask.asker() {
            self.use_token(now, asker);
        }
        if let Some(writing) = ask.writing() {
            self.written(now, writing);
        }
        let company = match ask.class() {
            Class::Cacheable => {
                if let Some(hit) = self.static_hit(now, ask).or_else(|| self.hit(now, ask)) {
                    self.counts.hits += 1;
                    return Reply::Hit(hit);
                }
                company
            }
            Class::Refresh => Company::Alone,
            Class::Revoking(_) | Class::Passing(_) => {
                self.counts.passed += 1;
                return Reply::Pass;
            }
        };
        let alone = company == Company::Alone || self.flights.goes_alone(now, &ask.key());
        if !alone && let Some(flight) = self.flights.join(&ask.key()) {
            self.counts.joined += 1;
            return Reply::Join(flight);
        }
        self.counts.misses += 1;
        let company = if alone { Company::Alone } else { Company::Welcome };
        Reply::Miss(self.flights.begin(now, ask, company))
    }

    fn hit(&mut self, now: Instant, ask: &Ask) -> Option<Hit> {
        let id = self.shelf.by_key(&ask.key())?;
        let lease = self.renewals.get(&id)?;
        if lease.worth_until().is_some_and(|until| until <= now) {
            return None;
        }
        let entry = self.shelf.get(id)?;
        let age = now.saturating_duration_since(entry.stored_at);
        let hit = Hit { answer: entry.answer.clone(), age: Duration::from_secs(age.as_secs()) };
        self.use_entry(now, id);
        Some(hit)
    }

    fn keep(
        &mut self,
        now: Instant,
        flight: &Flight,
        facts: Facts,
        answer: Answer,
    ) -> Result<EntryId, Unkept> {
        let (grant, granted) = self.grant(facts)?;
        if !granted.renewable {
            return Err(Unkept::NotRenewable);
        }
        if granted.ttl.is_none_or(|ttl| ttl.is_zero()) || flight.ends_by.is_some_and(|at| at <= now)
        {
            return Err(Unkept::Ended);
        }
        let mut entry = Entry {
            key: Some(flight.key),
            asker: flight.asker,
            target: flight.target.clone(),
            grant,
            answer,
            stored_at: now,
            used_at: now,
            older: None,
            newer: None,
            ends_at: None,
            ends_by: flight.ends_by,
        };
        if !entry.is_orphan() && !flight.asker.is_some_and(|asker| self.is_managed(asker)) {
            return Err(Unkept::ForeignToken);
        }
        match self.flights.withdrawn(flight, &entry) {
            Some(Certainty::Certain) => return Err(Unkept::Withdrawn),
            Some(Certainty::Possible) => entry.key = None,
            None => {}
        }
        if self.settings.entries == 0 || entry.weight() > self.settings.bytes {
            return Err(Unkept::TooLarge);
        }
        let id = self.shelf.insert(entry);
        let seed = self.seed.wrapping_add(id.0.get());
        let lease = HeldLease::new(now, granted, Arc::clone(&self.backoff), seed);
        self.renewals.insert(id, lease);
        self.take_over_end(id);
        self.use_entry(now, id);
        self.counts.stored += 1;
        while self.shelf.len() > self.settings.entries || self.shelf.weight() > self.settings.bytes
        {
            let Some(least_used) = self.shelf.least_used() else { break };
            self.evict(least_used, Cause::Bounds);
        }
        self.shelf.get(id).map(|_| id).ok_or(Unkept::TooLarge)
    }

    /// What an answer grants, if that is news and good for more than one.
    fn grant(&mut self, facts: Facts) -> Result<(Grant, Granted), Unkept> {
        match facts {
            Facts::Lease { id, .. } if self.shelf.by_lease(&id).is_some() => Err(Unkept::Known),
            Facts::Lease { id, granted } => Ok((Grant::Lease(id.into()), granted)),
            Facts::Data => Err(Unkept::Nothing),
            Facts::Auth { token, uses: Uses::Limited, .. } => {
                self.limited.add(self.keyring.token(token.expose().as_bytes()));
                Err(Unkept::LimitedUses)
            }
            Facts::Auth { token, accessor, granted, parentage, uses: Uses::Unlimited } => {
                let id = self.keyring.token(token.expose().as_bytes());
                if self.is_managed(id) {
                    return Err(Unkept::Known);
                }
                let accessor = accessor.map(|accessor| self.keyring.accessor(accessor.as_bytes()));
                {
                    let token = GrantedToken { id, token: Arc::new(token), accessor, parentage };
                    Ok((Grant::Token(Box::new(token)), granted))
                }
            }
        }
    }

    /// Whether it is the agent's token, or one that was granted through it.
    fn is_managed(&self, token: TokenId) -> bool {
        self.agent.is_some_and(|agent| agent.token == token) || self.shelf.by_token(token).is_some()
    }

    /// Somebody uses an entry, and with it all that it depends on.
    fn use_entry(&mut self, now: Instant, id: EntryId) {
        let mut next = Some(id);
        while let Some(id) = next {
            let asker = self.shelf.get(id).and_then(|entry| entry.asker);
            self.shelf.touch(now, id);
            if self.renewals.get(&id).is_some_and(|lease| !lease.is_wanted()) {
                self.renewals.handle(now, &id, HeldEvent::Wanted);
            }
            next = asker.and_then(|asker| self.shelf.by_token(asker));
        }
    }

    fn use_token(&mut self, now: Instant, token: TokenId) {
        if let Some(id) = self.shelf.by_token(token) {
            self.use_entry(now, id);
        }
    }
}
