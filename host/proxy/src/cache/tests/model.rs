//! Any schedule of requests, answers, revocations and logins, held against an independent account of
//! what may be given to whom.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use proptest::prelude::*;
use usher_lifecycle::{Class as FailureClass, Failure, Granted};

use super::schedule::*;
use super::world::*;
use crate::cache::*;

/// What a request is: the token that asks and where to.
type Asked = (usize, usize);

/// An answer that was kept.
#[derive(Debug)]
struct Record {
    asked: Asked,
    body: String,
    grants: Grants,
    /// What it grants: a token, or a lease by its name.
    token: Option<usize>,
    lease: String,
    granted_at: Instant,
    ttl: u64,
    used_at: Instant,
    /// It was revoked, cleared or replaced: never again.
    over: bool,
    /// It is to be given to nobody.
    withheld: bool,
    /// It was that from the first: another one that came before it still is given.
    never_shown: bool,
    /// A renewal has not prolonged it much: it need not be given to others.
    ending: bool,
}

struct Flight {
    id: FlightId,
    asked: Asked,
    /// The server grants nothing to a token that was dead when it began.
    asker_was_dead: bool,
    joined: bool,
    /// What was revoked or cleared meanwhile makes its answer useless.
    withdrawn: bool,
    withheld: bool,
    revoked_leases: Vec<String>,
}

struct Model {
    world: World,
    settings: Settings,
    /// By number; 0 is none, 1 is nobody's here.
    tokens: Vec<String>,
    agent: Option<usize>,
    agents: BTreeSet<usize>,
    dead: BTreeSet<usize>,
    records: Vec<Record>,
    /// Which answer was kept under which number.
    entries: BTreeMap<EntryId, usize>,
    flights: Vec<Flight>,
    renewals: Vec<EntryId>,
    generation: u64,
    answers: usize,
}

impl Model {
    fn new(settings: Settings) -> Self {
        Self {
            world: World::new(settings),
            settings,
            tokens: [String::new(), "hvs.foreign".into(), "hvs.agent".into()].into(),
            agent: Some(2),
            agents: [2].into(),
            dead: BTreeSet::new(),
            records: Vec::new(),
            entries: BTreeMap::new(),
            flights: Vec::new(),
            renewals: Vec::new(),
            generation: 1,
            answers: 0,
        }
    }

    fn now(&self) -> Instant {
        self.world.now
    }

    /// The record that granted a token.
    fn granting(&self, token: usize) -> Option<usize> {
        self.records.iter().position(|record| record.token == Some(token))
    }

    /// Whether a token is no good any more.
    fn is_dead(&self, token: usize) -> bool {
        self.dead.contains(&token)
            || (self.agents.contains(&token) && self.agent != Some(token))
            || self.granting(token).is_some_and(|record| {
                // Of a token that was only forgotten nobody knows the end.
                !self.records[record].over && self.has_ended(record)
            })
    }

    /// Whether what was granted is no good any more.
    fn has_ended(&self, record: usize) -> bool {
        let record = &self.records[record];
        let asker = record.asked.0;
        record.granted_at + secs(record.ttl) <= self.now()
            || record.token.is_some_and(|token| self.dead.contains(&token))
            || (record.grants != Grants::Orphan && self.is_dead(asker))
    }

    /// Whether it is known when a token ends.
    fn is_managed(&self, token: usize) -> bool {
        let kept = self.granting(token).is_some_and(|record| !self.is_forgotten(record));
        !self.is_dead(token) && (self.agent == Some(token) || kept)
    }

    /// Whether it, or what it depends on, isn't kept any more.
    fn is_forgotten(&self, at: usize) -> bool {
        let record = &self.records[at];
        let asker = self.granting(record.asked.0);
        let depends = record.grants != Grants::Orphan;
        record.over
            || self.has_ended(at)
            || (depends && asker.is_some_and(|asker| self.is_forgotten(asker)))
    }

    /// Whether it may be given to whom it was given once.
    fn may_be_given(&self, at: usize) -> bool {
        let record = &self.records[at];
        !record.withheld && !self.is_forgotten(at) && !self.is_dead(record.asked.0)
    }

    /// Somebody uses a token, and all that it depends on.
    fn use_token(&mut self, token: usize) {
        let (mut next, now) = (self.granting(token), self.now());
        while let Some(at) = next.filter(|at| !self.is_forgotten(*at)) {
            self.records[at].used_at = now;
            let record = &self.records[at];
            next = self.granting(record.asked.0).filter(|_| self.is_linked(record));
        }
    }

    fn use_record(&mut self, at: usize) {
        self.records[at].used_at = self.now();
        self.use_token(self.records[at].asked.0);
    }

