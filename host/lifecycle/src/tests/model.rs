//! Drives one machine through any schedule and holds it against an independent account of what
//! it was told: which tokens live, and how soon it may try again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::pace::Pace;
use super::watch::Watch;
use crate::{
    Action, Backoff, Class, Event, Failure, Generation, Lifecycle, Notice, Settings, State,
    TokenCheck, Worth,
};

pub(super) struct Model {
    pub(super) lifecycle: Lifecycle,
    settings: Settings,
    start: Instant,
    now: Instant,
    watch: Watch,
    history: Vec<(Duration, Action)>,
    unanswered: Vec<Action>,
    tokens: BTreeMap<Generation, Known>,
    /// The newest token each sink took.
    has: Vec<Option<Generation>>,
    /// Logins, and renewals of the token in use unless it is another identity's.
    attempts: Pace,
    deliveries: Vec<Pace>,
    finished: bool,
}

/// What the machine was told of one token.
#[derive(Default)]
struct Known {
    expires_at: Option<Instant>,
    looked_up: bool,
    renewed: bool,
    dead: bool,
    /// It is another identity's.
    foreign: bool,
    /// Its renewals: what the server asked for with the last one, what follows a refusal, and all
    /// of them if it is another identity's or a newer token came.
    renewals: Pace,
    checks: Pace,
    /// Its wrapping was refused.
    doubted: bool,
}

