//! Reads one file into the settings it makes, and merges those of several files.
//!
//! A later file replaces whole blocks (`vault`, `auto_auth`) and single values (`pid_file`,
//! `log_*`, `plugin_directory` and the like, if not empty) of an earlier one; switches
//! (`exit_after_auth`, `disable_*`) stay on once they are; `identity` and `plugin` blocks add up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::diagnostic::{Diagnostic, Location, Source};
use crate::fields::{Fields, Located, Report};
use crate::settings::{Identity, LogFormat, LogLevel, Plugin};
use crate::unbuilt::Unbuilt;
use crate::variables::Environment;
use crate::{characters, hcl, identity, json, judge, plugins, schema};

/// What `disable_idle_connections` and `disable_keep_alives` may list.
pub(crate) const CONNECTION_USERS: [&str; 5] =
    ["auto-auth", "caching", "proxying", "templating", ""];

/// What files say, before flags and environment.
#[derive(Default)]
pub(crate) struct Part {
    pub(crate) vault: Option<Vault>,
    pub(crate) auto_auth: AutoAuth,
    pub(crate) pid_file: Option<Located<String>>,
    pub(crate) exit_after_auth: bool,
    pub(crate) log_level: Option<Located<String>>,
    pub(crate) log_format: Option<Located<String>>,
    pub(crate) log_file: Option<Located<String>>,
    pub(crate) log_rotate_bytes: Option<i64>,
    pub(crate) log_rotate_duration: Option<Duration>,
    pub(crate) log_rotate_max_files: Option<i64>,
    pub(crate) admin_socket: Option<Located<String>>,
    pub(crate) metrics_address: Option<Located<String>>,
    pub(crate) telemetry: Option<Location>,
    pub(crate) identities: Vec<Identity>,
    /// An identity was left out for its problems, which are in the report.
    pub(crate) identity_broken: bool,
    pub(crate) unbuilt: Unbuilt,
    pub(crate) disable_idle_connections: bool,
    pub(crate) disable_keep_alives: bool,
    pub(crate) plugin_directory: Option<Located<String>>,
    pub(crate) plugin_lock: Option<Located<String>>,
    pub(crate) plugins: BTreeMap<String, Plugin>,
}

/// The `vault` block.
#[derive(Clone, Debug)]
pub(crate) struct Vault {
    pub(crate) location: Location,
    pub(crate) address: Option<Located<String>>,
    pub(crate) ca_cert: Option<Located<String>>,
    pub(crate) ca_path: Option<Located<String>>,
    pub(crate) client_cert: Option<Located<String>>,
    pub(crate) client_key: Option<Located<String>>,
    pub(crate) tls_server_name: Option<Located<String>>,
    pub(crate) tls_skip_verify: Option<Located<bool>>,
    pub(crate) namespace: Option<Located<String>>,
    pub(crate) num_retries: Option<i64>,
}

/// The `auto_auth` block.
#[derive(Default)]
pub(crate) enum AutoAuth {
    #[default]
    Absent,
    /// Its problems are in the report.
    Broken,
    Present(Box<Identity>),
}