    /// Whether it depends on the token that asked, or would be given to it again.
    fn is_linked(&self, record: &Record) -> bool {
        !record.over && (record.grants != Grants::Orphan || !self.is_dead(record.asked.0))
    }

    /// All tokens that this one asked for, and theirs, with itself.
    fn descendants(&self, token: usize) -> BTreeSet<usize> {
        let mut found: BTreeSet<usize> = [token].into();
        for _ in 0..self.records.len() {
            let more = self.records.iter().filter(|record| found.contains(&record.asked.0));
            let more = more.filter(|record| self.is_linked(record));
            found.extend(more.filter_map(|record| record.token).collect::<Vec<_>>());
        }
        found
    }

    fn ask(&self, (token, path): Asked, fresh: bool) -> Ask {
        let pairs: &[_] = if fresh { &[("cache-control", "no-cache")] } else { &[] };
        self.world.ask_with("GET", &self.tokens[token], &format!("/v1/db/{path}"), pairs, "")
    }

    fn play(&mut self, step: Step) {
        match step {
            Step::Request { token, path, fresh } => {
                self.request((token % self.tokens.len(), path), fresh);
            }
            Step::Answer { flight, granted, ttl, renewable } => {
                self.answer(flight, granted, ttl, renewable);
            }
            Step::Fail { flight } => {
                if let Some(flight) = self.take_flight(flight) {
                    let failed = Outcome::Failure;
                    let kept = self.world.cache.answered(self.world.now, flight.id, failed);
                    assert_eq!(kept, Err(Unkept::Nothing));
                    self.expect_wake(&flight, Some(Woken::Apart));
                }
            }
            Step::GiveUp { flight } => {
                if let Some(flight) = self.take_flight(flight) {
                    self.world.cache.gave_up(flight.id);
                    self.expect_wake(&flight, Some(Woken::Again));
                }
            }
            Step::Revoke { what, token, path } => {
                self.revoke(what, token % self.tokens.len(), path);
            }
            Step::Clear { what, token, path } => self.clear(what, token % self.tokens.len(), path),
            Step::Denied { token, denial } => {
                let token = 1 + token % (self.tokens.len() - 1);
                let id = self.world.token(&self.tokens[token]);
                self.world.cache.denied(self.world.now, id, denial);
                if denial == Denial::InvalidToken {
                    self.dead.insert(token);
                } else if let Some(record) = self.granting(token) {
                    self.records[record].withheld = true;
                }
            }
            Step::Renewal { which, outcome } => self.renewal(which, outcome),
            Step::LogIn => {
                self.generation += 1;
                let token = format!("hvs.agent.{}", self.generation);
                self.world.log_in(1 + self.generation % 2, &token);
                self.agent = Some(self.tokens.len());
                self.agents.insert(self.tokens.len());
                self.tokens.push(token);
                self.drop_asked_by_dead();
            }
            Step::LogOut => {
                self.world.cache.token_replaced(self.world.now, None);
                self.agent = None;
                self.drop_asked_by_dead();
            }
            Step::ServerReached => self.world.handle(Event::ServerReached),
            Step::Sleep(seconds) => {
                let end = self.now() + secs(seconds);
                while let Some(at) = self.world.cache.next_timeout().filter(|at| *at <= end) {
                    assert!(at > self.now(), "a time-out that is over");
                    self.world.now = at;
                    self.settle();
                }
                self.world.now = end;
            }
            Step::SleepToTimeout => {
                if let Some(at) = self.world.cache.next_timeout() {
                    self.world.now = at;
                }
            }
        }
        self.settle();
    }

    /// What is over stays over, whatever is granted later.
    fn drop_asked_by_dead(&mut self) {
        for at in 0..self.records.len() {
            if self.is_dead(self.records[at].asked.0) {
                self.records[at].withheld = true;
            }
        }
        let forgotten: Vec<_> =
            (0..self.records.len()).filter(|at| self.is_forgotten(*at)).collect();
        for at in forgotten.into_iter().filter(|at| !self.records[*at].over).collect::<Vec<_>>() {
            self.records[at].over = true;
            // A token ends with its time, and with what it depends on.
            if let Some(token) = self.records[at].token.filter(|_| self.has_ended(at)) {
                self.dead.insert(token);
            }
        }
        for at in 0..self.flights.len() {
            if self.is_dead(self.flights[at].asked.0) {
                self.flights[at].withdrawn = true;
            }
        }
    }

