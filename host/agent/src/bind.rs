//! Binds what the configuration names: plug-ins to their uses, the client to its server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use usher_config::{
    Diagnostic, Listener, Location, OnExit, PersistKey, PersistPlace, Settings, Severity,
    TokenCheck,
};
use usher_engine::{
    AuthMethod, BuiltIns, Call, Engine, Failure, FailureKind, Kind, LoadError, Protected, Reason,
    StateKeeper, Use,
};
use usher_lifecycle::Backoff;
use usher_server::{Certificate, Client, Governor, Scope, Tls};

use crate::feeds::fed;
use crate::identity::{Identity, Life};
use crate::payload::Payload;
use crate::persistence::Kept;
use crate::plugin_files::cache_place;
use crate::plugins::{Absence, Patience, Plugins, problem};
use crate::reporter::Reporter;
use crate::surroundings::Surroundings;
use crate::target::{NamedTarget, PluginSink, Target};
use crate::unwrapper::ServerUnwrapper;

/// Between attempts to deliver: as often as the incumbents, whose sinks wait 1 to 3 s.
const SINK_BACKOFF: Backoff = Backoff { min: Duration::from_secs(1), max: Duration::from_secs(3) };

/// The engine for the plug-ins of these settings.
pub fn engine(settings: &Settings, built_ins: BuiltIns) -> Result<Engine, Diagnostic> {
    let own = [
        settings.plugin_directory.clone(),
        settings.plugin_lock.clone(),
        settings.admin_socket.clone(),
        cache_place(),
    ];
    let kept = settings.persist.iter().flat_map(|persist| match &persist.place {
        PersistPlace::File { path, key: PersistKey::File(key) } => vec![path.clone(), key.clone()],
        PersistPlace::Kubernetes { path, .. } | PersistPlace::File { path, .. } => {
            vec![path.clone()]
        }
        PersistPlace::Systemd => Vec::new(),
    });
    let sockets = settings.listeners.iter().filter_map(Listener::socket).map(Path::to_owned);
    let own = own.into_iter().flatten().chain(sockets).chain(kept).map(|path| resolved(&path));
    Engine::new(Protected::new(own.collect()))
        .map(|engine| engine.with_built_ins(built_ins))
        .map_err(|error| Diagnostic::new_error("engine", error.to_string(), "", None))
}

/// Where a path leads that may not be there yet: the links on the way to it are followed.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for existing in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (existing.canonicalize(), path.strip_prefix(existing)) {
            return real.join(rest);
        }
    }
    path
}

/// Loads the plug-ins of the identities that `wanted` names, binds each to its use, and checks
/// every sink; all problems at once, before any login.
pub(crate) async fn identities(
    settings: &Settings,
    wanted: impl Fn(&str) -> bool,
    engine: &Engine,
    client: &Client,
    patience: Patience,
    surroundings: &Surroundings,
) -> Result<Vec<Identity>, Vec<Diagnostic>> {
    let reporter = surroundings.reporter;
    let mut plugins = Plugins::new(engine, settings, patience, reporter);
    let mut problems = Vec::new();
    let mut identities = Vec::new();
    let fed = fed(settings);
    for identity in settings.identities.iter().filter(|identity| wanted(&identity.name)) {
        let kept = surroundings.persistence.of(&identity.name);
        match bind_identity(settings, identity, engine, client, kept, &mut plugins).await {
            Ok(mut bound) => {
                if fed.contains(identity.name.as_str()) {
                    bound.sinks.push(NamedTarget::feed(surroundings.feeds.of(&identity.name)));
                }
                identities.push(bound);
            }
            Err(found) => problems.extend(found),
        }
    }
    let mut found = plugins.found();
    if identities.len() == settings.identities.len() {
        found.extend(plugins.without_effect());
    }
    let mut errors = tell_warnings(found, settings, reporter);
    errors.extend(problems);
    if errors.is_empty() { Ok(identities) } else { Err(errors) }
}

