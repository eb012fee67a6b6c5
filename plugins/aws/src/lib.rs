//! Logs in with an AWS identity: the `aws` method, by signed request (`iam`) or by the instance's
//! identity document (`ec2`).
//!
//! The configuration is the incumbents'. Unlike theirs, session credentials are kept until shortly
//! before they expire, a request goes to, and is signed for, one and the same region, and `ec2`
//! needs a nonce that survives a restart.

mod chain;
mod container;
mod credentials;
mod ec2;
mod environment;
mod imds;
mod login;
mod memory;
mod profile;
mod region;
mod region_lookup;
mod web_identity;

use memory::Memory;
use region::Region;
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;
use usher_plugin::config::{Secret, WeakDuration};
use usher_plugin::context::{self, Reason};
use usher_plugin::{About, Answer, AuthMethod, Failure, Kind, Login, Need, Reauthenticate, clock};
use usher_plugin_lib::{Saved, named_role, one_file, refused};

/// The method.
#[derive(Debug)]
pub struct Aws;

/// The `config` block of the method.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Config {
    /// "iam": a signed `GetCallerIdentity`, which the server sends to AWS; anywhere with AWS
    /// credentials. "ec2": the identity document of an EC2 instance.
    #[serde(rename = "type")]
    proof: Proof,
    /// Role of the method on the server.
    #[schemars(length(min = 1))]
    role: String,
    /// Id of an access key, with `secret_key`. Absent: environment, shared files, web identity,
    /// container, instance are asked, in this order.
    #[serde(default)]
    access_key: String,
    /// The access key's secret.
    secret_key: Option<Secret>,
    /// The session token, if `access_key` is a temporary one.
    session_token: Option<Secret>,
    /// What the server's mount expects as `iam_server_id_header_value`.
    #[serde(default)]
    header_value: String,
    /// For `ec2`: the secret with which this instance has logged in first. Either this or
    /// `state_file` is required.
    nonce: Option<Secret>,
    /// For `ec2`: file for a nonce that is made at the first login, mode 0600. Keep it as long as
    /// the instance lives.
    #[serde(default)]
    state_file: String,
    /// For `ec2`: send the PKCS#7 signature instead of identity document and signature.
    #[serde(default)]
    pkcs7: bool,
    /// Region whose STS the request is for. Empty: `AWS_REGION`, `AWS_DEFAULT_REGION`, the
    /// profile's, the instance's.
    #[serde(default)]
    #[schemars(with = "String", extend("default" = region::DEFAULT))]
    region: Region,
    /// Look for other credentials this often.
    #[serde(default = "minute")]
    #[schemars(extend("default" = "60s"))]
    credential_poll_interval: WeakDuration,
}

/// What proves who the workload is.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Proof {
    Iam,
    Ec2,
}

impl AuthMethod for Aws {
    type Config = Config;

    const ABOUT: About =
        About::new("aws", env!("CARGO_PKG_VERSION"), "Logs in with an AWS identity")
            .licence("Apache-2.0")
            .reauthenticate(Reauthenticate::Yes)
            .identifies("role, type, access_key");

    const CONFIG_SCHEMA: Option<&'static str> = Some(include_str!("../config.schema.json"));

    fn prepare(config: &Config) -> Result<Vec<Need>, Failure> {
        named_role(&config.role)?;
        match config.proof {
            Proof::Iam => config.prepare_iam(),
            Proof::Ec2 => config.prepare_ec2(),
        }
    }

    fn authenticate(config: &Config) -> Result<Answer, Failure> {
        let mut memory = Saved::<Memory>::load();
        let (body, whose) = match config.proof {
            Proof::Iam => {
                let region = region_lookup::resolve(config, &mut memory)?;
                let credentials = chain::credentials(config, &mut memory)?;
                (login::body(config, &credentials, &region, clock::now()), credentials.whose)
            }
            Proof::Ec2 => ec2::body(config)?,
        };
        let revision = memory.revision_key.revision(&[&whose, &config.role]);
        let answer = Answer::login(Login::new("login", body));
        let answer = match config.proof {
            Proof::Iam => answer.check_after(config.credential_poll_interval.0),
            // An instance stays the same.
            Proof::Ec2 => answer,
        };
        if context::reason() == Reason::Explain {
            return Ok(answer);
        }
        Ok(if memory.save() { answer.revision(revision) } else { answer })
    }
}

