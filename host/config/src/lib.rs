//! The agent's configuration: HCL 1 or JSON, flags and environment, to checked settings.
//!
//! [`load`] reads every file, finds every problem, and says of each where it is and what to write
//! instead:
//!
//! ```text
//! text ─ tokens ─ relay ─ hcl ┐
//!                             ├► tree ─► schema, fields ─► part and its topics ─► choice ─► Settings
//! text ───────────────── json ┘
//! ```
//!
//! What the incumbents accept is accepted and means the same, but where they do harm: unknown keys
//! are named, `sinks { sink { … } }` is read like `sink { … }`, `*_SKIP_VERIFY=false` means false,
//! and what isn't built yet is refused by name.
#![forbid(unsafe_code)]

mod api_proxy;
mod cache;
mod characters;
mod choice;
mod connection;
mod diagnostic;
mod dialect;
mod diff;
mod doors;
mod encryption;
mod field;
mod fields;
mod file_sink;
mod hcl;
mod identity;
mod json;
mod judge;
mod listener;
mod logging;
mod meant;
mod objection;
mod outbound_proxy;
mod overrides;
mod part;
mod persist;
mod plugin_keys;
mod plugin_schema;
mod plugins;
mod relay;
mod resemblance;
mod said;
mod schema;
mod settings;
mod sources;
#[cfg(test)]
mod tests;
mod tokens;
mod tree;
mod typed_block;
mod unbuilt;
mod values;
mod variables;

use std::path::PathBuf;

use usher_address::Namespace;

pub use diagnostic::{Diagnostic, Location, Severity};
pub use dialect::Dialect;
pub use diff::{Diff, diff};
pub use overrides::Overrides;
pub use schema::{Flag, FlagForm, flags, json_schema, server_flags};
pub use settings::{
    ApiProxy, Cache, ClientCertificates, ClientPem, Encryption, Identity, Listener, ListenerPlace,
    ListenerRole, ListenerTls, Log, LogFile, LogFormat, LogLevel, Method, OnExit, Persist,
    PersistKey, PersistPlace, Plugin, PluginConfig, RateLimit, Server, Settings, Sink, SinkOnExit,
    StaticSecrets, TlsVersion, TokenCheck, TokenUse,
};

/// A duration as the incumbents write it: "30" and "30s", "1h30m", "2d". None: it isn't one.
pub fn duration(text: &str) -> Option<std::time::Duration> {
    values::duration(text)
}

use choice::Choice;
use part::{AutoAuth, Part};
use schema::ENVIRONMENT;
use unbuilt::Beside;
use variables::Environment;

/// What [`load`] found.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Present if and only if no diagnostic is an error.
    pub settings: Option<Settings>,
    /// In their place what could be read in spite of errors, to look for more of them; never to
    /// work with.
    pub draft: Option<Settings>,
    /// Every problem, file by file.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads the configuration.
///
/// `paths` are files or directories and merge in this order; without any, the comma-separated
/// `BAO_AGENT_CONFIG_PATH` or `VAULT_AGENT_CONFIG_PATH` counts, or the same with `PROXY`, as the
/// dialect is. `environment` looks a variable up.
/// Reads nothing but these files.
pub fn load(
    paths: &[PathBuf],
    overrides: &Overrides,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Loaded {
    let environment = &Environment(environment);
    let choice = Choice { overrides, environment };
    let mut report = Vec::new();
    let from_environment: Vec<PathBuf>;
    let paths = if paths.is_empty() {
        let list = choice.set_variable(&ENVIRONMENT, "config");
        let list = list.map(|(list, _)| list).unwrap_or_default();
        from_environment =
            list.split(',').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
        &from_environment
    } else {
        paths
    };
    if paths.is_empty() {
        report.push(Diagnostic::new_error(
            "config.missing",
            "no configuration is named",
            format!(
                "give --config FILE, or a directory, or set BAO_{}",
                overrides.dialect.variable("AGENT_CONFIG_PATH")
            ),
            None,
        ));
        return Loaded { settings: None, draft: None, diagnostics: report };
    }
    let mut whole = Part::default();
    for source in sources::read(paths, &mut report) {
        if let Some(part) = Part::read(&source, &choice, &mut report) {
            whole.merge(part, &mut report);
        }
    }
    // A file that can't be read may be the one that holds it.
    let all_read =
        !report.iter().any(|problem| matches!(problem.code.as_str(), "syntax" | "config.read"));
    if all_read {
        check_whole(&whole, &mut report);
    }
    let draft = whole.settle(&choice, &mut report);
    let failed = report.iter().any(Diagnostic::is_error);
    let (settings, draft) = if failed { (None, draft) } else { (draft, None) };
    Loaded { settings, draft, diagnostics: report }
}

/// The rules that hold over all files together.
fn check_whole(whole: &Part, report: &mut Vec<Diagnostic>) {
    let Part { auto_auth, identities, identity_broken, listeners, api_proxy, unbuilt, .. } = whole;
    let (names, token_use) = (whole.names(), whole.token_use());
    let default = match auto_auth.get() {
        Some(AutoAuth::Present(identity)) => Some(identity.as_ref()),
        Some(AutoAuth::Broken) | None => None,
    };
    let forwarded = |name: &str| token_use != TokenUse::Never && listeners.serve(name, &names);
    let there_is_one = names.has_default || !identities.is_empty() || *identity_broken;
    let beside = Beside {
        identity: there_is_one,
        wrapped: default.is_some_and(|identity| {
            identity.method.wrap_ttl.is_some() && forwarded(identity::DEFAULT_NAME)
        }),
        listener: listeners.count > 0,
        api_proxy: api_proxy.get(),
    };
    unbuilt.check(&beside, report);
    listeners.check(&names, token_use, report);
    let taken = unbuilt.takes_token();
    if let Some(identity) = default.filter(|identity| !taken && !forwarded(&identity.name)) {
        identity::check_sinks(identity, "auto_auth", beside.listener, report);
    }
    for identity in identities.iter().filter(|identity| !forwarded(&identity.name)) {
        identity::check_sinks(identity, "identity", beside.listener, report);
    }
    if !there_is_one && listeners.count == 0 && !unbuilt.runs_alone() {
        report.push(Diagnostic::new_error(
            "auto_auth",
            "the configuration has no `auto_auth`, no `identity` and no `listener` block, so there is nothing to do",
            "write auto_auth { method \"approle\" { … } sink \"file\" { … } }",
            None,
        ));
    }
}

/// How a command that reads no configuration reaches the server.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Where the server is and how to trust it.
    pub server: Server,
    /// Where a command works, if not in the root namespace.
    pub namespace: Namespace,
}

/// Settles the connection by command line, environment and defaults. Reads no file. `None` if and
/// only if a diagnostic is an error.
pub fn connection(
    overrides: &Overrides,
    environment: &dyn Fn(&str) -> Option<String>,
) -> (Option<Connection>, Vec<Diagnostic>) {
    let mut report = Vec::new();
    let choice = Choice { overrides, environment: &Environment(environment) };
    let (server, namespace) = connection::connection(&choice, &mut report);
    let failed = report.iter().any(Diagnostic::is_error);
    ((!failed).then_some(Connection { server, namespace }), report)
}
