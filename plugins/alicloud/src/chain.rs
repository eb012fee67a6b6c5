//! Where the credentials come from: the environment, else the configuration, else the role of the
//! instance; and the sessions that are kept meanwhile.

use crate::signature::AccessKey;
use crate::{Config, signed};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};
use usher_plugin::context;
use usher_plugin::http::Request;
use usher_plugin::{Failure, Kind, clock, env, json};
use usher_plugin_lib::{MetadataTokens, RevisionKey, refusal, rfc3339};

/// Every variable that is read.
pub(crate) const VARIABLES: [&str; 9] = [
    "ALICLOUD_ACCESS_KEY",
    "ALICLOUD_SECRET_KEY",
    "ALICLOUD_ACCESS_KEY_STS_TOKEN",
    "ALICLOUD_ROLE_ARN",
    "ALICLOUD_ROLE_SESSION_NAME",
    "ALICLOUD_ROLE_SESSION_EXPIRATION",
    "ALICLOUD_ROLE_NAME",
    "ALICLOUD_PRIVATE_KEY",
    "ALICLOUD_PUBLIC_KEY_ID",
];

/// Credentials of an assumed role, the only ones that the server accepts.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Credentials {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) security_token: String,
}

/// What one place says of credentials: the environment, or the configuration.
#[derive(Default)]
pub(crate) struct Settings {
    access_key: Option<String>,
    access_secret: Option<String>,
    access_token: Option<String>,
    role_arn: Option<String>,
    role_session_name: Option<String>,
    role_session_expiration: Option<String>,
    role_name: Option<String>,
    signs_for_a_user: bool,
}

/// How credentials are got.
pub(crate) enum Source {
    /// They are given.
    Given(Credentials),
    /// A role is assumed with an access key.
    AssumeRole(Assumption),
    /// The instance has a role; None: the metadata service names it.
    Instance { role: Option<String> },
}

/// Which role, and the access key that may assume it.
pub(crate) struct Assumption {
    id: String,
    secret: String,
    /// Of an access key that STS has issued.
    security_token: Option<String>,
    arn: String,
    session: String,
    seconds: Option<String>,
}

/// What a use remembers.
#[derive(Default, Deserialize, Serialize)]
pub(crate) struct Memory {
    pub(crate) revision_key: RevisionKey,
    session: Option<Session>,
}

/// A session's credentials, kept until they expire.
#[derive(Deserialize, Serialize)]
struct Session {
    /// What it was made of.
    origin: Vec<String>,
    credentials: Credentials,
    expires: SystemTime,
}

/// Credentials, and what they come of, which changes when other ones are behind the login.
pub(crate) fn credentials(
    config: &Config,
    memory: &mut Memory,
) -> Result<(Credentials, Vec<String>), Failure> {
    let source = match Settings::of_environment()?.source()? {
        Some(source) => source,
        None => Settings::of(config).source()?.unwrap_or(Source::Instance { role: None }),
    };
    let origin = source.origin();
    let refused = context::previous_failure().is_some_and(|failure| failure.kind == Kind::Denied);
    let good = |session: &&Session| {
        session.origin == origin && session.expires > clock::now() + EARLY && !refused
    };
    if let Some(session) = memory.session.as_ref().filter(good) {
        return Ok((session.credentials.clone(), origin));
    }
    let (credentials, expires) = match source {
        Source::Given(credentials) => return Ok((credentials, origin)),
        Source::AssumeRole(assumption) => assumption.assume(config)?,
        Source::Instance { role } => of_instance(config, role)?,
    };
    memory.session =
        Some(Session { origin: origin.clone(), credentials: credentials.clone(), expires });
    Ok((credentials, origin))
}

impl Settings {
    /// Those of the configuration.
    pub(crate) fn of(config: &Config) -> Self {
        let secret = |secret: &Option<usher_plugin::config::Secret>| {
            secret.as_ref().map(|secret| secret.expose().to_owned())
        };
        Self {
            access_key: config.access_key.clone(),
            access_secret: secret(&config.access_secret),
            access_token: secret(&config.access_token),
            role_arn: config.role_arn.clone(),
            role_session_name: config.role_session_name.clone(),
            role_session_expiration: config
                .role_session_expiration
                .map(|length| length.0.as_secs().to_string()),
            role_name: config.role_name.clone(),
            signs_for_a_user: config.private_key.is_some() || config.public_key_id.is_some(),
        }
        .without_empty()
    }

