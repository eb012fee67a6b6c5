//! Google's credentials: where they are looked for, and what the JSON in them means.

use crate::Config;
use crate::federation::External;
use serde_json::Value;
use usher_plugin::{Failure, Kind, env, files};

/// In the agent's home directory, as the incumbents have it.
pub(crate) const HOME_FILE: &str = "~/.gcp/credentials";

/// As gcloud calls its file.
pub(crate) const ADC: &str = "application_default_credentials.json";

/// Credentials, and what they were made of.
pub(crate) struct Found {
    pub(crate) credentials: Credentials,
    pub(crate) origin: Origin,
    /// The text: tells them from others. A secret.
    pub(crate) document: String,
}

/// The kinds that Google's tools write, by their "type".
pub(crate) enum Credentials {
    /// `service_account`.
    Key(Key),
    /// `authorized_user`.
    User(User),
    /// `external_account`.
    External(Box<External>),
    /// None anywhere: the machine's own, from its metadata server.
    Machine,
}

/// Where credentials come from, to name it in messages.
pub(crate) enum Origin {
    /// `config.credentials`.
    Setting,
    /// An environment variable.
    Variable(&'static str),
    /// A file.
    File(String),
    /// The metadata server.
    Machine,
}

/// A key of a service account.
pub(crate) struct Key {
    pub(crate) client_email: String,
    pub(crate) private_key: String,
    pub(crate) private_key_id: Option<String>,
    pub(crate) token_uri: String,
}

/// What `gcloud auth application-default login` leaves.
pub(crate) struct User {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) refresh_token: String,
    pub(crate) quota_project_id: Option<String>,
    pub(crate) token_uri: String,
}

const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// The first that are there, in the incumbents' order: the configuration, `GOOGLE_CREDENTIALS`,
/// `GOOGLE_CLOUD_KEYFILE_JSON`, `~/.gcp/credentials`, then Google's Application Default
/// Credentials: `GOOGLE_APPLICATION_CREDENTIALS`, gcloud's file, the metadata server.
///
/// What is there and can't be used is told, and nothing else is used in its place.
pub(crate) fn find(config: &Config) -> Result<Found, Failure> {
    if let Some(credentials) = &config.credentials {
        return read(credentials.expose(), Origin::Setting);
    }
    if let Some(value) = variable("GOOGLE_CREDENTIALS")? {
        if value.trim_start().starts_with('{') {
            return read(&value, Origin::Variable("GOOGLE_CREDENTIALS"));
        }
        return read_file(&value, Some("GOOGLE_CREDENTIALS"));
    }
    if let Some(value) = variable("GOOGLE_CLOUD_KEYFILE_JSON")? {
        return read(&value, Origin::Variable("GOOGLE_CLOUD_KEYFILE_JSON"));
    }
    if let Some(found) = try_file(HOME_FILE)? {
        return Ok(found);
    }
    if let Some(path) = variable("GOOGLE_APPLICATION_CREDENTIALS")? {
        return read_file(&path, Some("GOOGLE_APPLICATION_CREDENTIALS"));
    }
    let directory = variable("CLOUDSDK_CONFIG")?.unwrap_or("~/.config/gcloud".to_owned());
    if let Some(found) = try_file(&format!("{directory}/{ADC}"))? {
        return Ok(found);
    }
    let (credentials, origin) = (Credentials::Machine, Origin::Machine);
    Ok(Found { credentials, origin, document: String::new() })
}

/// An empty variable counts as unset, to the incumbents too.
fn variable(name: &str) -> Result<Option<String>, Failure> {
    Ok(env::get(name)?.filter(|value| !value.trim().is_empty()))
}

