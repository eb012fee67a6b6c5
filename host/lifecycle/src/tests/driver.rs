//! Drives one machine by hand, answer by answer.

use std::time::{Duration, Instant};

use crate::{Action, Class, Event, Failure, Generation, Lifecycle, Settings, State, Token};

pub(super) struct Driver {
    pub(super) lifecycle: Lifecycle,
    pub(super) start: Instant,
    pub(super) now: Instant,
    /// What a look-up says of the token, but for its TTL.
    kind: Token,
    /// What the last login or look was told to call its token.
    asked: Generation,
}

impl Driver {
    /// A machine at its start, with its first action still to be polled.
    pub(super) fn new(settings: Settings, seed: u64) -> Self {
        let now = Instant::now();
        let kind = renewable(Duration::ZERO);
        Self {
            lifecycle: Lifecycle::new(now, settings, seed),
            start: now,
            now,
            kind,
            asked: nth(1),
        }
    }

    /// A machine that got this token, with the actions that follow from it still to be polled.
    pub(super) fn with(settings: Settings, token: Token) -> Self {
        Self::seeded(settings, token, 7)
    }

    /// As `with`, its jitter drawn from this seed.
    pub(super) fn seeded(settings: Settings, token: Token, seed: u64) -> Self {
        let mut driver = Self::new(settings, seed);
        driver.kind = token;
        assert_eq!(driver.actions(), [log_in(1)]);
        driver.event(Event::LoggedIn { generation: driver.asked(), token, check_after: None });
        driver
    }

    /// As `with`, the token checked and delivered to each sink.
    pub(super) fn settled(settings: Settings, token: Token) -> Self {
        let mut driver = Self::with(settings, token);
        driver.succeed();
        driver
    }

    pub(super) fn actions(&mut self) -> Vec<Action> {
        let actions: Vec<Action> = std::iter::from_fn(|| self.lifecycle.poll_action()).collect();
        for action in &actions {
            if let Action::LogIn { generation } | Action::Look { generation } = *action {
                self.asked = generation;
            }
        }
        actions
    }

    pub(super) fn asked(&self) -> Generation {
        self.asked
    }

    pub(super) fn event(&mut self, event: Event) {
        self.lifecycle.handle(self.now, event);
    }

    /// Hands in the event and returns what follows at once.
    pub(super) fn after(&mut self, event: Event) -> Vec<Action> {
        self.event(event);
        self.actions()
    }

    pub(super) fn sleep(&mut self, time: Duration) {
        self.now += time;
        self.lifecycle.handle_timeout(self.now);
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    pub(super) fn state(&self) -> State {
        self.lifecycle.state()
    }

    /// Sleeps until there is something to do; how long that took, and what it is.
    pub(super) fn next(&mut self) -> (Duration, Vec<Action>) {
        let asleep = self.now;
        loop {
            let actions = self.actions();
            if !actions.is_empty() {
                return (self.now - asleep, actions);
            }
            let timeout = self.lifecycle.next_timeout().expect("something is due some time");
            assert!(timeout > self.now, "a time-out in the past would be a hot loop");
            self.now = timeout;
            self.lifecycle.handle_timeout(timeout);
        }
    }

    /// Answers checks and deliveries with success until something else is asked for; that.
    pub(super) fn succeed(&mut self) -> Vec<Action> {
        let mut rest = Vec::new();
        loop {
            let actions = self.actions();
            if actions.is_empty() {
                return rest;
            }
            for action in actions {
                match action {
                    Action::Deliver { sink, generation } => {
                        self.event(Event::Delivered { sink, generation });
                    }
                    Action::Check { generation } => {
                        let token = self.believed();
                        self.event(Event::Checked { generation, token });
                    }
                    other => rest.push(other),
                }
            }
        }
    }

    /// Sleeps, checks succeeding, until something else is to be done; when since `start`.
    pub(super) fn next_but_checks(&mut self) -> (Duration, Action) {
        loop {
            let (_, actions) = self.next();
            let [action] = actions[..] else { panic!("more than one: {actions:?}") };
            let Action::Check { generation } = action else { return (self.elapsed(), action) };
            let token = self.believed();
            self.event(Event::Checked { generation, token });
        }
    }

    /// The token as the machine believes it to be.
    pub(super) fn believed(&self) -> Token {
        let ttl = self.lifecycle.expires_at().map(|at| at - self.now);
        Token { ttl, ..self.kind }
    }
}

/// The number of a token, counted from 1.
pub(super) fn nth(number: u64) -> Generation {
    (1..number).fold(Generation::FIRST, |generation, _| generation.next())
}

pub(super) fn log_in(number: u64) -> Action {
    Action::LogIn { generation: nth(number) }
}

pub(super) fn look(number: u64) -> Action {
    Action::Look { generation: nth(number) }
}

pub(super) fn settings(sinks: usize) -> Settings {
    Settings { sinks, ..Settings::default() }
}

pub(super) fn renewable(ttl: Duration) -> Token {
    Token { ttl: Some(ttl), renewable: true, use_limited: false }
}

pub(super) fn batch(ttl: Duration) -> Token {
    Token { ttl: Some(ttl), renewable: false, use_limited: false }
}

pub(super) fn passing() -> Failure {
    Failure::new(Class::Passing)
}

pub(super) fn forbidden() -> Failure {
    Failure { permission_denied: true, ..Failure::new(Class::Refused) }
}

pub(super) fn invalid_token() -> Failure {
    Failure { invalid_token: true, ..forbidden() }
}

pub(super) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Whether `time` lies at this share of `whole`.
pub(super) fn within(time: Duration, whole: Duration, low: f64, high: f64) -> bool {
    (whole.mul_f64(low)..=whole.mul_f64(high)).contains(&time)
}
