//! How the server is reached: address, TLS, proxy, limits. What files say of it, and what comes of
//! that, flags and the environment.

use std::time::Duration;

use usher_address::{Namespace, ServerAddress};
use usher_secret::Secret;

use crate::choice::{Choice, Origin, Text};
use crate::diagnostic::{Diagnostic, Location};
use crate::fields::{Fields, Located, Report};
use crate::said::{Mergeable, Said};
use crate::schema::{ENVIRONMENT, FILE, RETRY, VAULT};
use crate::settings::{ClientPem, RateLimit, Server};
use crate::{outbound_proxy, values};

/// What `disable_idle_connections` and `disable_keep_alives` may list.
const USERS: [&str; 5] = ["auto-auth", "caching", "proxying", "templating", ""];

/// What files say of the server.
#[derive(Default)]
pub(crate) struct ServerPart {
    vault: Said<Vault>,
    disable_idle_connections: Said<bool>,
    disable_keep_alives: Said<bool>,
}

/// The `vault` block.
struct Vault {
    location: Location,
    address: Option<Located<String>>,
    ca_cert: Option<Located<String>>,
    ca_path: Option<Located<String>>,
    client_cert: Option<Located<String>>,
    client_key: Option<Located<String>>,
    tls_server_name: Option<Located<String>>,
    tls_skip_verify: Option<Located<bool>>,
    namespace: Option<Located<String>>,
    num_retries: Option<i64>,
}

impl Mergeable for Vault {
    fn location(&self) -> Option<&Location> {
        Some(&self.location)
    }
}

impl ServerPart {
    pub(crate) fn read(file: &Fields<'_>, report: &mut Report) -> Self {
        Self {
            vault: Said::read(file, "vault", vault, report),
            disable_idle_connections: Said::read(file, "disable_idle_connections", users, report),
            disable_keep_alives: Said::read(file, "disable_keep_alives", users, report),
        }
    }

    pub(crate) fn merge(&mut self, later: Self, report: &mut Report) {
        let Self { vault, disable_idle_connections, disable_keep_alives } = later;
        self.vault.merge(vault, report);
        self.disable_idle_connections.merge(disable_idle_connections, report);
        self.disable_keep_alives.merge(disable_keep_alives, report);
    }
}

