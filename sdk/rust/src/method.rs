//! Auth methods: how to prove who the workload is.

use crate::{About, Failure, Need, config};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::fmt;
use std::time::Duration;

/// Proves who the workload is. The host sends the login and keeps the token; the method never
/// sees it.
///
/// Every call gets a new instance of the plug-in: what is to be remembered goes into
/// [`crate::state`].
pub trait AuthMethod {
    /// The `config` block. Field names are the keys; doc comments become descriptions in the
    /// schema. Put `#[serde(deny_unknown_fields)]` on it unless old files must keep working.
    type Config: DeserializeOwned + JsonSchema;

    /// Name, version and summary.
    const ABOUT: About;

    /// The JSON Schema of `Config`. None: it is made from the type. A plug-in that wants to be
    /// some 60 kB smaller keeps it in a file for `include_str!`, and lets
    /// `testing::check_config_schema` compare the two in its tests.
    const CONFIG_SCHEMA: Option<&'static str> = None;

    /// Checks what the types of `config` can't say, and lists what it needs. Called without
    /// any grant: the answer depends on `config` alone.
    fn prepare(config: &Self::Config) -> Result<Vec<Need>, Failure>;

    /// Makes the credential for one login.
    fn authenticate(config: &Self::Config) -> Result<Answer, Failure>;

    /// The server accepted the last answer: now remove one-shot files. A failure is logged,
    /// and never costs the token.
    fn authenticated(config: &Self::Config) -> Result<(), Failure> {
        let _ = config;
        Ok(())
    }
}

/// What `authenticate` hands to the host.
#[derive(Debug)]
pub struct Answer {
    /// A login for the host to send, or a token.
    pub credential: Credential,
    /// Tells one credential from the next; empty: unknown.
    pub revision: String,
    /// Look again after this time.
    pub check_after: Option<Duration>,
}

/// Either way of getting a token.
pub enum Credential {
    /// The host sends this to the mount path and receives the token.
    Login(Login),
    /// The platform handed over a token itself. Needs [`Need::token`].
    Token(String),
}

/// One login request. `Debug` shows no value that may be secret.
pub struct Login {
    /// Below the mount path: `login`, `login/web`.
    pub path: String,
    /// A JSON object.
    pub body: serde_json::Value,
    /// Sent with the login.
    pub headers: Vec<(String, String)>,
    /// Presented for this login and for everything done with its token.
    pub certificate: Option<ClientCertificate>,
    /// Trusted for the server instead of the agent's own roots. PEM. Needs [`Need::trust`].
    pub ca_pem: Option<String>,
}

/// A client certificate with its key.
pub struct ClientCertificate {
    /// Leaf first, PEM.
    pub chain_pem: String,
    /// Unencrypted PKCS#8, PKCS#1 or SEC1, PEM.
    pub key_pem: String,
}

impl Answer {
    /// Log in like this.
    pub fn login(login: Login) -> Self {
        Self { credential: Credential::Login(login), revision: String::new(), check_after: None }
    }

    /// Use this token. Needs [`Need::token`].
    pub fn token(token: impl Into<String>) -> Self {
        Self {
            credential: Credential::Token(token.into()),
            revision: String::new(),
            check_after: None,
        }
    }

    /// Tells one credential from the next: must change when, and only when, what is behind the
    /// login changed. A key id or a keyed digest; never a secret or its plain digest.
    #[must_use]
    pub fn revision(mut self, revision: impl Into<String>) -> Self {
        self.revision = revision.into();
        self
    }

    /// Asks to be called again after this time. The host logs in only if the revision differs, and
    /// while the token is good it asks only where a new credential is a reason to log in
    /// ([`About::reauthenticate`]).
    #[must_use]
    pub fn check_after(mut self, wait: Duration) -> Self {
        self.check_after = Some(wait);
        self
    }
}

impl Login {
    /// `path` is below the mount path, without leading slash; `body` is a JSON object.
    pub fn new(path: impl Into<String>, body: serde_json::Value) -> Self {
        Self { path: path.into(), body, headers: Vec::new(), certificate: None, ca_pem: None }
    }

    /// Adds a header. The host refuses `X-Vault-…` and what belongs to the connection.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Presents a client certificate.
    #[must_use]
    pub fn certificate(mut self, certificate: ClientCertificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// Trusts these roots for the server instead of the agent's own. Needs [`Need::trust`].
    #[must_use]
    pub fn ca_pem(mut self, pem: impl Into<String>) -> Self {
        self.ca_pem = Some(pem.into());
        self
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.body.as_object().map(|body| body.keys().collect::<Vec<_>>());
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        formatter
            .debug_struct("Login")
            .field("path", &self.path)
            .field("body_keys", &keys.unwrap_or_default())
            .field("headers", &headers)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Login(login) => login.fmt(formatter),
            Self::Token(_) => formatter.write_str("Token(***)"),
        }
    }
}

/// The exported `prepare`.
pub(crate) fn prepare<M: AuthMethod>(config: &str) -> Result<Vec<Need>, Failure> {
    M::prepare(&config::parse(config)?)
}

/// The exported `authenticate`.
pub(crate) fn authenticate<M: AuthMethod>(config: &str) -> Result<Answer, Failure> {
    M::authenticate(&config::parse(config)?)
}

/// The exported `authenticated`.
pub(crate) fn authenticated<M: AuthMethod>(config: &str) -> Result<(), Failure> {
    M::authenticated(&config::parse(config)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn debug_output_of_an_answer_shows_no_value() {
        let login = Login::new("login", json!({"secret_id": "hunter2"})).header("X", "hunter3");
        let shown = format!("{:?} {:?}", Answer::login(login), Answer::token("hunter4"));
        assert!(shown.contains("secret_id"), "{shown}");
        assert!(!shown.contains("hunter"), "{shown}");
    }
}