/// Tells the warnings among these; the others are errors, with `--strict` all.
fn tell_warnings(
    found: Vec<Diagnostic>,
    settings: &Settings,
    reporter: Reporter,
) -> Vec<Diagnostic> {
    let mut errors = Vec::new();
    for mut problem in found {
        if settings.strict {
            problem.severity = Severity::Error;
        }
        if problem.is_error() {
            errors.push(problem);
        } else {
            (reporter.complain)(&problem.to_string());
        }
    }
    errors
}

/// The client for the server of these settings.
pub fn client(settings: &Settings) -> Result<Client, Diagnostic> {
    connect(&settings.server).map_err(|problem| Diagnostic::new_error("vault", problem, "", None))
}

/// A client for this server. Opens no connection.
pub fn connect(server: &usher_config::Server) -> Result<Client, String> {
    connect_checked(server).map(|(client, _)| client)
}

/// The same, with what is wrong with certificates and does no harm.
pub fn connect_checked(server: &usher_config::Server) -> Result<(Client, Vec<String>), String> {
    let path = |path: &Option<String>| path.as_ref().map(PathBuf::from);
    let mut connection = usher_server::Settings::new(server.address.clone());
    connection.tls = Tls {
        ca_cert: path(&server.ca_cert),
        ca_path: path(&server.ca_path),
        ca_pem: server.ca_cert_bytes.clone(),
        client_cert: path(&server.client_cert),
        client_key: path(&server.client_key),
        client_pem: server.client_pem.as_ref().map(|pem| Certificate {
            chain_pem: pem.certificate.clone(),
            key_pem: pem.key.clone(),
        }),
        server_name: server.tls_server_name.clone(),
        skip_verify: server.tls_skip_verify,
    };
    connection.proxy.clone_from(&server.proxy);
    connection.srv_lookup = server.srv_lookup;
    connection.disable_redirects = server.disable_redirects;
    connection.disable_idle_connections = server.disable_idle_connections;
    connection.disable_keep_alives = server.disable_keep_alives;
    if let Some(timeout) = server.client_timeout {
        connection.timeout = timeout;
    }
    let governor = match server.rate_limit {
        Some(limit) => Governor::with_rate_limit(limit.per_second, limit.burst),
        None => Governor::new(),
    };
    let client = Client::new(connection, governor).map_err(|error| error.to_string())?;
    let warnings = client.check_files().map_err(|error| error.to_string())?;
    Ok((client, warnings))
}

/// The method of an identity alone, without any of its sinks.
pub async fn method(
    settings: &Settings,
    identity: &usher_config::Identity,
    engine: &Engine,
    client: &Client,
    reporter: Reporter,
) -> Result<Arc<dyn AuthMethod>, Vec<Diagnostic>> {
    let scope = Scope::new(identity.method.namespace.clone());
    let binder = Binder { settings, identity, engine, client, scope, kept: None };
    let mut plugins = Plugins::new(engine, settings, Patience::Refuse, reporter);
    let bound = binder.method(&mut plugins).await;
    let mut errors = tell_warnings(plugins.found(), settings, reporter);
    match bound {
        Ok(bound) if errors.is_empty() => Ok(bound),
        Ok(_) => Err(errors),
        Err(problem) => {
            errors.push(problem);
            Err(errors)
        }
    }
}

/// What the plug-ins of one identity are bound with.
struct Binder<'a> {
    settings: &'a Settings,
    identity: &'a usher_config::Identity,
    engine: &'a Engine,
    client: &'a Client,
    scope: Scope,
    /// Gets what the method saves.
    kept: Option<Arc<Kept>>,
}

