//! Access tokens for Google's APIs, kept until shortly before their end.

use crate::credentials::{self, Credentials, Found, Key, Origin};
use crate::google::{self, SCOPE};
use crate::{Config, Memory, metadata};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};
use usher_plugin::context::{self, Reason};
use usher_plugin::{Failure, Kind, clock};
use usher_plugin_lib::{AccessToken, Saved, sign_jwt};

/// An access token that can be used again.
#[derive(Deserialize, Serialize)]
pub(crate) struct Kept {
    /// Revision of the credentials that it was given for.
    credentials: String,
    token: String,
    /// Not to be used from then on: seconds since 1970.
    until: u64,
}

/// Seconds. Google's tokens are good for an hour; one that ends soon is not begun with.
const MARGIN: u64 = 300;

/// Seconds for which an assertion is good: as long as Google allows.
const ASSERTION: u64 = 3600;

/// An access token, and whether it is a kept one.
pub(crate) fn access_token(
    config: &Config,
    found: &Found,
    memory: &mut Saved<Memory>,
) -> Result<(String, bool), Failure> {
    let credentials = memory.revision_key.revision(&[&found.document]);
    let denied = context::previous_failure().is_some_and(|failure| failure.kind == Kind::Denied);
    let usable = |kept: &&Kept| {
        !denied && kept.credentials == credentials && kept.until > seconds(clock::now())
    };
    if let Some(kept) = memory.token.as_ref().filter(usable) {
        return Ok((kept.token.clone(), true));
    }
    memory.token = None;
    let AccessToken { access_token: token, expires_in } = new(config, found)?;
    let lifetime = expires_in.unwrap_or_default();
    if lifetime > MARGIN && context::reason() != Reason::Explain {
        let until = seconds(clock::now()).saturating_add(lifetime - MARGIN);
        memory.token = Some(Kept { credentials, token: token.clone(), until });
        memory.save();
    }
    Ok((token, false))
}

fn new(config: &Config, found: &Found) -> Result<AccessToken, Failure> {
    const ENDPOINT: &str = "Google's token endpoint";
    match &found.credentials {
        Credentials::Key(key) => {
            let assertion = assertion(key, &found.origin)?;
            let fields = [
                ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                ("assertion", &*assertion),
            ];
            google::exchange(ENDPOINT, &key.token_uri, &fields, None)
        }
        Credentials::User(user) => {
            let fields = [
                ("grant_type", "refresh_token"),
                ("client_id", &*user.client_id),
                ("client_secret", &*user.client_secret),
                ("refresh_token", &*user.refresh_token),
            ];
            google::exchange(ENDPOINT, &user.token_uri, &fields, None)
        }
        Credentials::External(external) => external.access_token(config, &found.origin),
        Credentials::Machine => metadata::token().map_err(credentials::none_but_the_machines),
    }
}

/// What a service account shows for an access token (RFC 7523, section 2.1).
fn assertion(key: &Key, origin: &Origin) -> Result<String, Failure> {
    let now = seconds(clock::now());
    let claims = json!({
        "iss": key.client_email,
        "scope": SCOPE,
        "aud": &key.token_uri,
        "iat": now,
        "exp": now + ASSERTION,
    });
    sign(key, origin, &claims)
}

/// A JWT signed with the account's own key.
pub(crate) fn sign(
    key: &Key,
    origin: &Origin,
    claims: &serde_json::Value,
) -> Result<String, Failure> {
    let header = match &key.private_key_id {
        Some(id) => json!({"kid": id}),
        None => json!({}),
    };
    sign_jwt("RS256", &key.private_key, header, claims).map_err(|failure| {
        match failure.code.as_str() {
            "crypto.key" => origin
                .unusable(&format!("holds a `private_key` that can't sign: {}", failure.message)),
            _ => failure,
        }
    })
}

/// Since 1970.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
