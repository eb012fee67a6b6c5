//! The machine itself: what it holds, what it shows, and what is due when.

use std::collections::VecDeque;
use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::backoff::{Retry, after};
use crate::delivery::Delivery;
use crate::grant::{Grant, find};
use crate::{Action, Class, Event, Generation, NextStep, Notice, Settings, State, Step};

/// The life of one identity. See the [crate] for how to drive it.
#[derive(Debug)]
pub struct Lifecycle {
    pub(crate) settings: Settings,
    pub(crate) random: SmallRng,
    pub(crate) actions: VecDeque<Action>,
    pub(crate) phase: Phase,
    /// The one request that is in flight: logins, looks, renewals and checks never overlap.
    pub(crate) in_flight: Option<Request>,
    /// What the next token is called; a login or a look in flight has said so already.
    pub(crate) next_generation: Generation,
    pub(crate) current: Option<Grant>,
    /// Older tokens that a sink still holds.
    pub(crate) old: Vec<Grant>,
    pub(crate) deliveries: Vec<Delivery>,
    /// Logins, and renewals of the current token if it is this identity's own. What the server asks for with a failure binds
    /// its own kind only: a renewal's is kept with the token.
    pub(crate) retry: Retry,
    /// Since when a login is wanted while there is no good token.
    pub(crate) login_from: Instant,
    /// The last login failed in a way that only another configuration or credential mends.
    pub(crate) login_blocked: bool,
    /// Whether a renewal goes first when a login is due as well.
    pub(crate) renewal_first: bool,
    pub(crate) look_at: Option<Instant>,
    pub(crate) look_retry: Retry,
    /// Tokens lost in quick succession; without this, a server on which each new token is dead
    /// at once would be stormed.
    pub(crate) losses: Retry,
    pub(crate) last_loss: Option<Instant>,
    /// Credentials or configuration changed while they may have been in use.
    pub(crate) changed_in_flight: bool,
    pub(crate) forbidden_said: bool,
}

