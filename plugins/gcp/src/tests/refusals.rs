//! What Google refuses and bad credential files: the right kind, what to do, and no secret.

use super::*;
use usher_plugin::testing::Operation;

const ADC: &str = "/adc.json";

fn with_file(content: impl Into<Vec<u8>>) -> Host {
    let host = google();
    host.set_env("GOOGLE_APPLICATION_CREDENTIALS", ADC);
    host.put_file(ADC, content);
    host
}

#[test]
fn a_bad_file_is_named_nothing_is_sent_and_a_good_one_ends_it() {
    let whole = key().to_string();
    let half = &whole[..whole.len() / 2];
    let no_key = with(key(), "private_key", json!("marker-secret")).to_string();
    for (content, parts) in [
        (half, &[ADC, "no JSON"][..]),
        ("<html>marker-page", &[ADC, "no JSON"]),
        (r#"{"marker-secret":1}"#, &[ADC, "type"]),
        (r#"["marker-secret"]"#, &[ADC]),
        (r#"{"type":"service_account"}"#, &[ADC, "private_key"]),
        (no_key.as_str(), &[ADC, "private_key"]),
    ] {
        let host = with_file(content);
        fails(&host, &iam(), Kind::Unavailable, "gcp.credentials", parts);
        assert!(host.requests().is_empty());
        host.put_file(ADC, key().to_string());
        authenticate(&iam()).unwrap();
    }
    let named = "GOOGLE_APPLICATION_CREDENTIALS";
    let host = with_file("");
    fails(&host, &iam(), Kind::Unavailable, "file.empty", &[named, "empty"]);
    host.put_file(ADC, b"\xff");
    fails(&host, &iam(), Kind::Unavailable, "file.not-text", &[named]);
    host.delete_file(ADC);
    fails(&host, &iam(), Kind::Unavailable, "file.not-found", &[named, "doesn't exist"]);
    let closed = Failure::unavailable("file.permission", "permission denied");
    host.fail(Operation::Read, ADC, closed);
    fails(&host, &iam(), Kind::Unavailable, "file.permission", &[named, "may not be read"]);
}

#[test]
fn a_key_in_a_variable_by_mistake_is_not_shown() {
    let host = google();
    host.set_env("GOOGLE_CREDENTIALS", "marker-secret no file and no JSON");
    let parts = ["GOOGLE_CREDENTIALS", "doesn't exist"];
    fails(&host, &iam(), Kind::Unavailable, "file.not-found", &parts);
    host.set_env("GOOGLE_CREDENTIALS", "{\"type\": marker-secret");
    fails(&host, &iam(), Kind::Config, "gcp.credentials", &["GOOGLE_CREDENTIALS", "no JSON"]);
    let failure = Failure::unavailable("file.permission", "~/.gcp/credentials: permission denied");
    host.set_env("GOOGLE_CREDENTIALS", "");
    host.fail(Operation::Read, "~/.gcp/credentials", failure);
    fails(&host, &iam(), Kind::Unavailable, "file.permission", &["~/.gcp/credentials"]);
}

#[test]
fn a_key_that_cannot_sign_names_its_file() {
    let host = with_file(key().to_string());
    host.sign_with(|_, _, _| Err(Failure::config("crypto.key", "it is encrypted")));
    fails(&host, &iam(), Kind::Unavailable, "gcp.credentials", &[ADC, "encrypted"]);
    fails(&host, &holding(&key()), Kind::Config, "gcp.credentials", &["config.credentials"]);
}

#[test]
fn a_refused_assertion_is_told_with_what_to_do() {
    let skew = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.";
    for (error, description, part) in [
        ("invalid_grant", skew, "clock"),
        ("invalid_grant", "Invalid JWT Signature.", "make a new one"),
        ("invalid_grant", "Invalid grant: account not found", "deleted"),
        ("invalid_grant", "Token has been expired or revoked.", "gcloud auth"),
        ("unauthorized_client", "Client is unauthorized", "unauthorized_client"),
    ] {
        let host = google();
        host.answer_http("POST", TOKEN_URI, move |_| {
            let body = json!({"error": error, "error_description": description});
            Ok(Response::new(400, body.to_string()))
        });
        let code = format!("oauth.{}", error.replace('_', "-"));
        fails(&host, &holding(&key()), Kind::Denied, &code, &[error, part]);
        assert_eq!(host.requests().len(), 1);
    }
}

#[test]
fn a_refused_signature_is_told_with_what_to_do() {
    use Kind::{Denied, Unavailable};
    let creator = "roles/iam.serviceAccountTokenCreator";
    for (status, message, kind, part) in [
        (400, "Invalid payload", Denied, "Invalid payload"),
        (401, "Request had invalid authentication credentials.", Denied, "access token"),
        (403, "Permission 'iam.serviceAccounts.signJwt' denied", Denied, creator),
        (403, "Request had insufficient authentication scopes.", Denied, "cloud-platform"),
        (403, "IAM API has not been used in project 1 before", Denied, "enable"),
        (404, "Requested entity was not found.", Denied, ACCOUNT),
        (429, "Quota exceeded", Unavailable, "429"),
        (500, "Internal error", Unavailable, "500"),
    ] {
        let host = google();
        host.answer_http("POST", SIGN_JWT, move |_| {
            let body = json!({"error": {"code": status, "message": message, "status": "X"}});
            Ok(Response::new(status, body.to_string()))
        });
        fails(&host, &holding(&key()), kind, "gcp.sign-refused", &[message, part]);
    }
}

#[test]
fn pages_redirects_and_empty_answers_are_never_sent_as_a_jwt() {
    let mut limited = Response::new(429, "");
    limited.headers.push(("retry-after".into(), "7".into()));
    for (response, kind, code) in [
        (Response::new(200, "<html>marker-page"), Kind::Unavailable, "http.body"),
        (Response::new(200, "{}"), Kind::Unavailable, "http.body"),
        (Response::new(200, r#"{"signedJwt":"marker-page"}"#), Kind::Unavailable, "gcp.not-a-jwt"),
        (Response::new(302, "<html>marker-page"), Kind::Denied, "gcp.sign-refused"),
        (Response::new(502, "<html>marker-page"), Kind::Unavailable, "gcp.sign-refused"),
        (limited, Kind::Unavailable, "gcp.sign-refused"),
    ] {
        let host = google();
        let wait = response.header("retry-after").is_some();
        host.answer_http("POST", SIGN_JWT, move |_| Ok(response.clone()));
        let failure = fails(&host, &holding(&key()), kind, code, &[]);
        assert_eq!(failure.retry_after.is_some(), wait);
    }
    for (status, body, code) in [
        (200, "<html>marker-page", "http.body"),
        (200, r#"{"access_token":""}"#, "oauth.no-token"),
        (503, "<html>marker-page", "oauth.refused"),
    ] {
        let host = google();
        host.answer_http("POST", TOKEN_URI, move |_| Ok(Response::new(status, body)));
        fails(&host, &holding(&key()), Kind::Unavailable, code, &[]);
    }
}

#[test]
fn an_endpoint_that_is_not_there_or_hangs_is_named() {
    let host = google();
    for (url, what) in [(SIGN_JWT, "signing service"), (TOKEN_URI, "token endpoint")] {
        host.answer_http("POST", url, |request| {
            assert!(request.timeout.is_some());
            Err(Failure::unavailable("http.timeout", "no answer in 5 s"))
        });
        let parts = [what, "can't be reached", "no answer"];
        fails(&host, &holding(&key()), Kind::Unavailable, "http.timeout", &parts);
        host.set_state(b"");
    }
}

#[test]
fn without_any_credentials_it_is_told_where_they_may_be() {
    let host = google();
    let parts = ["no credentials", "metadata server can't be reached"];
    for config in [iam(), with(iam(), "service_account", json!(ACCOUNT))] {
        fails(&host, &config, Kind::Unavailable, "http.connect", &parts);
    }
}