    /// Polls, and checks what is asked for.
    fn settle(&mut self) {
        self.drop_asked_by_dead();
        for action in self.world.actions() {
            let Action::Renew(renewal) = action else { panic!("woken for nothing") };
            let at = self.entries[&renewal.entry];
            let record = &self.records[at];
            assert!(!self.is_forgotten(at), "it renews what is no more: {record:?}");
            assert!(!self.renewals.contains(&renewal.entry), "twice at once");
            let unused = self.now() - record.used_at;
            assert!(self.settings.idle_ttl.is_none_or(|idle| unused < idle), "nobody wants it");
            let asker = record.asked.0;
            match renewal.what {
                Renewed::Token(token) => {
                    assert_eq!(*token.expose(), self.tokens[record.token.unwrap()]);
                }
                Renewed::Lease { id, owner } => {
                    assert_eq!(*id, *record.lease);
                    match owner {
                        Owner::Agent(generation) => {
                            assert_eq!(Some(asker), self.agent, "a token that was replaced");
                            let nth = self.generation;
                            let expected = if nth == 1 { 1 } else { 1 + nth % 2 };
                            assert_eq!(generation.number(), expected);
                        }
                        Owner::Token(token) => assert_eq!(*token.expose(), self.tokens[asker]),
                    }
                }
            }
            self.renewals.push(renewal.entry);
        }
        assert!(self.world.cache.len() <= self.settings.entries);
        assert!(self.world.cache.weight() <= self.settings.bytes);
        let timeout = self.world.cache.next_timeout();
        assert!(timeout.is_none_or(|at| at > self.now()), "a time-out that is over");
        if self.is_roomy() {
            let kept = (0..self.records.len()).filter(|at| !self.is_forgotten(*at)).count();
            assert_eq!(self.world.cache.len(), kept);
        }
    }

    /// Whether nothing goes for want of room.
    fn is_roomy(&self) -> bool {
        self.settings.entries > 100
    }

    fn request(&mut self, asked: Asked, fresh: bool) {
        let ask = self.ask(asked, fresh);
        let reply = self.world.request(&ask);
        self.use_token(asked.0);
        self.replied(asked, fresh, reply);
    }

    fn replied(&mut self, asked: Asked, fresh: bool, reply: Reply) {
        let is_newest = |record: &Record| record.asked == asked && !record.never_shown;
        let newest = self.records.iter().rposition(is_newest);
        match reply {
            Reply::Hit(hit) => {
                assert!(!fresh, "it wants a new one");
                let at = self.records.iter().position(|record| hit.answer.body() == record.body);
                let at = at.expect("an answer that was given once");
                let record = &self.records[at];
                assert_eq!(record.asked, asked, "another's answer");
                assert!(self.may_be_given(at), "it isn't good any more: {record:?}");
                assert_eq!(Some(at), newest, "an older answer");
                assert_eq!(hit.age.subsec_nanos(), 0);
                self.use_record(at);
            }
            Reply::Join(id) => {
                assert!(!fresh, "it wants a new one");
                let flight = self.flights.iter_mut().find(|flight| flight.id == id);
                let flight = flight.expect("one that is on its way");
                assert_eq!(flight.asked, asked, "another's flight");
                flight.joined = true;
            }
            Reply::Miss(id) => {
                if let Some(at) =
                    newest.filter(|at| self.is_roomy() && !fresh && self.may_be_given(*at))
                {
                    let record = &self.records[at];
                    let young = record.granted_at + secs(record.ttl).mul_f64(0.69);
                    assert!(
                        record.ending || self.now() >= young,
                        "it is kept and good: {record:?}"
                    );
                }
                self.flights.push(Flight {
                    id,
                    asked,
                    asker_was_dead: self.is_dead(asked.0),
                    joined: false,
                    withdrawn: false,
                    withheld: false,
                    revoked_leases: Vec::new(),
                });
            }
            Reply::Pass => panic!("it is cacheable"),
        }
    }

    fn take_flight(&mut self, flight: usize) -> Option<Flight> {
        let count = self.flights.len();
        (count > 0).then(|| self.flights.swap_remove(flight % count))
    }

    fn expect_wake(&mut self, flight: &Flight, how: Option<Woken>) {
        let woken = self.world.cache.poll_action(self.world.now);
        let Some(how) = how.filter(|_| flight.joined) else {
            assert!(!matches!(woken, Some(Action::Wake { .. })), "nobody waits");
            if let Some(Action::Renew(renewal)) = woken {
                self.renewals.push(renewal.entry);
            }
            return;
        };
        let Some(Action::Wake { flight: id, how: found }) = woken else { panic!("none wakes") };
        assert_eq!((id, found), (flight.id, how));
        if how == Woken::Apart {
            for _ in 0..2 {
                let reply = self.world.cache.apart(self.world.now, &self.ask(flight.asked, false));
                assert!(!matches!(reply, Reply::Join(_)), "they wait one by one");
                self.use_token(flight.asked.0);
                self.replied(flight.asked, false, reply);
            }
        }
    }

