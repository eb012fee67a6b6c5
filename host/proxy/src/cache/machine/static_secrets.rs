//! What the cache does with static secrets: see [`StaticSecrets`](crate::cache::static_secrets).

use std::time::{Duration, Instant};

use super::Cache;
use crate::cache::answer::Answer;
use crate::cache::ask::Ask;
use crate::cache::class::Class;
use crate::cache::counts::Cause;
use crate::cache::event::{Hit, Unkept, Woken};
use crate::cache::facts::Uses;
use crate::cache::flights::{Company, Flight, FlightId};
use crate::cache::key::TokenId;
use crate::cache::static_secrets::{
    Found, Given, Nature, Read, Reading, Writing, lies_at_or_below,
};

impl Cache {
    /// Whether static secrets are kept.
    pub(crate) fn keeps_static_secrets(&self) -> bool {
        self.static_secrets.is_some()
    }

    /// The server has answered data without a lease to a request. Whether its path is one of a static
    /// secret must be known: see [`Self::nature`].
    pub(crate) fn read(
        &mut self,
        now: Instant,
        flight: FlightId,
        answer: Answer,
    ) -> Result<(), Unkept> {
        self.expire(now);
        self.reached(now);
        let Some(ended) = self.flights.end(flight) else { return Err(Unkept::Nothing) };
        let kept = self.keep_read(now, &ended, answer);
        if kept == Err(Unkept::Nothing) {
            self.flights.part(now, ended.key);
        }
        if ended.joined {
            let how = if kept.is_ok() { Woken::Again } else { Woken::Apart };
            self.wakes.push_back((flight, how));
        }
        kept
    }

    /// Where a request on its way leads to; `None`: the server must be asked, and
    /// [`Self::mount_found`] told.
    pub(crate) fn nature(&self, now: Instant, flight: FlightId) -> Option<Nature> {
        let (Some(secrets), Some(flight)) = (&self.static_secrets, self.flights.get(flight)) else {
            return Some(Nature::Other);
        };
        match &flight.reading {
            Some(reading) => secrets.nature(now, &reading.path),
            None => Some(Nature::Other),
        }
    }

    /// What the server says of the mount that a request leads to; `None`: nothing.
    pub(crate) fn mount_found(&mut self, now: Instant, flight: FlightId, found: Option<Found>) {
        let Some(flight) = self.flights.get(flight) else { return };
        if let (Some(secrets), Some(reading)) = (&mut self.static_secrets, &flight.reading) {
            secrets.learn(now, flight.target.namespace(), &reading.path, found);
        }
    }

    /// A request that may change something was answered, or given up; it says so itself before it goes
    /// on.
    pub(crate) fn written(&mut self, now: Instant, writing: &Writing) {
        self.expire(now);
        let Some(secrets) = &mut self.static_secrets else { return };
        secrets.written(now, writing, &mut self.counts);
        let secrets = &*secrets;
        self.flights.overtake(|_, reading| secrets.touches(now, writing, &reading.path));
    }

    /// The server refused this request to its token.
    pub(crate) fn refused(&mut self, now: Instant, ask: &Ask) {
        self.expire(now);
        let (Some(secrets), Some(token)) = (&mut self.static_secrets, ask.asker()) else { return };
        let path = ask.server_path().filter(|path| !is_open_to_every_token(path));
        secrets.disprove(token, path, Cause::Refused, &mut self.counts);
        self.flights.overtake(|flight, reading| {
            let there = path.is_none_or(|path| lies_at_or_below(&reading.path, path));
            there && flight.asker == Some(token)
        });
    }

    /// The server gave an answer that counts, be it a refusal.
    pub(crate) fn reached(&mut self, now: Instant) {
        if let Some(secrets) = &mut self.static_secrets {
            secrets.reached(now);
        }
    }

