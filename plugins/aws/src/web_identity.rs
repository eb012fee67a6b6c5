//! A role assumed with a JWT of the platform, as EKS puts it into pods (IRSA): STS's
//! `AssumeRoleWithWebIdentity`.

use crate::credentials::{Credentials, end};
use crate::environment::{Needs, variable};
use crate::failed;
use crate::region::{self, Region};
use std::time::Duration;
use usher_plugin::http::{Request, Response};
use usher_plugin::{Failure, Kind, context, files};
use usher_plugin_lib::{form, nothing_to_use, refusal};

/// As messages call who hands out the credentials.
pub(crate) const WHAT: &str = "AWS STS";

/// A role and what proves that it may be assumed.
pub(crate) struct WebIdentity {
    role: String,
    token_file: String,
    session: String,
    endpoint: String,
}

pub(crate) const NEEDS: Needs = &[
    ("env", ROLE),
    ("env", SESSION),
    ("env", ENDPOINT),
    ("env", TOKEN_FILE),
    ("read", "${AWS_WEB_IDENTITY_TOKEN_FILE}"),
    // A profile may name the file, and need it where EKS puts it or beside itself.
    ("read", "/var/run/secrets/eks.amazonaws.com/*"),
    ("read", "~/.aws/*"),
    ("connect", "${AWS_ENDPOINT_URL_STS}"),
];

impl WebIdentity {
    /// The one that the environment names. One of its two variables alone is a failure.
    pub(crate) fn of_environment(region: &Region) -> Result<Option<Self>, Failure> {
        match (variable(ROLE)?, variable(TOKEN_FILE)?) {
            (None, None) => Ok(None),
            (Some(role), Some(file)) => {
                Self::new(&role, &file, variable(SESSION)?, region).map(Some)
            }
            (role, _) => {
                let names = [ROLE, TOKEN_FILE];
                let [set, missing] = if role.is_some() { names } else { [names[1], names[0]] };
                let message = format!("{set} is set, but not {missing}: set both, or none");
                Err(failed(Kind::Config, "aws.partial", &message))
            }
        }
    }

    pub(crate) fn new(
        role: &str,
        token_file: &str,
        session: Option<String>,
        region: &Region,
    ) -> Result<Self, Failure> {
        let endpoint = match variable(ENDPOINT)? {
            Some(endpoint) => endpoint,
            None => format!("https://{}", region::sts_host(&region::of_requests(region)?)),
        };
        Ok(Self {
            role: role.to_owned(),
            token_file: token_file.to_owned(),
            session: session.unwrap_or_else(session_name),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
        })
    }

    /// Tells it from others.
    pub(crate) fn name(&self) -> String {
        format!("web identity {} {} {}", self.role, self.token_file, self.endpoint)
    }

    /// Asks STS.
    pub(crate) fn credentials(&self) -> Result<Credentials, Failure> {
        let token = self.token()?;
        let body = form(&[
            ("Action", "AssumeRoleWithWebIdentity"),
            ("RoleArn", &self.role),
            ("RoleSessionName", &self.session),
            ("Version", "2011-06-15"),
            ("WebIdentityToken", &token),
        ]);
        let response = Request::post(format!("{}/", self.endpoint), body)
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .timeout(LONGEST)
            .send()?;
        let text = String::from_utf8_lossy(&response.body);
        if !response.is_success() {
            return Err(refused(&response, &text, &token));
        }
        let value = |name| element(&text, name).filter(|value| !value.is_empty());
        match (value("AccessKeyId"), value("SecretAccessKey"), value("SessionToken")) {
            (Some(key), Some(secret), Some(session_token)) if text.len() <= LARGEST => {
                Ok(Credentials {
                    access_key: key.to_owned(),
                    secret_key: secret.to_owned(),
                    session_token: session_token.to_owned(),
                    expires_at: value("Expiration").and_then(end),
                    whose: format!("role {}", self.role),
                    source: String::new(),
                })
            }
            _ => {
                let message = format!(
                    "{WHAT} answered with something that is no AWS credentials: something else \
                     may have answered in its place"
                );
                Err(failed(Kind::Unavailable, "sts.body", &message))
            }
        }
    }

    fn token(&self) -> Result<String, Failure> {
        files::read_trimmed(&self.token_file).map_err(|failure| {
            if failure.code == "grant.missing" {
                let message = format!(
                    "the profile's web_identity_token_file may not be read: set {TOKEN_FILE} and \
                     {ROLE} instead, or keep it below ~/.aws or /var/run/secrets/eks.amazonaws.com"
                );
                return failed(Kind::Config, "aws.token-file", &message);
            }
            nothing_to_use("web identity token", failure)
        })
    }
}

/// What STS says no with, in its own words but without the token.
fn refused(response: &Response, text: &str, token: &str) -> Failure {
    let Some(code) = element(text, "Code") else {
        return refusal("sts.refused", WHAT, response);
    };
    let said = element(text, "Message").unwrap_or_default().replace(token, "…");
    let told = Response::new(response.status, format!("{code}: {said}"));
    let failure = refusal("sts.refused", WHAT, &told);
    let (kind, remedy) = match code {
        "InvalidIdentityToken" => (
            Kind::Denied,
            "check that IAM has an OpenID Connect provider for the token's issuer and audience",
        ),
        "ExpiredTokenException" => (
            Kind::Unavailable,
            "the platform should have replaced the token; check it and this machine's clock",
        ),
        "AccessDenied" => (
            Kind::Denied,
            "check the role's trust policy: the token's issuer, audience and subject",
        ),
        "RegionDisabledException" => (Kind::Denied, "enable the region, or set another"),
        "IDPCommunicationError" => (Kind::Unavailable, "STS can't reach the token's issuer"),
        code if code.contains("Throttl") => (Kind::Unavailable, "STS is asked too often"),
        _ => (failure.kind, "check AWS_ROLE_ARN"),
    };
    let message = format!("{}; {remedy}", failure.message);
    Failure { kind, message, ..failure }
}

/// The text of the first element of this name. STS's answers have neither attributes nor entities
/// in those that are read here.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0.trim())
}

/// Shown in AWS's audit log. STS takes letters, digits and "=,.@-_", 2 to 64 of them.
fn session_name() -> String {
    let mut name = "usher-".to_owned();
    for byte in context::identity().bytes().take(58) {
        let allowed = byte.is_ascii_alphanumeric() || b"=,.@-_".contains(&byte);
        name.push(if allowed { char::from(byte) } else { '-' });
    }
    name
}

const ROLE: &str = "AWS_ROLE_ARN";
const SESSION: &str = "AWS_ROLE_SESSION_NAME";
const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
/// Replaces STS, for whoever has a private one.
const ENDPOINT: &str = "AWS_ENDPOINT_URL_STS";

const LONGEST: Duration = Duration::from_secs(5);

/// Bytes of an answer.
const LARGEST: usize = 64 << 10;