impl Model {
    pub(super) fn new(settings: Settings, seed: u64) -> Self {
        let start = Instant::now();
        let sinks = settings.sinks;
        let mut model = Self {
            lifecycle: Lifecycle::new(start, settings.clone(), seed),
            settings,
            start,
            now: start,
            watch: Watch::new(sinks),
            history: Vec::new(),
            unanswered: Vec::new(),
            tokens: BTreeMap::new(),
            has: vec![None; sinks],
            attempts: Pace::default(),
            deliveries: (0..sinks).map(|_| Pace::default()).collect(),
            finished: false,
        };
        model.poll();
        model
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    pub(super) fn history(&self) -> &[(Duration, Action)] {
        &self.history
    }

    /// Whether a token ever came.
    pub(super) fn knows_a_token(&self) -> bool {
        !self.tokens.is_empty()
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    pub(super) fn next_unanswered(&self) -> Option<Action> {
        self.unanswered.first().copied()
    }

    pub(super) fn sleep(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(timeout) = self.lifecycle.next_timeout().filter(|at| *at <= end) {
            self.now = timeout;
            self.lifecycle.handle_timeout(timeout);
            self.poll();
        }
        self.now = end;
    }

    pub(super) fn sleep_to_timeout(&mut self) {
        if let Some(timeout) = self.lifecycle.next_timeout() {
            self.now = timeout;
            self.lifecycle.handle_timeout(timeout);
            self.poll();
        }
    }

    pub(super) fn hand_in(&mut self, event: Event) {
        if self.finished {
            return;
        }
        let before = self.lifecycle.generation();
        let answered = self.unanswered.iter().position(|action| answers(&event, *action));
        if let Some(index) = answered {
            self.unanswered.remove(index);
        }
        self.watch.before(&event);
        self.learn(&event);
        self.lifecycle.handle(self.now, event.clone());
        if matches!(event, Event::ShutDown | Event::HandOver) {
            self.unanswered
                .retain(|action| !matches!(action, Action::Renew { .. } | Action::Check { .. }));
        } else {
            Watch::kept(&self.lifecycle, before);
        }
        self.poll();
    }

    fn poll(&mut self) {
        while let Some(action) = self.lifecycle.poll_action() {
            self.history.push((self.elapsed(), action));
            self.watch.action(self.now, &self.lifecycle, action);
            self.judge(action);
        }
        self.watch.rest(self.now, &self.lifecycle, self.lifecycle.login_is_blocked());
        self.judge_state();
    }

    fn alive(&self, generation: Generation) -> bool {
        self.tokens
            .get(&generation)
            .is_some_and(|token| !token.dead && token.expires_at.is_none_or(|at| at > self.now))
    }

    fn in_use(&self) -> Option<Generation> {
        self.lifecycle.generation().filter(|generation| self.alive(*generation))
    }

    /// Takes note of what the machine is about to be told.
    fn learn(&mut self, event: &Event) {
        let backoff = self.settings.backoff;
        let now = self.now;
        let in_use = self.in_use();
        match event {
            Event::LoggedIn { generation, token, .. }
            | Event::Inherited { generation, token, .. } => {
                let generation = *generation;
                let expires_at = token.ttl.map(|ttl| now + ttl);
                let mut known = Known { expires_at, ..Known::default() };
                if let Event::Inherited { holders, worth, .. } = event
                    && token.ttl != Some(Duration::ZERO)
                {
                    known.foreign = *worth == Worth::Foreign;
                    for sink in holders {
                        if let Some(has) = self.has.get_mut(*sink) {
                            *has = Some(generation);
                            self.deliveries[*sink].reset();
                            self.watch.held.insert(generation);
                        }
                    }
                }
                self.tokens.insert(generation, known);
                let beside_a_good_one = self.watch.looked && in_use.is_some();
                match token.ttl {
                    Some(Duration::ZERO) if beside_a_good_one => {}
                    Some(Duration::ZERO) => self.attempts.fail(now, backoff, self.end()),
                    _ => self.attempts.reset(),
                }
            }
            Event::LoginFailed(failure) | Event::LookFailed(failure) => {
                if self.watch.looked && in_use.is_some() {
                    return;
                }
                let end = self.end();
                self.attempts.fail(now, backoff, end);
                self.attempts.hint(now, backoff, failure.retry_after, end);
            }
            Event::Renewed { generation, token } => {
                let expires_at = token.ttl.map(|ttl| now + ttl);
                if let Some(known) = self.tokens.get_mut(generation) {
                    known.expires_at = expires_at;
                    known.renewed = true;
                    known.renewals.reset();
                    known.checks.reset();
                }
                if self.lifecycle.generation() == Some(*generation)
                    && !self.tokens[generation].foreign
                {
                    self.attempts.superseded();
                }
            }
            Event::Checked { generation, token } => {
                if let Some(known) = self.tokens.get_mut(generation) {
                    // Within what servers round away, it says nothing new.
                    let told = token.ttl.map(|ttl| now + ttl);
                    let as_known = known.expires_at.zip(told).is_some_and(|(known, told)| {
                        told <= known + Duration::from_secs(1)
                            && known <= told + Duration::from_secs(2)
                    });
                    if !as_known {
                        known.expires_at = told;
                    }
                    known.looked_up = true;
                    known.checks.reset();
                }
            }
            Event::RenewalFailed { generation, failure } => {
                self.renewal_failed(*generation, *failure);
            }
            Event::CheckFailed { generation, failure } => {
                // The next check is never later than the next interval.
                let interval = match self.settings.token_check {
                    TokenCheck::Every(interval) => interval.max(Duration::from_secs(1)),
                    TokenCheck::Auto | TokenCheck::Off => Duration::from_secs(10),
                };
                let (min, max) = (backoff.min.min(interval), backoff.max.min(interval));
                if let Some(known) = self.tokens.get_mut(generation) {
                    known.dead |= proves_death(*failure, known.looked_up);
                    known.checks.fail(now, Backoff { min, max }, None);
                    known.checks.hint(now, backoff, failure.retry_after, None);
                }
            }
            Event::Delivered { sink, generation } => {
                self.has[*sink] = Some(*generation);
                self.deliveries[*sink].reset();
            }
            Event::DeliveryFailed { sink, generation, failure } => {
                let concerned = [Some(*generation), self.has[*sink]].into_iter().flatten();
                let end = concerned
                    .filter(|token| self.alive(*token))
                    .filter_map(|token| self.tokens[&token].expires_at)
                    .min();
                let delivery = &mut self.deliveries[*sink];
                delivery.fail(now, self.settings.sink_backoff, None);
                delivery.hint(now, backoff, failure.retry_after, end);
                if let Some(known) = self.tokens.get_mut(generation) {
                    known.dead |= failure.invalid_token;
                    if failure.permission_denied && !std::mem::replace(&mut known.doubted, true) {
                        // It may ask for a check at once.
                        known.checks.reset();
                    }
                }
            }
            Event::RequestRefused { generation, .. } => {
                if let Some(known) = self.tokens.get_mut(generation) {
                    // It may ask for a check at once.
                    known.checks.reset();
                }
            }
            Event::CredentialsChanged => self.attempts.changed = true,
            Event::ConfigurationChanged => {
                self.attempts.changed = true;
                for pace in &mut self.deliveries {
                    pace.changed = true;
                }
            }
            Event::ServerReached => {
                self.attempts.changed = true;
                for pace in &mut self.deliveries {
                    pace.changed = true;
                }
                for known in self.tokens.values_mut() {
                    known.renewals.changed = true;
                    known.checks.changed = true;
                }
            }
            Event::Unchanged { .. } | Event::ShutDown | Event::HandOver => {}
        }
    }

    /// When the token in use ends.
    fn end(&self) -> Option<Instant> {
        self.tokens[&self.in_use()?].expires_at
    }

    fn renewal_failed(&mut self, generation: Generation, failure: Failure) {
        let (now, backoff) = (self.now, self.settings.backoff);
        let is_current = self.lifecycle.generation() == Some(generation);
        let Some(known) = self.tokens.get_mut(&generation) else { return };
        // Its renewals share their pace with the logins only if it is its own.
        let is_current = is_current && !known.foreign;
        known.dead |= proves_death(failure, known.renewed);
        let refused = failure.class == Class::Refused;
        let end = known.expires_at;
        if refused {
            // It may ask for a check at once, before it is believed and then.
            known.checks.reset();
        }
        if refused || !is_current {
            known.renewals.fail(now, backoff, end);
        }
        known.renewals.hint(now, backoff, failure.retry_after, end);
        // Where a login is due as well, the refusal counts against it: the two take turns.
        let replace_at = self.lifecycle.replace_at();
        let login_is_due = replace_at.is_some_and(|at| at <= now);
        if is_current && refused && !login_is_due {
            self.attempts.superseded();
        } else if is_current {
            self.attempts.fail(now, backoff, end);
        }
    }

    /// Holds one action against what is known.
    fn judge(&mut self, action: Action) {
        let now = self.now;
        let current = self.lifecycle.generation();
        match action {
            Action::LogIn { .. } => self.attempts.attempt(now, self.settings.backoff),
            Action::Renew { generation } => {
                assert!(self.alive(generation), "{action:?} of a dead token");
                if current == Some(generation) && !self.tokens[&generation].foreign {
                    self.attempts.attempt_beside(now, self.settings.backoff);
                }
                if let Some(known) = self.tokens.get_mut(&generation) {
                    known.renewals.attempt(now, self.settings.backoff);
                }
            }
            Action::Check { generation } => {
                assert!(self.alive(generation), "{action:?} of a dead token");
                if let Some(known) = self.tokens.get_mut(&generation) {
                    known.checks.attempt(now, self.settings.backoff);
                }
            }
            Action::Deliver { sink, generation } => {
                assert!(self.alive(generation), "{action:?} of a dead token");
                assert!(!self.tokens[&generation].foreign, "{action:?}, which is another's");
                let newest =
                    self.history.iter().rev().skip(1).find_map(|(_, earlier)| match *earlier {
                        Action::Deliver { sink: other, generation } if other == sink => {
                            Some(generation)
                        }
                        _ => None,
                    });
                if newest < Some(generation) {
                    self.deliveries[sink].reset();
                }
                self.deliveries[sink].attempt(now, self.settings.sink_backoff);
            }
            Action::Forget { generation } if self.alive(generation) => {
                assert!(!self.has.contains(&Some(generation)), "{action:?} that a sink holds");
                assert_ne!(self.in_use(), Some(generation), "{action:?} in use");
            }
            Action::Say(Notice::Died { generation }) => {
                assert!(self.tokens[&generation].dead, "{action:?} without proof");
                self.attempts.superseded();
            }
            Action::Say(Notice::Expired { generation }) => {
                let expires_at = self.tokens[&generation].expires_at;
                assert!(expires_at.is_some_and(|at| at <= now), "{action:?} too early");
            }
            Action::Look { .. }
            | Action::CancelLogin
            | Action::Revoke { .. }
            | Action::Forget { .. }
            | Action::Say(_) => {}
            Action::Finished => self.finished = true,
        }
        if matches!(action, Action::LogIn { .. } | Action::Look { .. }) {
            self.watch.looked = matches!(action, Action::Look { .. });
        }
        if matches!(
            action,
            Action::LogIn { .. }
                | Action::Look { .. }
                | Action::Renew { .. }
                | Action::Check { .. }
                | Action::Deliver { .. }
        ) {
            self.unanswered.push(action);
        }
    }

    /// The state tells the truth about the token in use.
    fn judge_state(&self) {
        if self.lifecycle.state() == State::ShutDown {
            return;
        }
        let good =
            matches!(self.lifecycle.state(), State::Valid | State::Renewing | State::Degraded);
        assert_eq!(good, self.in_use().is_some(), "{:?}", self.lifecycle.state());
        let newest_alive = self.tokens.keys().next_back().copied().filter(|g| self.alive(*g));
        if newest_alive.is_some() {
            assert_eq!(newest_alive, self.in_use(), "the newest token, alive, is not in use");
        }
    }
}

/// Proof as the design defines it: the server's word, or a 403 to a call that worked before.
fn proves_death(failure: Failure, worked_before: bool) -> bool {
    failure.invalid_token || (failure.permission_denied && worked_before)
}

fn answers(event: &Event, action: Action) -> bool {
    match *event {
        Event::LoggedIn { .. } | Event::LoginFailed(_) => {
            matches!(action, Action::LogIn { .. } | Action::Look { .. })
        }
        Event::Inherited { .. } => matches!(action, Action::LogIn { .. }),
        Event::Unchanged { .. } | Event::LookFailed(_) => matches!(action, Action::Look { .. }),
        Event::Renewed { generation, .. } | Event::RenewalFailed { generation, .. } => {
            action == Action::Renew { generation }
        }
        Event::Checked { generation, .. } | Event::CheckFailed { generation, .. } => {
            action == Action::Check { generation }
        }
        Event::Delivered { sink, generation } | Event::DeliveryFailed { sink, generation, .. } => {
            action == Action::Deliver { sink, generation }
        }
        Event::RequestRefused { .. }
        | Event::CredentialsChanged
        | Event::ConfigurationChanged
        | Event::ServerReached
        | Event::ShutDown
        | Event::HandOver => false,
    }
}
