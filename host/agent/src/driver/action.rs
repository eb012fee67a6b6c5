//! How actions begin: each becomes a task, or is done at once if it takes no time.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use usher_engine::{Call, Reason};
use usher_lifecycle::{Action, Generation, Notice};

use super::Driver;
use super::outcome::{Outcome, say};
use crate::identity::{Deadlines, LoginOutcome};
use crate::inheritance::Inheritance;
use crate::token::Held;
use crate::trouble::Trouble;

impl Driver {
    /// Makes a task of an action, or does what takes no time.
    pub(super) fn start(&mut self, action: Action) {
        let identity = Arc::clone(&self.identity);
        match action {
            Action::LogIn { generation } if self.inherited.is_some() => {
                if let Some(inherited) = self.inherited.take() {
                    let fallback = failed_login(generation);
                    self.spawn(fallback, async move {
                        Outcome::Inherited { generation, inheritance: Box::new(inherited) }
                    });
                }
            }
            Action::LogIn { generation } if self.recall() => {
                self.called_off.send_modify(|called_off| called_off.login = None);
                let (saved, called_off) = (self.left.clone(), self.called_off.subscribe());
                self.spawn(failed_login(generation), async move {
                    match identity.go_on_with(saved, called_off).await {
                        Ok(left) => {
                            let memory = identity.method.state();
                            let inheritance = Box::new(Inheritance::of_earlier(left, memory));
                            Outcome::Inherited { generation, inheritance }
                        }
                        Err(trouble) if trouble.says_token_is_no_good() => {
                            Outcome::LeftIsLost { generation, trouble }
                        }
                        Err(trouble) => {
                            let outcome = LoginOutcome::Failed(trouble);
                            Outcome::Login { generation, outcome }
                        }
                    }
                });
            }
            Action::LogIn { generation } | Action::Look { generation } => {
                self.called_off.send_modify(|called_off| called_off.login = None);
                let look = matches!(action, Action::Look { .. });
                if look {
                    tracing::debug!(
                        identity = identity.name,
                        method = identity.kind,
                        "looking for a new credential"
                    );
                } else {
                    self.login_attempts += 1;
                    tracing::info!(
                        identity = identity.name,
                        method = identity.kind,
                        attempt = self.login_attempts,
                        "authenticating"
                    );
                }
                let call = Call {
                    reason: if look { Reason::Check } else { Reason::Login },
                    previous_failure: self.login_failure.clone(),
                };
                let known = look.then(|| self.revision.clone());
                let called_off = self.called_off.subscribe();
                self.spawn(failed_login(generation), async move {
                    let outcome = identity.log_in(call, known, called_off).await;
                    Outcome::Login { generation, outcome }
                });
            }
            Action::Renew { generation } => {
                let patience = self.patience();
                let fallback = Outcome::RenewalFailed { generation, trouble: Trouble::Defect };
                self.spawn_with_token(generation, fallback, move |held| async move {
                    match identity.renew(&held, patience).await {
                        Ok(token) => Outcome::Renewed { generation, token },
                        Err(trouble) => Outcome::RenewalFailed { generation, trouble },
                    }
                });
            }
            Action::Check { generation } => {
                self.check_began = Instant::now();
                let patience = self.patience();
                let fallback = Outcome::CheckFailed { generation, trouble: Trouble::Defect };
                self.spawn_with_token(generation, fallback, move |held| async move {
                    match identity.check(&held, patience).await {
                        Ok(token) => Outcome::Checked { generation, token },
                        Err(trouble) => Outcome::CheckFailed { generation, trouble },
                    }
                });
            }
            Action::Deliver { sink, generation } => {
                self.sink_attempts[sink] += 1;
                let fallback =
                    Outcome::DeliveryFailed { sink, generation, trouble: Trouble::Defect };
                let call = Call {
                    reason: Reason::Deliver,
                    previous_failure: self.sink_failures[sink].clone(),
                };
                let expires_at = self
                    .machine
                    .expires_at()
                    .map(|at| SystemTime::now() + at.saturating_duration_since(Instant::now()));
                let called_off = self.called_off.subscribe();
                self.spawn_with_token(generation, fallback, move |held| async move {
                    let delivered = identity
                        .deliver(sink, call, &held, generation, expires_at, called_off)
                        .await;
                    match delivered {
                        Ok(()) => Outcome::Delivered { sink, generation },
                        Err(trouble) => Outcome::DeliveryFailed { sink, generation, trouble },
                    }
                });
            }
            Action::CancelLogin => {
                let deadlines = self.hand_over;
                let deadlines = deadlines.unwrap_or_else(|| Deadlines::stopping(Instant::now()));
                self.called_off.send_modify(|called_off| called_off.login = Some(deadlines));
            }
            Action::Revoke { generation } => {
                let Some(held) = self.tokens.get(&generation).cloned() else { return };
                if held.taken_over {
                    tracing::debug!(
                        identity = identity.name,
                        "a token that came from elsewhere is left as it is"
                    );
                    return;
                }
                self.aside.spawn(async move {
                    match identity.revoke(&held).await {
                        Ok(()) => tracing::info!(identity = identity.name, "a token that was never delivered is revoked"),
                        Err(trouble) => tracing::warn!(identity = identity.name, "a token that was never delivered can't be revoked and stays until it expires: {trouble}"),
                    }
                });
            }
            Action::Forget { generation } => {
                if let Some(held) = self.tokens.remove(&generation) {
                    if self.past.len() == PAST_TOKENS {
                        self.past.pop_front();
                    }
                    self.past.extend(held.into_past());
                }
            }
            Action::Say(notice) => {
                // Requests wait for the next one instead of trying it.
                if let Notice::Died { .. } | Notice::Expired { .. } = notice {
                    self.take_token_back();
                }
                say(&identity, notice);
            }
            Action::Finished => {}
        }
    }

