//! The token endpoint of OAuth 2.0 (RFC 6749, section 3.2), as clouds have it.

use crate::metadata::refusal;
use crate::percent::form;
use serde::Deserialize;
use std::time::Duration;
use usher_plugin::http::{Request, Response};
use usher_plugin::{Failure, Kind, json};

/// What a token endpoint, or a metadata service in its place, hands out.
#[derive(Deserialize)]
pub struct AccessToken {
    /// The token: a secret.
    pub access_token: String,
    /// For how long it is good. Some services write it as a string, some leave it out.
    #[serde(default, deserialize_with = "seconds")]
    pub expires_in: Option<u64>,
}

/// Posts a form to a token endpoint, which messages call `what`.
///
/// A refusal has the code "oauth.ERROR" with the error's own name (RFC 6749, section 5.2), as
/// "oauth.invalid-client" or, of an answer without one, "oauth.refused".
pub fn request_token(
    what: &str,
    url: &str,
    fields: &[(&str, &str)],
) -> Result<AccessToken, Failure> {
    let request = Request::post(url, form(fields))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json")
        .timeout(LONGEST);
    access_token(what, &request.send()?)
}

/// The token in an answer that is one of a token endpoint's.
pub fn access_token(what: &str, response: &Response) -> Result<AccessToken, Failure> {
    if response.is_success() {
        let token: AccessToken = response.json()?;
        if token.access_token.is_empty() {
            let message = format!("{what} answered without an access token");
            return Err(Failure::unavailable("oauth.no-token", message));
        }
        return Ok(token);
    }
    let failure = refusal("oauth.refused", what, response);
    let Ok(refused) = json::read::<Refused>(&response.body) else { return Err(failure) };
    let message = format!(
        "{what} answered {}: {} {}",
        response.status,
        refused.error,
        refused.error_description.lines().next().unwrap_or_default()
    );
    let passing = ["temporarily_unavailable", "server_error"].contains(&refused.error.as_str());
    let kind = if passing { Kind::Unavailable } else { failure.kind };
    let name: String = refused
        .error
        .chars()
        .filter(|character| character.is_ascii_alphanumeric() || *character == '_')
        .take(40)
        .collect();
    let message: String = message.trim_end().chars().take(400).collect();
    Err(Failure {
        kind,
        code: format!("oauth.{}", name.replace('_', "-").to_ascii_lowercase()),
        message,
        ..failure
    })
}

/// For a whole exchange: a login, which has ten seconds, may need a second one, or ask a metadata
/// service besides.
const LONGEST: Duration = Duration::from_secs(5);

/// RFC 6749, section 5.2.
#[derive(Deserialize)]
struct Refused {
    error: String,
    #[serde(default)]
    error_description: String,
}

fn seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Seconds {
        Number(u64),
        Text(String),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Seconds::deserialize(deserializer)? {
        Seconds::Number(seconds) => Some(seconds),
        Seconds::Text(text) => text.parse().ok(),
        Seconds::Other(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Result<AccessToken, Failure> {
        access_token("the endpoint", &Response::new(status, body))
    }

    #[test]
    fn a_lifetime_may_be_a_number_a_string_or_missing() {
        let lifetime = |body| read(200, body).ok().and_then(|token| token.expires_in);
        assert_eq!(lifetime(r#"{"access_token":"t","expires_in":3599}"#), Some(3599));
        assert_eq!(lifetime(r#"{"access_token":"t","expires_in":"3599"}"#), Some(3599));
        assert_eq!(lifetime(r#"{"access_token":"t"}"#), None);
        assert_eq!(lifetime(r#"{"access_token":"t","expires_in":{}}"#), None);
    }

    #[test]
    fn a_refusal_is_told_with_its_name_and_its_first_line() {
        let failure = read(
            401,
            r#"{"error":"invalid_client","error_description":"AADSTS7000215: wrong\nTrace: x"}"#,
        )
        .err()
        .unwrap();
        assert_eq!((failure.kind, failure.code.as_str()), (Kind::Denied, "oauth.invalid-client"));
        assert_eq!(
            failure.message,
            "the endpoint answered 401: invalid_client AADSTS7000215: wrong"
        );
        let busy = read(400, r#"{"error":"temporarily_unavailable"}"#).err().unwrap();
        assert_eq!(busy.kind, Kind::Unavailable);
        assert_eq!(read(502, "<html>").err().unwrap().code, "oauth.refused");
    }

    #[test]
    fn an_answer_without_a_token_is_no_token() {
        assert_eq!(read(200, r#"{"access_token":""}"#).err().unwrap().code, "oauth.no-token");
        assert_eq!(read(200, "<html>").err().unwrap().code, "http.body");
    }
}
