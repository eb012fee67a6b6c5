//! The agent: runs every identity, reloads the configuration, and knows when to end.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, Id, JoinSet};
use usher_config::{Diagnostic, Loaded, Log, Settings};
use usher_engine::Engine;
use usher_lifecycle::Class;
use usher_server::Client;
use usher_watch::Watcher;

use crate::admin::{Doors, ReloadAnswer, Request};
use crate::bind;
use crate::cli::complain;
use crate::driver::{self, Ending, Order, Report};
use crate::identity::{Identity, Inheritance};
use crate::logging;
use crate::notify::Notifier;
use crate::process::PidFile;
use crate::status::Board;

const SUCCESS: u8 = 0;
const FAILURE: u8 = 1;
const CONFIGURATION: u8 = 2;
const REFUSED: u8 = 3;
const SINK: u8 = 4;

/// How many requests of operators may wait for the run loop.
const REQUESTS: usize = 8;

/// A clean shutdown takes at most this long.
const LONGEST_SHUTDOWN: Duration = Duration::from_secs(10);

/// Runs the agent and returns its exit status. `timeout` counts with `exit_after_auth`; `load`
/// reads the configuration again.
pub(crate) async fn run(
    settings: Settings,
    timeout: Option<Duration>,
    load: impl Fn() -> Loaded + Clone + Send + 'static,
) -> u8 {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            complain(&format!("error: signals can't be handled: {error}"));
            return FAILURE;
        }
    };
    let board = Board::new();
    let notifier = Notifier::from_environment();
    let following = tokio::spawn(notifier.clone().follow(board.clone()));
    // Compiling a large plug-in takes a while; the agent can be stopped meanwhile.
    let bound = tokio::select! {
        bound = Bound::new(&settings) => bound,
        () = signals.terminate() => return SUCCESS,
    };
    let bound = match bound {
        Ok(bound) => bound,
        Err(problems) => {
            for problem in problems {
                complain(&problem.to_string());
            }
            return CONFIGURATION;
        }
    };
    let _pid_file = match settings.pid_file.as_deref().map(PidFile::write).transpose() {
        Ok(pid_file) => pid_file,
        Err(error) => {
            complain(&format!(
                "error: the pid file can't be written ({error}); correct pid_file or the permissions of its directory"
            ));
            return CONFIGURATION;
        }
    };
    let (requests, asked) = mpsc::channel(REQUESTS);
    let _doors = match Doors::open(&settings, &board, requests).await {
        Ok(doors) => doors,
        Err(problems) => {
            for problem in problems {
                complain(&problem.to_string());
            }
            return CONFIGURATION;
        }
    };
    let status =
        Agent::new(settings, bound, load, board, notifier).run(signals, asked, timeout).await;
    following.abort();
    status
}

/// The configuration with everything that it names.
struct Bound {
    engine: Engine,
    client: Client,
    identities: Vec<Identity>,
}

impl Bound {
    async fn new(settings: &Settings) -> Result<Self, Vec<Diagnostic>> {
        let client = bind::client(settings).map_err(|problem| vec![problem])?;
        let engine = bind::engine(settings).map_err(|problem| vec![problem])?;
        let identities = bind::identities(settings, |_| true, &engine, &client).await?;
        Ok(Self { engine, client, identities })
    }
}

/// Everything that runs, and what decides when it ends.
struct Agent<L> {
    settings: Settings,
    load: L,
    engine: Engine,
    client: Client,
    watcher: Watcher,
    identities: BTreeMap<u64, Running>,
    tasks: JoinSet<Option<Inheritance>>,
    /// Numbers are never used twice.
    last_number: u64,
    reports: mpsc::UnboundedSender<Report>,
    inbox: mpsc::UnboundedReceiver<Report>,
    reloads: u64,
    board: Board,
    notifier: Notifier,
}

/// An identity at work.
struct Running {
    name: String,
    identity: Arc<Identity>,
    task: AbortHandle,
    orders: watch::Sender<Order>,
    exit_on_err: bool,
    delivered: bool,
    /// Since its last success.
    login_failure: Option<Class>,
    sink_failed: bool,
}

