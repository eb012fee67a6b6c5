//! How the server is reached: address, TLS, proxy, limits, each from its source.

use usher_secret::Secret;

use crate::choice::{Choice, Text};
use crate::diagnostic::Diagnostic;
use crate::environment::{Environment, Overrides};
use crate::fields::Report;
use crate::file::Part;
use crate::proxy;
use crate::settings::{ClientPem, RateLimit, Server};
use crate::values;

const DEFAULT_ADDRESS: &str = "https://127.0.0.1:8200";

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

impl Choice<'_> {
    pub(crate) fn server(&self, part: &Part, overrides: &Overrides, report: &mut Report) -> Server {
        let vault = part.vault.as_ref();
        let address = self.text(
            ("address", &overrides.address),
            "ADDR",
            vault.and_then(|v| v.address.clone()),
        );
        let (address, user) = match address {
            None => (DEFAULT_ADDRESS.to_owned(), None),
            Some(text) => match checked_address(&text.value) {
                Ok(checked) => checked,
                Err(message) => {
                    let help = "write https://HOST:8200, http://HOST:8200 or unix:///PATH";
                    report.push(text.error("vault.address", message, help));
                    (DEFAULT_ADDRESS.to_owned(), None)
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
            user,
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

/// Without trailing slash, and apart from user and password, as they are written.
fn checked_address(text: &str) -> Result<(String, Option<Secret<String>>), &'static str> {
    let address = text.trim().trim_end_matches('/');
    let Some((scheme, rest)) = address.split_once("://") else {
        return Err("the address has no scheme");
    };
    let scheme = scheme.to_ascii_lowercase();
    if rest.contains("${") {
        return Err(
            "the address holds a variable, and none is replaced in a configuration; BAO_ADDR goes before this address",
        );
    }
    match scheme.as_str() {
        "unix" if rest.starts_with('/') && rest.len() > 1 => {
            Ok((format!("{scheme}://{rest}"), None))
        }
        "unix" => Err("the address names no absolute path of a socket"),
        "http" | "https" => {
            let (user, rest) = checked_url(rest)?;
            Ok((format!("{scheme}://{rest}"), user))
        }
        _ => Err("the address has an unknown scheme"),
    }
}

/// What follows the scheme, apart from user and password.
fn checked_url(rest: &str) -> Result<(Option<Secret<String>>, String), &'static str> {
    if rest.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#')) {
        return Err("the address holds what doesn't belong in one");
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (user, authority) = match authority.rsplit_once('@') {
        Some((user, authority)) => (user, authority),
        None => ("", authority),
    };
    let (host, port) = match authority.rfind(']') {
        Some(end) => authority.split_at(end + 1),
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    if host.is_empty() || host == "[]" {
        return Err("the address has no host");
    }
    if host.contains(['$', '{', '%']) {
        return Err("the address has a host that can't be one");
    }
    let port_is_good = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => digits.parse::<u16>().is_ok_and(|number| number > 0),
    };
    if !port_is_good {
        return Err("the address has no valid port");
    }
    if path.ends_with("/v1") {
        return Err("the address ends in \"/v1\", which is added to every request");
    }
    let user = (!user.is_empty()).then(|| Secret::new(user.to_owned()));
    Ok((user, format!("{authority}{path}")))
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
            ("https://x/v1/base", "https://x/v1/base"),
            ("https://x/base/kv1", "https://x/base/kv1"),
            ("https://x/a@b", "https://x/a@b"),
            ("unix:///run/bao.sock", "unix:///run/bao.sock"),
            ("unix:///run/v1", "unix:///run/v1"),
        ] {
            let (checked, user) = checked_address(text).unwrap();
            assert_eq!((checked.as_str(), user.is_none()), (address, true), "{text}");
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
            "https://x?y",
            "https://x y",
            "ftp://x",
            "unix://x",
            "unix://",
            "https://::1",
            "https://x/v1",
            "https://x/base/v1/",
            "https://${HOST}:8200",
            "https://$HOST:8200",
            "https://x/${BASE}",
            "unix://${RUN}/bao.sock",
            "unix:///${RUN}/bao.sock",
            "https://{{HOST}}",
            "https://%24HOST",
            "https://u:p/w@x",
            "https://u:p@",
            "u:p@x:8200",
        ] {
            assert!(checked_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn user_and_password_are_no_part_of_the_address() {
        for (text, address, user) in [
            ("https://u:p@x", "https://x", Some("u:p")),
            ("https://u:p%40ss@x:8200/base/", "https://x:8200/base", Some("u:p%40ss")),
            ("https://u:p@ss@[::1]:1", "https://[::1]:1", Some("u:p@ss")),
            ("http://token@x", "http://x", Some("token")),
            ("http://@x", "http://x", None),
        ] {
            let (checked, found) = checked_address(text).unwrap();
            assert_eq!(checked, address);
            assert_eq!(found.as_ref().map(|user| user.expose().as_str()), user, "{text}");
        }
    }
}
