//! The agent: runs every identity, and knows when to end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use usher_config::{Diagnostic, Loaded, Settings};
use usher_engine::{Engine, Kind};
use usher_lifecycle::{Class, Worth};
use usher_server::Client;
use usher_watch::Watcher;

use crate::admin::{Doors, Request};
use crate::bind;
use crate::driver::{self, Ending, Order, Report};
use crate::exit::Exit;
use crate::identity::{Identity, Life};
use crate::inheritance::Inheritance;
use crate::live::{Live, Taken};
use crate::logging::ASKED_FOR;
use crate::notify::Notifier;
use crate::plugins::Patience;
use crate::process::PidFile;
use crate::reporter::Reporter;
use crate::signals::{Signals, Wish};
use crate::status::{Board, Report as Status};

/// How many requests of operators may wait for the run loop.
const REQUESTS: usize = 8;

/// A clean shutdown takes at most this long.
pub(crate) const LONGEST_SHUTDOWN: Duration = Duration::from_secs(10);

/// Runs the agent to its end. `timeout` counts with `exit_after_auth`; `load` reads the
/// configuration again, `show` makes of a status what people read, and `reporter` is told what is
/// wrong with a configuration.
pub async fn run(
    settings: Settings,
    timeout: Option<Duration>,
    load: impl Fn() -> Loaded + Clone + Send + 'static,
    mut signals: Signals,
    show: fn(&Status) -> String,
    reporter: Reporter,
) -> Exit {
    let complain = reporter.complain;
    if let Err(error) = signals.end_in_order() {
        complain(&format!("error: signals can't be handled: {error}"));
        return Exit::Failed;
    }
    let board = Board::new();
    let answering = {
        let board = board.clone();
        let tell = move || tell(&show(&board.report()));
        tokio::spawn(signals.questions().answer(tell))
    };
    let notifier = Notifier::from_environment();
    let following = tokio::spawn(notifier.clone().follow(board.clone()));
    // Compiling a large plug-in takes a while; the agent can be stopped meanwhile.
    let bound = tokio::select! {
        bound = Bound::new(&settings, reporter) => bound,
        () = signals.terminate() => return Exit::Done,
    };
    let bound = match bound {
        Ok(bound) => bound,
        Err(problems) => {
            for problem in problems {
                complain(&problem.to_string());
            }
            return Exit::Configuration;
        }
    };
    let _pid_file = match settings.pid_file.as_deref().map(PidFile::write).transpose() {
        Ok(pid_file) => pid_file,
        Err(error) => {
            complain(&format!(
                "error: the pid file can't be written ({error}); correct pid_file or the permissions of its directory"
            ));
            return Exit::Configuration;
        }
    };
    let (requests, asked) = mpsc::channel(REQUESTS);
    let _doors = match Doors::open(&settings, &board, requests).await {
        Ok(doors) => doors,
        Err(problems) => {
            for problem in problems {
                complain(&problem.to_string());
            }
            return Exit::Configuration;
        }
    };
    let agent = Agent::new(settings, bound, load, board, notifier, reporter);
    let exit = agent.run(signals, asked, timeout).await;
    following.abort();
    answering.abort();
    exit
}

/// The status in the log, a line for each of its lines.
fn tell(status: &str) {
    for line in status.lines().filter(|line| !line.is_empty()) {
        tracing::info!(target: ASKED_FOR, "{line}");
    }
}

/// The configuration with everything that it names.
struct Bound {
    engine: Engine,
    client: Client,
    identities: Vec<Identity>,
}

impl Bound {
    async fn new(settings: &Settings, reporter: Reporter) -> Result<Self, Vec<Diagnostic>> {
        let client = bind::client(settings).map_err(|problem| vec![problem])?;
        let engine = bind::engine(settings).map_err(|problem| vec![problem])?;
        let identities =
            bind::identities(settings, |_| true, &engine, &client, Patience::Wait, reporter)
                .await?;
        Ok(Self { engine, client, identities })
    }
}