/// What one identity asks the server or its method for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    LogIn,
    Look,
    Renew(Generation),
    Check(Generation),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
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
            next_generation: Generation::FIRST,
            current: None,
            old: Vec::new(),
            deliveries,
            retry: Retry::default(),
            login_from: now,
            login_blocked: false,
            renewal_first: true,
            look_at: None,
            look_retry: Retry::default(),
            losses: Retry::default(),
            last_loss: None,
            changed_in_flight: false,
            forbidden_said: false,
        };
        lifecycle.advance(now);
        lifecycle
    }

    /// Where the identity stands.
    pub fn state(&self) -> State {
        let authenticating = matches!(self.in_flight, Some(Request::LogIn | Request::Look));
        match &self.current {
            _ if self.phase != Phase::Running => State::ShutDown,
            Some(grant) if grant.is_good() => {
                if self.retry.has_failed() || grant.check_is_failing() {
                    State::Degraded
                } else if self.in_flight == Some(Request::LogIn)
                    || self.in_flight == Some(Request::Renew(grant.generation))
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
        self.current.as_ref().map(|grant| grant.generation)
    }

    /// When the token in use expires or did; `None` if there is none or it never does.
    pub fn expires_at(&self) -> Option<Instant> {
        self.current.as_ref().and_then(Grant::expires_at)
    }

    /// Whether the token in use is good and every sink holds it.
    pub fn all_delivered(&self) -> bool {
        self.good().is_some_and(|grant| {
            self.deliveries.iter().all(|delivery| delivery.has(grant.generation))
        })
    }

    /// Whether the token in use is good: neither expired nor known to be dead.
    pub fn has_good_token(&self) -> bool {
        self.good().is_some()
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
        self.retry.shorten(now, backoff);
        self.look_retry.shorten(now, backoff);
        if self.look_retry.has_failed() {
            self.look_at = self.look_at.map(|at| at.min(self.look_retry.next_from(now)));
        }
        self.login_from = self.login_from.min(after(now, backoff.max()));
        for grant in self.current.iter_mut().chain(&mut self.old) {
            grant.shorten(now, *token_check, backoff);
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

    /// The current token, if it is good.
    pub(crate) fn good(&self) -> Option<&Grant> {
        self.current.as_ref().filter(|grant| grant.is_good())
    }

    /// Starts everything that is due.
    fn advance(&mut self, now: Instant) {
        if self.phase != Phase::Running {
            self.finish_if_done();
            return;
        }
        self.expire(now);
        // Another identity's token stays where it is, and goes nowhere else.
        let own = self.good().filter(|grant| !grant.is_foreign());
        let wanted = own.map(|grant| grant.generation);
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
            let generation = self.next_generation;
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
            Request::LogIn => self.retry.begin(now),
            Request::Look => self.look_retry.begin(now),
            Request::Renew(generation) | Request::Check(generation) => {
                let is_current = self.generation() == Some(generation);
                let Some(grant) = find(&mut self.current, &mut self.old, generation) else {
                    return;
                };
                if let Request::Check(_) = request {
                    grant.begin_check(now);
                    return;
                }
                grant.retry.begin(now);
                if is_current {
                    self.retry.begin(now);
                }
            }
        }
    }

    /// The most urgent of the requests that are due.
    fn choose(&self, now: Instant) -> Option<Request> {
        let due = |at: &Instant| *at <= now;
        let login = self.login_at().filter(due).map(|_| Request::LogIn);
        let renewal = self.renewal_at().filter(due).and(self.current.as_ref());
        let renewal = renewal.map(|grant| Request::Renew(grant.generation));
        let (first, second) = if self.renewal_first { (renewal, login) } else { (login, renewal) };
        let old = || {
            let mut old = self.old.iter();
            old.find(|grant| old_renewal_at(grant).as_ref().is_some_and(due))
                .map(|grant| Request::Renew(grant.generation))
        };
        let look = || self.next_look_at().filter(due).map(|_| Request::Look);
        let check = || {
            let grant = self.current.as_ref()?;
            self.check_at().filter(due).map(|_| Request::Check(grant.generation))
        };
        first.or(second).or_else(old).or_else(look).or_else(check)
    }

    /// Everything that has a time.
    fn upcoming(&self) -> Vec<NextStep> {
        if self.phase != Phase::Running {
            return Vec::new();
        }
        let good = self.current.iter().chain(&self.old).filter(|grant| grant.is_good());
        let expiries = good.filter_map(Grant::expires_at).map(|at| (at, Step::Expire));
        let deliveries = self.deliveries.iter().filter_map(Delivery::due_at);
        let mut steps: Vec<(Instant, Step)> =
            expiries.chain(deliveries.map(|at| (at, Step::Deliver))).collect();
        if self.in_flight.is_none() {
            steps.extend(self.login_at().map(|at| (at, Step::LogIn)));
            steps.extend(self.renewal_at().map(|at| (at, Step::Renew)));
            steps.extend(self.old.iter().filter_map(old_renewal_at).map(|at| (at, Step::Renew)));
            steps.extend(self.next_look_at().map(|at| (at, Step::Look)));
            steps.extend(self.check_at().map(|at| (at, Step::Check)));
        }
        steps.into_iter().map(|(at, step)| NextStep { at, step }).collect()
    }

    fn login_at(&self) -> Option<Instant> {
        if self.login_blocked {
            return None;
        }
        let from = match self.good() {
            Some(grant) => grant.replace_at()?,
            None => self.login_from,
        };
        Some(self.retry.next_from(from))
    }

    fn renewal_at(&self) -> Option<Instant> {
        let grant = self.good()?;
        let renew_at = grant.renew_at()?;
        // Logins that fail have nothing to say of another identity's token.
        let from = if grant.is_foreign() { renew_at } else { self.retry.scheduled_from(renew_at) };
        Some(grant.retry.next_from(from))
    }

    /// A look makes sense only beside a good token, without which the machine logs in anyway, and
    /// where a new credential is a reason to log in.
    fn next_look_at(&self) -> Option<Instant> {
        let wanted = self.settings.reauthenticate_on_new_credentials;
        self.good().and(self.look_at).filter(|_| wanted)
    }

    fn check_at(&self) -> Option<Instant> {
        self.good()?.check_at(self.settings.token_check)
    }

    /// Marks what has expired by now.
    fn expire(&mut self, now: Instant) {
        if let Some(grant) = &mut self.current
            && grant.expire(now)
        {
            let generation = grant.generation;
            self.actions.push_back(Action::Say(Notice::Expired { generation }));
            // A failing login or renewal is on its schedule already, and stays on it.
            if self.retry.has_failed() {
                self.login_from = now;
            } else {
                self.lose(now);
            }
        }
        for grant in &mut self.old {
            grant.expire(now);
        }
        self.forget_old();
    }

    /// Wants a login at once because the token was lost; but not again and again.
    pub(crate) fn lose(&mut self, now: Instant) {
        let quick = self.settings.backoff.max().saturating_mul(2);
        self.login_from = now;
        if self.last_loss.is_some_and(|last| now < after(last, quick)) {
            let backoff = &self.settings.backoff;
            self.losses.fail(now, Class::Refused, backoff, None, &mut self.random);
            self.login_from = self.losses.next_from(now);
        } else {
            self.losses.reset();
        }
        self.last_loss = Some(now);
        self.retry.supersede();
    }

    /// Forgets old tokens that are of no more use or that no sink holds any more.
    pub(crate) fn forget_old(&mut self) {
        let deliveries = &self.deliveries;
        for grant in self.old.extract_if(.., |grant| {
            !grant.is_good() || !deliveries.iter().any(|sink| sink.holds(grant.generation))
        }) {
            self.actions.push_back(Action::Forget { generation: grant.generation });
        }
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

fn old_renewal_at(grant: &Grant) -> Option<Instant> {
    grant.renew_at().map(|at| grant.retry.next_from(at))
}
