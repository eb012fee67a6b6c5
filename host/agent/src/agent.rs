//! The agent: binds what the configuration names, runs every identity, and knows when to end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use usher_config::{Diagnostic, OnExit, Settings, TokenCheck};
use usher_engine::{Call, Engine, FailureKind, Kind, LoadError, Protected, Reason, Use};
use usher_lifecycle::{Backoff, Class};
use usher_server::{Client, Governor, Scope, Tls};
use usher_watch::Watcher;

use crate::cli::complain;
use crate::driver::{self, Report};
use crate::identity::{Identity, NamedSink};
use crate::plugins::{Plugins, problem};
use crate::process::PidFile;
use crate::unwrapper::ServerUnwrapper;

const SUCCESS: u8 = 0;
const FAILURE: u8 = 1;
const CONFIGURATION: u8 = 2;
const REFUSED: u8 = 3;
const SINK: u8 = 4;

/// A clean shutdown takes at most this long.
const LONGEST_SHUTDOWN: Duration = Duration::from_secs(10);

/// Between attempts to deliver: as often as the incumbents, whose sinks wait 1 to 3 s.
const SINK_BACKOFF: Backoff = Backoff { min: Duration::from_secs(1), max: Duration::from_secs(3) };

/// Runs the agent and returns its exit status. `timeout` counts with `exit_after_auth`.
pub(crate) async fn run(settings: Settings, timeout: Option<Duration>) -> u8 {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            complain(&format!("error: signals can't be handled: {error}"));
            return FAILURE;
        }
    };
    // Compiling a large plug-in takes a while; the agent can be stopped meanwhile.
    let bound = tokio::select! {
        bound = bind(&settings) => bound,
        () = signals.terminate() => return SUCCESS,
    };
    let identities = match bound {
        Ok(identities) => identities,
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
    Agent::new(&settings, timeout).run(identities, signals).await
}

/// What decides when the agent ends, and how.
struct Agent {
    exit_after_auth: bool,
    timeout: Option<Duration>,
    exit_on_err: Vec<bool>,
    delivered: Vec<bool>,
    running: usize,
    /// Of each identity, since its last success.
    login_failures: Vec<Option<Class>>,
    sink_failures: Vec<bool>,
}

impl Agent {
    fn new(settings: &Settings, timeout: Option<Duration>) -> Self {
        let identities = &settings.identities;
        Self {
            exit_after_auth: settings.exit_after_auth,
            timeout: timeout.filter(|_| settings.exit_after_auth),
            exit_on_err: identities.iter().map(|identity| identity.method.exit_on_err).collect(),
            delivered: vec![false; identities.len()],
            running: identities.len(),
            login_failures: vec![None; identities.len()],
            sink_failures: vec![false; identities.len()],
        }
    }

