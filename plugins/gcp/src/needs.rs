//! What a configuration needs of the host, and what can't work whatever the host grants.
//!
//! Needs follow from the configuration alone. Of credentials in it their endpoints are known; of
//! others only where Google has its own, and where tokens of other issuers usually are.

use crate::credentials::{self, ADC, Credentials, HOME_FILE, Origin};
use crate::federation::Source;
use crate::{Config, Type, metadata};
use usher_plugin::{Failure, Need};
use usher_plugin_lib::{named_role, one_file, refused};

/// Where Google exchanges assertions, refresh tokens and tokens of other issuers. The last two are
/// in old key files.
const ENDPOINTS: [&str; 5] = [
    "https://oauth2.googleapis.com",
    "https://sts.googleapis.com",
    "https://iamcredentials.googleapis.com",
    "https://accounts.google.com",
    "https://www.googleapis.com",
];

/// Where orchestrators project tokens.
const PROJECTED: [&str; 2] = ["/var/run/secrets/*", "/var/run/service-account/*"];

pub(crate) fn of(config: &Config) -> Result<Vec<Need>, Failure> {
    named_role(&config.role)?;
    let odd = |character: char| !(character.is_ascii_alphanumeric() || "@.-_".contains(character));
    if config.service_account.contains(odd) || config.service_account.contains("..") {
        let what = "is no name of a service account; write its e-mail form or its unique id";
        return Err(refused("service_account", "invalid", what));
    }
    if config.r#type == Type::Gce {
        if config.sign_locally.0 {
            let what = "works only with type = \"iam\": a machine has no key of its own";
            return Err(refused("sign_locally", "invalid", what));
        }
        return Ok(metadata::needs());
    }
    let mut needs = match &config.credentials {
        Some(_) => of_given(config)?,
        None => of_environment(config)?,
    };
    if !config.sign_locally.0 {
        needs.push(connect("iam_credentials_endpoint", &config.iam_credentials_endpoint)?);
    }
    Ok(needs)
}

/// Of the credentials in the configuration.
fn of_given(config: &Config) -> Result<Vec<Need>, Failure> {
    let found = credentials::find(config)?;
    let mut needs = Vec::new();
    match &found.credentials {
        Credentials::Key(_) if config.sign_locally.0 => {}
        Credentials::Key(key) => needs.push(connect("credentials", &key.token_uri)?),
        _ if config.sign_locally.0 => {
            return Err(credentials::no_key(&Origin::Setting));
        }
        Credentials::User(user) => needs.push(connect("credentials", &user.token_uri)?),
        Credentials::External(external) => {
            needs.push(connect("credentials", &external.token_url)?);
            if let Some(url) = &external.impersonation_url {
                needs.push(connect("credentials", url)?);
            }
            needs.push(match external.source(config, &Origin::Setting)? {
                Source::File(path) => read("credentials", path)?,
                Source::Url(url) => connect("credentials", url)?,
            });
        }
        Credentials::Machine => {}
    }
    Ok(needs)
}

/// Of those that are looked for; see [`credentials::find`].
fn of_environment(config: &Config) -> Result<Vec<Need>, Failure> {
    let mut needs = vec![
        Need::env("GOOGLE_CREDENTIALS"),
        // Not watched: what is watched is shown, and this may be the key itself.
        Need::read("${GOOGLE_CREDENTIALS}"),
        Need::env("GOOGLE_CLOUD_KEYFILE_JSON"),
        Need::watch(HOME_FILE),
        Need::watch("${GOOGLE_APPLICATION_CREDENTIALS}"),
        Need::watch(format!("${{CLOUDSDK_CONFIG}}/{ADC}")),
        Need::watch(format!("~/.config/gcloud/{ADC}")),
    ];
    if config.sign_locally.0 {
        return Ok(needs);
    }
    needs.extend(ENDPOINTS.map(Need::connect));
    needs.extend(metadata::needs());
    needs.extend(PROJECTED.map(Need::read));
    let source = config.subject_token_source.as_str();
    if !source.is_empty() {
        needs.push(match Source::of(source) {
            Source::File(path) => read("subject_token_source", path)?,
            Source::Url(url) => connect("subject_token_source", url)?,
        });
    }
    Ok(needs)
}

fn read(key: &str, path: &str) -> Result<Need, Failure> {
    one_file(key, path)?;
    Ok(Need::read(path))
}

/// Scheme, host and port of a URL: a need takes no query, and a user in it would be shown.
fn connect(key: &str, url: &str) -> Result<Need, Failure> {
    let what = "has a URL that can't be used; write \"https://host[:port][/path]\"";
    let invalid = || refused(key, "invalid", what);
    let (scheme, rest) = url.split_once("://").ok_or_else(invalid)?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if !["http", "https"].contains(&scheme) || host.is_empty() || host.contains(['@', '*', '$']) {
        return Err(invalid());
    }
    Ok(Need::connect(format!("{scheme}://{host}")))
}
