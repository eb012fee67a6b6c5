//! Drives one identity: turns the lifecycle's actions into calls and their results into events.
//!
//! Every action runs in a task of its own and answers with exactly one event, also if it panics.
//! The tokens live here, by generation; the machine never sees one.

mod action;
mod feed;
mod outcome;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::timeout_at;
use usher_engine::Failure;
use usher_lifecycle::{Action, Class, Event, Generation, Lifecycle, Settings, Token, Worth};
use usher_secret::Secret;
use usher_secret::redactor::Live;
use usher_watch::Watcher;

use self::feed::Doubts;
use self::outcome::Outcome;
use crate::identity::{CalledOff, Deadlines, Identity, Life};
use crate::inheritance::{Estate, Inheritance};
use crate::part::{Ending, Order};
use crate::persistence::SavedToken;
use crate::status::Handle;
use crate::target::NamedTarget;
use crate::token::Held;
use crate::trouble::Trouble;

/// What an identity tells the agent.
pub(crate) enum Report {
    /// A login failed; perhaps only because its plug-in isn't there yet.
    LoginFailed { identity: u64, class: Class, awaits_plugin: bool },
    /// A login succeeded.
    LoggedIn { identity: u64 },
    /// A sink refused or missed its token.
    DeliveryFailed { identity: u64 },
    /// Every sink has the newest token, and one-shot credentials are removed.
    Delivered { identity: u64 },
}

impl Report {
    /// Who reports.
    pub(crate) fn identity(&self) -> u64 {
        match self {
            Self::LoginFailed { identity, .. }
            | Self::LoggedIn { identity }
            | Self::DeliveryFailed { identity }
            | Self::Delivered { identity } => *identity,
        }
    }
}

/// What an identity begins with.
pub(crate) struct Start {
    /// Tells its reports from those of others.
    pub(crate) number: u64,
    pub(crate) identity: Arc<Identity>,
    pub(crate) inherited: Option<Inheritance>,
    pub(crate) watcher: Watcher,
    pub(crate) board: Handle,
    pub(crate) reports: mpsc::UnboundedSender<Report>,
    pub(crate) orders: watch::Receiver<Order>,
    /// How it lives; read anew at each order to go on.
    pub(crate) life: watch::Receiver<Arc<Life>>,
    /// What is under way already and is awaited before the end.
    pub(crate) aside: JoinSet<()>,
}

/// Runs an identity until it is told to end and everything is in order. It begins with the token
/// that it inherits, if any, and leaves its own to a successor.
pub(crate) async fn run(start: Start) -> Estate {
    let Start { number, identity, inherited, watcher, board, reports, orders, life, aside } = start;
    let sinks = identity.sinks.len();
    let settings = Settings { sinks, ..life.borrow().with(&*identity.method) };
    let machine = Lifecycle::new(Instant::now(), settings, rand::random());
    // Boxed once: a future would hold a copy of it for each function that takes it over.
    let mut driver = Box::new(Driver {
        number,
        identity,
        life,
        machine,
        tokens: HashMap::new(),
        past: VecDeque::new(),
        work: JoinSet::new(),
        answers: HashMap::new(),
        aside,
        called_off: watch::Sender::default(),
        hand_over: None,
        inherited,
        left: None,
        interrupted: None,
        foreign: None,
        revision: String::new(),
        check_after: None,
        check_began: Instant::now(),
        login_failure: None,
        unreported: None,
        login_attempts: 0,
        sink_failures: vec![None; sinks],
        sink_attempts: vec![0; sinks],
        board,
        reports,
        told_delivered: None,
    });
    driver.run(watcher, orders).await
}

