//! What each event means to the machine.

use std::time::{Duration, Instant};

use crate::backoff::{after, spread};
use crate::grant::{Grant, find};
use crate::machine::{Lifecycle, Phase, Request};
use crate::{Action, Class, Event, Failure, Generation, Notice, Settings, Token, Worth};

/// A method that wants to be looked at more often isn't.
const SHORTEST_POLL: Duration = Duration::from_millis(100);

/// Once the server is reached, what waited for it goes on within this time.
const LONGEST_WAKING: Duration = Duration::from_secs(1);

impl Lifecycle {
    /// Takes note of one event; what follows from it is started by the caller.
    pub(crate) fn take_in(&mut self, now: Instant, event: Event) {
        match event {
            Event::LoggedIn { generation, token, check_after } => {
                if self.is_news(generation) {
                    self.logged_in(now, generation, token, check_after, &[]);
                }
            }
            Event::Inherited { generation, token, check_after, holders, worth } => {
                if !self.is_news(generation) {
                    return;
                }
                self.logged_in(now, generation, token, check_after, &holders);
                if let Some(grant) = &mut self.current
                    && grant.generation == generation
                {
                    if worth == Worth::Foreign {
                        grant.unwanted(now);
                    }
                    for sink in holders {
                        if let Some(delivery) = self.deliveries.get_mut(sink) {
                            delivery.succeeded(generation);
                        }
                    }
                    self.forget_old();
                }
            }
            Event::LoginFailed(failure) | Event::LookFailed(failure) => {
                match self.authentication_ended() {
                    Some(Request::LogIn) => self.login_failed(now, failure),
                    Some(_) => self.look_failed(now, failure),
                    None => {}
                }
            }
            Event::Unchanged { check_after } => match self.authentication_ended() {
                // A login can't end like this; were it to, it brought no token.
                Some(Request::LogIn) => self.login_failed(now, Failure::new(Class::Passing)),
                Some(_) => {
                    self.look_retry.reset();
                    self.look_at = next_poll(now, check_after);
                    self.catch_up_with_changes(now);
                }
                None => {}
            },
            Event::Renewed { generation, token } => {
                if self.ended(Request::Renew(generation)) {
                    self.renewed(now, generation, token);
                }
            }
            Event::RenewalFailed { generation, failure } => {
                if self.ended(Request::Renew(generation)) {
                    self.renewal_failed(now, generation, failure);
                }
            }
            Event::Checked { generation, token } => {
                if self.ended(Request::Check(generation)) {
                    self.checked(now, generation, token);
                }
            }
            Event::CheckFailed { generation, failure } => {
                if self.ended(Request::Check(generation)) {
                    self.check_failed(now, generation, failure);
                }
            }
            Event::Delivered { sink, generation } => {
                if let Some(delivery) = self.deliveries.get_mut(sink)
                    && delivery.end(generation)
                {
                    delivery.succeeded(generation);
                    self.forget_old();
                }
            }
            Event::DeliveryFailed { sink, generation, failure } => {
                if let Some(delivery) = self.deliveries.get_mut(sink)
                    && delivery.end(generation)
                {
                    // Neither the token that the sink waits for nor the one that it has may end
                    // over what the server asks for.
                    let known = self.current.iter().chain(&self.old);
                    let concerned = known.filter(|grant| {
                        grant.generation == generation || delivery.has(grant.generation)
                    });
                    let chance = concerned
                        .filter_map(|grant| grant.last_chance(now))
                        .min_by_key(|chance| chance.end);
                    let random = &mut self.random;
                    delivery.failed(now, generation, failure, &self.settings, chance, random);
                    self.doubt(now, generation, failure);
                    if self.phase == Phase::HandingOver
                        && let Some(grant) = find(&mut self.current, &mut self.old, generation)
                    {
                        grant.may_have_arrived = true;
                    }
                    self.forget_old();
                }
            }
            Event::CredentialsChanged => self.wake(now),
            Event::ConfigurationChanged => {
                self.wake(now);
                for delivery in &mut self.deliveries {
                    delivery.hasten(now, &self.settings.sink_backoff);
                }
            }
            Event::ServerReached => self.server_reached(now),
            Event::ShutDown => self.shut_down(Phase::Stopping),
            Event::HandOver => self.shut_down(Phase::HandingOver),
        }
    }

    /// Whether this number is free for the token that came; it no longer is then.
    fn is_news(&mut self, generation: Generation) -> bool {
        let news = generation == self.next_generation;
        if news {
            self.next_generation = generation.next();
        }
        news
    }