async fn bind_identity(
    settings: &Settings,
    identity: &usher_config::Identity,
    engine: &Engine,
    client: &Client,
    kept: Option<Arc<Kept>>,
    plugins: &mut Plugins<'_>,
) -> Result<Identity, Vec<Diagnostic>> {
    let method = &identity.method;
    let scope = Scope::new(method.namespace.clone());
    let binder =
        Binder { settings, identity, engine, client, scope: scope.clone(), kept: kept.clone() };
    let mut problems = Vec::new();
    let mut sinks = Vec::new();
    for index in 0..identity.sinks.len() {
        match binder.sink(index, plugins).await {
            Ok(sink) => sinks.push(sink),
            Err(problem) => problems.push(problem),
        }
    }
    let bound = match binder.method(plugins).await {
        Ok(bound) if problems.is_empty() => bound,
        Ok(_) => return Err(problems),
        Err(problem) => {
            problems.push(problem);
            return Err(problems);
        }
    };
    Ok(Identity {
        name: identity.name.clone(),
        kind: method.kind.clone(),
        method: bound,
        sinks,
        client: client.clone(),
        scope,
        mount_path: method.mount_path.clone(),
        wrap_ttl: method.wrap_ttl,
        revoke_on_exit: identity.on_exit == OnExit::Revoke,
        life: Arc::new(life(identity)),
        kept,
    })
}

/// How an identity lives, as it is configured.
pub(crate) fn life(identity: &usher_config::Identity) -> Life {
    let method = &identity.method;
    let settings = usher_lifecycle::Settings {
        backoff: Backoff { min: method.min_backoff, max: method.max_backoff },
        sink_backoff: SINK_BACKOFF,
        token_check: match identity.token_check_interval {
            TokenCheck::Auto => usher_lifecycle::TokenCheck::Auto,
            TokenCheck::Every(interval) => usher_lifecycle::TokenCheck::Every(interval),
            TokenCheck::Off => usher_lifecycle::TokenCheck::Off,
        },
        ..usher_lifecycle::Settings::default()
    };
    Life { settings, reauthenticate: identity.enable_reauth_on_new_credentials }
}

