//! Logs in with a TLS client certificate: the `cert` method.
//!
//! The configuration is the incumbents'. The host presents the certificate for the login and for
//! everything done with its token, since the server binds renewals to it. Unlike the incumbents'
//! the files are always read anew and watched, so that a rotated certificate is taken.

use schemars::JsonSchema;
use serde::Deserialize;
use usher_plugin::config::WeakDuration;
use usher_plugin::{
    About, Answer, AuthMethod, ClientCertificate, Failure, Login, Need, Reauthenticate, files,
};
use usher_plugin_lib::{one_file, revision};

/// The method.
#[derive(Debug)]
pub struct Cert;

/// The `config` block of the method.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Config {
    /// Role of the method on the server. Empty: the server tries all that fit the certificate.
    #[serde(default)]
    name: String,
    /// File with the client certificate, leaf first, PEM; with `client_key`. Without both the
    /// certificate of the `vault` block is presented.
    #[serde(default)]
    client_cert: String,
    /// File with the certificate's key, PEM, not encrypted.
    #[serde(default)]
    client_key: String,
    /// File with the authorities trusted for the server, PEM, instead of those of the `vault`
    /// block.
    #[serde(default)]
    ca_cert: String,
    /// Without effect: the files are read for each login, and followed.
    #[serde(default)]
    #[expect(dead_code, reason = "taken, so that its type is checked")]
    reload: bool,
    /// Look for a new certificate this often. Not needed: the files are watched.
    reload_period: Option<WeakDuration>,
}

impl AuthMethod for Cert {
    type Config = Config;

    const ABOUT: About =
        About::new("cert", env!("CARGO_PKG_VERSION"), "Logs in with a TLS client certificate")
            .licence("Apache-2.0")
            .reauthenticate(Reauthenticate::Yes)
            .identifies("name, client_cert");

    const CONFIG_SCHEMA: Option<&'static str> = Some(include_str!("../config.schema.json"));

    fn prepare(config: &Config) -> Result<Vec<Need>, Failure> {
        for (key, path, other, other_path) in [
            ("client_cert", &config.client_cert, "client_key", &config.client_key),
            ("client_key", &config.client_key, "client_cert", &config.client_cert),
        ] {
            if path.is_empty() && !other_path.is_empty() {
                let message =
                    format!("`config.{other}` is of no use without `config.{key}`; write both");
                return Err(Failure::config("config.missing", message)
                    .detail("key", format!("config.{other}")));
            }
        }
        if config.reload_period.is_some_and(|period| period.0.is_zero()) {
            let message = "`config.reload_period` must be longer than 0";
            return Err(
                Failure::config("config.invalid", message).detail("key", "config.reload_period")
            );
        }
        let mut needs = Vec::new();
        for (key, path) in config.files() {
            one_file(key, path)?;
            needs.push(Need::watch(path));
        }
        if !config.ca_cert.is_empty() {
            needs.push(Need::trust());
        }
        Ok(needs)
    }

    fn authenticate(config: &Config) -> Result<Answer, Failure> {
        let body = match config.name.as_str() {
            "" => serde_json::json!({}),
            name => serde_json::json!({"name": name}),
        };
        let mut login = Login::new("login", body);
        let mut parts = vec![config.name.clone()];
        if !config.client_cert.is_empty() {
            let chain_pem = pem(&config.client_cert, "client_cert", CERTIFICATE)?;
            let key_pem = key(&config.client_key)?;
            parts.extend([chain_pem.clone(), key_pem.clone()]);
            login = login.certificate(ClientCertificate { chain_pem, key_pem });
        }
        if !config.ca_cert.is_empty() {
            let ca_pem = pem(&config.ca_cert, "ca_cert", CERTIFICATE)?;
            parts.push(ca_pem.clone());
            login = login.ca_pem(ca_pem);
        }
        let answer = Answer::login(login);
        if parts.len() == 1 {
            // What the `vault` block holds can't be seen from here.
            return Ok(answer);
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let answer = answer.revision(revision(&parts));
        Ok(match config.reload_period {
            Some(period) => answer.check_after(period.0),
            None => answer,
        })
    }
}

usher_plugin::export!(auth_method: Cert);

impl Config {
    /// Those that are configured, by key.
    fn files(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("client_cert", self.client_cert.as_str()),
            ("client_key", self.client_key.as_str()),
            ("ca_cert", self.ca_cert.as_str()),
        ]
        .into_iter()
        .filter(|(_, path)| !path.is_empty())
    }
}

const CERTIFICATE: &str = "CERTIFICATE-----";

/// The key, as far as it can be told without taking it apart.
fn key(path: &str) -> Result<String, Failure> {
    let pem = pem(path, "client_key", "PRIVATE KEY-----")?;
    // PKCS#8 (RFC 7468, §11) and the older form of OpenSSL (RFC 1421).
    if pem.contains("BEGIN ENCRYPTED PRIVATE KEY") || pem.contains("Proc-Type: 4,ENCRYPTED") {
        let message = format!(
            "the key in {path} is encrypted, and the agent has no password for it; decrypt it \
             (openssl pkey -in {path} -out NEW) and keep the file readable by the agent alone"
        );
        return Err(Failure::denied("cert.key-encrypted", message)
            .detail("file", path)
            .detail("key", "config.client_key"));
    }
    Ok(pem)
}

/// A file in which a block of this type begins.
fn pem(path: &str, setting: &str, block: &str) -> Result<String, Failure> {
    let text = files::read_trimmed(path).map_err(|failure| {
        let message = format!("{setting} can't be used: {}", failure.message);
        // A file that isn't granted will not be so later.
        let kind = if failure.code == "grant.missing" {
            failure.kind
        } else {
            usher_plugin::Kind::Unavailable
        };
        Failure { kind, message, ..failure }
    })?;
    let begins = |line: &str| line.starts_with("-----BEGIN ") && line.ends_with(block);
    if text.lines().any(|line| begins(line.trim_end())) {
        return Ok(text + "\n");
    }
    let wanted = block.trim_end_matches('-').to_lowercase();
    let message = format!(
        "{setting} can't be used: {path} holds no {wanted} in PEM form (\"-----BEGIN …\"); it is \
         read again as soon as it changes"
    );
    Err(Failure::unavailable("file.not-a-credential", message).detail("file", path))
}

#[cfg(test)]
mod tests;
