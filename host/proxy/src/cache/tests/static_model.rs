//! Any schedule of reads, writes, revocations and logins around static secrets, held against an
//! independent account of what the server holds, who has shown what, and what is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use proptest::prelude::*;

use super::static_schedule::*;
use super::world::*;
use crate::cache::*;

/// What can be read: the method, the path, and the place that shows it. One lies below another, and
/// one lists others.
const READS: [(&str, &str, &str); TARGETS] = [
    ("GET", "/v1/secret/data/a/0", "a/0"),
    ("GET", "/v1/secret/data/a/1?version=0", "a/1"),
    ("LIST", "/v1/secret/metadata/a/", "a"),
    ("GET", "/v1/secret/data/b", "b"),
    ("GET", "/v1/secret/data/a/0/x", "a/0/x"),
];

/// What the server says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Value(u64),
    Missing,
    Denied,
    InvalidToken,
}

struct Flight {
    id: FlightId,
    token: usize,
    target: usize,
    fresh: bool,
    sent_at: Instant,
    said: Option<Said>,
    /// Its token ended, or was refused there, or what it asks for was cleared.
    over: bool,
    /// Something happened that may be a reason not to keep its answer.
    disturbed: bool,
}

struct Write {
    ask: Ask,
    flight: Option<FlightId>,
    /// `None`: no secret.
    target: Option<usize>,
    deletes: bool,
    /// Whoever may read what may be others then.
    policies: bool,
    done: bool,
}

/// What the server holds at one target.
struct Secret {
    version: u64,
    deleted: bool,
    /// The least that may be given after a write through the agent has ended.
    least: u64,
    /// Until when each version was the one.
    until: Vec<Option<Instant>>,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    version: u64,
    sent_at: Instant,
}

struct Model {
    world: World,
    settings: StaticSettings,
    /// 0 and 1 are those of callers, the last one is the agent's.
    tokens: Vec<String>,
    limited: BTreeSet<usize>,
    dead: BTreeSet<usize>,
    forbidden: BTreeSet<(usize, usize)>,
    secrets: Vec<Secret>,
    kept: Vec<Option<Kept>>,
    proofs: BTreeMap<(usize, usize), Instant>,
    reached_at: Option<Instant>,
    flights: Vec<Flight>,
    writes: Vec<Write>,
    bodies: usize,
    generation: u64,
}

impl Model {
    fn new(settings: StaticSettings) -> Self {
        let secret = || Secret { version: 0, deleted: false, least: 0, until: vec![None] };
        let all = Settings { static_secrets: Some(settings), ..super::world::settings() };
        Self {
            world: World::new(all),
            settings,
            tokens: ["hvs.one".into(), "hvs.other".into(), "hvs.agent".into()].into(),
            limited: BTreeSet::new(),
            dead: BTreeSet::new(),
            forbidden: BTreeSet::new(),
            secrets: (0..TARGETS).map(|_| secret()).collect(),
            kept: vec![None; TARGETS],
            proofs: BTreeMap::new(),
            reached_at: None,
            flights: Vec::new(),
            writes: Vec::new(),
            bodies: 0,
            generation: 1,
        }
    }

    fn now(&self) -> Instant {
        self.world.now
    }

    fn is_roomy(&self) -> bool {
        self.settings.entries > 100
    }

    /// One of the callers', the agent's, or the one that it had before.
    fn token(&self, nth: usize) -> usize {
        if nth < 2 { nth } else { self.tokens.len() - (nth - 1).min(self.tokens.len() - 2) }
    }

    fn ask(&self, token: usize, target: usize, fresh: bool) -> Ask {
        let pairs: &[_] = if fresh { &[("cache-control", "no-cache")] } else { &[] };
        let (method, path, _) = READS[target];
        self.world.ask_with(method, &self.tokens[token], path, pairs, "")
    }

