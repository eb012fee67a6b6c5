//! A cache, and requests and answers in a few words.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use usher_lifecycle::{
    Action as LifeAction, Ceiling, Class, Event as LifeEvent, Failure, Generation, Lifecycle,
    Settings as LifeSettings, Token,
};
use usher_secret::Secret;

use crate::cache::*;

pub(super) struct World {
    pub(super) cache: Cache,
    pub(super) now: Instant,
}

pub(super) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn settings() -> Settings {
    let ceiling = Ceiling { per_second: 1_000_000, burst: 1_000_000, in_flight: usize::MAX };
    Settings { entries: 1000, bytes: 64 << 20, ceiling, ..Settings::default() }
}

pub(super) fn static_settings() -> StaticSettings {
    StaticSettings {
        ttl: secs(60),
        max_stale: Duration::ZERO,
        proof: secs(300),
        entries: 1000,
        bytes: 64 << 20,
    }
}

impl World {
    /// With an agent's token "hvs.agent".
    pub(super) fn new(settings: Settings) -> Self {
        let keyring = Arc::new(Keyring::new(Secret::new([7; 64])));
        let now = Instant::now();
        let mut world = Self { cache: Cache::new(settings, keyring, 42), now };
        world.log_in(1, "hvs.agent");
        world
    }

    pub(super) fn log_in(&mut self, nth: u64, token: &str) {
        self.log_in_for(nth, token, Uses::Unlimited);
    }

    pub(super) fn log_in_for(&mut self, nth: u64, token: &str, uses: Uses) {
        let agent = AgentToken {
            generation: generation(nth),
            token: self.token(token),
            accessor: Some(self.cache.keyring().accessor(format!("of {token}").as_bytes())),
            uses,
        };
        self.cache.token_replaced(self.now, Some(agent));
    }

    pub(super) fn token(&self, token: &str) -> TokenId {
        self.cache.keyring().token(token.as_bytes())
    }

    pub(super) fn sleep(&mut self, seconds: u64) {
        self.now += secs(seconds);
    }

    /// `token`: "" for none.
    pub(super) fn ask(&self, token: &str, path: &str) -> Ask {
        self.ask_with("GET", token, path, &[], "")
    }

    pub(super) fn ask_with(
        &self,
        method: &str,
        token: &str,
        path: &str,
        pairs: &[(&str, &str)],
        body: &str,
    ) -> Ask {
        let mut headers = HeaderMap::new();
        if !token.is_empty() {
            headers.insert("x-vault-token", token.parse().unwrap());
        }
        for (name, value) in pairs {
            headers.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        let method: Method = method.parse().unwrap();
        let path = path.parse().unwrap();
        let head = Head { method: &method, path: &path, headers: &headers, given: None };
        let (keyring, body) = (self.cache.keyring(), Some(body.as_bytes()));
        let ask = Ask::new(keyring, head, body);
        if self.cache.keeps_static_secrets() { ask.among_secrets(keyring, head, body) } else { ask }
    }

    pub(super) fn request(&mut self, ask: &Ask) -> Reply {
        self.cache.request(self.now, ask)
    }

    pub(super) fn miss(&mut self, ask: &Ask) -> FlightId {
        match self.request(ask) {
            Reply::Miss(flight) => flight,
            other => panic!("no miss but {}", name(&other)),
        }
    }

    pub(super) fn join(&mut self, ask: &Ask) -> FlightId {
        match self.request(ask) {
            Reply::Join(flight) => flight,
            other => panic!("nothing joined but {}", name(&other)),
        }
    }

    /// The body of a hit.
    pub(super) fn hit(&mut self, ask: &Ask) -> Option<String> {
        match self.request(ask) {
            Reply::Hit(hit) => Some(String::from_utf8(hit.answer.body().to_vec()).unwrap()),
            Reply::Miss(flight) => {
                self.cache.gave_up(flight);
                None
            }
            other => panic!("neither hit nor miss but {}", name(&other)),
        }
    }

    pub(super) fn answer(&mut self, flight: FlightId, body: &str) -> Result<EntryId, Unkept> {
        self.cache.answered(self.now, flight, outcome(body))
    }

    /// Asks for it, and gets this answer.
    pub(super) fn fetch(&mut self, ask: &Ask, body: &str) -> Result<EntryId, Unkept> {
        let flight = self.miss(ask);
        self.answer(flight, body)
    }

    /// The agent asks for a lease of an hour.
    pub(super) fn lease(&mut self, token: &str, path: &str, id: &str) -> Ask {
        let ask = self.ask(token, path);
        self.fetch(&ask, &lease(id, 3600)).expect("it is kept");
        ask
    }

    /// Somebody logs in for an hour.
    pub(super) fn login(&mut self, role: &str, token: &str) -> Ask {
        let ask = self.ask_with("POST", "", "/v1/auth/approle/login", &[], role);
        self.fetch(&ask, &auth(token, 3600, true)).expect("it is kept");
        ask
    }

    pub(super) fn revoke(&mut self, token: &str, path: &str, body: &str) {
        let ask = self.ask_with("PUT", token, path, &[], body);
        assert!(matches!(self.request(&ask), Reply::Pass));
        let revocation = ask.revocation().expect("it revokes something");
        self.cache.revoked(self.now, revocation);
    }

    pub(super) fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.cache.poll_action(self.now)).collect()
    }

    /// Sleeps from time-out to time-out until there is something to renew, within so many seconds.
    pub(super) fn renewal(&mut self, within: u64) -> Option<Renewal> {
        let end = self.now + secs(within);
        loop {
            match self.cache.poll_action(self.now) {
                Some(Action::Renew(renewal)) => return Some(renewal),
                Some(Action::Wake { .. }) => {}
                None => {
                    let Some(at) = self.cache.next_timeout().filter(|at| *at <= end) else {
                        self.now = end;
                        return None;
                    };
                    self.now = at;
                }
            }
        }
    }

    pub(super) fn handle(&mut self, event: Event) {
        self.cache.handle(self.now, event);
    }
}

