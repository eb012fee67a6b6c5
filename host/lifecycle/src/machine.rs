//! The machine itself: what it holds, what it shows, and what is due when.

mod transitions;

use std::collections::VecDeque;
use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::delivery::Delivery;
use crate::logins::Logins;
use crate::looks::Looks;
use crate::token_life::TokenLife;
use crate::tokens::Tokens;
use crate::{Action, Event, Generation, NextStep, Notice, Settings, State, Step};

/// The life of one identity. See the [crate] for how to drive it.
#[derive(Debug)]
pub struct Lifecycle {
    settings: Settings,
    random: SmallRng,
    actions: VecDeque<Action>,
    phase: Phase,
    /// The one request that is in flight: logins, looks, renewals and checks never overlap.
    in_flight: Option<Request>,
    tokens: Tokens,
    logins: Logins,
    looks: Looks,
    deliveries: Vec<Delivery>,
    /// Credentials or configuration changed while they may have been in use.
    changed_in_flight: bool,
    forbidden_said: bool,
}

/// What one identity asks the server or its method for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    LogIn,
    Look,
    Renew(Generation),
    Check(Generation),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// A token that arrives now is revoked.
    Stopping,
    /// A token that arrives now is for the life that follows.
    HandingOver,
    Finished,
}

impl Lifecycle {
    /// Starts a life: its first action is [`Action::LogIn`]. `seed` feeds the jitter and must
    /// differ from machine to machine.
    pub fn new(now: Instant, settings: Settings, seed: u64) -> Self {
        let deliveries = (0..settings.sinks).map(|_| Delivery::new(now)).collect();
        let mut lifecycle = Self {
            settings,
            random: SmallRng::seed_from_u64(seed),
            actions: VecDeque::new(),
            phase: Phase::Running,
            in_flight: None,
            tokens: Tokens::new(),
            logins: Logins::new(now),
            looks: Looks::default(),
            deliveries,
            changed_in_flight: false,
            forbidden_said: false,
        };
        lifecycle.advance(now);
        lifecycle
    }

    /// Where the identity stands.
    pub fn state(&self) -> State {
        let authenticating = matches!(self.in_flight, Some(Request::LogIn | Request::Look));
        match self.tokens.current() {
            _ if self.phase != Phase::Running => State::ShutDown,
            Some(token) if token.is_good() => {
                if self.logins.are_failing() || token.check_is_failing() {
                    State::Degraded
                } else if self.in_flight == Some(Request::LogIn)
                    || self.in_flight == Some(Request::Renew(token.generation()))
                {
                    State::Renewing
                } else {
                    State::Valid
                }
            }
            _ if authenticating => State::Authenticating,
            Some(_) => State::Expired,
            None => State::Unauthenticated,
        }
    }

    /// The token in use: the newest one, whether good, dead or expired. `None` before the first
    /// and after one that was revoked.
    pub fn generation(&self) -> Option<Generation> {
        self.tokens.current().map(TokenLife::generation)
    }

    /// When the token in use expires or did; `None` if there is none or it never does.
    pub fn expires_at(&self) -> Option<Instant> {
        self.tokens.current().and_then(TokenLife::expires_at)
    }

    /// Whether the token in use is good and every sink holds it.
    pub fn all_delivered(&self) -> bool {
        self.tokens.good().is_some_and(|token| {
            self.deliveries.iter().all(|delivery| delivery.has(token.generation()))
        })
    }

    /// Whether the token in use is good: neither expired nor known to be dead.
    pub fn has_good_token(&self) -> bool {
        self.tokens.good().is_some()
    }

    /// Whether this token is being looked up, or is to be by now, since requests with it are refused:
    /// the end of that look-up says more of it. A look-up that has to wait isn't worth waiting for.
    pub fn is_in_doubt(&self, now: Instant, generation: Generation) -> bool {
        let current = self.tokens.good().filter(|token| token.generation() == generation);
        let suspected_at = current.and_then(TokenLife::suspected_at);
        self.in_flight == Some(Request::Check(generation))
            || suspected_at.is_some_and(|at| at <= now)
    }

