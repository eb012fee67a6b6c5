//! The metadata service of an EC2 instance (IMDS), version 2, and version 1 where there is no other.
//!
//! As in the EC2 User Guide ("Use the Instance Metadata Service to access instance metadata").

use crate::credentials::{Credentials, Handed};
use crate::environment::{Needs, is_true, variable};
use crate::failed;
use usher_plugin::http::Response;
use usher_plugin::{Failure, Kind};
use usher_plugin_lib::{MetadataTokens, refusal};

/// As messages call it.
pub(crate) const WHAT: &str = "the EC2 metadata service";

/// Where it is.
pub(crate) struct Imds {
    /// Without slash at the end.
    pub(crate) endpoint: String,
}

/// It, with a token to ask it.
pub(crate) struct Open<'a> {
    imds: &'a Imds,
    /// None: version 1, which wants none.
    token: Option<String>,
}

pub(crate) const NEEDS: Needs = &[
    ("env", DISABLED),
    ("env", V1_DISABLED),
    ("env", ENDPOINT),
    ("env", MODE),
    ("connect", "http://169.254.169.254/latest"),
    ("connect", "http://[fd00:ec2::254]/latest"),
    ("connect", "${AWS_EC2_METADATA_SERVICE_ENDPOINT}"),
];

impl Imds {
    /// None: the environment says that it isn't to be used.
    pub(crate) fn of_environment() -> Result<Option<Self>, Failure> {
        if is_true(DISABLED)? {
            return Ok(None);
        }
        let endpoint = match (variable(ENDPOINT)?, variable(MODE)?) {
            (Some(endpoint), _) => endpoint.trim_end_matches('/').to_owned(),
            (None, Some(mode)) if mode.eq_ignore_ascii_case("ipv6") => IPV6.to_owned(),
            _ => IPV4.to_owned(),
        };
        Ok(Some(Self { endpoint }))
    }

    /// Gets a token, or finds out that none is needed.
    pub(crate) fn open(&self) -> Result<Open<'_>, Failure> {
        let tokens = self.tokens();
        let token = match tokens.token() {
            Ok(Some(token)) => Some(token),
            Ok(None) if is_true(V1_DISABLED)? => {
                let message = format!(
                    "{WHAT} hands out no token, and AWS_EC2_METADATA_V1_DISABLED forbids to ask \
                     without: is it switched off for this instance?"
                );
                return Err(failed(Kind::Denied, "imds.no-token", &message));
            }
            Ok(None) => None,
            Err(failure) if failure.code == "http.timeout" => {
                // The answer to this request alone travels no further than the hop limit.
                match tokens.get("/latest/meta-data/", None) {
                    Ok(response) if response.is_success() && !is_true(V1_DISABLED)? => None,
                    Ok(_) => return Err(hop_limit()),
                    Err(_) => return Err(failure),
                }
            }
            Err(failure) => return Err(failure),
        };
        Ok(Open { imds: self, token })
    }

    fn tokens(&self) -> MetadataTokens<'_> {
        MetadataTokens {
            what: WHAT,
            base: &self.endpoint,
            ttl_header: "x-aws-ec2-metadata-token-ttl-seconds",
            token_header: "x-aws-ec2-metadata-token",
        }
    }
}

impl Open<'_> {
    /// Those of the instance's role.
    pub(crate) fn credentials(&self) -> Result<Credentials, Failure> {
        let response = self.get("meta-data/iam/security-credentials/")?;
        if response.status == 404 {
            let message = "the instance has no IAM role: attach an instance profile to it";
            return Err(failed(Kind::Denied, "imds.no-role", message));
        }
        let list = text(response)?;
        let role = list.lines().next().unwrap_or_default().trim();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
        if role.is_empty() || !role.bytes().all(allowed) {
            return Err(unexpected("name of a role"));
        }
        let response = self.get(&format!("meta-data/iam/security-credentials/{role}"))?;
        if response.status == 404 {
            let message =
                "the instance's IAM role was replaced a moment ago; it is asked for again";
            return Err(failed(Kind::Unavailable, "imds.no-role", message));
        }
        if !response.is_success() {
            return Err(refusal("imds.refused", WHAT, &response));
        }
        let handed = Handed::read(&response);
        let code = handed.get("Code");
        if !code.is_empty() && code != "Success" {
            let code: String = code.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
            let message = format!(
                "{WHAT} has no credentials of the role {role}: {code}; check that the role's trust \
                 policy allows ec2.amazonaws.com"
            );
            return Err(failed(Kind::Denied, "imds.role-refused", &message));
        }
        handed.credentials("imds.body", WHAT, &format!("instance role {role}"))
    }

    /// The instance's region.
    pub(crate) fn region(&self) -> Result<String, Failure> {
        Ok(text(self.get("meta-data/placement/region")?)?.trim().to_owned())
    }

    /// A part of the instance's identity: "document", "signature", "pkcs7".
    pub(crate) fn identity(&self, part: &str) -> Result<String, Failure> {
        let response = self.get(&format!("dynamic/instance-identity/{part}"))?;
        if response.status == 404 {
            let message =
                format!("{WHAT} has no identity of the instance: this is no EC2 instance");
            return Err(failed(Kind::Denied, "imds.no-identity", &message));
        }
        text(response)
    }

    /// What is below "/latest".
    fn get(&self, path: &str) -> Result<Response, Failure> {
        self.imds.tokens().get(&format!("/latest/{path}"), self.token.as_deref())
    }
}

/// That an answer isn't what it should be, mostly a page of something in between.
pub(crate) fn unexpected(wanted: &str) -> Failure {
    let message = format!(
        "{WHAT} answered with something that is no {wanted}: something else may answer in its place"
    );
    failed(Kind::Unavailable, "imds.body", &message)
}

fn text(response: Response) -> Result<String, Failure> {
    if !response.is_success() {
        return Err(refusal("imds.refused", WHAT, &response));
    }
    String::from_utf8(response.body).map_err(|_| unexpected("text"))
}

fn hop_limit() -> Failure {
    let message = format!(
        "{WHAT} is there, but its tokens don't arrive: the instance's hop limit is too low for \
         containers; raise it: aws ec2 modify-instance-metadata-options --instance-id ID \
         --http-put-response-hop-limit 2"
    );
    failed(Kind::Unavailable, "imds.hop-limit", &message)
}

const IPV4: &str = "http://169.254.169.254";
const IPV6: &str = "http://[fd00:ec2::254]";

const DISABLED: &str = "AWS_EC2_METADATA_DISABLED";
const V1_DISABLED: &str = "AWS_EC2_METADATA_V1_DISABLED";
const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const MODE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