    async fn run(mut self, identities: Vec<Identity>, mut signals: Signals) -> u8 {
        let (reports, mut inbox) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let watcher = Watcher::default();
        let mut tasks = JoinSet::new();
        for (index, identity) in identities.into_iter().enumerate() {
            let changes = watcher.watch(&identity.method.watched());
            tasks.spawn(driver::run(
                index,
                Arc::new(identity),
                changes,
                reports.clone(),
                stopped.clone(),
            ));
        }
        drop(reports);
        let timeout = self.timeout;
        let deadline = async move {
            match timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(deadline);
        let status = loop {
            tokio::select! {
                report = inbox.recv() => match report {
                    Some(report) => if let Some(status) = self.judge(report) { break status },
                    // Every identity has ended without being asked to.
                    None => break FAILURE,
                },
                Some(ended) = tasks.join_next() => if ended.is_err() {
                    // The panic is logged; the other identities go on.
                    self.running -= 1;
                },
                () = signals.terminate() => {
                    tracing::info!("shutting down");
                    break SUCCESS;
                }
                () = &mut deadline => break self.timed_out(),
            }
        };
        let _ = stop.send(true);
        let end = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(LONGEST_SHUTDOWN, end).await.is_err() {
            tracing::warn!("the shutdown takes too long; ending all the same");
        }
        status
    }

    /// The exit status, if a report ends the agent.
    fn judge(&mut self, report: Report) -> Option<u8> {
        match report {
            Report::LoginFailed { identity, class } => {
                self.login_failures[identity] = Some(class);
                let one_shot = self.exit_after_auth && class == Class::Configuration;
                (self.exit_on_err[identity] || one_shot).then(|| status_of(class))
            }
            Report::LoggedIn { identity } => {
                self.login_failures[identity] = None;
                None
            }
            Report::DeliveryFailed { identity } => {
                self.sink_failures[identity] = true;
                None
            }
            Report::Delivered { identity } => {
                self.delivered[identity] = true;
                self.sink_failures[identity] = false;
                let all = self.delivered.iter().all(|delivered| *delivered);
                if self.exit_after_auth && all {
                    tracing::info!("sinks finished, exiting");
                    return Some(SUCCESS);
                }
                None
            }
            Report::Ended => {
                self.running -= 1;
                (self.running == 0).then_some(FAILURE)
            }
        }
    }

    fn timed_out(&self) -> u8 {
        tracing::error!("not every sink has its token within --timeout; giving up");
        // What must be mended first: the login.
        match self.login_failures.iter().flatten().next() {
            Some(class) => status_of(*class),
            None if self.sink_failures.contains(&true) => SINK,
            None => FAILURE,
        }
    }
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

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT.
    async fn terminate(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => {
                    tracing::warn!("SIGHUP: reloading the configuration isn't supported yet; restart the agent to apply changes");
                }
            }
        }
    }
}

/// Loads every plug-in that is named, binds it to its use, and checks every sink; all problems at
/// once, before any login.
async fn bind(settings: &Settings) -> Result<Vec<Identity>, Vec<Diagnostic>> {
    let general = |code: &str, text: String| vec![Diagnostic::new_error(code, text, "", None)];
    let client = client(settings).map_err(|text| general("vault", text))?;
    let own = settings
        .plugin_directory
        .iter()
        .map(|path| path.canonicalize().unwrap_or_else(|_| path.clone()));
    let engine = Engine::new(Protected::new(own.collect()))
        .map_err(|error| general("engine", error.to_string()))?;
    let mut plugins = Plugins::new(&engine, settings);
    let mut problems = Vec::new();
    let mut identities = Vec::new();
    for identity in &settings.identities {
        match bind_identity(settings, identity, &engine, &client, &mut plugins).await {
            Ok(identity) => identities.push(identity),
            Err(found) => problems.extend(found),
        }
    }
    for warning in plugins.without_effect() {
        complain(&warning.to_string());
    }
    if problems.is_empty() { Ok(identities) } else { Err(problems) }
}

fn client(settings: &Settings) -> Result<Client, String> {
    let server = &settings.server;
    let path = |path: &Option<String>| path.as_ref().map(PathBuf::from);
    let mut connection = usher_server::Settings::new(server.address.clone());
    connection.tls = Tls {
        ca_cert: path(&server.ca_cert),
        ca_path: path(&server.ca_path),
        ca_pem: server.ca_cert_bytes.clone(),
        client_cert: path(&server.client_cert),
        client_key: path(&server.client_key),
        server_name: server.tls_server_name.clone(),
        skip_verify: server.tls_skip_verify,
    };
    for variable in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        if std::env::var_os(variable).is_some() {
            tracing::warn!(
                variable,
                "proxies aren't supported yet: the server is connected to directly"
            );
        }
    }
    if let Some(timeout) = server.client_timeout {
        connection.timeout = timeout;
    }
    let client = Client::new(connection, Governor::new()).map_err(|error| error.to_string())?;
    client.check_files().map_err(|error| error.to_string())?;
    Ok(client)
}