fn try_file(path: &str) -> Result<Option<Found>, Failure> {
    match read_file(path, None) {
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.code == "file.not-found" => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn read_file(path: &str, named_by: Option<&str>) -> Result<Found, Failure> {
    let text = files::read_trimmed(path).map_err(|failure| match (named_by, failure.kind) {
        // It may be what the variable holds by mistake.
        (Some(variable), _) if failure.code != "grant.missing" => {
            let reason = match failure.code.as_str() {
                "file.not-found" => "doesn't exist",
                "file.permission" => "may not be read by the agent",
                "file.empty" => "is empty",
                _ => "can't be read",
            };
            let message = format!("the file that {variable} names {reason}");
            Failure { kind: Kind::Unavailable, message, ..failure }
        }
        (_, Kind::Config) if failure.code != "grant.missing" => {
            failure.into_kind(Kind::Unavailable)
        }
        _ => failure,
    })?;
    read(&text, Origin::File(path.to_owned()))
}

fn read(text: &str, origin: Origin) -> Result<Found, Failure> {
    let text = text.trim();
    let value = serde_json::from_slice(text.as_bytes()).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        origin.unusable(&format!("is no JSON (line {line}, column {column})"))
    })?;
    let document = Document { value: &value, origin: &origin };
    let credentials = match document.optional("type").unwrap_or_default().as_str() {
        "service_account" => {
            let private_key = document.required("private_key")?;
            if !private_key.contains("-----BEGIN") {
                return Err(origin.unusable("holds a `private_key` that is no key in PEM form"));
            }
            Credentials::Key(Key {
                client_email: document.required("client_email")?,
                private_key,
                private_key_id: document.optional("private_key_id"),
                token_uri: document.optional("token_uri").unwrap_or(TOKEN_URI.to_owned()),
            })
        }
        "authorized_user" => Credentials::User(User {
            client_id: document.required("client_id")?,
            client_secret: document.required("client_secret")?,
            refresh_token: document.required("refresh_token")?,
            quota_project_id: document.optional("quota_project_id"),
            token_uri: document.optional("token_uri").unwrap_or(TOKEN_URI.to_owned()),
        }),
        "external_account" => Credentials::External(Box::new(External::new(&document)?)),
        "" => return Err(origin.unusable("lacks `type`: it is no file of Google's credentials")),
        // Of the text only a name that is Google's is repeated.
        known @ ("impersonated_service_account"
        | "external_account_authorized_user"
        | "gdch_service_account") => {
            let what = format!("holds credentials of the type {known}, {ALTERNATIVES}");
            return Err(origin.unusable(&what));
        }
        _ => {
            let what = format!("holds credentials of an unknown type, {ALTERNATIVES}");
            return Err(origin.unusable(&what));
        }
    };
    Ok(Found { credentials, origin, document: text.to_owned() })
}

const ALTERNATIVES: &str =
    "which can't be used; use service_account, authorized_user or external_account";

/// JSON of credentials. Read by hand: derived code for each kind would make the component a
/// fifth larger.
pub(crate) struct Document<'a> {
    pub(crate) value: &'a Value,
    pub(crate) origin: &'a Origin,
}

impl Document<'_> {
    /// A text that isn't empty.
    pub(crate) fn optional(&self, key: &str) -> Option<String> {
        let text = self.value.get(key).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    }

    pub(crate) fn required(&self, key: &str) -> Result<String, Failure> {
        let lacks = || self.origin.unusable(&format!("lacks `{key}`, which must be a text"));
        self.optional(key).ok_or_else(lacks)
    }
}

/// That the machine's own credentials, the last that are looked for, are no good either.
pub(crate) fn none_but_the_machines(failure: Failure) -> Failure {
    let message = format!(
        "there are no credentials in the configuration, the environment or the usual files, and {}",
        failure.message
    );
    Failure { message, ..failure }
}

/// That signing with a key needs one.
pub(crate) fn no_key(origin: &Origin) -> Failure {
    let what = "holds no service-account key, which sign_locally = true needs";
    match origin {
        Origin::Machine => {
            let message = "sign_locally = true needs a service-account key, and there is none: set `credentials` or GOOGLE_APPLICATION_CREDENTIALS";
            Failure::unavailable("gcp.no-credentials", message)
        }
        origin => origin.unusable(what),
    }
}

impl Origin {
    /// That what is there is no good. A file may be written properly later.
    pub(crate) fn unusable(&self, what: &str) -> Failure {
        const CODE: &str = "gcp.credentials";
        match self {
            Self::Setting => Failure::config(CODE, format!("`config.credentials` {what}"))
                .detail("key", "config.credentials"),
            Self::Variable(name) => {
                Failure::config(CODE, format!("the environment variable {name} {what}"))
            }
            Self::File(path) => {
                let message = format!("{path} {what}; it is read again as soon as it changes");
                Failure::unavailable(CODE, message).detail("file", path)
            }
            Self::Machine => Failure::internal(CODE, format!("the machine {what}")),
        }
    }
}