    /// The token that this sink holds, good or not; `None` before its first delivery.
    pub fn delivered_to(&self, sink: usize) -> Option<Generation> {
        self.deliveries.get(sink).and_then(Delivery::delivered)
    }

    /// What comes next if nothing happens before; `None` while waiting for an answer or event.
    pub fn next_step(&self) -> Option<NextStep> {
        self.upcoming().into_iter().min_by_key(|next| next.at)
    }

    /// Puts other settings in force, from the next event or time-out on. The sinks must be the same.
    pub fn set(&mut self, now: Instant, settings: Settings) {
        let sinks = self.settings.sinks;
        self.settings = Settings { sinks, ..settings };
        let Settings { backoff, sink_backoff, token_check, .. } = &self.settings;
        self.logins.shorten(now, backoff);
        self.looks.shorten(now, backoff);
        for token in self.tokens.all_mut() {
            token.shorten(now, *token_check, backoff);
        }
        for delivery in &mut self.deliveries {
            delivery.shorten(now, sink_backoff, backoff);
        }
    }

    /// Takes note of what happened.
    pub fn handle(&mut self, now: Instant, event: Event) {
        if self.phase == Phase::Finished {
            return;
        }
        self.expire(now);
        self.take_in(now, event);
        self.advance(now);
    }

