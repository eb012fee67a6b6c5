//! The JWT of a service account that a login of the type `iam` shows: signed by Google, or with
//! the account's own key.

use crate::credentials::{self, Credentials, Found};
use crate::google;
use crate::token::{self, seconds};
use crate::{Config, Memory, metadata};
use serde_json::json;
use usher_plugin::http::{Request, Response};
use usher_plugin::{Failure, clock};
use usher_plugin_lib::{Saved, looks_like_jwt, refused};

/// The service account that the JWT is of: the one asked for, or that of the credentials.
pub(crate) fn account(config: &Config, found: &Found) -> Result<String, Failure> {
    let own = match &found.credentials {
        Credentials::Key(key) => Some(key.client_email.as_str()),
        _ if config.sign_locally.0 => return Err(credentials::no_key(&found.origin)),
        Credentials::External(external) => external.account(),
        Credentials::User(_) | Credentials::Machine => None,
    };
    match (config.account(), own) {
        (Some(asked), own) if config.sign_locally.0 && own.is_some_and(|own| own != asked) => {
            let what = "is another account than the key's, whose key alone can sign here; leave it out, or sign_locally";
            Err(refused("service_account", "invalid", what))
        }
        (Some(account), _) | (None, Some(account)) => Ok(account.to_owned()),
        (None, None) if matches!(found.credentials, Credentials::Machine) => {
            metadata::email().map_err(credentials::none_but_the_machines)
        }
        (None, None) => {
            let what = "is missing: these credentials belong to no service account; write the one to log in as";
            Err(refused("service_account", "missing", what))
        }
    }
}

/// The JWT for a login.
pub(crate) fn jwt(
    config: &Config,
    found: &Found,
    account: &str,
    memory: &mut Saved<Memory>,
) -> Result<String, Failure> {
    let claims = json!({
        "aud": format!("http://vault/{}", config.role),
        "exp": seconds(clock::now()) + config.jwt_exp.seconds(),
        "sub": account,
    });
    if config.sign_locally.0 {
        return match &found.credentials {
            Credentials::Key(key) => token::sign(key, &found.origin, &claims),
            _ => Err(credentials::no_key(&found.origin)),
        };
    }
    let (token, kept) = token::access_token(config, found, memory)?;
    let mut response = ask(config, found, account, &claims, &token)?;
    if response.status == 401 && kept {
        // It was revoked before its time.
        memory.token = None;
        let (token, _) = token::access_token(config, found, memory)?;
        response = ask(config, found, account, &claims, &token)?;
    }
    if !response.is_success() {
        let remedy = remedy(&response, account);
        return Err(google::refused("gcp.sign-refused", WHAT, &response, &remedy));
    }
    let signed_jwt = google::text_of(WHAT, &response, "signedJwt")?;
    if looks_like_jwt(&signed_jwt) {
        return Ok(signed_jwt);
    }
    let message = format!("{WHAT} answered with something that is no JWT; nothing was sent");
    Err(Failure::unavailable("gcp.not-a-jwt", message))
}

const WHAT: &str = "Google's signing service";

/// <https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/signJwt>.
fn ask(
    config: &Config,
    found: &Found,
    account: &str,
    claims: &serde_json::Value,
    token: &str,
) -> Result<Response, Failure> {
    let base = config.iam_credentials_endpoint.trim_end_matches('/');
    let account = google::in_path(account);
    let url = format!("{base}/v1/projects/-/serviceAccounts/{account}:signJwt");
    let body = json!({"payload": claims.to_string()});
    let mut request =
        Request::post_json(url, &body)?.header("authorization", format!("Bearer {token}"));
    let project = match &found.credentials {
        Credentials::User(user) => user.quota_project_id.as_ref(),
        Credentials::External(external) => external.quota_project_id.as_ref(),
        Credentials::Key(_) | Credentials::Machine => None,
    };
    if let Some(project) = project {
        request = request.header("x-goog-user-project", project);
    }
    google::send(WHAT, request)
}

fn remedy(response: &Response, account: &str) -> String {
    let says = |words| String::from_utf8_lossy(&response.body).contains(words);
    match response.status {
        401 => "the access token was refused: check that the credentials are still good".into(),
        403 if says("insufficient authentication scopes") => {
            "give the machine the access scope cloud-platform".into()
        }
        403 if says("has not been used in project") || says("SERVICE_DISABLED") => {
            "enable the IAM Service Account Credentials API (iamcredentials.googleapis.com)".into()
        }
        403 => format!(
            "give the caller roles/iam.serviceAccountTokenCreator on {account}, also where it is itself"
        ),
        404 => format!("check that the service account {account} exists"),
        _ => String::new(),
    }
}