    fn logged_in(
        &mut self,
        now: Instant,
        generation: Generation,
        token: Token,
        check_after: Option<Duration>,
        holders: &[usize],
    ) {
        let request = self.authentication_ended();
        match request {
            Some(request) if self.phase != Phase::Stopping || !holders.is_empty() => {
                if token.ttl == Some(Duration::ZERO) {
                    self.actions.push_back(Action::Say(Notice::Lifeless { generation }));
                    self.actions.push_back(Action::Forget { generation });
                    let failure = Failure::new(Class::Passing);
                    if request == Request::LogIn {
                        self.login_failed(now, failure);
                    } else {
                        self.look_failed(now, failure);
                    }
                    return;
                }
                let grant = Grant::new(now, generation, token, &mut self.random);
                if let Some(superseded) = self.current.replace(grant) {
                    self.retire(now, superseded);
                }
                self.retry.reset();
                self.login_blocked = false;
                self.renewal_first = true;
                self.look_retry.reset();
                self.look_at = next_poll(now, check_after);
                self.catch_up_with_changes(now);
            }
            _ => self.revoke(generation),
        }
    }

    fn login_failed(&mut self, now: Instant, failure: Failure) {
        let chance = self.good().and_then(|grant| grant.last_chance(now));
        let (backoff, random) = (&self.settings.backoff, &mut self.random);
        self.retry.fail(now, failure.class, backoff, chance, random);
        self.retry.obey(now, failure.retry_after, backoff, chance, random);
        self.renewal_first = true;
        self.login_blocked = failure.class == Class::Configuration;
        self.catch_up_with_changes(now);
    }

    /// A failed look changes nothing, but is repeated.
    fn look_failed(&mut self, now: Instant, failure: Failure) {
        if self.good().is_none() {
            // The token was lost meanwhile, so this was as good as a failed login.
            self.login_failed(now, failure);
            return;
        }
        let (backoff, random) = (&self.settings.backoff, &mut self.random);
        if failure.class == Class::Configuration {
            self.look_retry.fail_slowly(now, backoff, random);
        } else {
            self.look_retry.fail(now, failure.class, backoff, None, random);
        }
        self.look_retry.obey(now, failure.retry_after, backoff, None, random);
        self.look_at = Some(self.look_retry.next_from(now));
        self.catch_up_with_changes(now);
    }

    fn renewed(&mut self, now: Instant, generation: Generation, token: Token) {
        let check = self.settings.token_check;
        let is_current = self.generation() == Some(generation);
        let Some(grant) = find(&mut self.current, &mut self.old, generation) else { return };
        let could_renew = grant.can_renew();
        grant.renewed(now, token, check, &mut self.random);
        grant.retry.reset();
        let ended = could_renew && !grant.can_renew();
        if !is_current {
            return;
        }
        // A login that is to replace another identity's token is wanted as before.
        if !grant.is_foreign() {
            self.retry.supersede();
            self.login_blocked = false;
            self.renewal_first = true;
        }
        if ended {
            self.actions.push_back(Action::Say(Notice::RenewalEnded { generation }));
        }
    }

    fn renewal_failed(&mut self, now: Instant, generation: Generation, failure: Failure) {
        let is_current = self.generation() == Some(generation);
        let Some(grant) = find(&mut self.current, &mut self.old, generation) else { return };
        if grant.renewal_proves_death(failure) {
            self.died(now, generation);
            return;
        }
        let (backoff, random) = (&self.settings.backoff, &mut self.random);
        let refused = failure.class == Class::Refused;
        let chance = grant.last_chance(now);
        grant.retry.obey(now, failure.retry_after, backoff, chance, random);
        let mut ended = false;
        if refused {
            ended = grant.renewal_refused(now, backoff, random);
            grant.check_now(now);
        } else {
            grant.renewal_not_refused();
        }
        if !is_current || grant.is_foreign() {
            if !refused {
                grant.retry.fail(now, failure.class, backoff, chance, random);
            }
            if ended && is_current {
                self.actions.push_back(Action::Say(Notice::RenewalEnded { generation }));
            }
            return;
        }
        let login_is_due = grant.replace_at().is_some_and(|at| at <= now);
        if refused && !login_is_due {
            self.retry.supersede();
        } else {
            self.retry.fail(now, failure.class, backoff, chance, random);
        }
        // One that the server put off has its turn before the login that would make it needless.
        self.renewal_first = failure.retry_after.is_some() && !login_is_due;
        if ended {
            self.actions.push_back(Action::Say(Notice::RenewalEnded { generation }));
        }
    }

    fn checked(&mut self, now: Instant, generation: Generation, token: Token) {
        let check = self.settings.token_check;
        if let Some(grant) = find(&mut self.current, &mut self.old, generation) {
            grant.checked(now, token, check, &mut self.random);
        }
    }