/// Everything that runs, and what decides when it ends.
pub(crate) struct Agent<L> {
    pub(crate) settings: Settings,
    pub(crate) load: L,
    pub(crate) engine: Engine,
    pub(crate) client: Client,
    pub(crate) watcher: Watcher,
    pub(crate) identities: BTreeMap<u64, Running>,
    pub(crate) tasks: JoinSet<Option<Inheritance>>,
    /// Numbers are never used twice.
    pub(crate) last_number: u64,
    pub(crate) reports: mpsc::UnboundedSender<Report>,
    pub(crate) inbox: mpsc::UnboundedReceiver<Report>,
    /// Grows with each configuration and each plug-in that comes into force.
    pub(crate) changes: u64,
    pub(crate) board: Board,
    pub(crate) notifier: Notifier,
    pub(crate) reporter: Reporter,
    /// Follows the plug-in directory, if there is one.
    pub(crate) live: Option<Live>,
    taken: mpsc::UnboundedReceiver<Taken>,
    /// Whether `exit_after_auth` waits for what may still come.
    has_timeout: bool,
}

/// An identity at work.
pub(crate) struct Running {
    pub(crate) name: String,
    pub(crate) identity: Arc<Identity>,
    pub(crate) task: AbortHandle,
    pub(crate) orders: watch::Sender<Order>,
    /// In force; not always those that it began with.
    pub(crate) life: Arc<Life>,
    pub(crate) exit_on_err: bool,
    pub(crate) delivered: bool,
    /// Since its last success.
    pub(crate) login_failure: Option<Class>,
    pub(crate) sink_failed: bool,
}

/// An identity that a reload replaces.
pub(crate) struct Predecessor {
    pub(crate) identity: Arc<Identity>,
    pub(crate) inheritance: Option<Inheritance>,
}

impl Predecessor {
    /// What the successor gets of it. What the method remembers goes to one that logs in alike.
    fn leave_to(self, heir: &Identity) -> Option<Inheritance> {
        let Self { identity, inheritance } = self;
        if identity.origin() == heir.origin() {
            heir.method.restore(identity.method.state());
        }
        let inherited = inheritance.and_then(|left| left.pass_on(&identity, heir));
        if let Some(inherited) = &inherited
            && inherited.worth == Worth::Own
        {
            heir.method.restore(inherited.memory.clone());
        }
        inherited
    }
}

impl Running {
    /// Tells it that something came into force.
    pub(crate) fn tell(&self, changes: u64) {
        self.orders.send_replace(Order::Run { changes, life: Arc::clone(&self.life) });
    }
}

