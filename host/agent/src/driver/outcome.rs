//! How actions end: logged, shown on the board, and made events of the lifecycle.

use std::sync::Arc;
use std::time::Instant;

use time::format_description::well_known::Rfc3339;
use usher_lifecycle::{Action, Class, Event, Generation, Notice, Step, Token, Worth};

use super::{Driver, Foreign, Report, seconds};
use crate::identity::{Identity, LoggedIn, LoginOutcome};
use crate::inheritance::Inheritance;
use crate::status::Attempt;
use crate::trouble::Trouble;

/// How an action ended.
pub(super) enum Outcome {
    /// The number is for the token that came, if one did.
    Login {
        generation: Generation,
        outcome: LoginOutcome,
    },
    /// A predecessor's token is still good, be it that of an earlier process.
    Inherited {
        generation: Generation,
        inheritance: Box<Inheritance>,
    },
    /// The server doesn't know the token any more that an earlier process has left.
    LeftIsLost {
        generation: Generation,
        trouble: Trouble,
    },
    Renewed {
        generation: Generation,
        token: Token,
    },
    RenewalFailed {
        generation: Generation,
        trouble: Trouble,
    },
    Checked {
        generation: Generation,
        token: Token,
    },
    CheckFailed {
        generation: Generation,
        trouble: Trouble,
    },
    Delivered {
        sink: usize,
        generation: Generation,
    },
    DeliveryFailed {
        sink: usize,
        generation: Generation,
        trouble: Trouble,
    },
}

impl Driver {
    /// Logs an outcome, keeps what is needed later, and makes it an event. `None`: something else is
    /// tried for the same action.
    pub(super) fn finish(&mut self, outcome: Outcome) -> Option<Event> {
        self.put_on_board(&outcome);
        let identity = Arc::clone(&self.identity);
        let event = match outcome {
            Outcome::LeftIsLost { generation, trouble } => {
                self.left_is_lost(&trouble);
                self.start(Action::LogIn { generation });
                return None;
            }
            Outcome::Login { generation, outcome } => self.finish_login(generation, outcome),
            Outcome::Inherited { generation, inheritance } => {
                self.inherit(generation, *inheritance)
            }
            Outcome::Renewed { generation, token } => {
                tracing::info!(
                    identity = identity.name,
                    ttl = token.ttl.map(seconds),
                    "renewed auth token"
                );
                Event::Renewed { generation, token }
            }
            Outcome::RenewalFailed { generation, trouble } => {
                tracing::warn!(
                    error = %trouble,
                    identity = identity.name,
                    expires_in = self.expires_in(),
                    "error renewing token"
                );
                Event::RenewalFailed { generation, failure: trouble.for_lifecycle() }
            }
            Outcome::Checked { generation, token } => {
                tracing::debug!(
                    identity = identity.name,
                    ttl = token.ttl.map(seconds),
                    "the token is alive"
                );
                Event::Checked { generation, token }
            }
            Outcome::CheckFailed { generation, trouble } => {
                tracing::debug!(
                    error = %trouble,
                    identity = identity.name,
                    expires_in = self.expires_in(),
                    "error checking token"
                );
                Event::CheckFailed { generation, failure: trouble.for_lifecycle() }
            }
            Outcome::Delivered { sink, generation } => {
                tracing::info!(
                    identity = identity.name,
                    sink = identity.sinks[sink].name,
                    "token written"
                );
                self.sink_failures[sink] = None;
                self.sink_attempts[sink] = 0;
                Event::Delivered { sink, generation }
            }
            Outcome::DeliveryFailed { sink, generation, trouble } => {
                let event =
                    Event::DeliveryFailed { sink, generation, failure: trouble.for_lifecycle() };
                let attempts = self.sink_attempts[sink];
                let failure = trouble.failure();
                let same =
                    self.sink_failures[sink].as_ref().is_some_and(|last| last.code == failure.code);
                // A disk that stays full for days is no news every few seconds.
                if !same || attempts.is_power_of_two() {
                    tracing::error!(
                        error = %trouble,
                        identity = identity.name,
                        sink = identity.sinks[sink].name,
                        attempt = attempts,
                        "error delivering token, it is tried again"
                    );
                }
                self.sink_failures[sink] = Some(failure);
                let _ = self.reports.send(Report::DeliveryFailed { identity: self.number });
                event
            }
        };
        Some(event)
    }

    fn put_on_board(&self, outcome: &Outcome) {
        let board = &self.board;
        match outcome {
            Outcome::Login { outcome, .. } => match outcome {
                LoginOutcome::LoggedIn(_) => board.succeeded(Attempt::Login),
                LoginOutcome::Failed(Trouble::Stopping)
                | LoginOutcome::Unchanged { .. }
                | LoginOutcome::LookFailed(_) => {}
                LoginOutcome::Failed(trouble) => board.failed(Attempt::Login, trouble),
            },
            Outcome::Inherited { .. } | Outcome::LeftIsLost { .. } => {}
            Outcome::Renewed { .. } => board.succeeded(Attempt::Renewal),
            Outcome::RenewalFailed { trouble, .. } => board.failed(Attempt::Renewal, trouble),
            Outcome::Checked { .. } => board.succeeded(Attempt::Check),
            Outcome::CheckFailed { trouble, .. } => board.failed(Attempt::Check, trouble),
            Outcome::Delivered { sink, .. } => board.succeeded(Attempt::Delivery(*sink)),
            Outcome::DeliveryFailed { sink, trouble, .. } => {
                board.failed(Attempt::Delivery(*sink), trouble);
            }
        }
    }

