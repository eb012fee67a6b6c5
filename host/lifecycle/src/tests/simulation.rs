//! A small world around one machine: a server with a role, sinks, and what goes wrong with them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::driver::{forbidden, invalid_token, passing};
use super::watch::Watch;
use crate::{Action, Class, Event, Failure, Generation, Lifecycle, Settings, Token};

/// What the server grants, and what it allows its tokens.
#[derive(Clone, Debug)]
pub(super) struct Role {
    pub(super) ttl: Duration,
    pub(super) max_ttl: Option<Duration>,
    pub(super) renewable: bool,
    pub(super) may_look_up: bool,
    pub(super) may_renew: bool,
    /// A second login with the same credential is refused.
    pub(super) one_shot: bool,
    /// Whether dead tokens are called so, or are just answered 403.
    pub(super) says_invalid_token: bool,
}

impl Default for Role {
    fn default() -> Self {
        Self {
            ttl: Duration::from_hours(1),
            max_ttl: None,
            renewable: true,
            may_look_up: true,
            may_renew: true,
            one_shot: false,
            says_invalid_token: false,
        }
    }
}

/// A token as the server knows it.
pub(super) struct Issued {
    pub(super) at: Duration,
    pub(super) expires: Duration,
    pub(super) revoked: Option<Duration>,
}

pub(super) struct Simulation {
    pub(super) lifecycle: Lifecycle,
    pub(super) role: Role,
    /// When the server is not there, since the start.
    pub(super) outages: Vec<Range<Duration>>,
    /// When each sink refuses.
    pub(super) sink_outages: Vec<Vec<Range<Duration>>>,
    /// When the operator revokes whatever token is the newest.
    pub(super) revocations: Vec<Duration>,
    /// By generation, counted from 1.
    pub(super) issued: Vec<Issued>,
    pub(super) holds: Vec<Option<Generation>>,
    pub(super) log: Vec<(Duration, Action)>,
    /// Time in which no sink-held token was alive, per sink, since its first token.
    pub(super) uncovered: Vec<Duration>,
    start: Instant,
    now: Duration,
    latency: Duration,
    in_flight: BTreeMap<(Duration, u64), Action>,
    sequence: u64,
    watch: Watch,
}

impl Simulation {
    pub(super) fn new(settings: Settings, role: Role, seed: u64) -> Self {
        let start = Instant::now();
        let sinks = settings.sinks;
        Self {
            lifecycle: Lifecycle::new(start, settings, seed),
            role,
            outages: Vec::new(),
            sink_outages: vec![Vec::new(); sinks],
            revocations: Vec::new(),
            issued: Vec::new(),
            holds: vec![None; sinks],
            log: Vec::new(),
            uncovered: vec![Duration::ZERO; sinks],
            start,
            now: Duration::ZERO,
            latency: Duration::from_millis(20),
            in_flight: BTreeMap::new(),
            sequence: 0,
            watch: Watch::new(sinks),
        }
    }

    pub(super) fn run_until(&mut self, end: Duration) {
        self.revocations.sort();
        loop {
            self.start_actions();
            let timeout = self.lifecycle.next_timeout().map(|at| at - self.start);
            let answer = self.in_flight.keys().next().map(|(at, _)| *at);
            let revocation = self.revocations.first().copied();
            let next = [timeout, answer, revocation].into_iter().flatten().min();
            let Some(next) = next.filter(|at| *at <= end) else {
                self.pass_time(end);
                return;
            };
            self.pass_time(next);
            if revocation == Some(next) {
                self.revocations.remove(0);
                if let Some(token) = self.issued.last_mut() {
                    token.revoked.get_or_insert(next);
                }
            } else if answer == Some(next) {
                let (_, action) = self.in_flight.pop_first().expect("just seen");
                let event = self.answer(action);
                let before = self.lifecycle.generation();
                self.watch.before(&event);
                self.lifecycle.handle(self.start + self.now, event);
                Watch::kept(&self.lifecycle, before);
            } else {
                self.lifecycle.handle_timeout(self.start + self.now);
            }
        }
    }

    /// How often an action of this kind was asked for within this time.
    pub(super) fn count(&self, time: &Range<Duration>, kind: impl Fn(&Action) -> bool) -> usize {
        self.log.iter().filter(|(at, action)| time.contains(at) && kind(action)).count()
    }

