//! Settles each setting: command line before environment before files before defaults.
//!
//! A variable is looked up as `BAO_X`, then as `VAULT_X`. One that is set wins even if it is
//! empty: a present but empty `BAO_X` hides `VAULT_X`, and blanks what the files say.

use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use usher_secret::Secret;

use crate::diagnostic::{Diagnostic, Location};
use crate::fields::{Located, Report};
use crate::file::{AutoAuth, CONNECTION_USERS, LOG_FORMATS, LOG_LEVELS, Part};
use crate::identity::check_file_sinks;
use crate::proxy;
use crate::settings::{
    ClientPem, Identity, Log, LogFile, LogFormat, LogLevel, RateLimit, Server, Settings,
};
use crate::values;

const DEFAULT_ADDRESS: &str = "https://127.0.0.1:8200";

/// What the command line says; an empty text blanks the setting.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Overrides {
    pub address: Option<String>,
    pub ca_cert: Option<String>,
    pub ca_path: Option<String>,
    pub client_cert: Option<String>,
    pub client_key: Option<String>,
    pub tls_server_name: Option<String>,
    pub tls_skip_verify: Option<bool>,
    pub namespace: Option<String>,
    pub log_level: Option<String>,
    pub log_format: Option<String>,
    pub log_file: Option<String>,
    pub log_rotate_bytes: Option<String>,
    pub log_rotate_duration: Option<String>,
    pub log_rotate_max_files: Option<String>,
    pub exit_after_auth: Option<bool>,
    pub disable_redirects: Option<bool>,
}

/// Variables by the name they share, without `BAO_` or `VAULT_`.
pub(crate) struct Environment<'a>(pub(crate) &'a dyn Fn(&str) -> Option<String>);

impl Environment<'_> {
    /// A variable without prefix.
    pub(crate) fn plain(&self, name: &str) -> Option<String> {
        (self.0)(name)
    }

    /// Value and whole name.
    pub(crate) fn get(&self, name: &str) -> Option<(String, String)> {
        ["BAO", "VAULT"].iter().find_map(|prefix| {
            let name = format!("{prefix}_{name}");
            (self.0)(&name).map(|value| (value, name))
        })
    }
}

