//! Where credentials come from, and how long they are kept.
//!
//! The order is the incumbents': the configuration, the environment, the shared files, web identity,
//! the container, the instance. A place that is set up but doesn't work ends the search, so that no
//! login is made as somebody else.

use crate::container::Container;
use crate::environment::Needs;
use crate::failed;
use crate::imds::Imds;
use crate::profile::Profile;
use crate::web_identity::WebIdentity;
use crate::{Config, container, environment, imds, profile, web_identity};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::{Duration, SystemTime};
use usher_plugin::context::{self, Reason};
use usher_plugin::http::Response;
use usher_plugin::{Failure, Kind, clock, log};
use usher_plugin_lib::{RevisionKey, Saved, rfc3339};

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

/// What the method remembers. It holds secrets: not shown, not logged.
#[derive(Default, Deserialize, Serialize)]
pub(crate) struct Memory {
    pub(crate) revision_key: RevisionKey,
    /// Of the instance.
    pub(crate) region: Option<String>,
    session: Option<Credentials>,
}

/// A place that hands out session credentials.
enum Source {
    WebIdentity(WebIdentity),
    Container(Container),
    Instance(Imds),
}

/// What finding credentials needs, whatever the environment is, but for the STS of a region that is
/// configured.
pub(crate) const NEEDS: [Needs; 5] =
    [environment::NEEDS, profile::NEEDS, web_identity::NEEDS, container::NEEDS, imds::NEEDS];

/// The credentials to sign with.
pub(crate) fn credentials(
    config: &Config,
    memory: &mut Saved<Memory>,
) -> Result<Credentials, Failure> {
    if let Some((access_key, secret_key, session_token)) = config.own_keys() {
        return Ok(Credentials {
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
            session_token: session_token.unwrap_or_default().to_owned(),
            expires_at: None,
            whose: format!("configuration {access_key}"),
            source: String::new(),
        });
    }
    if let Some(credentials) = of_environment()? {
        return credentials.unexpired("the environment", "restart the agent with new ones");
    }
    let profile = Profile::read()?;
    if let Some(credentials) = profile.credentials()? {
        return credentials.unexpired(
            &format!("the profile {:?}", profile.name),
            "they are read again as soon as the file changes",
        );
    }
    let source = if let Some(identity) = WebIdentity::of_environment(&config.region)? {
        Source::WebIdentity(identity)
    } else if let Some(identity) = profile.web_identity(&config.region)? {
        Source::WebIdentity(identity)
    } else if let Some(container) = Container::of_environment()? {
        Source::Container(container)
    } else if let Some(imds) = Imds::of_environment()? {
        Source::Instance(imds)
    } else {
        let message = "no AWS credentials are set: not in the configuration, not in the environment, \
                       not in the shared files, no web identity, no container, and \
                       AWS_EC2_METADATA_DISABLED is true; set one of them";
        return Err(failed(Kind::Unavailable, "aws.no-credentials", message));
    };
    source.session(memory)
}

impl Source {
    /// Credentials that are good for a while: those kept, or new ones.
    fn session(&self, memory: &mut Saved<Memory>) -> Result<Credentials, Failure> {
        let source = self.name();
        let refused = context::previous_failure().is_some_and(|last| last.kind == Kind::Denied);
        let kept = memory
            .session
            .take()
            .filter(|kept| !refused && kept.source == source && kept.is_valid(Duration::ZERO));
        if kept.as_ref().is_some_and(|kept| kept.is_valid(EARLY)) {
            memory.session.clone_from(&kept);
        }
        if let Some(kept) = &memory.session {
            return Ok(kept.clone());
        }
        if refused && context::reason() != Reason::Explain {
            // For good, also if there are no others yet.
            memory.save();
        }
        let mut credentials = match (self.fetch(), kept) {
            (Ok(credentials), _) => credentials,
            (Err(failure), Some(kept)) => {
                let reason = failure.message.as_str();
                log::warn("new AWS credentials can't be had yet", &[("reason", reason)]);
                memory.session = Some(kept.clone());
                return Ok(kept);
            }
            (Err(failure), None) => return Err(failure),
        }
        .unexpired(self.what(), "check this machine's clock")?;
        credentials.source = source;
        if credentials.expires_at.is_some() && context::reason() != Reason::Explain {
            memory.session = Some(credentials.clone());
            // Also if the rest of the call fails.
            memory.save();
        }
        Ok(credentials)
    }

    fn fetch(&self) -> Result<Credentials, Failure> {
        match self {
            Self::WebIdentity(identity) => identity.credentials(),
            Self::Container(container) => container.credentials(),
            Self::Instance(imds) => imds.open()?.credentials(),
        }
    }

    /// Tells it from other places.
    fn name(&self) -> String {
        match self {
            Self::WebIdentity(identity) => identity.name(),
            Self::Container(container) => format!("container {}", container.url),
            Self::Instance(imds) => format!("instance {}", imds.endpoint),
        }
    }

    fn what(&self) -> &'static str {
        match self {
            Self::WebIdentity(_) => web_identity::WHAT,
            Self::Container(_) => container::WHAT,
            Self::Instance(_) => imds::WHAT,
        }
    }
}

impl Credentials {
    /// Whether they are good for so long.
    fn is_valid(&self, margin: Duration) -> bool {
        self.expires_at.is_none_or(|end| seconds(clock::now() + margin) < end)
    }

    /// Themselves, unless `source` has left them until they had expired.
    fn unexpired(self, source: &str, remedy: &str) -> Result<Self, Failure> {
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

/// Those of the environment; of a pair without the other one, a failure.
fn of_environment() -> Result<Option<Credentials>, Failure> {
    let key = environment::first(&environment::KEY)?;
    let secret = environment::first(&environment::SECRET)?;
    let (access_key, secret_key) = match (key, secret) {
        (None, None) => return Ok(None),
        (Some(key), Some(secret)) => (key, secret),
        (key, _) => {
            let names = [environment::KEY[0], environment::SECRET[0]];
            let [set, missing] = if key.is_some() { names } else { [names[1], names[0]] };
            let message = format!("{set} is set, but not {missing}: set both, or none");
            return Err(failed(Kind::Config, "aws.partial", &message));
        }
    };
    let expiration = environment::variable(environment::EXPIRATION)?;
    Ok(Some(Credentials {
        whose: format!("environment {access_key}"),
        access_key,
        secret_key,
        session_token: environment::variable(environment::TOKEN)?.unwrap_or_default(),
        expires_at: expiration.as_deref().and_then(end),
        source: String::new(),
    }))
}

/// New session credentials are asked for this long before the old ones expire.
const EARLY: Duration = Duration::from_mins(5);