    /// After a hit: the request is made besides if what it was given ends soon.
    pub(crate) fn refresh(&mut self, now: Instant, ask: &Ask) -> Option<FlightId> {
        let (reading, token) = self.patient(ask)?;
        if self.flights.is_on_its_way(&ask.key()) {
            return None;
        }
        let due = self.static_secrets.as_mut()?.is_due(now, reading.key, token);
        due.then(|| self.flights.begin(now, ask, Company::Welcome))
    }

    /// What is given for a request that the server can't be reached for.
    pub(crate) fn stale(&mut self, now: Instant, ask: &Ask) -> Option<Hit> {
        let (reading, token) = self.patient(ask)?;
        let given = self.static_secrets.as_mut()?.stale(now, reading.key, token)?;
        self.counts.stale += 1;
        Some(hit(given))
    }

    /// Whether there would be something: then there is no need to ask the server for long.
    pub(crate) fn has_stale(&self, now: Instant, ask: &Ask) -> bool {
        let found = self.patient(ask).zip(self.static_secrets.as_ref());
        found.is_some_and(|((reading, token), secrets)| {
            secrets.is_stale_for(now, reading.key, token)
        })
    }

    pub(super) fn static_hit(&mut self, now: Instant, ask: &Ask) -> Option<Hit> {
        let (reading, token) = self.patient(ask)?;
        self.static_secrets.as_mut()?.hit(now, reading.key, token).map(hit)
    }

    /// The server has answered with something else than the static secret that is kept.
    pub(super) fn superseded(&mut self, now: Instant, flight: &Flight) {
        if let (Some(secrets), Some(reading)) = (&mut self.static_secrets, &flight.reading) {
            secrets.superseded(now, flight.began, reading.key, &mut self.counts);
        }
    }

    /// A token is no good any more, or may not be: what it has shown counts no more.
    pub(super) fn forget_proofs(&mut self, token: TokenId, cause: Cause) {
        if let Some(secrets) = &mut self.static_secrets {
            secrets.disprove(token, None, cause, &mut self.counts);
        }
    }

    /// What is read and by whom, of a request that an answer will do for which is kept.
    fn patient<'a>(&self, ask: &'a Ask) -> Option<(&'a Reading, TokenId)> {
        let wanted = *ask.class() == Class::Cacheable && self.keeps_static_secrets();
        ask.reading().zip(ask.asker()).filter(|_| wanted)
    }

    fn keep_read(&mut self, now: Instant, flight: &Flight, answer: Answer) -> Result<(), Unkept> {
        let (Some(secrets), Some(reading), Some(token)) =
            (&mut self.static_secrets, &flight.reading, flight.asker)
        else {
            return Err(Unkept::Nothing);
        };
        let Some(Nature::Kv(mount)) = secrets.nature(now, &reading.path) else {
            return Err(Unkept::Nothing);
        };
        if !flight.is_up_to_date() {
            return Err(Unkept::Withdrawn);
        }
        let of_agent =
            self.agent.is_some_and(|agent| agent.token == token && agent.uses == Uses::Limited);
        if of_agent || self.limited.contains(&token) {
            return Err(Unkept::LimitedUses);
        }
        let read = Read { reading, mount, token, sent_at: flight.began, answer };
        let kept = secrets.keep(now, read, &mut self.counts);
        self.counts.stored += u64::from(kept.is_ok());
        kept
    }
}

fn hit(Given { answer, age }: Given) -> Hit {
    Hit { answer, age: Duration::from_secs(age.as_secs()) }
}

/// Whether the default policy allows it: then a refusal most likely means that the token is no good,
/// since OpenBao doesn't say more than "permission denied" of one that was revoked.
fn is_open_to_every_token(path: &str) -> bool {
    ["lookup-self", "renew-self"].iter().any(|of_self| {
        let before = path.strip_suffix(of_self).and_then(|path| path.strip_suffix("auth/token/"));
        before.is_some_and(|namespace| namespace.is_empty() || namespace.ends_with('/'))
    })
}