    fn answer(&mut self, flight: usize, granted: Option<Grants>, ttl: u64, renewable: bool) {
        let Some(flight) = self.take_flight(flight) else { return };
        let (asker, path) = flight.asked;
        let granted = granted.filter(|_| !flight.asker_was_dead);
        self.answers += 1;
        let nth = self.answers;
        let lease_id = format!("db/{path}/{nth}");
        let token = format!("hvs.{nth}");
        let body = match granted {
            None => r#"{"data":{}}"#.to_owned(),
            Some(Grants::Lease) => lease(&lease_id, ttl),
            Some(Grants::Child) => auth(&token, ttl, false),
            Some(Grants::Orphan) => auth(&token, ttl, true),
        };
        let body = if renewable { body } else { body.replace(r#""renewable":true"#, r#""a":1"#) };
        let managed = self.is_managed(asker) || granted == Some(Grants::Orphan);
        let revoked = granted == Some(Grants::Lease)
            && flight.revoked_leases.iter().any(|prefix| lease_id.starts_with(prefix));
        let may_be_kept = granted.is_some()
            && renewable
            && ttl > 0
            && managed
            && !flight.withdrawn
            && !revoked
            && (asker == 0 || !self.is_dead(asker));
        let kept = self.world.answer(flight.id, &body);
        assert!(may_be_kept || kept.is_err(), "kept, but why: {body}");
        if self.is_roomy() {
            assert_eq!(kept.is_ok(), may_be_kept, "{kept:?} {body}");
        }
        if may_be_kept {
            self.use_token(asker);
        }
        let granted_token = granted.filter(|grants| *grants != Grants::Lease).map(|_| {
            self.tokens.push(token);
            self.tokens.len() - 1
        });
        if !self.is_roomy() {
            for (entry, at) in &self.entries {
                self.records[*at].over |= !self.world.cache.keeps(*entry);
            }
        }
        let mut how = Woken::Apart;
        if let (Ok(entry), Some(grants)) = (kept, granted) {
            self.entries.insert(entry, self.records.len());
            self.records.push(Record {
                asked: flight.asked,
                body,
                grants,
                token: granted_token,
                lease: lease_id,
                granted_at: self.now(),
                ttl,
                used_at: self.now(),
                over: false,
                withheld: flight.withheld,
                never_shown: flight.withheld,
                ending: false,
            });
            self.use_record(self.records.len() - 1);
            if !flight.withheld {
                how = Woken::Again;
                let ask = self.ask(flight.asked, false);
                let found = self.world.cache.request(self.world.now, &ask);
                self.replied(flight.asked, false, found);
            }
        }
        self.expect_wake(&flight, Some(how));
    }

    fn revoke(&mut self, what: Revokes, token: usize, path: usize) {
        let name = self.tokens[token].clone();
        let by_token = format!(r#"{{"token":"{name}"}}"#);
        let (caller, path, body) = match what {
            Revokes::Own => (&*name, "auth/token/revoke-self".to_owned(), String::new()),
            Revokes::Token => ("x", "auth/token/revoke".to_owned(), by_token),
            Revokes::Orphaning => ("x", "auth/token/revoke-orphan".to_owned(), by_token),
            Revokes::PerhapsToken => ("x", "kv/auth/token/revoke".to_owned(), by_token),
            Revokes::Accessor => {
                let body = format!(r#"{{"accessor":"of {name}"}}"#);
                ("x", "auth/token/revoke-accessor".to_owned(), body)
            }
            Revokes::Leases => ("x", format!("sys/leases/revoke-prefix/db/{path}"), String::new()),
        };
        if token == 0 && !matches!(what, Revokes::Leases) {
            return;
        }
        if matches!(what, Revokes::Own) {
            self.use_token(token);
        }
        match what {
            Revokes::Own | Revokes::Token => _ = self.dead.insert(token),
            Revokes::Accessor => {
                // Whose it is can only be known of those that are kept.
                if self.is_managed(token) {
                    self.dead.insert(token);
                }
            }
            Revokes::Orphaning => {
                for at in 0..self.records.len() {
                    let record = &mut self.records[at];
                    if record.asked.0 == token && record.grants != Grants::Lease {
                        record.withheld = true;
                        if !self.is_forgotten(at) {
                            self.records[at].grants = Grants::Orphan;
                        }
                    }
                }
                self.dead.insert(token);
            }
            Revokes::Leases => {
                let prefix = path.strip_prefix("sys/leases/revoke-prefix/").unwrap();
                for record in &mut self.records {
                    record.over |=
                        record.grants == Grants::Lease && record.lease.starts_with(prefix);
                }
                for flight in &mut self.flights {
                    flight.revoked_leases.push(prefix.to_owned());
                }
            }
            Revokes::PerhapsToken => {
                let all = self.descendants(token);
                for record in &mut self.records {
                    let concerned = record.token.is_some_and(|token| all.contains(&token));
                    record.withheld |= concerned || all.contains(&record.asked.0);
                }
                for flight in &mut self.flights {
                    flight.withheld |= all.contains(&flight.asked.0);
                }
            }
        }
        self.world.revoke(caller, &format!("/v1/{path}"), &body);
    }

    fn clear(&mut self, what: Clears, token: usize, path: usize) {
        let name = &self.tokens[token];
        let text = match what {
            Clears::All => r#"{"type":"all"}"#.to_owned(),
            Clears::Token if token == 0 => return,
            Clears::Token => format!(r#"{{"type":"token","value":"{name}"}}"#),
            Clears::Leases => format!(r#"{{"type":"lease","value":"db/{path}"}}"#),
            Clears::Path => format!(r#"{{"type":"request_path","value":"/v1/db/{path}"}}"#),
        };
        let selection = order(self.world.cache.keyring(), text.as_bytes());
        let selection = selection.unwrap_or_else(|why| panic!("{why}"));
        let prefix = format!("db/{path}");
        for record in &mut self.records {
            let of_agent = self.agent == Some(token) && record.asked.0 == token;
            record.over |= match what {
                Clears::All => true,
                Clears::Token => {
                    record.token == Some(token) || (of_agent && record.grants != Grants::Orphan)
                }
                Clears::Leases => {
                    record.grants == Grants::Lease && record.lease.starts_with(&prefix)
                }
                Clears::Path => record.asked.1 == path,
            };
        }
        for flight in &mut self.flights {
            flight.withdrawn |= match what {
                Clears::All => true,
                Clears::Token => self.agent == Some(token) && flight.asked.0 == token,
                Clears::Path => flight.asked.1 == path,
                Clears::Leases => false,
            };
            if matches!(what, Clears::Leases) {
                flight.revoked_leases.push(prefix.clone());
            }
        }
        self.world.cache.clear(self.world.now, &selection);
    }

    fn renewal(&mut self, which: usize, outcome: RenewalOutcome) {
        if self.renewals.is_empty() {
            return;
        }
        let entry = self.renewals.swap_remove(which % self.renewals.len());
        let at = self.entries[&entry];
        let gone = self.is_forgotten(at);
        let failure = |class| Event::RenewalFailed(entry, Failure::new(class));
        let event = match outcome {
            RenewalOutcome::Renewed(ttl) => {
                let now = self.now();
                if !gone {
                    let record = &mut self.records[at];
                    let before = record.granted_at + secs(record.ttl);
                    record.ending |= now + secs(ttl) < before + secs(1 + record.ttl / 10);
                    (record.granted_at, record.ttl) = (now, ttl);
                }
                Event::Renewed(entry, Granted { ttl: Some(secs(ttl)), renewable: true })
            }
            RenewalOutcome::Passing => failure(FailureClass::Passing),
            RenewalOutcome::Refused => {
                if !gone {
                    self.records[at].over = true;
                    self.dead.extend(self.records[at].token);
                }
                failure(FailureClass::Refused)
            }
            RenewalOutcome::InvalidToken => {
                if !gone {
                    let token = self.records[at].token.unwrap_or(self.records[at].asked.0);
                    self.dead.insert(token);
                }
                Event::RenewalFailed(entry, Failure { invalid_token: true, ..refused() })
            }
        };
        self.world.handle(event);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// An answer is only ever given to the token that asked for it, and never after its end, that of
    /// what it depends on, its revocation or the replacement of its token; nothing is renewed longer,
    /// or for nobody; nobody waits twice. What may be given is. See `Model`.
    #[test]
    fn every_promise_of_the_cache_holds_on_every_schedule(
        settings in any_settings(),
        steps in prop::collection::vec(steps(), 1..150),
    ) {
        let mut model = Model::new(settings);
        for step in steps {
            model.play(step);
        }
        // Nothing stays for ever.
        model.world.sleep(10_000);
        model.settle();
        prop_assert_eq!(model.world.cache.len(), 0);
        prop_assert_eq!(model.world.cache.next_timeout(), None);
        prop_assert_eq!(model.world.cache.weight(), 0);
    }
}
