//! The metadata server of a machine of Google Cloud.
//!
//! By default at its address, not by its name: the sandbox lets no name lead to a link-local
//! address.

use usher_plugin::http::{Request, Response};
use usher_plugin::{Failure, Need, env};
use usher_plugin_lib::{AccessToken, access_token, ask_metadata, form, looks_like_jwt, refusal};

use crate::google::{SCOPE, in_path};

const ADDRESS: &str = "169.254.169.254";
const PATH: &str = "/computeMetadata/v1";
const WHAT: &str = "the metadata server";

/// As the server is named by whoever wrote the variable, all the same server.
const NAMES: [&str; 3] = ["metadata.google.internal", "metadata.google.internal.", "metadata"];

/// To ask it, wherever the environment says that it is.
pub(crate) fn needs() -> Vec<Need> {
    let hosts = [ADDRESS, "${GCE_METADATA_HOST}", "${GCE_METADATA_IP}"];
    hosts.map(|host| Need::connect(format!("http://{host}{PATH}"))).into()
}

/// The identity of the machine: a JWT of this account of the machine, for this audience.
pub(crate) fn identity(account: &str, audience: &str) -> Result<String, Failure> {
    let query = form(&[("audience", audience), ("format", "full")]);
    let response = ask(account, &format!("identity?{query}")).map_err(|failure| {
        match failure.code.as_str() {
            "http.timeout" | "http.connect" | "http.dns" => {
                let message = format!("{}; {ELSEWHERE}", failure.message);
                Failure { message, ..failure }
            }
            _ => failure,
        }
    })?;
    let jwt = text(&response).filter(|jwt| looks_like_jwt(jwt)).ok_or_else(|| {
        let message = format!("{WHAT} answered with something that is no JWT; nothing was sent");
        Failure::unavailable("metadata.not-a-jwt", message)
    })?;
    Ok(jwt.to_owned())
}

/// An access token of the machine's default account.
pub(crate) fn token() -> Result<AccessToken, Failure> {
    let query = form(&[("scopes", SCOPE)]);
    access_token(WHAT, &ask("default", &format!("token?{query}"))?)
}

/// The name of the machine's default account, in e-mail form.
pub(crate) fn email() -> Result<String, Failure> {
    let response = ask("default", "email")?;
    let email = text(&response).filter(|email| email.contains('@') && !email.contains(['/', '<']));
    let message = format!("{WHAT} doesn't tell the machine's account: set service_account");
    email.map(str::to_owned).ok_or_else(|| Failure::unavailable("metadata.no-account", message))
}

fn ask(account: &str, what: &str) -> Result<Response, Failure> {
    let account = in_path(account);
    let url = format!("http://{}{PATH}/instance/service-accounts/{account}/{what}", host()?);
    let request = Request::get(&url).header("metadata-flavor", "Google");
    let response = ask_metadata(WHAT, request)?;
    let google = response.header("metadata-flavor") == Some("Google");
    if response.is_success() {
        if google {
            return Ok(response);
        }
        let message = format!(
            "what answers at {} is not Google's metadata server: its answer has no `Metadata-Flavor: Google`",
            host()?
        );
        return Err(Failure::denied("metadata.flavor", message));
    }
    let failure = refusal("metadata.refused", WHAT, &response);
    let remedy = match response.status {
        _ if !google => "it is not Google's: its answer has no `Metadata-Flavor: Google`",
        404 => {
            "the machine has no such service account: attach one to it, or correct service_account"
        }
        403 => "the machine's service account may not be used here",
        _ => return Err(failure),
    };
    let message = format!("{}; {remedy}", failure.message);
    Err(Failure { message, ..failure })
}

const ELSEWHERE: &str = "outside of Google Cloud use type = \"iam\" with credentials";

/// Host and perhaps port.
fn host() -> Result<String, Failure> {
    for name in ["GCE_METADATA_HOST", "GCE_METADATA_IP"] {
        let Some(host) = env::get(name)?.filter(|host| !host.is_empty()) else { continue };
        if host.contains(['/', '?', '#', '@']) {
            let message = format!("{name} must be a host, or a host and a port: \"host:port\"");
            return Err(Failure::config("metadata.host", message));
        }
        if !NAMES.contains(&host.as_str()) {
            return Ok(host);
        }
    }
    Ok(ADDRESS.to_owned())
}

fn text(response: &Response) -> Option<&str> {
    str::from_utf8(&response.body).ok().map(str::trim)
}
