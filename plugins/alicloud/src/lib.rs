//! Logs in with the RAM role that an Alibaba Cloud credential stands for: the `alicloud` method.
//!
//! The configuration is the incumbents'. The login holds a signed `GetCallerIdentity` request, which
//! the secrets server sends to Alibaba Cloud to learn whose it is; it accepts assumed roles only, so
//! other credentials are refused here. Unlike the incumbents', the method keeps a session's
//! credentials until shortly before they expire instead of asking for new ones at each look.

mod chain;
mod signature;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chain::{Memory, Settings};
use schemars::JsonSchema;
use serde::Deserialize;
use signature::{AccessKey, Circumstances, signed_query};
use usher_plugin::config::{Secret, WeakDuration};
use usher_plugin::context::{self, Reason};
use usher_plugin::{
    About, Answer, AuthMethod, Failure, Login, Need, Reauthenticate, clock, random,
};
use usher_plugin_lib::{Saved, date_time, named_role, refused};

/// The method.
#[derive(Debug)]
pub struct AliCloud;

/// The `config` block of the method. Of each credential setting the environment variable
/// `ALICLOUD_…` counts first.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Config {
    /// Role of the method on the server.
    #[schemars(length(min = 1))]
    role: String,
    /// Region whose STS the server asks: `eu-central-1`.
    #[schemars(length(min = 1))]
    region: String,
    /// How often to look for other credentials: seconds.
    #[serde(default = "a_minute")]
    credential_poll_interval: WeakDuration,
    /// Id of an access key (`ALICLOUD_ACCESS_KEY`).
    access_key: Option<String>,
    /// Its secret (`ALICLOUD_SECRET_KEY`).
    access_secret: Option<Secret>,
    /// Security token of credentials that STS has issued (`ALICLOUD_ACCESS_KEY_STS_TOKEN`).
    access_token: Option<Secret>,
    /// Role to assume with the access key (`ALICLOUD_ROLE_ARN`).
    role_arn: Option<String>,
    /// Name of that session (`ALICLOUD_ROLE_SESSION_NAME`). Default: `usher`.
    role_session_name: Option<String>,
    /// Length of that session, 15 minutes to 12 hours (`ALICLOUD_ROLE_SESSION_EXPIRATION`).
    /// Default: the service's, an hour.
    role_session_expiration: Option<WeakDuration>,
    /// RAM role of the instance, where the metadata service is asked (`ALICLOUD_ROLE_NAME`).
    /// Default: the one it names.
    role_name: Option<String>,
    /// A key pair is refused: it stands for a user, and the server accepts roles only.
    private_key: Option<Secret>,
    /// As `private_key`.
    public_key_id: Option<String>,
    /// Without effect: a key pair isn't used.
    #[expect(dead_code, reason = "known, so that files with it keep working")]
    session_expiration: Option<WeakDuration>,
    /// STS to assume the role at, instead of the region's public one: `https://sts-vpc.eu-central-1.aliyuncs.com`.
    #[schemars(length(min = 1))]
    sts_endpoint: Option<String>,
    /// Metadata service of the instance.
    #[serde(default = "metadata_service")]
    #[schemars(length(min = 1))]
    metadata_endpoint: String,
}

impl AuthMethod for AliCloud {
    type Config = Config;

    const ABOUT: About =
        About::new("alicloud", env!("CARGO_PKG_VERSION"), "Logs in with an Alibaba Cloud RAM role")
            .licence("Apache-2.0")
            .reauthenticate(Reauthenticate::Yes)
            .identifies("role, access_key, role_arn, role_name");

    const CONFIG_SCHEMA: Option<&'static str> = Some(include_str!("../config.schema.json"));

    fn prepare(config: &Config) -> Result<Vec<Need>, Failure> {
        named_role(&config.role)?;
        // It becomes part of a host name.
        let label = |character: char| character.is_ascii_alphanumeric() || character == '-';
        if config.region.is_empty() || !config.region.chars().all(label) {
            return Err(refused(
                "region",
                "invalid",
                "is no region; write one as \"eu-central-1\"",
            ));
        }
        if config.credential_poll_interval.0.is_zero() {
            return Err(refused("credential_poll_interval", "invalid", "must be longer than 0"));
        }
        // What the file alone says can be judged now.
        Settings::of(config).source()?;
        let mut needs: Vec<Need> = chain::VARIABLES.iter().copied().map(Need::env).collect();
        needs.push(Need::connect(config.sts()));
        needs.push(Need::connect(&config.metadata_endpoint));
        Ok(needs)
    }

    fn authenticate(config: &Config) -> Result<Answer, Failure> {
        let mut memory = Saved::<Memory>::load();
        let (credentials, origin) = chain::credentials(config, &mut memory)?;
        let key = AccessKey {
            id: &credentials.id,
            secret: &credentials.secret,
            security_token: Some(&credentials.security_token),
        };
        let url = format!(
            "{}/?{}",
            regional_sts(&config.region),
            signed(config, &key, &[("Action", "GetCallerIdentity")])
        );
        let headers = serde_json::json!({"Accept": ["application/json"]});
        let body = serde_json::json!({
            "identity_request_headers": STANDARD.encode(headers.to_string()),
            "identity_request_url": STANDARD.encode(url),
            "role": config.role,
        });
        let origin: Vec<&str> = origin.iter().map(String::as_str).collect();
        let revision = memory.revision_key.revision(&origin);
        let kept = context::reason() == Reason::Explain || memory.save();
        let answer = Answer::login(Login::new("login", body));
        let answer = answer.check_after(config.credential_poll_interval.0);
        Ok(if kept { answer.revision(revision) } else { answer })
    }
}

usher_plugin::export!(auth_method: AliCloud);

impl Config {
    /// Where a role is assumed. The server replays its request at the region's own.
    fn sts(&self) -> String {
        let own = || regional_sts(&self.region);
        self.sts_endpoint.as_deref().map_or_else(own, |url| url.trim_end_matches('/').to_owned())
    }
}

/// The query of a request of now.
fn signed(config: &Config, key: &AccessKey<'_>, action: &[(&str, &str)]) -> String {
    let nonce = URL_SAFE_NO_PAD.encode(random::bytes(16));
    let timestamp = date_time(clock::now());
    let circumstances =
        Circumstances { region: &config.region, timestamp: &timestamp, nonce: &nonce };
    signed_query(key, &circumstances, action)
}

fn regional_sts(region: &str) -> String {
    format!("https://sts.{region}.aliyuncs.com")
}

fn a_minute() -> WeakDuration {
    WeakDuration(std::time::Duration::from_mins(1))
}

fn metadata_service() -> String {
    "http://100.100.100.200".to_owned()
}

#[cfg(test)]
mod tests;