fn name(reply: &Reply) -> &'static str {
    match reply {
        Reply::Hit(_) => "a hit",
        Reply::Join(_) => "one that is joined",
        Reply::Miss(_) => "a miss",
        Reply::Pass => "one that passes",
    }
}

pub(super) fn lease(id: &str, ttl: u64) -> String {
    format!(r#"{{"lease_id":"{id}","lease_duration":{ttl},"renewable":true,"data":{{}}}}"#)
}

pub(super) fn auth(token: &str, ttl: u64, orphan: bool) -> String {
    format!(
        r#"{{"auth":{{"client_token":"{token}","accessor":"of {token}","lease_duration":{ttl},"renewable":true,"orphan":{orphan},"num_uses":0}}}}"#
    )
}

/// A success with this body, as it is kept.
pub(super) fn kept(body: &str) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, "application/json".parse().unwrap());
    Answer::new(StatusCode::OK, &headers, body.as_bytes())
}

/// What the server says of a mount.
pub(super) fn mount(path: &str, kind: &str) -> Option<Found> {
    found(format!(r#"{{"data":{{"path":"{path}","type":"{kind}"}}}}"#).as_bytes())
}

/// A success with this body.
pub(super) fn outcome(body: &str) -> Outcome {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, "application/json".parse().unwrap());
    match facts(StatusCode::OK, &headers, body.as_bytes()) {
        Some(facts) => {
            Outcome::Granted(facts, Answer::new(StatusCode::OK, &headers, body.as_bytes()))
        }
        None => Outcome::Nothing,
    }
}

pub(super) fn refused() -> Failure {
    Failure { permission_denied: true, ..Failure::new(Class::Refused) }
}

/// Only the lifecycle makes them: that of the nth login.
pub(super) fn generation(nth: u64) -> Generation {
    let mut now = Instant::now();
    let mut lifecycle = Lifecycle::new(now, LifeSettings::default(), 1);
    loop {
        match lifecycle.poll_action() {
            Some(LifeAction::LogIn { generation }) if generation.number() == nth => {
                return generation;
            }
            Some(LifeAction::LogIn { generation }) => {
                let token = Token { ttl: Some(secs(10)), renewable: false, use_limited: true };
                let event = LifeEvent::LoggedIn { generation, token, check_after: None };
                lifecycle.handle(now, event);
            }
            Some(_) => {}
            None => {
                now = lifecycle.next_timeout().expect("it logs in again");
                lifecycle.handle_timeout(now);
            }
        }
    }
}
