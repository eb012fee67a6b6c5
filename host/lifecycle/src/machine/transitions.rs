//! What each event means to the machine.

use std::time::{Duration, Instant};

use super::{Lifecycle, Phase, Request};
use crate::backoff::{LONGEST_WAKING, after, spread};
use crate::lease::Setback;
use crate::token_life::TokenLife;
use crate::{Action, Class, Event, Failure, Generation, Notice, Settings, Token, Worth};

impl Lifecycle {
    /// Takes note of one event; what follows from it is started by the caller.
    pub(super) fn take_in(&mut self, now: Instant, event: Event) {
        match event {
            Event::LoggedIn { generation, token, check_after } => {
                if self.tokens.take_number(generation) {
                    self.logged_in(now, generation, token, check_after, &[]);
                }
            }
            Event::Inherited { generation, token, check_after, holders, worth } => {
                if !self.tokens.take_number(generation) {
                    return;
                }
                self.logged_in(now, generation, token, check_after, &holders);
                if let Some(token) = self.tokens.current_mut()
                    && token.generation() == generation
                {
                    if worth == Worth::Foreign {
                        token.unwanted(now);
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
                    self.looks.succeeded(now, check_after);
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
                    let concerned = self.tokens.all().filter(|token| {
                        token.generation() == generation || delivery.has(token.generation())
                    });
                    let chance = concerned
                        .filter_map(|token| token.last_chance(now))
                        .min_by_key(|chance| chance.end);
                    let random = &mut self.random;
                    delivery.failed(now, generation, failure, &self.settings, chance, random);
                    self.doubt(now, generation, failure);
                    if self.phase == Phase::HandingOver
                        && let Some(token) = self.tokens.find(generation)
                    {
                        token.delivery_cut_short();
                    }
                    self.forget_old();
                }
            }
            Event::RequestRefused { generation, invalid_token } => {
                if let Some(token) = self.tokens.find(generation) {
                    token.suspect(now, invalid_token);
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
                let token = TokenLife::new(now, generation, token, &mut self.random);
                if let Some(superseded) = self.tokens.supersede(token) {
                    self.retire(now, superseded);
                }
                self.logins.succeeded();
                self.looks.succeeded(now, check_after);
                self.catch_up_with_changes(now);
            }
            _ => self.revoke(generation),
        }
    }

    fn login_failed(&mut self, now: Instant, failure: Failure) {
        let chance = self.tokens.good().and_then(|token| token.last_chance(now));
        self.logins.failed(now, failure, chance, &self.settings.backoff, &mut self.random);
        self.catch_up_with_changes(now);
    }

    /// A failed look changes nothing, but is repeated.
    fn look_failed(&mut self, now: Instant, failure: Failure) {
        if !self.has_good_token() {
            // The token was lost meanwhile, so this was as good as a failed login.
            self.login_failed(now, failure);
            return;
        }
        self.looks.failed(now, failure, &self.settings.backoff, &mut self.random);
        self.catch_up_with_changes(now);
    }

    fn renewed(&mut self, now: Instant, generation: Generation, token: Token) {
        let check = self.settings.token_check;
        let is_current = self.tokens.is_current(generation);
        let Some(life) = self.tokens.find(generation) else { return };
        let could_renew = life.can_renew();
        life.renewed(now, token, check, &mut self.random);
        let ended = could_renew && !life.can_renew();
        if !is_current {
            return;
        }
        // A login that is to replace another identity's token is wanted as before.
        if !life.is_foreign() {
            self.logins.renewed();
        }
        if ended {
            self.actions.push_back(Action::Say(Notice::RenewalEnded { generation }));
        }
    }

    fn renewal_failed(&mut self, now: Instant, generation: Generation, failure: Failure) {
        let is_current = self.tokens.is_current(generation);
        let Some(token) = self.tokens.find(generation) else { return };
        if token.renewal_proves_death(failure) {
            self.died(now, generation);
            return;
        }
        let (backoff, random) = (&self.settings.backoff, &mut self.random);
        let chance = token.last_chance(now);
        let setback = token.renewal_failed(now, failure, backoff, random);
        if is_current && !token.is_foreign() {
            if token.replace_at().is_some_and(|at| at <= now) {
                self.logins.renewal_failed_beside_a_login(now, failure, chance, backoff, random);
            } else {
                self.logins.renewal_failed(now, failure, chance, backoff, random);
            }
        } else if setback == Setback::Passing {
            token.back_off(now, failure.class, backoff, random);
        }
        if is_current && setback == Setback::Final {
            self.actions.push_back(Action::Say(Notice::RenewalEnded { generation }));
        }
    }

    fn checked(&mut self, now: Instant, generation: Generation, token: Token) {
        let check = self.settings.token_check;
        if let Some(life) = self.tokens.find(generation) {
            life.checked(now, token, check, &mut self.random);
        }
    }

    fn check_failed(&mut self, now: Instant, generation: Generation, failure: Failure) {
        let check = self.settings.token_check;
        let Some(token) = self.tokens.find(generation) else { return };
        if token.check_proves_death(failure) {
            self.died(now, generation);
            return;
        }
        let backoff = &self.settings.backoff;
        let forbidden = token.check_failed(now, failure, check, backoff, &mut self.random);
        if forbidden && !self.forbidden_said {
            self.forbidden_said = true;
            self.actions.push_back(Action::Say(Notice::CheckingForbidden));
        }
    }

    fn died(&mut self, now: Instant, generation: Generation) {
        let is_current = self.tokens.is_current(generation);
        let Some(token) = self.tokens.find(generation) else { return };
        let was_good = token.is_good();
        token.die();
        if is_current {
            self.actions.push_back(Action::Say(Notice::Died { generation }));
            if was_good {
                self.logins.token_lost(now, &self.settings.backoff, &mut self.random);
            }
        }
        self.forget_old();
    }

    /// The server may have refused to wrap this token for its delivery.
    fn doubt(&mut self, now: Instant, generation: Generation, failure: Failure) {
        if failure.invalid_token {
            self.died(now, generation);
        } else if failure.permission_denied
            && let Some(token) = self.tokens.find(generation)
        {
            token.doubt(now);
        }
    }

    /// A newer token took the place of this one.
    fn retire(&mut self, now: Instant, mut token: TokenLife) {
        let generation = token.generation();
        if !token.is_good() {
            self.actions.push_back(Action::Forget { generation });
        } else if self.deliveries.iter().any(|delivery| delivery.holds(generation)) {
            token.retire(now, &mut self.random);
            self.tokens.keep(token);
        } else if token.may_have_arrived() {
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
        self.logins.unblock();
        let backoff = &self.settings.backoff;
        let good = self.tokens.good();
        let replacing = good.map(|token| token.replace_at().is_some_and(|due| due <= now));
        match replacing {
            Some(false) if self.settings.reauthenticate_on_new_credentials => {
                self.looks.hasten(now, backoff);
            }
            Some(false) => {}
            Some(true) | None => self.logins.hasten(now, backoff),
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
        self.logins.server_reached(at, backoff);
        self.looks.server_reached(at, backoff);
        for token in self.tokens.all_mut() {
            token.server_reached(at, backoff);
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
        let good = self.tokens.good().map(TokenLife::generation);
        let undelivered = good.filter(|&generation| {
            !self.deliveries.iter().any(|delivery| delivery.holds(generation))
        });
        if let Some(generation) = undelivered {
            self.tokens.drop_current();
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