/// Where a text came from.
enum Origin {
    Flag(&'static str),
    Variable(String),
    File(Location),
}

struct Text {
    value: String,
    origin: Origin,
}

impl Text {
    fn error(&self, code: &str, message: &str, help: &str) -> Diagnostic {
        match &self.origin {
            Origin::Flag(name) => {
                Diagnostic::new_error(code, format!("--{name}: {message}"), help, None)
            }
            Origin::Variable(name) => {
                Diagnostic::new_error(code, format!("{name}: {message}"), help, None)
            }
            Origin::File(location) => Diagnostic::new_error(code, message, help, Some(location)),
        }
    }
}

/// The settings, unless there is no identity; the report may hold errors all the same.
pub(crate) fn settle(
    part: Part,
    overrides: &Overrides,
    environment: &Environment<'_>,
    report: &mut Report,
) -> Option<Settings> {
    let choice = Choice { environment };
    let vault = part.vault.as_ref();
    let namespace = choice.text(
        ("namespace", &overrides.namespace),
        "NAMESPACE",
        vault.and_then(|vault| vault.namespace.clone()),
    );
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
    check_file_sinks(identities.iter(), report);
    if let Some(namespace) = namespace {
        for identity in &mut identities {
            identity.method.namespace = values::namespace(&namespace.value);
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
        let message = format!("`metrics_address` is {:?}", text.value);
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

/// The server and the namespace where no file is read.
pub(crate) fn connection(
    overrides: &Overrides,
    environment: &Environment<'_>,
    report: &mut Report,
) -> (Server, String) {
    let choice = Choice { environment };
    let server = choice.server(&Part::default(), overrides, report);
    let namespace = choice.text(("namespace", &overrides.namespace), "NAMESPACE", None);
    (server, namespace.map(|text| values::namespace(&text.value)).unwrap_or_default())
}

struct Choice<'a> {
    environment: &'a Environment<'a>,
}

impl Choice<'_> {
    /// None: set nowhere, or blanked.
    fn text(
        &self,
        (flag, given): (&'static str, &Option<String>),
        variable: &str,
        file: Option<Located<String>>,
    ) -> Option<Text> {
        let text = if let Some(value) = given.clone() {
            Text { value, origin: Origin::Flag(flag) }
        } else if let Some((value, name)) = self.environment.get(variable) {
            Text { value, origin: Origin::Variable(name) }
        } else {
            let file = file?;
            Text { value: file.value, origin: Origin::File(file.location) }
        };
        (!text.value.trim().is_empty()).then_some(text)
    }

    fn server(&self, part: &Part, overrides: &Overrides, report: &mut Report) -> Server {
        let vault = part.vault.as_ref();
        let address = self.text(
            ("address", &overrides.address),
            "ADDR",
            vault.and_then(|v| v.address.clone()),
        );
        let address = match address {
            None => DEFAULT_ADDRESS.to_owned(),
            Some(text) => match checked_address(&text.value) {
                Ok(address) => address,
                Err(message) => {
                    let help = "write https://HOST:8200, http://HOST:8200 or unix:///PATH";
                    report.push(text.error("vault.address", message, help));
                    DEFAULT_ADDRESS.to_owned()
                }
            },
        };
        let ca_cert = self.text(
            ("ca-cert", &overrides.ca_cert),
            "CACERT",
            vault.and_then(|v| v.ca_cert.clone()),
        );
        let ca_path = self.text(
            ("ca-path", &overrides.ca_path),
            "CAPATH",
            vault.and_then(|v| v.ca_path.clone()),
        );
        let client_cert = self.text(
            ("client-cert", &overrides.client_cert),
            "CLIENT_CERT",
            vault.and_then(|v| v.client_cert.clone()),
        );
        let client_key = self.text(
            ("client-key", &overrides.client_key),
            "CLIENT_KEY",
            vault.and_then(|v| v.client_key.clone()),
        );
        let half = match (&client_cert, &client_key) {
            (Some(alone), None) => {
                Some((alone, "a client certificate without its key", "set client_key too"))
            }
            (None, Some(alone)) => {
                Some((alone, "a client key without its certificate", "set client_cert too"))
            }
            _ => None,
        };
        if let Some((alone, message, help)) = half {
            report.push(alone.error("vault.client_cert", message, help));
        }
        let tls_server_name = self.text(
            ("tls-server-name", &overrides.tls_server_name),
            "TLS_SERVER_NAME",
            vault.and_then(|v| v.tls_server_name.clone()),
        );
        let value = |text: Option<Text>| text.map(|text| text.value);
        let proxy = proxy::resolve(&address, self.environment, report);
        Server {
            address,
            ca_cert: value(ca_cert),
            ca_cert_bytes: self.variable("CACERT_BYTES").map(|(value, _)| value),
            ca_path: value(ca_path),
            client_cert: value(client_cert),
            client_key: value(client_key),
            tls_server_name: value(tls_server_name),
            tls_skip_verify: self.tls_skip_verify(part, overrides, report),
            client_timeout: self
                .variable("CLIENT_TIMEOUT")
                .and_then(|(text, name)| {
                    let timeout = values::duration(&text);
                    if timeout.is_none() {
                        let help = "write seconds (60), or a duration: 1m30s";
                        report.push(Diagnostic::new_error(
                            "environment",
                            format!("{name} is no duration"),
                            help,
                            None,
                        ));
                    }
                    timeout
                })
                .filter(|timeout| !timeout.is_zero()),
            disable_idle_connections: self
                .disabled("AGENT_DISABLE_IDLE_CONNECTIONS", report)
                .unwrap_or(part.disable_idle_connections),
            disable_keep_alives: self
                .disabled("AGENT_DISABLE_KEEP_ALIVES", report)
                .unwrap_or(part.disable_keep_alives),
            num_retries: match self.variable("MAX_RETRIES") {
                None => vault.and_then(|v| v.num_retries),
                Some((text, name)) => {
                    let number = text.trim().parse::<u32>().ok();
                    if number.is_none() {
                        report.push(Diagnostic::new_error(
                            "environment",
                            format!(
                                "{name} is no whole number; write a number such as 12, or unset it"
                            ),
                            "",
                            None,
                        ));
                    }
                    number.map(i64::from)
                }
            },
            client_pem: self.client_pem(report),
            proxy,
            rate_limit: self.rate_limit(report),
            srv_lookup: self.switch("SRV_LOOKUP", report),
            disable_redirects: match overrides.disable_redirects {
                Some(disable) => disable,
                None => self.switch("DISABLE_REDIRECTS", report),
            },
        }
    }

    /// A variable that isn't empty.
    fn variable(&self, name: &str) -> Option<(String, String)> {
        self.environment.get(name).filter(|(value, _)| !value.trim().is_empty())
    }

    /// A variable that is true or false; false if it isn't set.
    fn switch(&self, name: &str, report: &mut Report) -> bool {
        let Some((text, name)) = self.variable(name) else { return false };
        values::boolean(text.trim()).unwrap_or_else(|| {
            let message = format!("{name} is neither true nor false");
            report.push(Diagnostic::new_error("environment", message, "write true or false", None));
            false
        })
    }

    /// PEM texts instead of files.
    fn client_pem(&self, report: &mut Report) -> Option<ClientPem> {
        let certificate = self.variable("CLIENT_CERT_BYTES");
        let key = self.variable("CLIENT_KEY_BYTES");
        let alone = match (certificate, key) {
            (Some((certificate, _)), Some((key, _))) => {
                return Some(ClientPem { certificate, key: Secret::new(key) });
            }
            (Some((_, name)), None) | (None, Some((_, name))) => name,
            (None, None) => return None,
        };
        report.push(Diagnostic::new_error(
            "environment",
            format!("{alone} is set without its other half"),
            "set both CLIENT_CERT_BYTES and CLIENT_KEY_BYTES, with the same prefix",
            None,
        ));
        None
    }

    /// "5" or "5:10": requests a second, and how many at once.
    fn rate_limit(&self, report: &mut Report) -> Option<RateLimit> {
        let (text, name) = self.variable("RATE_LIMIT")?;
        let (rate, burst) = match text.trim().split_once(':') {
            Some((rate, burst)) => (rate, Some(burst)),
            None => (text.trim(), None),
        };
        let rate = rate.parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate > 0.0);
        let limit = rate.and_then(|per_second| {
            let burst = match burst {
                Some(burst) => burst.parse::<u32>().ok()?.max(1),
                None => whole(per_second).max(1),
            };
            Some(RateLimit { per_second, burst })
        });
        if limit.is_none() {
            report.push(Diagnostic::new_error(
                "environment",
                format!("{name} is no rate"),
                "write requests a second, and how many at once: 5 or 5:10",
                None,
            ));
        }
        limit
    }

    /// The incumbents take any text in the variable, "false" too, for yes.
    fn tls_skip_verify(&self, part: &Part, overrides: &Overrides, report: &mut Report) -> bool {
        let from_file = part.vault.as_ref().and_then(|vault| vault.tls_skip_verify.clone());
        let (skip, origin, place) = if let Some(skip) = overrides.tls_skip_verify {
            (skip, "--tls-skip-verify".to_owned(), None)
        } else if let Some((text, name)) = self.environment.get("SKIP_VERIFY") {
            let Some(skip) = values::boolean(text.trim()) else {
                let message = format!("{name} is neither true nor false");
                report.push(Diagnostic::new_error(
                    "environment",
                    message,
                    "write true or false",
                    None,
                ));
                return false;
            };
            (skip, name, None)
        } else if let Some(skip) = from_file {
            (skip.value, "tls_skip_verify".to_owned(), Some(skip.location))
        } else {
            return false;
        };
        if skip {
            report.push(Diagnostic::new_warning(
                "tls-skip-verify",
                format!("{origin}: whoever answers at the server's address gets the credentials, for its certificate is not verified"),
                "trust the server's CA instead: ca_cert = \"FILE\"",
                place.as_ref(),
            ));
        }
        skip
    }

    /// A comma-separated list in any case; replaces that of the files.
    fn disabled(&self, variable: &str, report: &mut Report) -> Option<bool> {
        let (text, name) = self.environment.get(variable)?;
        let lower = text.to_lowercase();
        for user in lower.split(',').map(str::trim).filter(|user| !CONNECTION_USERS.contains(user))
        {
            let message = format!("{name} knows no \"{user}\"");
            report.push(Diagnostic::new_error("environment", message, "write auto-auth", None));
        }
        Some(lower.split(',').any(|user| user.trim() == "auto-auth"))
    }
}

/// Without what is behind the point.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
fn whole(rate: f64) -> u32 {
    rate as u32
}

/// What a file says was checked when it was read.
fn parsed<T: Default>(
    text: Option<Text>,
    parse: impl Fn(&str) -> Option<T>,
    (code, message, help): (&str, &str, &str),
    report: &mut Report,
) -> T {
    let Some(text) = text else { return T::default() };
    parse(&text.value).unwrap_or_else(|| {
        if !matches!(text.origin, Origin::File(_)) {
            report.push(text.error(code, &format!("{message} \"{}\"", text.value), help));
        }
        T::default()
    })
}

/// Without trailing slash.
fn checked_address(text: &str) -> Result<String, &'static str> {
    let address = text.trim().trim_end_matches('/');
    let Some((scheme, rest)) = address.split_once("://") else {
        return Err("the address has no scheme");
    };
    let scheme = scheme.to_ascii_lowercase();
    match scheme.as_str() {
        "unix" if rest.starts_with('/') && rest.len() > 1 => {}
        "unix" => return Err("the address names no absolute path of a socket"),
        "http" | "https" => {
            let authority = rest.split('/').next().unwrap_or_default();
            if rest
                .contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#'))
            {
                return Err("the address holds what doesn't belong in one");
            }
            if authority.contains('@') {
                return Err("the address holds a user name");
            }
            let (host, port) = match authority.rfind(']') {
                Some(end) => authority.split_at(end + 1),
                None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
            };
            if host.is_empty() || host == "[]" {
                return Err("the address has no host");
            }
            let port_is_good = match port.strip_prefix(':') {
                None => port.is_empty(),
                Some(digits) => digits.parse::<u16>().is_ok_and(|number| number > 0),
            };
            if !port_is_good {
                return Err("the address has no valid port");
            }
        }
        _ => return Err("the address has an unknown scheme"),
    }
    Ok(format!("{scheme}://{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_their_slash_and_must_say_all() {
        for (text, address) in [
            ("https://x:8200/", "https://x:8200"),
            (" HTTP://x ", "http://x"),
            ("https://[::1]:8200", "https://[::1]:8200"),
            ("https://x/base/", "https://x/base"),
            ("unix:///run/bao.sock", "unix:///run/bao.sock"),
        ] {
            assert_eq!(checked_address(text).as_deref(), Ok(address), "{text}");
        }
        for text in [
            "127.0.0.1:8200",
            "x",
            "https://",
            "https:///x",
            "https://:8200",
            "https://x:port",
            "https://x:0",
            "https://x:99999",
            "https://u:p@x",
            "https://x?y",
            "https://x y",
            "ftp://x",
            "unix://x",
            "unix://",
            "https://::1",
        ] {
            assert!(checked_address(text).is_err(), "{text}");
        }
    }
}