    pub(super) fn times(&self, kind: impl Fn(&Action) -> bool) -> Vec<Duration> {
        self.log.iter().filter(|(_, action)| kind(action)).map(|(at, _)| *at).collect()
    }

    /// Whether the token is alive on the server.
    pub(super) fn is_alive(&self, generation: Generation) -> bool {
        let token = self.token(generation);
        token.revoked.is_none_or(|at| at > self.now) && token.expires > self.now
    }

    fn start_actions(&mut self) {
        let now = self.start + self.now;
        while let Some(action) = self.lifecycle.poll_action() {
            self.watch.action(now, &self.lifecycle, action);
            self.log.push((self.now, action));
            match action {
                Action::Revoke { generation } => {
                    let now = self.now;
                    self.token_mut(generation).revoked.get_or_insert(now);
                }
                Action::Forget { .. } | Action::Say(_) | Action::Finished | Action::CancelLogin => {
                }
                _ => {
                    self.sequence += 1;
                    self.in_flight.insert((self.now + self.latency, self.sequence), action);
                }
            }
        }
        self.watch.rest(now, &self.lifecycle, false);
    }

    fn pass_time(&mut self, to: Duration) {
        for sink in 0..self.holds.len() {
            let Some(generation) = self.holds[sink] else { continue };
            let token = self.token(generation);
            let dies = token.expires.min(token.revoked.unwrap_or(Duration::MAX));
            self.uncovered[sink] += to - dies.clamp(self.now, to);
        }
        self.now = to;
    }

    fn answer(&mut self, action: Action) -> Event {
        let down = self.outages.iter().any(|outage| outage.contains(&self.now));
        match action {
            Action::Deliver { sink, generation } => {
                if self.sink_outages[sink].iter().any(|outage| outage.contains(&self.now)) {
                    return Event::DeliveryFailed { sink, generation, failure: passing() };
                }
                self.holds[sink] = Some(generation);
                Event::Delivered { sink, generation }
            }
            Action::LogIn { .. } | Action::Look { .. } if down => Event::LoginFailed(passing()),
            Action::LogIn { generation } | Action::Look { generation } => {
                if self.role.one_shot && !self.issued.is_empty() {
                    return Event::LoginFailed(Failure::new(Class::Refused));
                }
                let expires = self.now + self.role.ttl;
                assert_eq!(self.issued.len(), index(generation), "numbers follow each other");
                self.issued.push(Issued { at: self.now, expires, revoked: None });
                let token = self.describe(self.role.ttl);
                Event::LoggedIn { generation, token, check_after: None }
            }
            Action::Renew { generation } => {
                let failure = match () {
                    () if down => passing(),
                    () if !self.is_alive(generation) => self.dead(),
                    () if !self.role.may_renew => forbidden(),
                    () => {
                        let end = self
                            .role
                            .max_ttl
                            .map_or(Duration::MAX, |max| self.token(generation).at + max);
                        let expires = (self.now + self.role.ttl).min(end);
                        self.token_mut(generation).expires = expires;
                        let token = self.describe(expires - self.now);
                        return Event::Renewed { generation, token };
                    }
                };
                Event::RenewalFailed { generation, failure }
            }
            Action::Check { generation } => {
                let failure = match () {
                    () if down => passing(),
                    () if !self.is_alive(generation) => self.dead(),
                    () if !self.role.may_look_up => forbidden(),
                    () => {
                        // Servers say whole seconds.
                        let left = self.token(generation).expires - self.now;
                        let token = self.describe(Duration::from_secs(left.as_secs()));
                        return Event::Checked { generation, token };
                    }
                };
                Event::CheckFailed { generation, failure }
            }
            other => panic!("{other:?} has no answer"),
        }
    }

    fn describe(&self, ttl: Duration) -> Token {
        Token { ttl: Some(ttl), renewable: self.role.renewable, use_limited: false }
    }

    fn dead(&self) -> Failure {
        if self.role.says_invalid_token { invalid_token() } else { forbidden() }
    }

    fn token(&self, generation: Generation) -> &Issued {
        &self.issued[index(generation)]
    }

    fn token_mut(&mut self, generation: Generation) -> &mut Issued {
        &mut self.issued[index(generation)]
    }
}

fn index(generation: Generation) -> usize {
    usize::try_from(generation.number()).expect("few tokens") - 1
}