struct Driver {
    number: u64,
    identity: Arc<Identity>,
    /// As the configuration says by now.
    life: watch::Receiver<Arc<Life>>,
    machine: Lifecycle,
    tokens: HashMap<Generation, Arc<Held>>,
    work: JoinSet<Outcome>,
    /// Keeps the last tokens out of the log after they are forgotten: a server's late answer may
    /// repeat one that is still valid.
    past: VecDeque<Live>,
    /// What a task answers that ends without an outcome.
    answers: HashMap<Id, Outcome>,
    /// Revocations and the removal of one-shot files: nobody waits for them but the end.
    aside: JoinSet<()>,
    /// Ends what is under way.
    called_off: watch::Sender<CalledOff>,
    /// Until when a successor waits for such a login, and for what is under way aside.
    hand_over: Option<Deadlines>,
    inherited: Option<Inheritance>,
    /// What an earlier process has left, until the server has said what it is worth.
    left: Option<SavedToken>,
    /// When a login was under way as that ended: its answer may be lost.
    interrupted: Option<SystemTime>,
    /// While the newest token is another identity's: what belongs to it.
    foreign: Option<Foreign>,
    /// Of the credential behind the newest token.
    revision: String,
    /// When the method wants to be looked at again.
    check_after: Option<Duration>,
    /// The last look-up.
    check_began: Instant,
    login_failure: Option<Failure>,
    /// A failed login that the machine must hear of before the log says when the next one is due.
    unreported: Option<Trouble>,
    login_attempts: u64,
    sink_failures: Vec<Option<Failure>>,
    sink_attempts: Vec<u64>,
    board: Handle,
    reports: mpsc::UnboundedSender<Report>,
    /// The generation of which the agent knows that every sink has it.
    told_delivered: Option<Generation>,
}

/// What goes with a token that an identity has inherited but would not have got itself.
struct Foreign {
    revision: String,
    check_after: Option<Duration>,
    memory: Secret<Vec<u8>>,
}

impl Driver {
    async fn run(&mut self, watcher: Watcher, mut orders: watch::Receiver<Order>) -> Estate {
        let mut ending = None;
        let mut watched = self.identity.method.watched();
        let mut changes = watcher.watch(&watched);
        let mut recoveries = self.identity.client.governor().recoveries();
        let mut doubts = Doubts::of(self.identity.feed());
        loop {
            while let Some(action) = self.machine.poll_action() {
                if action == Action::Finished {
                    return Box::pin(self.end(ending.unwrap_or(Ending::Final))).await;
                }
                self.start(action);
            }
            self.tell_delivered();
            let next = self.machine.next_step();
            self.board.show(&self.machine, next, |generation| {
                self.tokens.get(&generation).map(|held| held.accessor.clone())
            });
            let timeout = next.map(|next| next.at);
            let event = tokio::select! {
                Some(ended) = self.work.join_next_with_id(), if !self.work.is_empty() => {
                    let outcome = match ended {
                        Ok((id, outcome)) => {
                            self.answers.remove(&id);
                            Some(outcome)
                        }
                        Err(error) => self.answers.remove(&error.id()),
                    };
                    outcome.and_then(|outcome| self.finish(outcome))
                }
                Some(_) = self.aside.join_next(), if !self.aside.is_empty() => None,
                () = changes.changed(), if ending.is_none() => Some(Event::CredentialsChanged),
                Ok(()) = recoveries.changed() => Some(Event::ServerReached),
                Some(doubt) = doubts.next() => Some(doubt),
                () = until(timeout) => {
                    self.machine.handle_timeout(Instant::now());
                    None
                }
                order = orders.changed(), if ending.is_none() => {
                    let order = order.map(|()| *orders.borrow_and_update());
                    match order {
                        Ok(Order::Run { .. }) => Some(Event::ConfigurationChanged),
                        Ok(Order::End(how)) => {
                            ending = Some(how);
                            Some(match how {
                                Ending::HandOver { patience } => {
                                    let now = Instant::now();
                                    self.hand_over = Some(Deadlines::handing_over(now, patience));
                                    Event::HandOver
                                }
                                Ending::Leave | Ending::Final => Event::ShutDown,
                            })
                        }
                        // The agent is gone.
                        Err(_) => {
                            ending = Some(Ending::Final);
                            Some(Event::ShutDown)
                        }
                    }
                }
            };
            if let Some(event) = event {
                if matches!(event, Event::ShutDown | Event::HandOver) {
                    self.called_off.send_modify(|called_off| called_off.deliveries = true);
                }
                // Another version of the plug-in may read other files, and see a new credential
                // differently.
                if matches!(event, Event::ConfigurationChanged | Event::CredentialsChanged) {
                    let settings = self.life.borrow().with(&*self.identity.method);
                    self.machine.set(Instant::now(), settings);
                    if watched != self.identity.method.watched() {
                        watched = self.identity.method.watched();
                        changes = watcher.watch(&watched);
                    }
                }
                self.handle(event);
            }
            if let Some(trouble) = self.unreported.take() {
                self.report_login(&trouble);
            }
        }
    }

