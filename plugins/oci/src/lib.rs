//! Logs in as a user or an instance of Oracle Cloud Infrastructure: the `oci` method.
//!
//! The configuration is the incumbents'. The login holds a signed request for the login itself, which
//! the secrets server has Oracle's identity service check. Unlike theirs, the method signs the role
//! as the server names it, in lower case; reads keys that have a passphrase; and keeps an instance's
//! session until shortly before its end.

mod api_key;
mod instance;
mod private_key;
mod signature;

use instance::Session;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use usher_plugin::config::WeakDuration;
use usher_plugin::context::{self, Reason};
use usher_plugin::{About, Answer, AuthMethod, Failure, Login, Need, Reauthenticate, clock};
use usher_plugin_lib::{RevisionKey, Saved, http_date, named_role, percent_encode, refused};

/// The method.
#[derive(Debug)]
pub struct Oci;

/// The `config` block of the method.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Config {
    /// `apikey`: a user, by the API signing key of the environment or of `~/.oci/config`.
    /// `instance`: the instance that the agent runs on.
    r#type: Type,
    /// Role of the method on the server. Capital letters count as small ones, as they do there.
    #[schemars(length(min = 1))]
    role: String,
    /// How often to look for other credentials: seconds.
    #[serde(default = "a_minute")]
    credential_poll_interval: WeakDuration,
}

/// Who logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Type {
    ApiKey,
    Instance,
}

/// What a use remembers. It holds a secret: not shown, not logged.
#[derive(Default, Deserialize, Serialize)]
struct Memory {
    revision_key: RevisionKey,
    session: Option<Session>,
}

impl AuthMethod for Oci {
    type Config = Config;

    const ABOUT: About = About::new(
        "oci",
        env!("CARGO_PKG_VERSION"),
        "Logs in as a user or an instance of Oracle Cloud Infrastructure",
    )
    .licence("Apache-2.0")
    .reauthenticate(Reauthenticate::Yes)
    .identifies("role, type");

    const CONFIG_SCHEMA: Option<&'static str> = Some(include_str!("../config.schema.json"));

    fn prepare(config: &Config) -> Result<Vec<Need>, Failure> {
        named_role(&config.role)?;
        if config.credential_poll_interval.0.is_zero() {
            return Err(refused("credential_poll_interval", "invalid", "must be longer than 0"));
        }
        Ok(match config.r#type {
            Type::ApiKey => api_key::needs(),
            Type::Instance => instance::needs(),
        })
    }

    fn authenticate(config: &Config) -> Result<Answer, Failure> {
        let mut memory = Saved::<Memory>::load();
        // The server knows no other roles, and compares what was signed with its own.
        let role = config.role.to_ascii_lowercase();
        let (signer, principal) = match config.r#type {
            Type::ApiKey => {
                let signer = api_key::signer()?;
                let principal = signer.key_id.clone();
                (signer, principal)
            }
            Type::Instance => {
                let session = instance::session(&mut memory)?;
                (session.signer(), session.principal)
            }
        };
        let path = format!("login/{}", percent_encode(&role));
        let target = format!("get /v1/{}/{path}", context::mount_path());
        let date = http_date(clock::now());
        let host = host(&context::server_address());
        let signed = [("date", &*date), ("(request-target)", &*target), ("host", &*host)];
        let authorization = signer.authorization(&signed)?;
        let body = serde_json::json!({"request_headers": {
            "Authorization": [authorization],
            "Date": [date],
            "Host": [host],
            "(request-target)": [target],
        }});
        let revision = memory.revision_key.revision(&[&principal, &role]);
        let kept = context::reason() == Reason::Explain || memory.save();
        let answer = Answer::login(Login::new(path, body));
        let answer = answer.check_after(config.credential_poll_interval.0);
        Ok(if kept { answer.revision(revision) } else { answer })
    }
}

usher_plugin::export!(auth_method: Oci);

/// Host and port of a URL, as a client of it writes them in `Host`; of a socket, which has none,
/// what clients write instead.
fn host(url: &str) -> String {
    match url.split_once("://") {
        Some(("http" | "https", rest)) => rest.split('/').next().unwrap_or_default().to_owned(),
        _ => "localhost".to_owned(),
    }
}

fn a_minute() -> WeakDuration {
    WeakDuration(std::time::Duration::from_mins(1))
}

#[cfg(test)]
mod tests;