    fn check_failed(&mut self, now: Instant, generation: Generation, failure: Failure) {
        let check = self.settings.token_check;
        let Some(grant) = find(&mut self.current, &mut self.old, generation) else { return };
        if grant.check_proves_death(failure) {
            self.died(now, generation);
            return;
        }
        let backoff = &self.settings.backoff;
        let forbidden = grant.check_failed(now, failure, check, backoff, &mut self.random);
        if forbidden && !self.forbidden_said {
            self.forbidden_said = true;
            self.actions.push_back(Action::Say(Notice::CheckingForbidden));
        }
    }

    fn died(&mut self, now: Instant, generation: Generation) {
        let Some(grant) = find(&mut self.current, &mut self.old, generation) else { return };
        let was_good = grant.is_good();
        grant.die();
        if self.generation() == Some(generation) {
            self.actions.push_back(Action::Say(Notice::Died { generation }));
            if was_good {
                self.lose(now);
            }
        }
        self.forget_old();
    }

    /// The server may have refused to wrap this token for its delivery.
    fn doubt(&mut self, now: Instant, generation: Generation, failure: Failure) {
        if failure.invalid_token {
            self.died(now, generation);
        } else if failure.permission_denied
            && let Some(grant) = find(&mut self.current, &mut self.old, generation)
        {
            grant.doubt(now);
        }
    }

    /// A newer token took the place of this one.
    fn retire(&mut self, now: Instant, mut grant: Grant) {
        let generation = grant.generation;
        if !grant.is_good() {
            self.actions.push_back(Action::Forget { generation });
        } else if self.deliveries.iter().any(|delivery| delivery.holds(generation)) {
            grant.retire(now, &mut self.random);
            self.old.push(grant);
        } else if grant.may_have_arrived {
            self.actions.push_back(Action::Forget { generation });
        } else {
            self.revoke(generation);
        }
    }

    fn revoke(&mut self, generation: Generation) {
        self.actions.push_back(Action::Revoke { generation });
        self.actions.push_back(Action::Forget { generation });
    }

    /// Takes note that a change of credentials or configuration may help, or may call for a look.
    fn wake(&mut self, now: Instant) {
        if matches!(self.in_flight, Some(Request::LogIn | Request::Look)) {
            self.changed_in_flight = true;
            return;
        }
        self.login_blocked = false;
        let backoff = &self.settings.backoff;
        let replacing = self.good().map(|grant| grant.replace_at().is_some_and(|due| due <= now));
        match replacing {
            Some(false) if self.settings.reauthenticate_on_new_credentials => {
                let at = self.look_retry.hasten(now, backoff);
                self.look_at = Some(self.look_at.map_or(at, |look| look.min(at)));
            }
            Some(false) => {}
            Some(true) | None => {
                let at = self.retry.hasten(now, backoff);
                self.login_from = self.login_from.min(at);
                self.renewal_first = false;
            }
        }
    }

    fn catch_up_with_changes(&mut self, now: Instant) {
        if std::mem::take(&mut self.changed_in_flight) {
            self.wake(now);
        }
    }

    /// What waits because the server wasn't there goes on, though not everywhere at once.
    fn server_reached(&mut self, now: Instant) {
        let at = after(now, spread(LONGEST_WAKING, 0.0, 1.0, &mut self.random));
        let Settings { backoff, sink_backoff, .. } = &self.settings;
        self.retry.server_reached(at, backoff);
        if let Some(woken) = self.look_retry.server_reached(at, backoff) {
            self.look_at = self.look_at.map(|look_at| look_at.min(woken));
        }
        for grant in self.current.iter_mut().chain(&mut self.old) {
            grant.server_reached(at, backoff);
        }
        for delivery in &mut self.deliveries {
            delivery.server_reached(at, sink_backoff);
        }
    }

    fn shut_down(&mut self, phase: Phase) {
        if self.phase != Phase::Running {
            return;
        }
        self.phase = phase;
        if matches!(self.in_flight, Some(Request::LogIn | Request::Look)) {
            self.actions.push_back(Action::CancelLogin);
        } else {
            self.in_flight = None;
        }
        if phase == Phase::HandingOver {
            return;
        }
        let undelivered = self.good().map(|grant| grant.generation).filter(|&generation| {
            !self.deliveries.iter().any(|delivery| delivery.holds(generation))
        });
        if let Some(generation) = undelivered {
            self.current = None;
            self.revoke(generation);
        }
    }

    /// Ends the login or look that is in flight.
    fn authentication_ended(&mut self) -> Option<Request> {
        self.in_flight.take_if(|request| matches!(request, Request::LogIn | Request::Look))
    }

    /// Ends this request, if it is the one in flight.
    fn ended(&mut self, request: Request) -> bool {
        self.in_flight.take_if(|in_flight| *in_flight == request).is_some()
    }
}

fn next_poll(now: Instant, check_after: Option<Duration>) -> Option<Instant> {
    check_after.map(|wait| after(now, wait.max(SHORTEST_POLL)))
}