usher_plugin::export!(auth_method: Aws);

impl Config {
    /// Access key, secret and session token of the configuration itself.
    fn own_keys(&self) -> Option<(&str, &str, Option<&str>)> {
        let secret = exposed(self.secret_key.as_ref())?;
        Some((&self.access_key, secret, exposed(self.session_token.as_ref())))
    }

    fn prepare_iam(&self) -> Result<Vec<Need>, Failure> {
        match (self.access_key.is_empty(), exposed(self.secret_key.as_ref()).is_none()) {
            (false, true) => {
                return Err(refused("secret_key", "missing", "is missing; `access_key` needs it"));
            }
            (true, false) => {
                return Err(refused("access_key", "missing", "is missing; `secret_key` needs it"));
            }
            (true, true) if exposed(self.session_token.as_ref()).is_some() => {
                let what = "can't be used without `access_key` and `secret_key`";
                return Err(refused("session_token", "invalid", what));
            }
            _ => {}
        }
        if self.credential_poll_interval.0.is_zero() {
            let what = "must be longer than 0";
            return Err(refused("credential_poll_interval", "invalid", what));
        }
        if self.header_value.chars().any(char::is_control) {
            return Err(refused("header_value", "invalid", "must be one line of text"));
        }
        if !self.region.is_plausible() {
            let what = "is no region; write one like \"eu-west-1\", or \"\" to have it looked up";
            return Err(refused("region", "invalid", what));
        }
        let mut wanted = region_lookup::needs(&self.region).concat();
        let mut needs = Vec::new();
        if self.own_keys().is_none() {
            wanted.extend(chain::NEEDS.concat());
            match self.region.explicit() {
                Some(region) => {
                    needs.push(Need::connect(format!("https://{}", region::sts_host(region))));
                }
                None => wanted.extend(region::STS_NEEDS),
            }
        }
        add(&mut needs, &wanted);
        Ok(needs)
    }

    fn prepare_ec2(&self) -> Result<Vec<Need>, Failure> {
        let mut needs = Vec::new();
        add(&mut needs, imds::NEEDS);
        match (exposed(self.nonce.as_ref()), self.state_file.is_empty()) {
            (None, true) => {
                return Err(refused(
                    "nonce",
                    "missing",
                    "is missing: the server accepts an instance a second time only with the nonce \
                     of its first login; write one, or a `state_file` to keep one in",
                ));
            }
            (Some(_), false) => {
                let what = "can't be used together with `nonce`; leave one of them out";
                return Err(refused("state_file", "invalid", what));
            }
            (Some(_), true) => {}
            (None, false) => {
                one_file("state_file", &self.state_file)?;
                needs.extend([Need::read(&self.state_file), Need::write(&self.state_file)]);
            }
        }
        Ok(needs)
    }
}

/// Each once.
fn add(needs: &mut Vec<Need>, wanted: &[(&str, &str)]) {
    for (capability, target) in wanted {
        let need = Need { capability: (*capability).to_owned(), target: (*target).to_owned() };
        if !needs.contains(&need) {
            needs.push(need);
        }
    }
}

/// What is empty counts as absent, as for the incumbents.
fn exposed(secret: Option<&Secret>) -> Option<&str> {
    secret.map(Secret::expose).filter(|secret| !secret.is_empty())
}

/// Once for all: a component is the smaller for it.
#[inline(never)]
fn failed(kind: Kind, code: &str, message: &str) -> Failure {
    Failure::new(kind, code, message)
}

fn minute() -> WeakDuration {
    WeakDuration(Duration::from_mins(1))
}

#[cfg(test)]
mod tests;
