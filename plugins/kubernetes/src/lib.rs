//! Logs in with the pod's service-account token: the `kubernetes` method.
//!
//! The configuration is the incumbents'. A projected token is replaced by the kubelet long before
//! it expires, so the file is read anew for each login and nothing of it is remembered.

use schemars::JsonSchema;
use serde::Deserialize;
use usher_plugin::{About, Answer, AuthMethod, Failure, Login, Need, Reauthenticate};
use usher_plugin_lib::{
    CredentialFile, Text, looks_like_jwt, named_role, nothing_to_use, one_file, revision,
};

/// The method.
#[derive(Debug)]
pub struct Kubernetes;

/// The `config` block of the method.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Config {
    /// Role of the method on the server.
    #[schemars(length(min = 1))]
    role: String,
    /// File with the service-account token.
    #[serde(default = "default_path")]
    #[schemars(length(min = 1))]
    token_path: String,
}

impl AuthMethod for Kubernetes {
    type Config = Config;

    const ABOUT: About = About::new(
        "kubernetes",
        env!("CARGO_PKG_VERSION"),
        "Logs in with the pod's service-account token",
    )
    .licence("Apache-2.0")
    .reauthenticate(Reauthenticate::No)
    .identifies("role, token_path");

    const CONFIG_SCHEMA: Option<&'static str> = Some(include_str!("../config.schema.json"));

    fn prepare(config: &Config) -> Result<Vec<Need>, Failure> {
        named_role(&config.role)?;
        one_file("token_path", &config.token_path)?;
        Ok(config.file().needs(None))
    }

    fn authenticate(config: &Config) -> Result<Answer, Failure> {
        let file = config.file();
        let token = file.read().map_err(|failure| nothing_to_use(file.what, failure))?;
        let revision = revision(&[&token, &config.role]);
        let body = serde_json::json!({"jwt": token, "role": config.role});
        Ok(Answer::login(Login::new("login", body)).revision(revision))
    }
}

usher_plugin::export!(auth_method: Kubernetes);

impl Config {
    fn file(&self) -> CredentialFile<'_> {
        CredentialFile {
            path: &self.token_path,
            what: "service-account token",
            text: Text::Trimmed,
            accept: looks_like_jwt,
        }
    }
}

/// Where every pod finds it.
fn default_path() -> String {
    "/var/run/secrets/kubernetes.io/serviceaccount/token".to_owned()
}

#[cfg(test)]
mod tests;
