//! Requests to Google's endpoints, and what their refusals mean.

use serde_json::Value;
use std::time::Duration;
use usher_plugin::http::{Request, Response};
use usher_plugin::{Failure, Kind};
use usher_plugin_lib::{AccessToken, access_token, form, percent_encode, refusal};

/// What is asked for with each access token.
pub(crate) const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// A login may take several requests, and ends after ten seconds.
const LONGEST: Duration = Duration::from_secs(5);

/// Sends a request to an endpoint that messages call `what`.
pub(crate) fn send(what: &str, request: Request) -> Result<Response, Failure> {
    request.timeout(LONGEST).send().map_err(|failure| {
        if failure.code == "grant.missing" {
            let message = format!(
                "{what} is not one of Google's, and credentials that are found by the agent lead only there: write their JSON in `credentials`"
            );
            return Failure { kind: Kind::Config, message, ..failure };
        }
        if failure.code == "http.too-large" {
            return failure;
        }
        let message = format!("{what} can't be reached: {}", failure.message);
        Failure { message, ..failure }
    })
}

/// A service account's name as a part of a path, as Google's own libraries write it.
pub(crate) fn in_path(account: &str) -> String {
    percent_encode(account).replace("%40", "@")
}

/// An access token for a form.
pub(crate) fn exchange(
    what: &str,
    url: &str,
    fields: &[(&str, &str)],
    authorization: Option<String>,
) -> Result<AccessToken, Failure> {
    let mut request = Request::post(url, form(fields))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json");
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    access_token(what, &send(what, request)?).map_err(remedied)
}

/// The failure that an answer of one of Google's APIs means, with its message and what to do.
pub(crate) fn refused(code: &str, what: &str, response: &Response, remedy: &str) -> Failure {
    let failure = refusal(code, what, response);
    // <https://cloud.google.com/apis/design/errors>
    let value: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let message = match value["error"]["message"].as_str() {
        Some(said) if !response.is_success() => {
            let said: String = said.chars().filter(|c| !c.is_control()).take(300).collect();
            format!("{what} answered {}: {said}", response.status)
        }
        _ => failure.message,
    };
    let message = if remedy.is_empty() { message } else { format!("{message}; {remedy}") };
    Failure { message, ..failure }
}

/// A text of an answer that is JSON.
pub(crate) fn text_of(what: &str, response: &Response, key: &str) -> Result<String, Failure> {
    let value: Option<Value> = serde_json::from_slice(&response.body).ok();
    let text = value.as_ref().and_then(|value| value.get(key)).and_then(Value::as_str);
    text.filter(|text| !text.is_empty()).map(str::to_owned).ok_or_else(|| {
        let message = format!("the answer of {what} is not as expected: it has no `{key}`");
        Failure::unavailable("http.body", message).detail("status", response.status.to_string())
    })
}

/// What to do about the refusal of a token endpoint, by words of Google's answers.
fn remedied(failure: Failure) -> Failure {
    let known = REMEDIES.iter().find(|(words, _)| failure.message.contains(words));
    let Some((_, remedy)) = known else { return failure };
    let message = format!("{}; {remedy}", failure.message);
    Failure { message, ..failure }
}

const REMEDIES: [(&str, &str); 8] = [
    ("reasonable timeframe", CLOCK),
    ("Check your iat and exp", CLOCK),
    ("is stale to sign-in", CLOCK),
    (
        "Invalid JWT Signature",
        "the key was deleted, has expired or isn't this account's: make a new one",
    ),
    ("account not found", "the service account was deleted or disabled: use another"),
    (
        "expired or revoked",
        "log in again with `gcloud auth application-default login`, or use a service account",
    ),
    ("reauth", "user credentials have to be confirmed by their user: use a service account"),
    (
        "does not match the expected audience",
        "have the subject token issued for an audience that the provider of the pool allows",
    ),
];

const CLOCK: &str = "check this machine's clock: Google takes no assertion of another time";
