//! Logs in with the instance identity of a Cloud Foundry container: the `cf` method.
//!
//! The configuration is the incumbents'. Diego puts a certificate and its key into each container and
//! replaces both long before they expire, so they are read anew for each login. The certificate is
//! sent as it stands in its file: genuine ones are not strictly DER, and nothing here reads them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use usher_plugin::{
    About, Answer, AuthMethod, Failure, Kind, Login, Need, Reauthenticate, clock, crypto, env,
    files,
};
use usher_plugin_lib::{date_time, named_role, revision};

/// The method.
#[derive(Debug)]
pub struct CloudFoundry;

/// The `config` block of the method.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Config {
    /// Role of the method on the server.
    #[schemars(length(min = 1))]
    role: String,
}

impl AuthMethod for CloudFoundry {
    type Config = Config;

    const ABOUT: About = About::new(
        "cf",
        env!("CARGO_PKG_VERSION"),
        "Logs in with the instance identity of a Cloud Foundry container",
    )
    .licence("Apache-2.0")
    .reauthenticate(Reauthenticate::No)
    .identifies("role");

    const CONFIG_SCHEMA: Option<&'static str> = Some(include_str!("../config.schema.json"));

    fn prepare(config: &Config) -> Result<Vec<Need>, Failure> {
        named_role(&config.role)?;
        let variables = [CERTIFICATE, KEY];
        let files = variables.map(|name| Need::read(format!("${{{name}}}")));
        Ok(variables.into_iter().map(Need::env).chain(files).collect())
    }

    fn authenticate(config: &Config) -> Result<Answer, Failure> {
        let certificate = file_of(CERTIFICATE, "CERTIFICATE")?;
        let key = file_of(KEY, "PRIVATE KEY")?;
        let signing_time = date_time(clock::now());
        let signed = [signing_time.as_str(), &certificate, &config.role].concat();
        // RSASSA-PSS with SHA-256 (RFC 8017, section 8.1); the server takes any length of salt.
        let signature = crypto::sign("PS256", &key, signed.as_bytes()).map_err(half_written)?;
        let body = serde_json::json!({
            "cf_instance_cert": certificate,
            "role": config.role,
            "signature": format!("v1:{}", STANDARD.encode(signature)),
            "signing_time": signing_time,
        });
        // A replaced certificate is the same instance's.
        let revision = revision(&[&config.role]);
        Ok(Answer::login(Login::new("login", body)).revision(revision))
    }
}

usher_plugin::export!(auth_method: CloudFoundry);

/// The PEM file that a variable names.
fn file_of(variable: &str, label: &str) -> Result<String, Failure> {
    let Some(path) = env::get(variable)?.filter(|path| !path.is_empty()) else {
        let message = format!(
            "{variable} is not set: this is no container of Cloud Foundry, or its instance identity is switched off"
        );
        return Err(Failure::config("cf.no-instance-identity", message).detail("env", variable));
    };
    let text = String::from_utf8(files::read(&path)?).unwrap_or_default();
    if !text.contains(&format!("{label}-----")) {
        let what = label.to_lowercase();
        let message = format!("{path} ({variable}) holds no {what} in PEM; it is read again");
        return Err(Failure::unavailable("cf.not-pem", message).detail("file", path));
    }
    Ok(text)
}

/// Diego writes certificate and key one after the other.
fn half_written(failure: Failure) -> Failure {
    if failure.code != "crypto.key" {
        return failure;
    }
    let message = format!("the key that {KEY} names can't be used: {}", failure.message);
    Failure { kind: Kind::Unavailable, message, ..failure }
}

const CERTIFICATE: &str = "CF_INSTANCE_CERT";
const KEY: &str = "CF_INSTANCE_KEY";

#[cfg(test)]
mod tests;