    fn of_environment() -> Result<Self, Failure> {
        Ok(Self {
            access_key: env::get("ALICLOUD_ACCESS_KEY")?,
            access_secret: env::get("ALICLOUD_SECRET_KEY")?,
            access_token: env::get("ALICLOUD_ACCESS_KEY_STS_TOKEN")?,
            role_arn: env::get("ALICLOUD_ROLE_ARN")?,
            role_session_name: env::get("ALICLOUD_ROLE_SESSION_NAME")?,
            role_session_expiration: env::get("ALICLOUD_ROLE_SESSION_EXPIRATION")?,
            role_name: env::get("ALICLOUD_ROLE_NAME")?,
            signs_for_a_user: env::get("ALICLOUD_PRIVATE_KEY")?.is_some()
                || env::get("ALICLOUD_PUBLIC_KEY_ID")?.is_some(),
        }
        .without_empty())
    }

    /// An empty value is none.
    fn without_empty(mut self) -> Self {
        for value in [
            &mut self.access_key,
            &mut self.access_secret,
            &mut self.access_token,
            &mut self.role_arn,
            &mut self.role_session_name,
            &mut self.role_session_expiration,
            &mut self.role_name,
        ] {
            value.take_if(|value| value.is_empty());
        }
        self
    }

    /// How credentials are got here; None: not a word of them.
    pub(crate) fn source(self) -> Result<Option<Source>, Failure> {
        match (self.access_key, self.access_secret) {
            (Some(id), Some(secret)) => match (self.role_arn, self.access_token) {
                (Some(arn), security_token) => Ok(Some(Source::AssumeRole(Assumption {
                    id,
                    secret,
                    security_token,
                    arn,
                    session: self.role_session_name.unwrap_or_else(|| "usher".to_owned()),
                    seconds: self.role_session_expiration,
                }))),
                (None, Some(security_token)) => {
                    Ok(Some(Source::Given(Credentials { id, secret, security_token })))
                }
                (None, None) => Err(not_a_role("the access key is a user's")),
            },
            (None, None) if self.signs_for_a_user => {
                Err(not_a_role("private_key and public_key_id stand for a user"))
            }
            (None, None) if self.role_name.is_some() => {
                Ok(Some(Source::Instance { role: self.role_name }))
            }
            (None, None) => Ok(None),
            (Some(_), None) => Err(half("access_key (ALICLOUD_ACCESS_KEY)", "access_secret")),
            (None, Some(_)) => Err(half("access_secret (ALICLOUD_SECRET_KEY)", "access_key")),
        }
    }
}

impl Source {
    fn origin(&self) -> Vec<String> {
        match self {
            // Each part of given credentials counts: none can change without the others.
            Self::Given(credentials) => vec![
                "given".to_owned(),
                credentials.id.clone(),
                credentials.secret.clone(),
                credentials.security_token.clone(),
            ],
            // Sessions of a role come and go, and stand for the same.
            Self::AssumeRole(Assumption { id, arn, session, .. }) => {
                vec!["role".to_owned(), id.clone(), arn.clone(), session.clone()]
            }
            Self::Instance { role } => {
                vec!["instance".to_owned(), role.clone().unwrap_or_default()]
            }
        }
    }
}

impl Assumption {
    /// Asks STS for a session of the role.
    fn assume(&self, config: &Config) -> Result<(Credentials, SystemTime), Failure> {
        const WHAT: &str = "Alibaba Cloud's STS";
        let mut action = vec![
            ("Action", "AssumeRole"),
            ("RoleArn", self.arn.as_str()),
            ("RoleSessionName", self.session.as_str()),
        ];
        action.extend(self.seconds.as_deref().map(|seconds| ("DurationSeconds", seconds)));
        let key = AccessKey {
            id: &self.id,
            secret: &self.secret,
            security_token: self.security_token.as_deref(),
        };
        let url = format!("{}/?{}", config.sts(), signed(config, &key, &action));
        let response = Request::post(url, "").header("accept", "application/json").send()?;
        if !response.is_success() {
            let failure = refusal("sts.refused", WHAT, &response);
            let Ok(said) = json::read::<Refused>(&response.body) else { return Err(failure) };
            let kind = if said.code.starts_with("Throttling") || said.code == "ServiceUnavailable" {
                Kind::Unavailable
            } else {
                failure.kind
            };
            let hint = if said.code.starts_with("InvalidTimeStamp") {
                "; check this machine's clock"
            } else {
                ""
            };
            let line: String = said.message.chars().filter(|c| !c.is_control()).take(200).collect();
            let message =
                format!("{WHAT} refuses to assume the role: {} ({line}){hint}", said.code);
            return Err(Failure { kind, message, ..failure });
        }
        let answer: Assumed = response.json()?;
        answer.credentials.checked(WHAT)
    }
}