    /// Does what is due. Call it at [`Self::next_timeout`]; early calls do no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
    }

    /// The next thing to do, `None` when there is nothing more for now.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`Self::handle_timeout`] if no event comes first. `None` only while the
    /// machine waits for an answer or an event and no deadline is near.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.next_step().map(|next| next.at)
    }

    /// Whether only a change leads to another login.
    #[cfg(test)]
    pub(crate) fn login_is_blocked(&self) -> bool {
        self.logins.are_blocked()
    }

    /// When the token in use should be replaced.
    #[cfg(test)]
    pub(crate) fn replace_at(&self) -> Option<Instant> {
        self.tokens.current().and_then(TokenLife::replace_at)
    }

    /// Starts everything that is due.
    fn advance(&mut self, now: Instant) {
        if self.phase != Phase::Running {
            self.finish_if_done();
            return;
        }
        self.expire(now);
        // Another identity's token stays where it is, and goes nowhere else.
        let own = self.tokens.good().filter(|token| !token.is_foreign());
        let wanted = own.map(TokenLife::generation);
        for (sink, delivery) in self.deliveries.iter_mut().enumerate() {
            delivery.want(now, wanted);
            if let Some(generation) = delivery.start(now) {
                self.actions.push_back(Action::Deliver { sink, generation });
            }
        }
        if self.in_flight.is_none()
            && let Some(request) = self.choose(now)
        {
            self.in_flight = Some(request);
            self.begin(now, request);
            let generation = self.tokens.next();
            self.actions.push_back(match request {
                Request::LogIn => Action::LogIn { generation },
                Request::Look => Action::Look { generation },
                Request::Renew(generation) => Action::Renew { generation },
                Request::Check(generation) => Action::Check { generation },
            });
        }
    }

    /// Tells the schedules that this request belongs to that an attempt begins.
    fn begin(&mut self, now: Instant, request: Request) {
        match request {
            Request::LogIn => self.logins.begin(now),
            Request::Look => self.looks.begin(now),
            Request::Renew(generation) => {
                if self.tokens.is_current(generation) {
                    self.logins.begin(now);
                }
                if let Some(token) = self.tokens.find(generation) {
                    token.renewal_begins(now);
                }
            }
            Request::Check(generation) => {
                if let Some(token) = self.tokens.find(generation) {
                    token.check_begins(now);
                }
            }
        }
    }

    /// The most urgent of the requests that are due.
    fn choose(&self, now: Instant) -> Option<Request> {
        let due = |at: &Instant| *at <= now;
        let login = self.login_at().filter(due).map(|_| Request::LogIn);
        let renewal = self.renewal_at().filter(due).and(self.generation());
        let renewal = renewal.map(Request::Renew);
        let renewal_first = self.logins.renewal_goes_first();
        let (first, second) = if renewal_first { (renewal, login) } else { (login, renewal) };
        let old = || {
            let mut old = self.tokens.old().iter();
            old.find(|token| old_renewal_at(token).as_ref().is_some_and(due))
                .map(|token| Request::Renew(token.generation()))
        };
        let look = || self.next_look_at().filter(due).map(|_| Request::Look);
        let check = || self.check_at().filter(due).and(self.generation()).map(Request::Check);
        first.or(second).or_else(old).or_else(look).or_else(check)
    }

    /// Everything that has a time.
    fn upcoming(&self) -> Vec<NextStep> {
        if self.phase != Phase::Running {
            return Vec::new();
        }
        let good = self.tokens.all().filter(|token| token.is_good());
        let expiries = good.filter_map(TokenLife::expires_at).map(|at| (at, Step::Expire));
        let deliveries = self.deliveries.iter().filter_map(Delivery::due_at);
        let mut steps: Vec<(Instant, Step)> =
            expiries.chain(deliveries.map(|at| (at, Step::Deliver))).collect();
        if self.in_flight.is_none() {
            steps.extend(self.login_at().map(|at| (at, Step::LogIn)));
            steps.extend(self.renewal_at().map(|at| (at, Step::Renew)));
            let old = self.tokens.old().iter();
            steps.extend(old.filter_map(old_renewal_at).map(|at| (at, Step::Renew)));
            steps.extend(self.next_look_at().map(|at| (at, Step::Look)));
            steps.extend(self.check_at().map(|at| (at, Step::Check)));
        }
        steps.into_iter().map(|(at, step)| NextStep { at, step }).collect()
    }

    fn login_at(&self) -> Option<Instant> {
        self.logins.at(self.tokens.good())
    }

    fn renewal_at(&self) -> Option<Instant> {
        let token = self.tokens.good()?;
        let renew_at = token.renew_at()?;
        // Logins that fail have nothing to say of another identity's token.
        let from = if token.is_foreign() { renew_at } else { self.logins.renewal_from(renew_at) };
        Some(token.renewal_from(from))
    }

    /// A look makes sense only beside a good token, without which the machine logs in anyway, and
    /// where a new credential is a reason to log in.
    fn next_look_at(&self) -> Option<Instant> {
        let wanted = self.settings.reauthenticate_on_new_credentials;
        self.tokens.good().and(self.looks.at()).filter(|_| wanted)
    }

    fn check_at(&self) -> Option<Instant> {
        self.tokens.good()?.check_at(self.settings.token_check)
    }

    /// Marks what has expired by now.
    fn expire(&mut self, now: Instant) {
        if let Some(token) = self.tokens.current_mut()
            && token.expire(now)
        {
            let generation = token.generation();
            self.actions.push_back(Action::Say(Notice::Expired { generation }));
            self.logins.token_expired(now, &self.settings.backoff, &mut self.random);
        }
        for token in self.tokens.all_mut() {
            token.expire(now);
        }
        self.forget_old();
    }

    /// Forgets old tokens that are of no more use or that no sink holds any more.
    fn forget_old(&mut self) {
        let deliveries = &self.deliveries;
        let held = |generation| deliveries.iter().any(|sink| sink.holds(generation));
        let forgotten = self.tokens.forget_old(held);
        self.actions.extend(forgotten.map(|generation| Action::Forget { generation }));
    }

    fn finish_if_done(&mut self) {
        let waiting =
            self.in_flight.is_some() || self.deliveries.iter().any(Delivery::is_in_flight);
        if self.phase != Phase::Finished && !waiting {
            self.phase = Phase::Finished;
            self.actions.push_back(Action::Finished);
        }
    }
}

fn old_renewal_at(token: &TokenLife) -> Option<Instant> {
    token.renew_at().map(|at| token.renewal_from(at))
}