impl Binder<'_> {
    async fn method(&self, plugins: &mut Plugins<'_>) -> Result<Arc<dyn AuthMethod>, Diagnostic> {
        let method = &self.identity.method;
        let named = Named {
            kind: Kind::AuthMethod,
            name: &method.kind,
            config: &method.config,
            location: &method.location,
        };
        let mut usage = self.usage("method", &named, plugins);
        usage.mount_path = method.mount_path.to_string();
        usage.unwrapper = Some(Arc::new(ServerUnwrapper {
            client: self.client.clone(),
            scope: self.scope.clone(),
        }));
        usage.state_keeper = self.kept.clone().map(|kept| kept as Arc<dyn StateKeeper>);
        let bound = match plugins.find(named.kind, named.name, named.location).await {
            Ok(plugin) => {
                plugins.judge(&plugin, named.config);
                let bound = self.engine.auth_method(&plugin, usage.clone()).await;
                bound.map_err(|error| named.absence(&error, plugins))
            }
            Err(absence) => Err(absence),
        };
        match bound {
            Ok(bound) => Ok(bound),
            Err(Absence::Problem(problem)) => Err(problem),
            Err(Absence::Awaited(why)) => {
                self.say_awaited(&named, &why);
                Ok(self.engine.awaited_auth_method(named.name, usage, why))
            }
        }
    }

    /// Binds a sink and checks it.
    async fn sink(
        &self,
        index: usize,
        plugins: &mut Plugins<'_>,
    ) -> Result<NamedTarget, Diagnostic> {
        let configured = &self.identity.sinks[index];
        let (kind, location) = (configured.kind.as_str(), &configured.location);
        let name = if self.identity.sinks.len() > 1 {
            format!("{kind} {}", index + 1)
        } else {
            kind.to_owned()
        };
        let named = Named { kind: Kind::Sink, name: kind, config: &configured.config, location };
        let usage = self.usage(&format!("sink/{index}"), &named, plugins);
        let bound = match plugins.find(named.kind, named.name, named.location).await {
            Ok(plugin) => {
                plugins.judge(&plugin, named.config);
                let bound = self.engine.sink(&plugin, usage.clone()).await;
                bound.map_err(|error| named.absence(&error, plugins))
            }
            Err(absence) => Err(absence),
        };
        let sink = match bound {
            Ok(bound) => bound,
            Err(Absence::Problem(problem)) => return Err(problem),
            Err(Absence::Awaited(why)) => {
                self.say_awaited(&named, &why);
                self.engine.awaited_sink(named.name, usage, why)
            }
        };
        let call = Call { reason: Reason::Deliver, previous_failure: None };
        match sink.check(call).await {
            Ok(()) => {}
            // Said already.
            Err(failure) if failure.is_awaited => {}
            Err(failure) if failure.kind == FailureKind::Config => {
                return Err(Diagnostic::new_error(
                    "sink",
                    format!("the sink {kind:?} can't work: {failure}"),
                    "",
                    Some(&named.at(&failure, plugins)),
                ));
            }
            Err(failure) => tracing::warn!(
                identity = self.identity.name,
                sink = name,
                "the sink doesn't work yet: {failure}"
            ),
        }
        let payload = Payload::new(configured).map_err(|error| {
            Diagnostic::new_error("sink", error.to_string(), "", Some(location))
        })?;
        let (on_exit, settings) = (configured.on_exit, configured.clone());
        let plugin = PluginSink { sink, payload, on_exit, settings };
        let target = Target::Plugin(Box::new(plugin));
        Ok(NamedTarget { name, kind: configured.kind.clone(), target })
    }

    fn say_awaited(&self, named: &Named<'_>, why: &Failure) {
        tracing::error!(
            identity = self.identity.name,
            plugin = named.name,
            "the {} waits for its plug-in: {}",
            named.kind.name(),
            why.message
        );
    }

    fn usage(&self, role: &str, named: &Named<'_>, plugins: &Plugins<'_>) -> Use {
        let (allow, limits) = plugins.permissions(named.name);
        Use {
            name: format!("{}/{role}", self.identity.name),
            identity: self.identity.name.clone(),
            server_address: self.settings.server.address.to_string(),
            namespace: self.scope.namespace().to_string(),
            mount_path: String::new(),
            config: named.config.json().to_owned(),
            allow,
            limits,
            unwrapper: None,
            state_keeper: None,
        }
    }
}

/// A plug-in, where the configuration names it.
pub struct Named<'a> {
    /// What it is wanted for.
    pub kind: Kind,
    /// Its type, as the configuration has it.
    pub name: &'a str,
    /// Its settings.
    pub config: &'a usher_config::PluginConfig,
    /// Of the block that names it.
    pub location: &'a Location,
}

impl Named<'_> {
    /// Why a plug-in that is there can't serve this use.
    fn absence(&self, error: &LoadError, plugins: &Plugins<'_>) -> Absence {
        match plugins.absence(self.kind, self.name, error, self.location) {
            Absence::Problem(_) => Absence::Problem(self.refused(error, plugins)),
            Absence::Awaited(why) => Absence::Awaited(why),
        }
    }

    /// A configuration that the plug-in refuses, located at the setting that it names.
    pub fn refused(&self, error: &LoadError, plugins: &Plugins<'_>) -> Diagnostic {
        let place = match error {
            LoadError::Prepare(failure) => &self.at(failure, plugins),
            _ => self.location,
        };
        problem(self.kind, self.name, error, place)
    }

    /// Where the setting stands that a plug-in names in the detail "key", with its value hidden
    /// if that may be a secret.
    fn at(&self, failure: &Failure, plugins: &Plugins<'_>) -> Location {
        let Some((_, setting)) = failure.details.iter().find(|(name, _)| name == "key") else {
            return self.location.clone();
        };
        let path: Vec<&str> = setting.split('.').filter(|part| *part != "config").collect();
        let place = self.config.locate(&path);
        let is_shown = path.first().is_none_or(|key| plugins.shows(self.kind, self.name, key));
        if is_shown { place.clone() } else { place.masked() }
    }
}