/// Asks the metadata service for the credentials of the instance's role, or of the one it names.
fn of_instance(
    config: &Config,
    role: Option<String>,
) -> Result<(Credentials, SystemTime), Failure> {
    const WHAT: &str = "the ECS metadata service";
    let service = MetadataTokens {
        what: WHAT,
        base: config.metadata_endpoint.trim_end_matches('/'),
        ttl_header: "X-aliyun-ecs-metadata-token-ttl-seconds",
        token_header: "X-aliyun-ecs-metadata-token",
    };
    let token = service.token()?;
    let get = |path: &str| service.get(path, token.as_deref());
    let role = if let Some(role) = role {
        role
    } else {
        let response = get(ROLES)?;
        if response.status == 404 {
            let message =
                "this instance has no RAM role; attach one to it, or set the role's credentials";
            return Err(Failure::unavailable("ecs.no-role", message));
        }
        if !response.is_success() {
            return Err(refusal("ecs.refused", WHAT, &response));
        }
        let listed = String::from_utf8_lossy(&response.body);
        listed.lines().next().unwrap_or_default().trim().to_owned()
    };
    // It becomes part of a path; RAM allows no others in a role's name.
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    if role.is_empty() || !role.chars().all(allowed) || role.starts_with('.') {
        let message = format!(
            "{WHAT} named no RAM role: something else answers in its place, or the instance has none"
        );
        return Err(Failure::unavailable("ecs.no-role", message));
    }
    let response = get(&format!("{ROLES}{role}"))?;
    if response.status == 404 {
        let message =
            format!("this instance has no RAM role {role}; correct role_name, or attach it");
        return Err(Failure::unavailable("ecs.no-role", message));
    }
    if !response.is_success() {
        return Err(refusal("ecs.refused", WHAT, &response));
    }
    let issued: Issued = response.json()?;
    issued.checked(WHAT)
}

/// What STS and the metadata service hand out.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Issued {
    /// Of the metadata service: `Success`.
    code: Option<String>,
    access_key_id: String,
    access_key_secret: String,
    security_token: String,
    expiration: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Assumed {
    credentials: Issued,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refused {
    code: String,
    #[serde(default)]
    message: String,
}

impl Issued {
    fn checked(self, what: &str) -> Result<(Credentials, SystemTime), Failure> {
        let unusable = |why: &str| {
            Failure::unavailable("alicloud.no-credentials", format!("{what} handed out {why}"))
        };
        if self.code.as_deref().is_some_and(|code| code != "Success") {
            return Err(unusable("no credentials: its code isn't Success"));
        }
        if [&self.access_key_id, &self.access_key_secret, &self.security_token]
            .iter()
            .any(|part| part.is_empty())
        {
            return Err(unusable("credentials that lack a part"));
        }
        let expires = rfc3339(&self.expiration)
            .ok_or_else(|| unusable("credentials without an expiration that can be read"))?;
        if expires <= clock::now() {
            return Err(unusable("expired credentials; check this machine's clock"));
        }
        let credentials = Credentials {
            id: self.access_key_id,
            secret: self.access_key_secret,
            security_token: self.security_token,
        };
        Ok((credentials, expires))
    }
}

fn not_a_role(why: &str) -> Failure {
    let message = format!(
        "{why}, and the server accepts assumed roles only; set role_arn (ALICLOUD_ROLE_ARN) to assume one, or leave the access key out where the instance has a role"
    );
    Failure::config("alicloud.not-a-role", message)
}

fn half(given: &str, missing: &str) -> Failure {
    Failure::config("config.incomplete", format!("{given} is set without {missing}; set both"))
        .detail("key", format!("config.{missing}"))
}

/// Before they expire, other credentials are asked for.
const EARLY: Duration = Duration::from_mins(5);

const ROLES: &str = "/latest/meta-data/ram/security-credentials/";
