//! What files say at their top level: read one by one, merged, and settled with flags and the
//! environment.
//!
//! The rule by which a key merges stands in its definition.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::api_proxy::ApiProxyBlock;
use crate::choice::{Choice, Origin};
use crate::connection::ServerPart;
use crate::diagnostic::{Diagnostic, Location, Source};
use crate::fields::{Fields, Located, Report};
use crate::listener::{Listeners, Names};
use crate::logging::LogPart;
use crate::objection::objection;
use crate::said::{Mergeable, Said};
use crate::schema::{self, FILE};
use crate::settings::{ApiProxy, Identity, Plugin, Settings, TokenUse};
use crate::unbuilt::Unbuilt;
use crate::{characters, doors, file_sink, hcl, identity, json, judge, plugins};

/// What files say, before flags and environment.
#[derive(Default)]
pub(crate) struct Part {
    server: ServerPart,
    pub(crate) auto_auth: Said<AutoAuth>,
    pub(crate) identities: Vec<Identity>,
    /// An identity was left out for its problems, which are in the report.
    pub(crate) identity_broken: bool,
    pid_file: Said<Located<String>>,
    exit_after_auth: Said<bool>,
    log: LogPart,
    admin_socket: Said<Located<String>>,
    metrics_address: Said<Located<String>>,
    telemetry: Said<Location>,
    plugin_directory: Said<Located<String>>,
    plugin_lock: Said<Located<String>>,
    plugins: BTreeMap<String, Plugin>,
    pub(crate) listeners: Listeners,
    pub(crate) api_proxy: Said<ApiProxyBlock>,
    pub(crate) unbuilt: Unbuilt,
}

/// The `auto_auth` block.
pub(crate) enum AutoAuth {
    /// Its problems are in the report.
    Broken,
    Present(Box<Identity>),
}

impl Mergeable for AutoAuth {
    fn location(&self) -> Option<&Location> {
        match self {
            Self::Broken => None,
            Self::Present(identity) => Some(&identity.location),
        }
    }
}

