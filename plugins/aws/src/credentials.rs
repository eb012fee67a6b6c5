//! AWS credentials: what signs requests.

use crate::failed;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::{Duration, SystemTime};
use usher_plugin::http::Response;
use usher_plugin::{Failure, Kind, clock};
use usher_plugin_lib::rfc3339;

/// What signs the request. Secret: not shown, not logged.
#[derive(Clone, Deserialize, Serialize)]
#[serde(from = "Fields", into = "Fields")]
pub(crate) struct Credentials {
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    /// "": the access key needs none.
    pub(crate) session_token: String,
    /// Seconds since 1970 UTC. None: not said.
    pub(crate) expires_at: Option<u64>,
    /// Who they are for. Rotation leaves it the same, so that it brings no login.
    pub(crate) whose: String,
    /// The place that gave them, of session credentials; else "".
    pub(crate) source: String,
}

/// As they are remembered, which takes less code than with names.
type Fields = (String, String, String, Option<u64>, String, String);

impl Credentials {
    /// Whether they are good for so long.
    pub(crate) fn is_valid(&self, margin: Duration) -> bool {
        self.expires_at.is_none_or(|end| seconds(clock::now() + margin) < end)
    }

    /// Themselves, unless `source` has left them until they had expired.
    pub(crate) fn unexpired(self, source: &str, remedy: &str) -> Result<Self, Failure> {
        if self.is_valid(Duration::ZERO) {
            return Ok(self);
        }
        let message = format!("the AWS credentials of {source} have expired; {remedy}");
        Err(failed(Kind::Unavailable, "aws.expired", &message))
    }
}

impl From<Fields> for Credentials {
    fn from(fields: Fields) -> Self {
        let (access_key, secret_key, session_token, expires_at, whose, source) = fields;
        Self { access_key, secret_key, session_token, expires_at, whose, source }
    }
}

impl From<Credentials> for Fields {
    fn from(credentials: Credentials) -> Self {
        let Credentials { access_key, secret_key, session_token, expires_at, whose, source } =
            credentials;
        (access_key, secret_key, session_token, expires_at, whose, source)
    }
}

/// Session credentials as containers and instances hand them out.
pub(crate) struct Handed(Value);

impl Handed {
    /// What is no JSON holds nothing.
    pub(crate) fn read(response: &Response) -> Self {
        Self(serde_json::from_slice(&response.body).unwrap_or_default())
    }

    /// A text; empty if there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// As credentials of the role; `code` is the failure's, `what` names who handed them out.
    pub(crate) fn credentials(
        &self,
        code: &str,
        what: &str,
        whose: &str,
    ) -> Result<Credentials, Failure> {
        let own = |name| self.get(name).to_owned();
        let (access_key, secret_key) = (own("AccessKeyId"), own("SecretAccessKey"));
        let expiration = self.get("Expiration");
        let expires_at = end(expiration);
        if access_key.is_empty()
            || secret_key.is_empty()
            || (expires_at.is_none() && !expiration.is_empty())
        {
            let message =
                format!("{what} answered with something that is no AWS credentials; ask it again");
            return Err(failed(Kind::Unavailable, code, &message));
        }
        Ok(Credentials {
            access_key,
            secret_key,
            session_token: own("Token"),
            expires_at,
            whose: format!("{whose} {}", self.get("RoleArn")),
            source: String::new(),
        })
    }
}

/// The end of credentials, as it is written beside them: seconds since 1970 UTC.
pub(crate) fn end(text: &str) -> Option<u64> {
    rfc3339(text).map(seconds)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