impl<L: Fn() -> Loaded + Clone + Send + 'static> Agent<L> {
    fn new(
        settings: Settings,
        bound: Bound,
        load: L,
        board: Board,
        notifier: Notifier,
        reporter: Reporter,
    ) -> Self {
        board.set_server(&bound.client);
        board.set_engine(&bound.engine);
        let (reports, inbox) = mpsc::unbounded_channel();
        let (taking, taken) = mpsc::unbounded_channel();
        let mut agent = Self {
            settings,
            load,
            engine: bound.engine,
            client: bound.client,
            watcher: Watcher::default(),
            identities: BTreeMap::new(),
            tasks: JoinSet::new(),
            last_number: 0,
            reports,
            inbox,
            changes: 0,
            board,
            notifier,
            reporter,
            live: None,
            taken,
            has_timeout: false,
        };
        for identity in bound.identities {
            agent.start(identity, None);
        }
        agent.live = Live::start(
            &agent.settings,
            &agent.engine,
            &agent.watcher,
            &agent.board,
            taking,
            reporter,
        );
        agent
    }

    /// Starts an identity, perhaps in the place of another one of its name.
    pub(crate) fn start(&mut self, identity: Identity, predecessor: Option<Predecessor>) {
        self.last_number += 1;
        let number = self.last_number;
        let name = identity.name.clone();
        let configured = self.settings.identities.iter().find(|known| known.name == name);
        // The workload has a token: a successor's first failure is no reason to end.
        let exit_on_err =
            predecessor.is_none() && configured.is_some_and(|known| known.method.exit_on_err);
        let inherited = predecessor.and_then(|predecessor| predecessor.leave_to(&identity));
        let life = Arc::clone(&identity.life);
        let first = Order::Run { changes: self.changes, life: Arc::clone(&life) };
        let (orders, received) = watch::channel(first);
        let sinks = identity.sinks.iter().map(|sink| (sink.name.clone(), sink.kind.clone()));
        let place = self.board.identity(&name, &identity.kind, sinks);
        let identity = Arc::new(identity);
        let run = driver::run(
            number,
            Arc::clone(&identity),
            inherited,
            self.watcher.clone(),
            place,
            self.reports.clone(),
            received,
        );
        let task = self.tasks.spawn(run);
        let running = Running {
            name,
            identity,
            task,
            orders,
            life,
            exit_on_err,
            delivered: false,
            login_failure: None,
            sink_failed: false,
        };
        self.identities.insert(number, running);
    }

    async fn run(
        mut self,
        mut signals: Signals,
        mut asked: mpsc::Receiver<Request>,
        timeout: Option<Duration>,
    ) -> Exit {
        let deadline = async {
            match timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(deadline);
        self.has_timeout = timeout.is_some();
        let (exit, ending) = loop {
            tokio::select! {
                Some(report) = self.inbox.recv() => if let Some(exit) = self.judge(report) {
                    let handed_over = exit == Exit::Done;
                    break (exit, if handed_over { Ending::Leave } else { Ending::Final });
                },
                Some(ended) = self.tasks.join_next_with_id() => {
                    // Nobody asked it to end, so it panicked. That is logged; the others go on.
                    let task = ended.map_or_else(|error| error.id(), |(task, _)| task);
                    self.identities.retain(|_, identity| identity.task.id() != task);
                    if self.identities.is_empty() || self.settings.exit_after_auth {
                        break (Exit::Failed, Ending::Final);
                    }
                },
                Some((kind, name)) = self.taken.recv() => self.wake_users(kind, &name),
                wish = signals.next() => match wish {
                    Wish::End => {
                        tracing::info!("shutting down");
                        break (Exit::Done, Ending::Final);
                    }
                    Wish::Reload => if self.reload(&mut signals, &mut asked).await.is_none() {
                        break (Exit::Done, Ending::Final);
                    },
                },
                Some(request) = asked.recv() => match request {
                    Request::Pulse(felt) => { let _ = felt.send(()); }
                    Request::Reload(answer) => {
                        let Some(done) = self.reload(&mut signals, &mut asked).await else {
                            break (Exit::Done, Ending::Final);
                        };
                        let _ = answer.send(done);
                    }
                },
                () = &mut deadline, if self.settings.exit_after_auth => {
                    break (self.timed_out(), Ending::Final);
                }
            }
        };
        self.notifier.stopping();
        drop(asked);
        for identity in self.identities.values() {
            identity.orders.send_replace(Order::End(ending));
        }
        let end = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(LONGEST_SHUTDOWN, end).await.is_err() {
            tracing::warn!("the shutdown takes too long; ending all the same");
        }
        exit
    }

    /// What only a new plug-in could mend is tried again.
    fn wake_users(&mut self, kind: Kind, name: &str) {
        self.changes += 1;
        for running in self.identities.values() {
            let identity = &running.identity;
            let uses = match kind {
                Kind::AuthMethod => identity.kind == name,
                Kind::Sink => identity.sinks.iter().any(|sink| sink.kind == name),
            };
            if uses {
                running.tell(self.changes);
            }
        }
    }

    /// The exit status, if a report ends the agent.
    fn judge(&mut self, report: Report) -> Option<Exit> {
        let exit_after_auth = self.settings.exit_after_auth;
        // One that was replaced meanwhile has nothing to say.
        let identity = self.identities.get_mut(&report.identity())?;
        match report {
            Report::LoginFailed { class, awaits_plugin, .. } => {
                identity.login_failure = Some(class);
                let waits = awaits_plugin && self.has_timeout;
                let one_shot = exit_after_auth && class == Class::Configuration && !waits;
                return (identity.exit_on_err || one_shot).then(|| class.into());
            }
            Report::LoggedIn { .. } => identity.login_failure = None,
            Report::DeliveryFailed { .. } => identity.sink_failed = true,
            Report::Delivered { .. } => {
                identity.delivered = true;
                identity.sink_failed = false;
            }
        }
        let done = exit_after_auth && self.identities.values().all(|identity| identity.delivered);
        done.then(|| {
            tracing::info!("sinks finished, exiting");
            Exit::Done
        })
    }

    fn timed_out(&self) -> Exit {
        tracing::error!("not every sink has its token within --timeout; giving up");
        // What must be mended first: the login.
        let mut identities = self.identities.values();
        match identities.clone().find_map(|identity| identity.login_failure) {
            Some(class) => class.into(),
            None if identities.any(|identity| identity.sink_failed) => Exit::Sink,
            None => Exit::Failed,
        }
    }
}
