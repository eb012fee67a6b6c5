//! Settles each setting: command line before environment before files before defaults.
//!
//! A variable is looked up as `BAO_X`, then as `VAULT_X`. One that is set wins even if it is
//! empty: a present but empty `BAO_X` hides `VAULT_X`, and blanks what the files say. A method's own
//! namespace goes before that of the `vault` block.

use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use crate::choice::{Choice, Origin, parsed};
use crate::diagnostic::Diagnostic;
use crate::fields::{Located, Report};
use crate::file_sink;
use crate::overrides::Overrides;
use crate::part::{AutoAuth, LOG_FORMATS, LOG_LEVELS, Part};
use crate::settings::{Identity, Log, LogFile, LogFormat, LogLevel, Settings};
use crate::values;
use crate::variables::Environment;

/// The settings, unless there is no identity; the report may hold errors all the same.
pub(crate) fn settle(
    part: Part,
    overrides: &Overrides,
    environment: &Environment<'_>,
    report: &mut Report,
) -> Option<Settings> {
    let choice = Choice { environment };
    let namespace = choice.namespace(&part, overrides, report);
    let log = Log {
        level: parsed(
            choice.text(("log-level", &overrides.log_level), "LOG_LEVEL", part.log_level.clone()),
            LogLevel::parse,
            ("log_level", "there is no such log level", LOG_LEVELS),
            report,
        ),
        format: parsed(
            choice.text(
                ("log-format", &overrides.log_format),
                "LOG_FORMAT",
                part.log_format.clone(),
            ),
            LogFormat::parse,
            ("log_format", "there is no such log format", LOG_FORMATS),
            report,
        ),
        file: log_file(&part, overrides, report),
    };
    let server = choice.server(&part, overrides, report);
    let admin_socket = admin_socket(&part, environment);
    let metrics_address = metrics_address(&part, report);
    check_lock(&part, report);
    let default = match part.auto_auth {
        AutoAuth::Present(identity) => Some(*identity),
        AutoAuth::Broken | AutoAuth::Absent => None,
    };
    let mut identities: Vec<Identity> = default.into_iter().chain(part.identities).collect();
    file_sink::check_paths(identities.iter(), report);
    if let Some((namespace, origin)) = namespace {
        let for_all = !matches!(origin, Origin::File(_));
        for identity in &mut identities {
            if for_all || !identity.method.names_namespace {
                identity.method.namespace = namespace.clone();
            }
        }
    }
    if identities.is_empty() {
        return None;
    }
    let path = |text: Option<Located<String>>| {
        text.map(|text| PathBuf::from(text.value)).filter(|path| !path.as_os_str().is_empty())
    };
    Some(Settings {
        server,
        identities,
        pid_file: path(part.pid_file),
        exit_after_auth: overrides.exit_after_auth.unwrap_or(part.exit_after_auth),
        log,
        plugin_directory: path(part.plugin_directory),
        plugin_lock: path(part.plugin_lock),
        plugins: part.plugins,
        admin_socket,
        metrics_address,
        strict: overrides.strict,
    })
}

/// Where the admin socket is by default, below `$RUNTIME_DIRECTORY`.
const ADMIN_SOCKET: &str = "usher.sock";

/// systemd sets the variable; with several directories it is a colon list.
fn admin_socket(part: &Part, environment: &Environment<'_>) -> Option<PathBuf> {
    match &part.admin_socket {
        Some(path) => Some(PathBuf::from(&path.value)),
        None => environment.plain("RUNTIME_DIRECTORY").and_then(|list| {
            let first = list.split(':').next().filter(|directory| !directory.is_empty())?;
            Some(Path::new(first).join(ADMIN_SOCKET))
        }),
    }
    .filter(|path| !path.as_os_str().is_empty())
}

fn metrics_address(part: &Part, report: &mut Report) -> Option<SocketAddr> {
    const HELP: &str = "write an IP address and a port: metrics_address = \"127.0.0.1:9102\"";
    let text = part.metrics_address.as_ref().filter(|text| !text.value.is_empty());
    let address = text.and_then(|text| text.value.parse().ok());
    if let (Some(text), None) = (text, address) {
        let message = "`metrics_address` is no IP address with a port";
        report.push(Diagnostic::new_error("metrics_address", message, HELP, Some(&text.location)));
    }
    if let Some(telemetry) = part.telemetry.as_ref().filter(|_| text.is_none()) {
        report.push(Diagnostic::new_warning(
            "telemetry",
            "the metrics are served at `metrics_address`, which is not set",
            HELP,
            Some(telemetry),
        ));
    }
    address
}

/// Whoever can replace a plug-in must not be able to replace what admits it.
fn check_lock(part: &Part, report: &mut Report) {
    let (Some(directory), Some(lock)) = (&part.plugin_directory, &part.plugin_lock) else { return };
    if lock.value.is_empty() || directory.value.is_empty() {
        return;
    }
    if without_dots(&lock.value).starts_with(without_dots(&directory.value)) {
        report.push(Diagnostic::new_error(
            "plugin_lock",
            "`plugin_lock` lies in `plugin_directory`, with what it is to keep watch over",
            "write a path beside it: plugin_lock = \"/etc/usher/usher.lock\"",
            Some(&lock.location),
        ));
    }
}

/// A path without `.` and `..`, read as it stands.
fn without_dots(path: &str) -> PathBuf {
    Path::new(path).components().fold(PathBuf::new(), |mut path, part| {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(path.pop()),
            part => path.push(part),
        }
        path
    })
}

/// The name of the log file where `log_file` is a directory.
const LOG_FILE: &str = "usher.log";
const LOG_ROTATE_DURATION: Duration = Duration::from_hours(24);

/// No environment variable speaks of it.
fn log_file(part: &Part, overrides: &Overrides, report: &mut Report) -> Option<LogFile> {
    fn number<T>(
        name: &str,
        given: Option<&String>,
        parse: impl Fn(&str) -> Option<T>,
        help: &str,
        report: &mut Report,
    ) -> Option<T> {
        let value = parse(given?);
        if value.is_none() {
            let message = format!("--{name} can't be read");
            report.push(Diagnostic::new_error("log_rotate", message, help, None));
        }
        value
    }
    const WHOLE: &str = "write a whole number";
    let integer = |text: &str| text.trim().parse::<i64>().ok();
    let bytes =
        number("log-rotate-bytes", overrides.log_rotate_bytes.as_ref(), integer, WHOLE, report)
            .or(part.log_rotate_bytes);
    let files = number(
        "log-rotate-max-files",
        overrides.log_rotate_max_files.as_ref(),
        integer,
        WHOLE,
        report,
    )
    .or(part.log_rotate_max_files);
    let duration = number(
        "log-rotate-duration",
        overrides.log_rotate_duration.as_ref(),
        values::duration,
        "write a duration: 24h",
        report,
    )
    .or(part.log_rotate_duration);
    let in_file = part.log_file.as_ref().map(|path| &path.value);
    let path = overrides.log_file.as_ref().or(in_file).filter(|path| !path.is_empty())?;
    let mut file = PathBuf::from(path);
    if path.ends_with('/') {
        file.push(LOG_FILE);
    }
    Some(LogFile {
        path: file,
        rotate_bytes: bytes.and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes > 0),
        rotate_duration: duration
            .filter(|duration| !duration.is_zero())
            .unwrap_or(LOG_ROTATE_DURATION),
        rotate_max_files: files.unwrap_or(0),
    })
}