    async fn end(&mut self, ending: Ending) -> Estate {
        if ending == Ending::Final {
            self.take_token_back();
            self.identity.withdraw(NamedTarget::is_removed_on_exit).await;
            if self.identity.revoke_on_exit {
                self.revoke().await;
            }
        }
        if let Some(kept) = &self.identity.kept {
            kept.ends().await;
        }
        let (hand_over, aside) = (self.hand_over, &mut self.aside);
        let all = async { while aside.join_next().await.is_some() {} };
        match hand_over {
            // A server that hangs must not cost the token: the rest goes on with the successor.
            Some(deadlines) => {
                let _ = timeout_at(deadlines.server.into(), all).await;
            }
            None => all.await,
        }
        Estate { token: self.inheritance(), under_way: std::mem::take(&mut self.aside) }
    }

    /// The good token, if there is one, with what belongs to it.
    fn inheritance(&mut self) -> Option<Inheritance> {
        let newest = self.machine.generation().filter(|_| self.machine.has_good_token())?;
        let held = self.tokens.get(&newest)?;
        let left = |at: Instant| at.saturating_duration_since(Instant::now());
        let ttl = self.machine.expires_at().map(left);
        let Foreign { revision, check_after, memory } = match self.foreign.take() {
            Some(foreign) => foreign,
            None => Foreign {
                revision: self.revision.clone(),
                check_after: self.check_after,
                memory: self.identity.method.state(),
            },
        };
        let sinks = 0..self.identity.sinks.len();
        Some(Inheritance {
            held: Arc::clone(held),
            token: Token { ttl, ..held.granted },
            revision,
            check_after,
            memory,
            holders: sinks
                .filter(|&sink| self.machine.delivered_to(sink) == Some(newest))
                .collect(),
            worth: Worth::Own,
        })
    }

    async fn revoke(&self) {
        let identity = self.identity.name.as_str();
        for held in self.tokens.values() {
            match self.identity.revoke(held).await {
                Ok(()) => {
                    tracing::info!(identity, "the token is revoked, as on_exit asks");
                    if let Some(kept) = &self.identity.kept {
                        kept.token_is_gone().await;
                    }
                }
                Err(trouble) => tracing::warn!(
                    identity,
                    "the token can't be revoked and stays until it expires: {trouble}"
                ),
            }
        }
    }

    /// Tells the agent once for each token that every sink has it.
    fn tell_delivered(&mut self) {
        let newest = self.machine.generation();
        if newest > self.told_delivered && self.machine.all_delivered() && self.aside.is_empty() {
            self.told_delivered = newest;
            let _ = self.reports.send(Report::Delivered { identity: self.number });
        }
    }

    fn expires_in(&self) -> Option<f64> {
        self.machine.expires_at().map(|at| seconds(at.saturating_duration_since(Instant::now())))
    }
}

/// Returns then; never, if it is never.
pub(crate) async fn until(timeout: Option<Instant>) {
    match timeout {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// For the log: whole milliseconds are enough.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