impl Part {
    /// None: the file is no HCL 1 and no JSON, and the report says so.
    pub(crate) fn read(
        source: &Arc<Source>,
        choice: &Choice<'_>,
        report: &mut Report,
    ) -> Option<Self> {
        let (environment, dialect) = (choice.environment, choice.overrides.dialect);
        let read = if source.is_json() {
            json::read(source).map(|(object, warnings)| {
                report.extend(warnings);
                object
            })
        } else {
            hcl::read(source)
        };
        let mut object = match read {
            Ok(object) => object,
            Err(error) => {
                let place = Location::new(source, error.start, error.end);
                report.push(Diagnostic::new_error(
                    "syntax",
                    error.message,
                    error.help,
                    Some(&place),
                ));
                return None;
            }
        };
        characters::check(&object, report);
        // As if it weren't there: so do the incumbents, whatever it holds.
        object.items.retain(|item| {
            let objection = objection(dialect, &FILE, &item.key);
            let stays = objection.is_none();
            report.extend(objection);
            stays
        });
        let file = &Fields::of(&object, &FILE, report);
        let auto_auth = |file: &Fields<'_>, key: &str, report: &mut Report| {
            let Some(block) = file.block(key, report) else {
                return file.has(key).then_some(AutoAuth::Broken);
            };
            let identity = identity::auto_auth(&block, environment, report);
            Some(identity.map_or(AutoAuth::Broken, |found| AutoAuth::Present(Box::new(found))))
        };
        let auto_auth = Said::read(file, "auto_auth", auto_auth, report);
        let (identities, identity_broken) = identity::identities(file, environment, report);
        let telemetry = Said::read(file, "telemetry", telemetry, report);
        file.judge_without_effect(report);
        let mut part = Self {
            server: ServerPart::read(file, report),
            auto_auth,
            identities: Vec::new(),
            identity_broken,
            pid_file: Said::read(file, "pid_file", Fields::string, report),
            exit_after_auth: Said::read(file, "exit_after_auth", Fields::strict_boolean, report),
            log: LogPart::read(file, report),
            admin_socket: Said::read(file, "admin_socket", Fields::string, report),
            metrics_address: Said::read(file, "metrics_address", Fields::string, report),
            telemetry,
            plugin_directory: Said::read(file, "plugin_directory", Fields::string, report),
            plugin_lock: Said::read(file, "plugin_lock", Fields::string, report),
            plugins: BTreeMap::new(),
            listeners: Listeners::read(file, dialect, report),
            api_proxy: Said::read(file, "api_proxy", ApiProxyBlock::read, report),
            unbuilt: Unbuilt::read(file, dialect, report),
        };
        part.add_identities(identities, report);
        part.add_plugins(plugins::plugins(file, report), report);
        Some(part)
    }

    /// Lays a later file over this.
    pub(crate) fn merge(&mut self, later: Self, report: &mut Report) {
        let Self {
            server,
            auto_auth,
            identities,
            identity_broken,
            pid_file,
            exit_after_auth,
            log,
            admin_socket,
            metrics_address,
            telemetry,
            plugin_directory,
            plugin_lock,
            plugins,
            listeners,
            api_proxy,
            unbuilt,
        } = later;
        self.server.merge(server, report);
        self.auto_auth.merge(auto_auth, report);
        self.pid_file.merge(pid_file, report);
        self.exit_after_auth.merge(exit_after_auth, report);
        self.log.merge(log, report);
        self.admin_socket.merge(admin_socket, report);
        self.metrics_address.merge(metrics_address, report);
        self.telemetry.merge(telemetry, report);
        self.plugin_directory.merge(plugin_directory, report);
        self.plugin_lock.merge(plugin_lock, report);
        self.listeners.merge(listeners);
        self.api_proxy.merge(api_proxy, report);
        self.unbuilt.merge(unbuilt);
        self.identity_broken |= identity_broken;
        self.add_identities(identities, report);
        self.add_plugins(plugins, report);
    }

    fn add_identities(&mut self, identities: Vec<Identity>, report: &mut Report) {
        for identity in identities {
            let Some(first) = self.identities.iter().find(|other| other.name == identity.name)
            else {
                self.identities.push(identity);
                continue;
            };
            report.push(Diagnostic::new_error(
                "duplicate-block",
                format!(
                    "a second identity \"{}\"; the first is at {}",
                    identity.name, first.location
                ),
                "give each identity a name of its own",
                Some(&identity.location),
            ));
        }
    }

    fn add_plugins(
        &mut self,
        plugins: impl IntoIterator<Item = (String, Plugin)>,
        report: &mut Report,
    ) {
        for (name, plugin) in plugins {
            let Some(first) = self.plugins.get(&name) else {
                self.plugins.insert(name, plugin);
                continue;
            };
            report.push(Diagnostic::new_error(
                "duplicate-block",
                format!(
                    "a second block for plug-in \"{name}\"; the first is at {}",
                    first.location
                ),
                "keep one block for each plug-in",
                Some(&plugin.location),
            ));
        }
    }

    /// Which identities there are.
    pub(crate) fn names(&self) -> Names<'_> {
        let has_default = self.auto_auth.get().is_some();
        Names { has_default, others: &self.identities, broken: self.identity_broken }
    }

    /// Which requests get a token. A `cache` may say so, too.
    pub(crate) fn token_use(&self) -> TokenUse {
        let said = self.api_proxy.get().and_then(|block| block.token_use);
        said.or(self.unbuilt.token_use()).unwrap_or_default()
    }

    /// The settings, unless there is neither an identity nor a listener; the report may hold errors
    /// all the same.
    pub(crate) fn settle(mut self, choice: &Choice<'_>, report: &mut Report) -> Option<Settings> {
        let namespace = choice.namespace(&self.server, report);
        let log = self.log.settle(choice, report);
        let server = choice.server(&self.server, report);
        let admin_socket = doors::admin_socket(self.admin_socket.get(), choice.environment);
        let metrics_address =
            doors::metrics_address(self.metrics_address.get(), self.telemetry.get(), report);
        plugins::check_lock(self.plugin_directory.get(), self.plugin_lock.get(), report);
        let listeners = std::mem::take(&mut self.listeners).settle(&self.names());
        let configured = namespace.as_ref().map(|(namespace, _)| namespace);
        let token_use = self.token_use();
        let api_proxy = self.api_proxy.into_value();
        let api_proxy = api_proxy.map(|block| block.settle(configured, report)).unwrap_or_default();
        let api_proxy = ApiProxy { token_use, ..api_proxy };
        let (cache, persist) = (self.unbuilt.cached(), self.unbuilt.persist());
        let default = match self.auto_auth.into_value() {
            Some(AutoAuth::Present(identity)) => Some(*identity),
            Some(AutoAuth::Broken) | None => None,
        };
        let mut identities: Vec<Identity> = default.into_iter().chain(self.identities).collect();
        file_sink::check_paths(identities.iter(), report);
        // A method's own namespace goes before that of the `vault` block.
        if let Some((namespace, origin)) = namespace {
            let for_all = !matches!(origin, Origin::File(_));
            for identity in &mut identities {
                if for_all || !identity.method.names_namespace {
                    identity.method.namespace = namespace.clone();
                }
            }
        }
        let exit_after_auth = choice
            .flag_switch(&FILE, "exit_after_auth", report)
            .or(self.exit_after_auth.into_value())
            .unwrap_or(false);
        if identities.is_empty() && listeners.is_empty() {
            return None;
        }
        Some(Settings {
            server,
            identities,
            listeners,
            api_proxy,
            cache,
            persist,
            pid_file: path(self.pid_file),
            exit_after_auth,
            log,
            plugin_directory: path(self.plugin_directory),
            plugin_lock: path(self.plugin_lock),
            plugins: self.plugins,
            admin_socket,
            metrics_address,
            strict: choice.overrides.strict,
            dialect: choice.overrides.dialect,
        })
    }
}

/// Judged, and of no effect.
fn telemetry(file: &Fields<'_>, key: &str, report: &mut Report) -> Option<Location> {
    let block = file.block(key, report)?;
    judge::judge(&block, &schema::TELEMETRY, report);
    Some(block.location.clone())
}

fn path(said: Said<Located<String>>) -> Option<PathBuf> {
    let path = said.into_value().map(|text| PathBuf::from(text.value));
    path.filter(|path| !path.as_os_str().is_empty())
}