    fn play(&mut self, step: Step) {
        match step {
            Step::Request { token, target, fresh } => {
                self.request(self.token(token), target, fresh);
            }
            Step::Serve { flight } => {
                if let Some(at) = pick(flight, self.flights.len()) {
                    self.serve(at);
                }
            }
            Step::Land { flight } => {
                if let Some(at) = pick(flight, self.flights.len()) {
                    self.land(at);
                }
            }
            Step::Fail { flight } => {
                if let Some(at) = pick(flight, self.flights.len()) {
                    self.fail(at);
                }
            }
            Step::GiveUp { flight } => {
                if let Some(at) = pick(flight, self.flights.len()) {
                    self.world.cache.gave_up(self.flights.swap_remove(at).id);
                }
            }
            Step::Write { target, how, deletes } => self.write(target, how, deletes),
            Step::WriteAll { policies } => {
                let path = if policies { "sys/policies/acl/a" } else { "secret/config" };
                self.begin_write("PUT", path, None, false);
                self.writes.last_mut().unwrap().policies = policies;
                if policies {
                    self.proofs.clear();
                }
            }
            Step::DoWrite { write } => {
                if let Some(at) = pick(write, self.writes.len()) {
                    self.do_write(at);
                }
            }
            Step::EndWrite { write, answered } => {
                if let Some(at) = pick(write, self.writes.len()) {
                    self.end_write(at, answered);
                }
            }
            Step::WriteElsewhere { target } => self.change(target, false),
            Step::Permit { token, target, allowed } => {
                let token = self.token(token);
                if allowed {
                    self.forbidden.remove(&(token, target));
                } else {
                    self.forbidden.insert((token, target));
                }
            }
            Step::Revoke { token, elsewhere } => {
                let token = self.token(token);
                self.dead.insert(token);
                if !elsewhere {
                    let body = format!(r#"{{"token":"{}"}}"#, self.tokens[token]);
                    self.world.revoke("x", "/v1/auth/token/revoke", &body);
                    // It is a request to change something, and nobody knows that it changes no secret.
                    self.disprove(token, None);
                }
            }
            Step::LogIn { limited } => self.log_in(limited),
            Step::Clear { what, token, target } => self.clear(what, self.token(token), target),
            Step::Sleep(seconds) => {
                self.world.sleep(seconds);
                self.world.actions();
            }
        }
        self.world.actions();
        assert!(self.world.cache.len() <= self.settings.entries);
        let timeout = self.world.cache.next_timeout();
        assert!(timeout.is_none_or(|at| at > self.now()), "a time-out that is over");
    }

    fn request(&mut self, token: usize, target: usize, fresh: bool) {
        let ask = self.ask(token, target, fresh);
        match self.world.request(&ask) {
            Reply::Hit(hit) => {
                assert!(!fresh, "it wants a new one");
                let longest = self.settings.ttl;
                self.check(&hit, target, longest);
                let proof = self.proofs.get(&(token, target)).expect("a proof of its own");
                assert!(self.now() < *proof + self.settings.proof, "an old proof");
                let now = self.now();
                if let Some(id) = self.world.cache.refresh(now, &ask) {
                    self.sent(id, token, target, fresh);
                }
            }
            Reply::Join(id) => {
                let joined = self.flights.iter().find(|flight| flight.id == id);
                let joined = joined.expect("one that is on its way");
                assert_eq!((joined.token, joined.target), (token, target), "another's flight");
            }
            Reply::Miss(id) => {
                let due = self.is_due(token, target, |model, kept, proof| {
                    let StaticSettings { ttl, proof: longest, .. } = model.settings;
                    model.now() < kept + ttl && model.now() < proof + longest
                });
                assert!(fresh || !due, "it is kept and proven");
                self.sent(id, token, target, fresh);
            }
            Reply::Pass => panic!("it is cacheable"),
        }
    }

    fn sent(&mut self, id: FlightId, token: usize, target: usize, fresh: bool) {
        let sent_at = self.now();
        let (said, over, disturbed) = (None, false, false);
        self.flights.push(Flight { id, token, target, fresh, sent_at, said, over, disturbed });
    }

    /// Whether something must be there for a token, as far as its ages say so.
    fn is_due(
        &self,
        token: usize,
        target: usize,
        is_good: impl Fn(&Self, Instant, Instant) -> bool,
    ) -> bool {
        let kept = self.kept[target].zip(self.proofs.get(&(token, target)));
        self.is_roomy() && kept.is_some_and(|(kept, proof)| is_good(self, kept.sent_at, *proof))
    }

    /// What is given must be what was kept, no older than may be, and not from before a write.
    fn check(&self, hit: &Hit, target: usize, longest: std::time::Duration) {
        let body = String::from_utf8(hit.answer.body().to_vec()).unwrap();
        let kept = self.kept[target].expect("something that is kept");
        assert_eq!(body, value(target, kept.version), "another answer");
        let secret = &self.secrets[target];
        assert!(kept.version >= secret.least, "older than a write through the agent");
        let until = secret.until[usize::try_from(kept.version).unwrap()];
        assert!(until.is_none_or(|until| until + longest > self.now()), "out of date");
        let least = until.map_or(0, |until| (self.now() - until).as_secs());
        assert!(hit.age.as_secs() >= least, "older than it says");
        assert!(hit.age < longest);
    }

    /// What the server does with a request at this time.
    fn serve(&mut self, at: usize) -> Said {
        let Flight { token, target, said, .. } = self.flights[at];
        let secret = &self.secrets[target];
        let said = said.unwrap_or(match secret {
            _ if self.dead.contains(&token) => Said::InvalidToken,
            _ if self.forbidden.contains(&(token, target)) => Said::Denied,
            Secret { deleted: true, .. } => Said::Missing,
            Secret { version, .. } => Said::Value(*version),
        });
        self.flights[at].said = Some(said);
        said
    }

    fn land(&mut self, at: usize) {
        let said = self.serve(at);
        let flight = self.flights.swap_remove(at);
        let Flight { id, token, target, sent_at, .. } = flight;
        let (now, ask) = (self.now(), self.ask(token, target, flight.fresh));
        self.reached_at = Some(now);
        let cache = &mut self.world.cache;
        match said {
            Said::Value(version) => {
                if cache.nature(now, id).is_none() {
                    cache.mount_found(now, id, mount("secret/", "kv"));
                }
                let kept = cache.read(now, id, kept(&value(target, version)));
                self.read(&flight, version, kept);
            }
            Said::Missing => {
                assert!(cache.answered(now, id, Outcome::Missing).is_err());
                if self.kept[target].is_some_and(|kept| kept.sent_at <= sent_at) {
                    self.kept[target] = None;
                }
            }
            Said::Denied | Said::InvalidToken => {
                let invalid = said == Said::InvalidToken;
                let denial = if invalid { Denial::InvalidToken } else { Denial::Unsaid };
                cache.reached(now);
                cache.refused(now, &ask);
                cache.denied(now, ask.asker().unwrap(), denial);
                assert!(cache.answered(now, id, Outcome::Failure).is_err());
                self.disprove(token, Some(target).filter(|_| !invalid));
            }
        }
    }

    fn read(&mut self, flight: &Flight, version: u64, kept: Result<(), Unkept>) {
        let Flight { token, target, sent_at, .. } = *flight;
        let StaticSettings { ttl, max_stale, proof, .. } = self.settings;
        if flight.over {
            assert!(kept.is_err(), "a proof of what was refused meanwhile");
        }
        if self.limited.contains(&token) {
            assert!(kept.is_err(), "a use that nobody counts");
        } else if self.is_roomy() && !flight.disturbed {
            let ended = sent_at + ttl.min(proof) + max_stale <= self.now();
            assert_eq!(kept.is_err(), ended, "{kept:?}");
        }
        if kept.is_ok() {
            let former = self.kept[target];
            let newer = former.is_none_or(|former| former.sent_at <= sent_at);
            // Two answers of the same version look alike: then it is the newer one's still.
            let other = former.is_some_and(|former| former.version != version);
            if newer || (other && self.gives(token, target, version)) {
                self.kept[target] = Some(Kept { version, sent_at });
            }
            let proof = self.proofs.entry((token, target)).or_insert(sent_at);
            *proof = sent_at.max(*proof);
        }
    }

    /// Whether this is what is given now: where there is little room an older one may be.
    fn gives(&mut self, token: usize, target: usize, version: u64) -> bool {
        let ask = self.ask(token, target, false);
        match self.world.request(&ask) {
            Reply::Hit(hit) => hit.answer.body() == value(target, version),
            Reply::Miss(flight) => {
                self.world.cache.gave_up(flight);
                false
            }
            Reply::Join(_) | Reply::Pass => false,
        }
    }

    fn fail(&mut self, at: usize) {
        let flight = self.flights.swap_remove(at);
        let Flight { token, target, .. } = flight;
        let ask = self.ask(token, target, flight.fresh);
        let StaticSettings { ttl, max_stale, proof: longest, .. } = self.settings;
        let has_stale = self.world.cache.has_stale(self.world.now, &ask);
        let found = self.world.cache.stale(self.world.now, &ask);
        assert_eq!(has_stale, found.is_some());
        if let Some(hit) = found {
            assert!(!flight.fresh, "it wants a new one");
            self.check(&hit, target, ttl + max_stale);
            let proof = self.proofs.get(&(token, target)).expect("a proof of its own");
            assert!(self.reached_at.unwrap() < *proof + longest, "one that counted no more");
            assert!(self.now() < *proof + longest + max_stale, "an old proof");
        } else {
            let due = self.is_due(token, target, |model, kept, proof| {
                let now = model.now();
                let counted = model.reached_at.is_some_and(|at| at < proof + longest);
                let young = now < proof + longest + max_stale && now < kept + ttl + max_stale;
                counted && young && !max_stale.is_zero()
            });
            assert!(flight.fresh || !due, "it is kept and proven");
        }
        assert!(
            self.world.cache.answered(self.world.now, flight.id, Outcome::Unreachable).is_err()
        );
    }

    fn write(&mut self, target: usize, how: usize, deletes: bool) {
        let target = if target == 2 { 0 } else { target };
        let place = READS[target].2;
        let (method, path) = match how {
            0 => ("POST", format!("secret/data/{place}")),
            1 => ("PATCH", format!("secret/metadata/{place}")),
            2 => ("PUT", format!("secret/undelete/{place}")),
            3 => ("PUT", format!("secret/destroy/{place}/")),
            4 => ("POST", format!("secret/%64ata/{}", place.replace('/', "%2F"))),
            _ => ("DELETE", format!("secret/data/{place}")),
        };
        self.begin_write(method, &path, Some(target), deletes);
    }

    fn begin_write(&mut self, method: &str, path: &str, target: Option<usize>, deletes: bool) {
        self.bodies += 1;
        let body = format!(r#"{{"nth":{}}}"#, self.bodies);
        let ask = self.world.ask_with(method, "hvs.writer", &format!("/v1/{path}"), &[], &body);
        let flight = match self.world.request(&ask) {
            Reply::Miss(flight) => Some(flight),
            Reply::Pass => None,
            Reply::Hit(_) | Reply::Join(_) => panic!("nothing is written"),
        };
        self.touch(target);
        self.writes.push(Write { ask, flight, target, deletes, policies: false, done: false });
    }

    fn do_write(&mut self, at: usize) {
        let write = &mut self.writes[at];
        let deletes = write.deletes;
        if let (false, Some(target)) = (std::mem::replace(&mut write.done, true), write.target) {
            self.change(target, deletes);
        }
    }

    fn end_write(&mut self, at: usize, answered: bool) {
        if answered {
            self.do_write(at);
        }
        let write = self.writes.swap_remove(at);
        let now = self.now();
        if let Some(flight) = write.flight {
            if answered {
                self.reached_at = Some(now);
                assert!(self.world.cache.answered(now, flight, Outcome::Nothing).is_err());
            } else {
                self.world.cache.gave_up(flight);
            }
        }
        self.world.cache.written(now, write.ask.writing().expect("it writes"));
        self.touch(write.target);
        if write.policies {
            self.proofs.clear();
        }
        if let Some(target) = write.target.filter(|_| write.done) {
            for at in [Some(target), lists(target)].into_iter().flatten() {
                self.secrets[at].least = self.secrets[at].version;
            }
        }
    }

    /// The server holds something else now.
    fn change(&mut self, target: usize, deletes: bool) {
        let now = self.now();
        for at in [Some(target), lists(target)].into_iter().flatten() {
            let secret = &mut self.secrets[at];
            *secret.until.last_mut().unwrap() = Some(now);
            secret.until.push(None);
            secret.version += 1;
            secret.deleted = deletes && at == target;
        }
    }

    /// What may change with a target isn't kept any more; `None`: anything.
    fn touch(&mut self, target: Option<usize>) {
        for (at, (_, _, place)) in READS.iter().enumerate() {
            let below = |target: usize| format!("{}/", READS[target].2);
            if target.is_none_or(|target| below(target).starts_with(&format!("{place}/"))) {
                self.kept[at] = None;
            }
        }
        for flight in &mut self.flights {
            flight.disturbed = true;
        }
    }

    fn forget(&mut self, target: usize) {
        self.kept[target] = None;
        self.proofs.retain(|(_, of), _| *of != target);
    }

    /// A token has to show anew what it may read; `at`: there and below.
    fn disprove(&mut self, token: usize, at: Option<usize>) {
        let meant = |target: usize| at.is_none_or(|at| at == target || (at, target) == (0, 4));
        for target in (0..TARGETS).filter(|target| meant(*target)) {
            let had = self.proofs.remove(&(token, target)).is_some();
            if had && !self.proofs.keys().any(|(_, of)| *of == target) {
                self.forget(target);
            }
        }
        for flight in self.flights.iter_mut().filter(|flight| flight.token == token) {
            flight.over |= meant(flight.target);
            flight.disturbed = true;
        }
    }

    fn log_in(&mut self, limited: bool) {
        self.generation += 1;
        let uses = if limited { Uses::Limited } else { Uses::Unlimited };
        let token = format!("hvs.agent.{}", self.generation);
        self.world.log_in_for(1 + self.generation % 2, &token, uses);
        let old = self.tokens.len() - 1;
        self.tokens.push(token);
        if limited {
            self.limited.insert(old + 1);
        }
        // Somebody else may have it yet.
        self.limited.remove(&old);
        self.disprove(old, None);
    }

    fn clear(&mut self, what: usize, token: usize, target: usize) {
        let text = match what {
            0 => r#"{"type":"all"}"#.to_owned(),
            1 => format!(r#"{{"type":"token","value":"{}"}}"#, self.tokens[token]),
            _ => format!(
                r#"{{"type":"request_path","value":"/v1/secret/data/{}"}}"#,
                READS[target].2
            ),
        };
        let selection = order(self.world.cache.keyring(), text.as_bytes());
        self.world.cache.clear(self.world.now, &selection.unwrap_or_else(|why| panic!("{why}")));
        match what {
            0 => (0..TARGETS).for_each(|target| self.forget(target)),
            1 => self.disprove(token, None),
            _ => {
                let prefix = format!("/v1/secret/data/{}", READS[target].2);
                for at in (0..TARGETS).filter(|at| READS[*at].1.starts_with(&prefix)) {
                    self.forget(at);
                }
            }
        }
        for flight in &mut self.flights {
            flight.over = true;
            flight.disturbed = true;
        }
    }
}

/// What lists a target.
fn lists(target: usize) -> Option<usize> {
    READS[target].2.starts_with("a/").then_some(2)
}

fn value(target: usize, version: u64) -> String {
    format!(r#"{{"data":{{"target":{target},"version":{version}}}}}"#)
}

fn pick(which: usize, among: usize) -> Option<usize> {
    which.checked_rem(among)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// A static secret is only ever given to a token that has itself read the same within the proof
    /// time and wasn't refused it or ended since, never from before a write through the agent, and
    /// never older than it may be; and it is given wherever it may. See `Model`.
    #[test]
    fn every_promise_about_static_secrets_holds_on_every_schedule(
        settings in any_settings(),
        steps in prop::collection::vec(steps(), 1..200),
    ) {
        let mut model = Model::new(settings);
        for step in steps {
            model.play(step);
        }
        // Nothing stays for ever.
        model.world.sleep(10_000);
        model.world.actions();
        prop_assert_eq!(model.world.cache.len(), 0);
        prop_assert_eq!(model.world.cache.next_timeout(), None);
        prop_assert_eq!(model.world.cache.weight(), 0);
    }
}