impl Part {
    /// None: the file is no HCL 1 and no JSON, and the report says so.
    pub(crate) fn read(
        source: &Arc<Source>,
        environment: &Environment<'_>,
        report: &mut Report,
    ) -> Option<Self> {
        let read = if source.is_json() {
            json::read(source).map(|(object, warnings)| {
                report.extend(warnings);
                object
            })
        } else {
            hcl::read(source)
        };
        let object = match read {
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
        let fields = Fields::of(&object, &schema::FILE, report);
        let auto_auth = match fields.block("auto_auth", report) {
            None if fields.has("auto_auth") => AutoAuth::Broken,
            None => AutoAuth::Absent,
            Some(block) => match identity::auto_auth(&block, environment, report) {
                None => AutoAuth::Broken,
                Some(identity) => AutoAuth::Present(Box::new(identity)),
            },
        };
        let (identities, identity_broken) = identity::identities(&fields, environment, report);
        let telemetry = fields.block("telemetry", report);
        if let Some(telemetry) = &telemetry {
            judge::judge(telemetry, &schema::TELEMETRY, report);
        }
        fields.judge_without_effect(report);
        let mut part = Self {
            vault: vault(&fields, report),
            auto_auth,
            pid_file: fields.string("pid_file", report),
            exit_after_auth: fields.strict_boolean("exit_after_auth", report).unwrap_or(false),
            log_level: fields.string("log_level", report),
            log_format: fields.string("log_format", report),
            log_file: fields.string("log_file", report),
            log_rotate_bytes: fields.integer("log_rotate_bytes", report),
            log_rotate_duration: fields
                .duration("log_rotate_duration", report)
                .map(|duration| duration.value),
            log_rotate_max_files: fields.integer("log_rotate_max_files", report),
            admin_socket: fields.string("admin_socket", report),
            metrics_address: fields.string("metrics_address", report),
            telemetry: telemetry.map(|block| block.location.clone()),
            identities: Vec::new(),
            identity_broken,
            unbuilt: Unbuilt::read(&fields, report),
            disable_idle_connections: connections(&fields, "disable_idle_connections", report),
            disable_keep_alives: connections(&fields, "disable_keep_alives", report),
            plugin_directory: fields.string("plugin_directory", report),
            plugin_lock: fields.string("plugin_lock", report),
            plugins: BTreeMap::new(),
        };
        part.check_log(report);
        for identity in identities {
            part.add_identity(identity, report);
        }
        for (name, plugin) in plugins::plugins(&fields, report) {
            part.add_plugin(name, plugin, report);
        }
        Some(part)
    }

    fn check_log(&self, report: &mut Report) {
        if let Some(level) = self.log_level.as_ref().filter(|l| LogLevel::parse(&l.value).is_none())
        {
            report.push(Diagnostic::new_error(
                "log_level",
                format!("there is no log level \"{}\"", level.value),
                LOG_LEVELS,
                Some(&level.location),
            ));
        }
        if let Some(format) =
            self.log_format.as_ref().filter(|f| LogFormat::parse(&f.value).is_none())
        {
            report.push(Diagnostic::new_error(
                "log_format",
                format!("there is no log format \"{}\"", format.value),
                LOG_FORMATS,
                Some(&format.location),
            ));
        }
    }

    fn add_identity(&mut self, identity: Identity, report: &mut Report) {
        if let Some(first) = self.identities.iter().find(|other| other.name == identity.name) {
            report.push(Diagnostic::new_error(
                "duplicate-block",
                format!(
                    "a second identity \"{}\"; the first is at {}",
                    identity.name, first.location
                ),
                "give each identity a name of its own",
                Some(&identity.location),
            ));
            return;
        }
        self.identities.push(identity);
    }

    fn add_plugin(&mut self, name: String, plugin: Plugin, report: &mut Report) {
        if let Some(first) = self.plugins.get(&name) {
            report.push(Diagnostic::new_error(
                "duplicate-block",
                format!(
                    "a second block for plug-in \"{name}\"; the first is at {}",
                    first.location
                ),
                "keep one block for each plug-in",
                Some(&plugin.location),
            ));
            return;
        }
        self.plugins.insert(name, plugin);
    }

    /// Lays a later file over this.
    pub(crate) fn merge(&mut self, later: Self, report: &mut Report) {
        if let (Some(earlier), Some(vault)) = (&self.vault, &later.vault) {
            report.push(replaced("vault", &earlier.location, &vault.location));
        }
        if let (AutoAuth::Present(earlier), AutoAuth::Present(identity)) =
            (&self.auto_auth, &later.auto_auth)
        {
            report.push(replaced("auto_auth", &earlier.location, &identity.location));
        }
        self.vault = later.vault.or(self.vault.take());
        if !matches!(later.auto_auth, AutoAuth::Absent) {
            self.auto_auth = later.auto_auth;
        }
        for (value, newer) in [
            (&mut self.pid_file, later.pid_file),
            (&mut self.log_level, later.log_level),
            (&mut self.log_format, later.log_format),
            (&mut self.log_file, later.log_file),
            (&mut self.metrics_address, later.metrics_address),
            (&mut self.plugin_directory, later.plugin_directory),
            (&mut self.plugin_lock, later.plugin_lock),
        ] {
            if let Some(newer) = newer.filter(|newer| !newer.value.is_empty()) {
                *value = Some(newer);
            }
        }
        // "" is off.
        self.admin_socket = later.admin_socket.or(self.admin_socket.take());
        self.log_rotate_bytes = later.log_rotate_bytes.or(self.log_rotate_bytes);
        self.log_rotate_duration = later.log_rotate_duration.or(self.log_rotate_duration);
        self.log_rotate_max_files = later.log_rotate_max_files.or(self.log_rotate_max_files);
        self.telemetry = later.telemetry.or(self.telemetry.take());
        self.identity_broken |= later.identity_broken;
        self.unbuilt.merge(later.unbuilt);
        for identity in later.identities {
            self.add_identity(identity, report);
        }
        self.exit_after_auth |= later.exit_after_auth;
        self.disable_idle_connections |= later.disable_idle_connections;
        self.disable_keep_alives |= later.disable_keep_alives;
        for (name, plugin) in later.plugins {
            self.add_plugin(name, plugin, report);
        }
    }
}

pub(crate) const LOG_LEVELS: &str = "write trace, debug, info, warn or error";
pub(crate) const LOG_FORMATS: &str = "write standard or json";

fn replaced(block: &str, earlier: &Location, later: &Location) -> Diagnostic {
    Diagnostic::new_warning(
        "replaced-block",
        format!("this `{block}` block replaces all of the one at {earlier}"),
        "blocks of several files are not merged; keep one",
        Some(later),
    )
}

fn vault(file: &Fields<'_>, report: &mut Report) -> Option<Vault> {
    let block = file.block("vault", report)?;
    let fields = Fields::of(block.object, &schema::VAULT, report);
    let num_retries = fields.block("retry", report).and_then(|retry| {
        Fields::of(retry.object, &schema::RETRY, report).integer("num_retries", report)
    });
    Some(Vault {
        location: block.location.clone(),
        address: fields.string("address", report),
        ca_cert: fields.string("ca_cert", report),
        ca_path: fields.string("ca_path", report),
        client_cert: fields.string("client_cert", report),
        client_key: fields.string("client_key", report),
        tls_server_name: fields.string("tls_server_name", report),
        tls_skip_verify: fields.weak_boolean("tls_skip_verify", report),
        namespace: fields.string("namespace", report),
        num_retries,
    })
}

/// Whether the list names the part that this agent has.
fn connections(file: &Fields<'_>, key: &str, report: &mut Report) -> bool {
    let users = file.strings(key, report).unwrap_or_default();
    for user in users.iter().filter(|user| !CONNECTION_USERS.contains(&user.value.as_str())) {
        report.push(Diagnostic::new_error(
            key,
            format!("`{key}` knows no \"{}\"", user.value),
            "write \"auto-auth\" in the list",
            Some(&user.location),
        ));
    }
    users.iter().any(|user| user.value == "auto-auth")
}