async fn bind_identity(
    settings: &Settings,
    identity: &usher_config::Identity,
    engine: &Engine,
    client: &Client,
    plugins: &mut Plugins<'_>,
) -> Result<Identity, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let method = &identity.method;
    let scope = Scope::new(&method.namespace);
    let usage =
        |name: String, kind: &str, config: &usher_config::PluginConfig, plugins: &Plugins<'_>| {
            let (allow, limits) = plugins.permissions(kind);
            Use {
                name,
                identity: identity.name.clone(),
                server_address: settings.server.address.clone(),
                namespace: scope.namespace().to_owned(),
                mount_path: String::new(),
                config: config.json(),
                allow,
                limits,
                unwrapper: None,
            }
        };

    let mut sinks = Vec::new();
    for (index, sink) in identity.sinks.iter().enumerate() {
        let name = if identity.sinks.len() > 1 {
            format!("{} {}", sink.kind, index + 1)
        } else {
            sink.kind.clone()
        };
        let plugin = match plugins.find(Kind::Sink, &sink.kind, &sink.location).await {
            Ok(plugin) => plugin,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        let usage =
            usage(format!("{}/sink/{index}", identity.name), &sink.kind, &sink.config, plugins);
        match engine.sink(&plugin, usage).await {
            Ok(bound) => sinks.push(NamedSink { name, sink: bound }),
            Err(error) => {
                problems.push(refused(
                    Kind::Sink,
                    &sink.kind,
                    &error,
                    &sink.config,
                    &sink.location,
                ));
            }
        }
    }

    let mut bound_method = None;
    match plugins.find(Kind::AuthMethod, &method.kind, &method.location).await {
        Err(problem) => problems.push(problem),
        Ok(plugin) => {
            let mut usage =
                usage(format!("{}/method", identity.name), &method.kind, &method.config, plugins);
            usage.mount_path.clone_from(&method.mount_path);
            usage.unwrapper = Some(Arc::new(ServerUnwrapper(client.clone())));
            match engine.auth_method(&plugin, usage).await {
                Ok(bound) => bound_method = Some(bound),
                Err(error) => problems.push(refused(
                    Kind::AuthMethod,
                    &method.kind,
                    &error,
                    &method.config,
                    &method.location,
                )),
            }
        }
    }

    for (sink, configured) in sinks.iter().zip(&identity.sinks) {
        let call = Call { reason: Reason::Deliver, previous_failure: None };
        match sink.sink.check(call).await {
            Ok(()) => {}
            Err(failure) if failure.kind == FailureKind::Config => {
                problems.push(Diagnostic::new_error(
                    "sink",
                    format!("the sink {:?} can't work: {failure}", configured.kind),
                    "",
                    Some(&configured.location),
                ));
            }
            Err(failure) => tracing::warn!(
                identity = identity.name,
                sink = sink.name,
                "the sink doesn't work yet: {failure}"
            ),
        }
    }

    let Some(bound_method) = bound_method.filter(|_| problems.is_empty()) else {
        return Err(problems);
    };
    let sink_count = sinks.len();
    Ok(Identity {
        name: identity.name.clone(),
        kind: method.kind.clone(),
        method: bound_method,
        sinks,
        client: client.clone(),
        scope,
        mount_path: method.mount_path.clone(),
        revoke_on_exit: identity.on_exit == OnExit::Revoke,
        settings: usher_lifecycle::Settings {
            backoff: Backoff { min: method.min_backoff, max: method.max_backoff },
            sink_backoff: SINK_BACKOFF,
            token_check: match identity.token_check_interval {
                TokenCheck::Auto => usher_lifecycle::TokenCheck::Auto,
                TokenCheck::Every(interval) => usher_lifecycle::TokenCheck::Every(interval),
                TokenCheck::Off => usher_lifecycle::TokenCheck::Off,
            },
            sinks: sink_count,
            reauthenticate_on_new_credentials: identity
                .enable_reauth_on_new_credentials
                .unwrap_or(method.kind == "approle"),
        },
    })
}

/// A refused configuration, located at the setting that the plug-in names.
fn refused(
    kind: Kind,
    name: &str,
    error: &LoadError,
    config: &usher_config::PluginConfig,
    location: &usher_config::Location,
) -> Diagnostic {
    if let LoadError::Prepare(failure) = error
        && let Some((_, setting)) = failure.details.iter().find(|(name, _)| name == "key")
    {
        let path: Vec<&str> = setting.split('.').filter(|part| *part != "config").collect();
        return problem(kind, name, error, config.locate(&path));
    }
    problem(kind, name, error, location)
}