fn vault(file: &Fields<'_>, key: &str, report: &mut Report) -> Option<Vault> {
    let block = file.block(key, report)?;
    let fields = Fields::of(block.object, &VAULT, report);
    let num_retries = fields
        .block("retry", report)
        .and_then(|retry| Fields::of(retry.object, &RETRY, report).integer("num_retries", report));
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
fn users(file: &Fields<'_>, key: &str, report: &mut Report) -> Option<bool> {
    let users = file.strings(key, report)?;
    for user in users.iter().filter(|user| !USERS.contains(&user.value.as_str())) {
        report.push(Diagnostic::new_error(
            key,
            format!("`{key}` knows no \"{}\"", user.value),
            "write \"auto-auth\" in the list",
            Some(&user.location),
        ));
    }
    Some(users.iter().any(|user| user.value == "auto-auth"))
}

/// The server and the namespace where no file is read.
pub(crate) fn connection(choice: &Choice<'_>, report: &mut Report) -> (Server, Namespace) {
    let part = ServerPart::default();
    let server = choice.server(&part, report);
    let namespace = choice.namespace(&part, report);
    (server, namespace.map(|(namespace, _)| namespace).unwrap_or_default())
}

impl Choice<'_> {
    /// None: nobody names one, or not one that can be sent.
    pub(crate) fn namespace(
        &self,
        part: &ServerPart,
        report: &mut Report,
    ) -> Option<(Namespace, Origin)> {
        let vault = part.vault.get();
        let text = self.text(&VAULT, "namespace", vault.and_then(|v| v.namespace.clone()))?;
        match Namespace::parse(&text.value) {
            Ok(namespace) => Some((namespace, text.origin)),
            Err(why) => {
                report.push(text.error("vault.namespace", &why.what, &why.remedy));
                None
            }
        }
    }

    pub(crate) fn server(&self, part: &ServerPart, report: &mut Report) -> Server {
        let vault = part.vault.get();
        let address = self.text(&VAULT, "address", vault.and_then(|v| v.address.clone()));
        let address = address.map_or_else(ServerAddress::default, |text| {
            ServerAddress::parse(&text.value).unwrap_or_else(|why| {
                report.push(text.error("vault.address", &why.what, &why.remedy));
                ServerAddress::default()
            })
        });
        let ca_cert = self.text(&VAULT, "ca_cert", vault.and_then(|v| v.ca_cert.clone()));
        let ca_path = self.text(&VAULT, "ca_path", vault.and_then(|v| v.ca_path.clone()));
        let client_cert =
            self.text(&VAULT, "client_cert", vault.and_then(|v| v.client_cert.clone()));
        let client_key = self.text(&VAULT, "client_key", vault.and_then(|v| v.client_key.clone()));
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
        let tls_server_name =
            self.text(&VAULT, "tls_server_name", vault.and_then(|v| v.tls_server_name.clone()));
        let value = |text: Option<Text>| text.map(|text| text.value);
        let proxy = outbound_proxy::resolve(&address, self, report);
        let ca_cert_bytes = self.variable(&ENVIRONMENT, "ca_cert_bytes");
        Server {
            address,
            ca_cert: value(ca_cert),
            ca_cert_bytes: ca_cert_bytes.map(|(value, _)| value),
            ca_path: value(ca_path),
            client_cert: value(client_cert),
            client_key: value(client_key),
            tls_server_name: value(tls_server_name),
            tls_skip_verify: self.tls_skip_verify(vault, report),
            client_timeout: self.client_timeout(report),
            disable_idle_connections: self.disabled(
                "disable_idle_connections",
                &part.disable_idle_connections,
                report,
            ),
            disable_keep_alives: self.disabled(
                "disable_keep_alives",
                &part.disable_keep_alives,
                report,
            ),
            num_retries: self.num_retries(vault, report),
            client_pem: self.client_pem(report),
            proxy,
            rate_limit: self.rate_limit(report),
            srv_lookup: self.variable_switch(&ENVIRONMENT, "srv_lookup", report),
            disable_redirects: self
                .flag_switch(&ENVIRONMENT, "disable_redirects", report)
                .unwrap_or_else(|| self.variable_switch(&ENVIRONMENT, "disable_redirects", report)),
        }
    }

    fn client_timeout(&self, report: &mut Report) -> Option<Duration> {
        let (text, name) = self.variable(&ENVIRONMENT, "client_timeout")?;
        let timeout = values::duration(&text);
        if timeout.is_none() {
            report.push(Diagnostic::new_error(
                "environment",
                format!("{name} is no duration"),
                "write seconds (60), or a duration: 1m30s",
                None,
            ));
        }
        timeout.filter(|timeout| !timeout.is_zero())
    }

    fn num_retries(&self, vault: Option<&Vault>, report: &mut Report) -> Option<i64> {
        let Some((text, name)) = self.variable(&RETRY, "num_retries") else {
            return vault?.num_retries;
        };
        let number = text.trim().parse::<u32>().ok();
        if number.is_none() {
            report.push(Diagnostic::new_error(
                "environment",
                format!("{name} is no whole number; write a number such as 12, or unset it"),
                "",
                None,
            ));
        }
        number.map(i64::from)
    }

    /// The variable is a comma-separated list in any case, instead of that of the files.
    fn disabled(&self, key: &str, said: &Said<bool>, report: &mut Report) -> bool {
        let Some((text, name)) = self.set_variable(&FILE, key) else {
            return said.get().copied().unwrap_or(false);
        };
        let lower = text.to_lowercase();
        for user in lower.split(',').map(str::trim).filter(|user| !USERS.contains(user)) {
            let message = format!("{name} knows no \"{user}\"");
            report.push(Diagnostic::new_error("environment", message, "write auto-auth", None));
        }
        lower.split(',').any(|user| user.trim() == "auto-auth")
    }

    /// PEM texts instead of files.
    fn client_pem(&self, report: &mut Report) -> Option<ClientPem> {
        let certificate = self.variable(&ENVIRONMENT, "client_cert_bytes");
        let key = self.variable(&ENVIRONMENT, "client_key_bytes");
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
        let (text, name) = self.variable(&ENVIRONMENT, "rate_limit")?;
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
    fn tls_skip_verify(&self, vault: Option<&Vault>, report: &mut Report) -> bool {
        const KEY: &str = "tls_skip_verify";
        let from_file = vault.and_then(|vault| vault.tls_skip_verify.clone());
        let from_flag = self.flag_switch(&VAULT, KEY, report);
        let (skip, origin, place) = if let Some(skip) = from_flag {
            (skip, "--tls-skip-verify".to_owned(), None)
        } else if let Some((text, name)) = self.set_variable(&VAULT, KEY) {
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
            (skip.value, KEY.to_owned(), Some(skip.location))
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
}

/// Without what is behind the point.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
fn whole(rate: f64) -> u32 {
    rate as u32
}