    fn finish_login(&mut self, generation: Generation, outcome: LoginOutcome) -> Event {
        let identity = Arc::clone(&self.identity);
        match outcome {
            LoginOutcome::LoggedIn(new) => {
                let LoggedIn { held, token, revision, check_after, is_kept } = *new;
                tracing::info!(
                    identity = identity.name,
                    method = identity.kind,
                    ttl = token.ttl.map(seconds),
                    renewable = token.renewable,
                    "authentication successful, sending token to sinks"
                );
                tracing::debug!(
                    identity = identity.name,
                    accessor = held.accessor,
                    "token accessor"
                );
                let _ = self.reports.send(Report::LoggedIn { identity: self.number });
                self.login_failure = None;
                self.login_attempts = 0;
                self.revision = revision;
                self.check_after = check_after;
                self.foreign = None;
                self.sink_attempts.fill(0);
                self.tokens.insert(generation, Arc::new(held));
                self.left = None;
                self.interrupted = None;
                let mut called_off = self.called_off.subscribe();
                self.aside.spawn(async move {
                    // Not before a restart can do without them.
                    if is_kept || identity.keep_token(&mut called_off).await {
                        identity.confirm().await;
                    }
                });
                Event::LoggedIn { generation, token, check_after }
            }
            LoginOutcome::Failed(trouble) => {
                let event = Event::LoginFailed(trouble.for_lifecycle());
                self.login_failure = Some(trouble.failure());
                if !matches!(trouble, Trouble::Stopping) {
                    self.unreported = Some(trouble);
                }
                event
            }
            LoginOutcome::Unchanged { check_after } => {
                self.check_after = check_after;
                Event::Unchanged { check_after }
            }
            LoginOutcome::LookFailed(failure) => {
                tracing::debug!(
                    identity = identity.name,
                    method = identity.kind,
                    "no credential to look at: {}",
                    failure
                );
                Event::LookFailed(Trouble::from(failure).for_lifecycle())
            }
        }
    }

    fn inherit(&mut self, generation: Generation, inheritance: Inheritance) -> Event {
        let identity = self.identity.name.as_str();
        let Inheritance { held, token, revision, check_after, memory, holders, worth } =
            inheritance;
        let _ = self.reports.send(Report::LoggedIn { identity: self.number });
        for &sink in &holders {
            let sink = self.identity.sinks[sink].name.as_str();
            tracing::debug!(identity, sink, "the sink keeps the token that it has");
        }
        self.left = None;
        self.interrupted = None;
        self.tokens.insert(generation, held);
        if worth == Worth::Foreign {
            tracing::info!(
                identity,
                "the token in use is another identity's now; it goes on until a login has succeeded"
            );
            self.foreign = Some(Foreign { revision, check_after, memory });
            let check_after = None;
            return Event::Inherited { generation, token, check_after, holders, worth };
        }
        tracing::info!(identity, "the token in use goes on");
        self.revision = revision;
        self.check_after = check_after;
        Event::Inherited { generation, token, check_after, holders, worth }
    }

    /// What an earlier process has left is of no use.
    fn left_is_lost(&mut self, trouble: &Trouble) {
        tracing::warn!(
            identity = self.identity.name,
            error = %trouble,
            "the token that an earlier run left is no longer valid on the server; logging in"
        );
        self.left = None;
    }

    /// Says why a login failed and when the next one follows, once the machine knows.
    pub(super) fn report_login(&mut self, trouble: &Trouble) {
        let (identity, method) = (self.identity.name.as_str(), self.identity.kind.as_str());
        let (attempt, error) = (self.login_attempts, trouble);
        let retry_in = self
            .machine
            .next_step()
            .filter(|next| matches!(next.step, Step::LogIn | Step::Renew))
            .map(|next| seconds(next.at.saturating_duration_since(Instant::now())));
        match trouble.class() {
            Class::Configuration => tracing::error!(
                %error,
                identity,
                method,
                attempt,
                "error authenticating, not tried again before the configuration or the plug-in changes"
            ),
            Class::Refused => {
                tracing::error!(
                    %error,
                    identity,
                    method,
                    attempt,
                    retry_in,
                    "error authenticating"
                );
            }
            Class::Passing => {
                tracing::warn!(
                    %error,
                    identity,
                    method,
                    attempt,
                    retry_in,
                    "error authenticating"
                );
            }
        }
        if let (Class::Refused, Some(began)) = (trouble.class(), self.interrupted.take()) {
            let began = time::OffsetDateTime::from(began);
            tracing::error!(
                identity,
                began = began.format(&Rfc3339).unwrap_or_default(),
                "an earlier run was ended in the middle of a login, and what the server may have granted it is lost: if the credential works only once, it is used, and a new one is needed"
            );
        }
        let awaits_plugin = matches!(trouble, Trouble::Awaiting(_));
        let _ = self.reports.send(Report::LoginFailed {
            identity: self.number,
            class: trouble.class(),
            awaits_plugin,
        });
    }
}

pub(super) fn say(identity: &Identity, notice: Notice) {
    let name = identity.name.as_str();
    match notice {
        Notice::CheckingForbidden => tracing::warn!(
            identity = name,
            "the token's policies forbid auth/token/lookup-self, so a revoked token is noticed only at its next renewal; allow it (the default policy does) or set token_check_interval = 0"
        ),
        Notice::Lifeless { .. } => tracing::error!(
            identity = name,
            "the server granted a token with no life left; check the role's TTLs and both clocks"
        ),
        Notice::RenewalEnded { .. } => tracing::info!(
            identity = name,
            "the token can't be renewed any further; a new login follows before it expires"
        ),
        Notice::Died { .. } => tracing::warn!(
            identity = name,
            "the token is no longer valid on the server (revoked, or lost by it); logging in again"
        ),
        Notice::Expired { .. } => {
            tracing::error!(identity = name, "the token has expired before a new one could be had");
        }
    }
}