/// An identity that a reload replaces.
struct Predecessor {
    identity: Arc<Identity>,
    /// The same method at the same server, so that token and memory are of use.
    logs_in_alike: bool,
    inheritance: Option<Inheritance>,
}

/// A configuration that can take the place of the one in force.
struct Prepared {
    settings: Settings,
    /// Made anew if the server's settings changed.
    client: Client,
    identities: Vec<Identity>,
    diff: usher_config::Diff,
}

impl<L: Fn() -> Loaded + Clone + Send + 'static> Agent<L> {
    fn new(settings: Settings, bound: Bound, load: L, board: Board, notifier: Notifier) -> Self {
        let (reports, inbox) = mpsc::unbounded_channel();
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
            reloads: 0,
            board,
            notifier,
        };
        for identity in bound.identities {
            agent.start(identity, None);
        }
        agent
    }

    /// Starts an identity, perhaps in the place of another one of its name.
    fn start(&mut self, identity: Identity, predecessor: Option<Predecessor>) {
        self.last_number += 1;
        let number = self.last_number;
        let name = identity.name.clone();
        let configured = self.settings.identities.iter().find(|known| known.name == name);
        // The workload has a token: a successor's first failure is no reason to end.
        let exit_on_err =
            predecessor.is_none() && configured.is_some_and(|known| known.method.exit_on_err);
        let mut inherited = None;
        if let Some(predecessor) = predecessor
            && predecessor.logs_in_alike
        {
            identity.method.restore(predecessor.identity.method.state());
            inherited = predecessor.inheritance;
        }
        let changes = self.watcher.watch(&identity.method.watched());
        let (orders, received) = watch::channel(Order::Run { reloads: self.reloads });
        let sinks = identity.sinks.iter().map(|sink| (sink.name.clone(), sink.kind.clone()));
        let place = self.board.identity(&name, &identity.kind, sinks);
        let identity = Arc::new(identity);
        let life = driver::run(
            number,
            Arc::clone(&identity),
            inherited,
            changes,
            place,
            self.reports.clone(),
            received,
        );
        let task = self.tasks.spawn(life);
        let running = Running {
            name,
            identity,
            task,
            orders,
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
    ) -> u8 {
        let deadline = async {
            match timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(deadline);
        let (status, ending) = loop {
            tokio::select! {
                Some(report) = self.inbox.recv() => if let Some(status) = self.judge(report) {
                    let handed_over = status == SUCCESS;
                    break (status, if handed_over { Ending::HandOver } else { Ending::Final });
                },
                Some(ended) = self.tasks.join_next_with_id() => {
                    // Nobody asked it to end, so it panicked. That is logged; the others go on.
                    let task = ended.map_or_else(|error| error.id(), |(task, _)| task);
                    self.identities.retain(|_, identity| identity.task.id() != task);
                    if self.identities.is_empty() || self.settings.exit_after_auth {
                        break (FAILURE, Ending::Final);
                    }
                },
                wish = signals.next() => match wish {
                    Wish::End => {
                        tracing::info!("shutting down");
                        break (SUCCESS, Ending::Final);
                    }
                    Wish::Reload => if self.reload(&mut signals, &mut asked).await.is_none() {
                        break (SUCCESS, Ending::Final);
                    },
                },
                Some(request) = asked.recv() => match request {
                    Request::Pulse(felt) => { let _ = felt.send(()); }
                    Request::Reload(answer) => {
                        let Some(done) = self.reload(&mut signals, &mut asked).await else {
                            break (SUCCESS, Ending::Final);
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
        status
    }

    /// The exit status, if a report ends the agent.
    fn judge(&mut self, report: Report) -> Option<u8> {
        let exit_after_auth = self.settings.exit_after_auth;
        // One that was replaced meanwhile has nothing to say.
        let identity = self.identities.get_mut(&report.identity())?;
        match report {
            Report::LoginFailed { class, .. } => {
                identity.login_failure = Some(class);
                let one_shot = exit_after_auth && class == Class::Configuration;
                return (identity.exit_on_err || one_shot).then(|| status_of(class));
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
            SUCCESS
        })
    }

    fn timed_out(&self) -> u8 {
        tracing::error!("not every sink has its token within --timeout; giving up");
        // What must be mended first: the login.
        let mut identities = self.identities.values();
        match identities.clone().find_map(|identity| identity.login_failure) {
            Some(class) => status_of(class),
            None if identities.any(|identity| identity.sink_failed) => SINK,
            None => FAILURE,
        }
    }

    /// Reloads the configuration; what it did. None: the agent was told to end meanwhile.
    async fn reload(
        &mut self,
        signals: &mut Signals,
        asked: &mut mpsc::Receiver<Request>,
    ) -> Option<ReloadAnswer> {
        self.notifier.reloading();
        logging::reopen();
        let prepared = {
            let prepare = self.prepare();
            tokio::pin!(prepare);
            // Compiling a plug-in takes a while; the agent can be stopped meanwhile, and says that
            // it is alive.
            loop {
                tokio::select! {
                    prepared = &mut prepare => break prepared,
                    () = signals.terminate() => return None,
                    Some(request) = asked.recv() => match request {
                        Request::Pulse(felt) => { let _ = felt.send(()); }
                        Request::Reload(answer) => {
                            let reason = "a reload is under way; try again when it has ended";
                            let _ = answer.send(Err(reason.to_owned()));
                        }
                    },
                }
            }
        };
        let done = self.apply(prepared).await;
        self.engine.leaving(Vec::new());
        self.notifier.reloaded(match &done {
            Ok(done) => done,
            Err(_) => "the new configuration is refused, the old one stays in force",
        });
        Some(done)
    }

    /// Reads the configuration again and binds what is new in it. Changes nothing.
    async fn prepare(&self) -> Result<Prepared, Vec<Diagnostic>> {
        tracing::info!("reloading the configuration");
        let load = self.load.clone();
        // A file system that hangs must not stop the renewals.
        let loaded = tokio::task::spawn_blocking(load).await.map_err(|error| {
            let message = format!("the configuration can't be read: {error}");
            vec![Diagnostic::new_error("config.read", message, "", None)]
        })?;
        let Some(settings) = loaded.settings else { return Err(loaded.diagnostics) };
        for warning in loaded.diagnostics {
            complain(&warning.to_string());
        }
        let mut diff = usher_config::diff(&self.settings, &settings);
        let settings = self.without_what_takes_a_restart(settings);
        let client = if diff.server_changed {
            diff.changed.append(&mut diff.unchanged);
            bind::client(&settings).map_err(|problem| vec![problem])?
        } else {
            self.client.clone()
        };
        let wanted = |name: &str| diff.added.iter().chain(&diff.changed).any(|new| new == name);
        self.engine.leaving(diff.removed.iter().chain(&diff.changed).cloned().collect());
        let identities = bind::identities(&settings, wanted, &self.engine, &client).await?;
        Ok(Prepared { settings, client, identities, diff })
    }

    /// What only a restart can change counts as it was.
    fn without_what_takes_a_restart(&self, new: Settings) -> Settings {
        let old = &self.settings;
        Settings {
            admin_socket: old.admin_socket.clone(),
            exit_after_auth: old.exit_after_auth,
            metrics_address: old.metrics_address,
            pid_file: old.pid_file.clone(),
            plugin_directory: old.plugin_directory.clone(),
            log: Log { level: new.log.level, ..old.log.clone() },
            ..new
        }
    }

    /// Whether the identity `name` gets its token in the same way from the same server as before.
    fn logs_in_alike(&self, name: &str, new: &Settings) -> bool {
        let of = |settings: &Settings| {
            settings.identities.iter().find(|identity| identity.name == name).cloned()
        };
        self.settings.server.address == new.server.address
            && of(&self.settings)
                .zip(of(new))
                .is_some_and(|(old, new)| old.method.same_settings(&new.method))
    }

    /// What they leave. The sinks are free for their next owner only when the last one has let go
    /// of them.
    async fn wait_for_the_end_of(
        &mut self,
        ending: &BTreeMap<String, Running>,
    ) -> HashMap<Id, Inheritance> {
        let mut left: Vec<Id> = ending.values().map(|identity| identity.task.id()).collect();
        let mut inheritances = HashMap::new();
        let ended = async {
            while !left.is_empty()
                && let Some(ended) = self.tasks.join_next_with_id().await
            {
                let (task, inheritance) = ended.unwrap_or_else(|error| (error.id(), None));
                left.retain(|other| *other != task);
                inheritances.extend(inheritance.map(|inheritance| (task, inheritance)));
                // Another one may have panicked meanwhile.
                self.identities.retain(|_, identity| identity.task.id() != task);
            }
        };
        if tokio::time::timeout(LONGEST_SHUTDOWN, ended).await.is_err() {
            tracing::warn!("an identity takes too long to end, and is ended by force");
        }
        inheritances
    }

    /// Puts a new configuration in force, or says why the old one stays.
    async fn apply(&mut self, prepared: Result<Prepared, Vec<Diagnostic>>) -> ReloadAnswer {
        let Prepared { settings, client, identities, diff } = match prepared {
            Ok(prepared) => prepared,
            Err(problems) => {
                const STAYS: &str = "the configuration in force stays as it is; correct the new one and reload again";
                let mut reason = String::new();
                for problem in problems {
                    let problem = problem.to_string();
                    complain(&problem);
                    reason += &problem;
                    reason.push('\n');
                }
                tracing::error!("{STAYS}");
                return Err(reason + STAYS);
            }
        };
        for key in &diff.needs_restart {
            tracing::warn!(key, "a change of this setting takes a restart of the agent");
        }
        for name in &diff.removed {
            self.board.forget_failed(name);
        }
        let mut ending: BTreeMap<String, Running> = BTreeMap::new();
        for (_, identity) in self.identities.extract_if(.., |_, identity| {
            diff.removed.contains(&identity.name) || diff.changed.contains(&identity.name)
        }) {
            let removed = diff.removed.contains(&identity.name);
            let how = if removed { Ending::Final } else { Ending::HandOver };
            identity.orders.send_replace(Order::End(how));
            ending.insert(identity.name.clone(), identity);
        }
        let mut inheritances = self.wait_for_the_end_of(&ending).await;
        let mut predecessors = BTreeMap::new();
        for (name, running) in ending {
            // One that hangs must not deliver an older token over a newer one.
            running.task.abort();
            let logs_in_alike = self.logs_in_alike(&name, &settings);
            let inheritance = inheritances.remove(&running.task.id());
            let identity = running.identity;
            predecessors.insert(name, Predecessor { identity, logs_in_alike, inheritance });
        }
        if diff.log_level_changed {
            logging::set_level(settings.log.level);
        }
        self.settings = settings;
        self.client = client;
        self.reloads += 1;
        // What only another configuration or a new plug-in could mend is tried again.
        for identity in self.identities.values() {
            identity.orders.send_replace(Order::Run { reloads: self.reloads });
        }
        for identity in identities {
            let predecessor = predecessors.remove(&identity.name);
            self.start(identity, predecessor);
        }
        tracing::info!(
            added = diff.added.join(" "),
            changed = diff.changed.join(" "),
            removed = diff.removed.join(" "),
            unchanged = diff.unchanged.len(),
            "the new configuration is in force"
        );
        Ok(said(&diff))
    }
}

/// What a reload did, for the operator who asked for it, and what only a restart does.
fn said(diff: &usher_config::Diff) -> String {
    let names = |what: &str, names: &[String]| match names {
        [] => String::new(),
        names => format!("{what} {}; ", names.join(", ")),
    };
    let restart = match &diff.needs_restart[..] {
        [] => String::new(),
        keys => format!("\na change of these takes a restart of the agent: {}", keys.join(", ")),
    };
    format!(
        "the new configuration is in force: {}{}{}{} unchanged{restart}",
        names("added", &diff.added),
        names("changed", &diff.changed),
        names("removed", &diff.removed),
        diff.unchanged.len()
    )
}

fn status_of(class: Class) -> u8 {
    match class {
        Class::Configuration => CONFIGURATION,
        Class::Refused => REFUSED,
        Class::Passing => FAILURE,
    }
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

/// What a signal asks for.
enum Wish {
    End,
    Reload,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::End,
            _ = self.interrupt.recv() => Wish::End,
            _ = self.hang_up.recv() => Wish::Reload,
        }
    }

    /// Waits for SIGTERM or SIGINT. A SIGHUP meanwhile is kept for later.
    async fn terminate(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
