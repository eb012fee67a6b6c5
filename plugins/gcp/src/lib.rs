//! Logs in as a machine or a service account of Google Cloud: the `gcp` method.
//!
//! The configuration is the incumbents', with keys of its own for other endpoints, for signing
//! with a key file alone and for workload identity federation. Unlike theirs, it looks at the
//! metadata server's status and flavour, so that no error page is sent as a JWT, and it keeps an
//! access token until shortly before its end.

mod credentials;
mod federation;
mod google;
mod lifetime;
mod metadata;
mod needs;
mod sign;
mod token;

use lifetime::Minutes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use usher_plugin::config::{Secret, WeakBool};
use usher_plugin::context::{self, Reason};
use usher_plugin::{About, Answer, AuthMethod, Failure, Login, Need, Reauthenticate};
use usher_plugin_lib::{RevisionKey, Saved};

/// The method.
#[derive(Debug)]
pub struct Gcp;

/// The `config` block of the method.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Config {
    /// `gce`: the identity of the machine, from its metadata server. `iam`: a JWT of a service
    /// account, signed by Google.
    r#type: Type,
    /// Role of the method on the server.
    #[schemars(length(min = 1))]
    role: String,
    /// Service account: name in e-mail form or unique id. Default: with `gce` the machine's
    /// default one, with `iam` that of the credentials.
    #[serde(default)]
    service_account: String,
    /// Credentials for `iam`: the JSON text of a service-account key, of user credentials, or of
    /// a configuration for workload identity federation. Default: from the environment.
    credentials: Option<Secret>,
    /// Taken and not used, as by the incumbents.
    #[expect(dead_code, reason = "there in the incumbents' files")]
    project: Option<String>,
    /// For how many minutes the JWT of `iam` is good. The server's role must allow as much.
    #[serde(default)]
    jwt_exp: Minutes,
    /// With `iam`: sign with the service-account key itself. Needs nothing of Google.
    #[serde(default)]
    sign_locally: WeakBool,
    /// Base of the service that signs: another for Private Service Connect.
    #[serde(default = "iam_credentials")]
    #[schemars(length(min = 1))]
    iam_credentials_endpoint: String,
    /// File or URL of the subject token, for workload identity federation whose configuration is
    /// in a file. Default: what that file says, if it is below `/var/run/secrets` or
    /// `/var/run/service-account`.
    #[serde(default)]
    subject_token_source: String,
}

/// How the method proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Type {
    Gce,
    Iam,
}

/// What is kept between calls. It holds a secret: not shown, not logged.
#[derive(Default, Deserialize, Serialize)]
struct Memory {
    revision_key: RevisionKey,
    token: Option<token::Kept>,
}

impl AuthMethod for Gcp {
    type Config = Config;

    const ABOUT: About = About::new(
        "gcp",
        env!("CARGO_PKG_VERSION"),
        "Logs in as a machine or a service account of Google Cloud",
    )
    .licence("Apache-2.0")
    .reauthenticate(Reauthenticate::Yes)
    .identifies("role, type, service_account, credentials, subject_token_source");

    const CONFIG_SCHEMA: Option<&'static str> = Some(include_str!("../config.schema.json"));

    fn prepare(config: &Config) -> Result<Vec<Need>, Failure> {
        needs::of(config)
    }

    fn authenticate(config: &Config) -> Result<Answer, Failure> {
        let mut memory = Saved::<Memory>::load();
        let (jwt, revision) = match config.r#type {
            Type::Gce => {
                let account = config.account().unwrap_or("default");
                let audience = format!("{}/vault/{}", context::server_address(), config.role);
                let jwt = metadata::identity(account, &audience)?;
                (jwt, memory.revision_key.revision(&["gce", account, &config.role]))
            }
            Type::Iam => {
                let found = credentials::find(config)?;
                let account = sign::account(config, &found)?;
                let jwt = sign::jwt(config, &found, &account, &mut memory)?;
                let parts = ["iam", &account, &config.role, &found.document];
                (jwt, memory.revision_key.revision(&parts))
            }
        };
        let kept = context::reason() == Reason::Explain || memory.save();
        let body = serde_json::json!({"jwt": jwt, "role": config.role});
        let revision = if kept { revision } else { String::new() };
        Ok(Answer::login(Login::new("login", body)).revision(revision))
    }
}

usher_plugin::export!(auth_method: Gcp);

impl Config {
    /// The service account that is asked for by name. "default" is a name to metadata servers
    /// alone.
    fn account(&self) -> Option<&str> {
        Some(self.service_account.as_str()).filter(|name| !["", "default"].contains(name))
    }
}

fn iam_credentials() -> String {
    "https://iamcredentials.googleapis.com".to_owned()
}

#[cfg(test)]
mod tests;
