//! How the server is reached: address, TLS, proxy, limits, each from its source.

use usher_address::{Namespace, ServerAddress};
use usher_secret::Secret;

use crate::choice::{Choice, Origin, Text};
use crate::diagnostic::Diagnostic;
use crate::fields::Report;
use crate::outbound_proxy;
use crate::overrides::Overrides;
use crate::part::Part;
use crate::settings::{ClientPem, RateLimit, Server};
use crate::values;
use crate::variables::Environment;

/// The server and the namespace where no file is read.
pub(crate) fn connection(
    overrides: &Overrides,
    environment: &Environment<'_>,
    report: &mut Report,
) -> (Server, Namespace) {
    let (choice, part) = (Choice { environment }, Part::default());
    let server = choice.server(&part, overrides, report);
    let namespace = choice.namespace(&part, overrides, report);
    (server, namespace.map(|(namespace, _)| namespace).unwrap_or_default())
}

impl Choice<'_> {
    /// None: nobody names one, or not one that can be sent.
    pub(crate) fn namespace(
        &self,
        part: &Part,
        overrides: &Overrides,
        report: &mut Report,
    ) -> Option<(Namespace, Origin)> {
        let vault = part.vault.as_ref();
        let text = self.text(
            ("namespace", &overrides.namespace),
            "NAMESPACE",
            vault.and_then(|v| v.namespace.clone()),
        )?;
        match Namespace::parse(&text.value) {
            Ok(namespace) => Some((namespace, text.origin)),
            Err(why) => {
                report.push(text.error("vault.namespace", &why.what, &why.remedy));
                None
            }
        }
    }

    pub(crate) fn server(&self, part: &Part, overrides: &Overrides, report: &mut Report) -> Server {
        let vault = part.vault.as_ref();
        let address = self.text(
            ("address", &overrides.address),
            "ADDR",
            vault.and_then(|v| v.address.clone()),
        );
        let address = address.map_or_else(ServerAddress::default, |text| {
            ServerAddress::parse(&text.value).unwrap_or_else(|why| {
                report.push(text.error("vault.address", &why.what, &why.remedy));
                ServerAddress::default()
            })
        });
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
        let proxy = outbound_proxy::resolve(&address, self.environment, report);
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
}

/// Without what is behind the point.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
fn whole(rate: f64) -> u32 {
    rate as u32
}