    /// Takes over what an earlier process has left for logins like these. Whether there is a token.
    fn recall(&mut self) -> bool {
        let identity = &self.identity;
        let left = identity.kept.as_ref().and_then(|kept| kept.left(&identity.origin()));
        if let Some(left) = left {
            identity.method.restore(left.memory);
            self.interrupted = left.login_began;
            self.left = left.token;
        }
        self.left.is_some()
    }

    fn spawn(&mut self, fallback: Outcome, task: impl Future<Output = Outcome> + Send + 'static) {
        let id = self.work.spawn(task).id();
        self.answers.insert(id, fallback);
    }

    fn spawn_with_token<F>(
        &mut self,
        generation: Generation,
        fallback: Outcome,
        task: impl FnOnce(Arc<Held>) -> F,
    ) where
        F: Future<Output = Outcome> + Send + 'static,
    {
        match self.tokens.get(&generation) {
            Some(held) => {
                let task = task(Arc::clone(held));
                self.spawn(fallback, task);
            }
            // The machine names only tokens it hasn't forgotten.
            None => self.spawn(fallback, std::future::pending()),
        }
    }

    /// How long an answer about the token is awaited: no longer than leaves time to try again
    /// before it expires.
    fn patience(&self) -> Duration {
        const LONGEST: Duration = Duration::from_mins(1);
        const SHORTEST: Duration = Duration::from_millis(250);
        let left = self.machine.expires_at().map(|at| at.saturating_duration_since(Instant::now()));
        left.map_or(LONGEST, |left| (left / 4).clamp(SHORTEST, LONGEST))
    }
}

/// What is answered for a login or a look whose task ends without an outcome.
fn failed_login(generation: Generation) -> Outcome {
    Outcome::Login { generation, outcome: LoginOutcome::Failed(Trouble::Defect) }
}

/// How many tokens are kept out of the log after they are forgotten.
const PAST_TOKENS: usize = 8;
