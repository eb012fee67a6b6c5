//! Workload identity federation.

use super::*;
use usher_plugin::testing::Operation;

const STS: &str = "https://sts.googleapis.com/v1/token";
const IMPERSONATION: &str = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/web@shop.iam.gserviceaccount.com:generateAccessToken";
const AUDIENCE: &str =
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k8s";

pub(super) fn external(source: &Value) -> Value {
    json!({
        "type": "external_account",
        "audience": AUDIENCE,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": STS,
        "credential_source": source,
        "service_account_impersonation_url": IMPERSONATION,
    })
}

fn sts() -> Host {
    let host = google();
    host.answer_http("POST", STS, |_| Ok(token("marker-token-f")));
    host.answer_http("POST", IMPERSONATION, |_| {
        let body = json!({"accessToken": "marker-token-i", "expireTime": "2026-01-01T01:00:00Z"});
        Ok(Response::new(200, body.to_string()))
    });
    host
}

#[test]
fn a_subject_token_in_a_file_is_exchanged_and_the_account_impersonated() {
    let host = sts();
    host.put_file("/run/token", "marker-token-s\n");
    authenticate(&holding(&external(&json!({"file": "/run/token"})))).unwrap();
    let [exchange, impersonation, signing] = &host.requests()[..] else { panic!("three requests") };
    let expected = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("audience", AUDIENCE),
        ("scope", "https://www.googleapis.com/auth/iam"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("subject_token", "marker-token-s"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
    ];
    assert_eq!(fields(exchange), expected.map(|(name, value)| (name.into(), value.into())));
    assert_eq!(header(impersonation, "authorization"), Some("Bearer marker-token-f"));
    let body: Value = serde_json::from_slice(&impersonation.body).unwrap();
    assert_eq!(
        body,
        json!({
            "scope": ["https://www.googleapis.com/auth/cloud-platform"],
            "lifetime": "3600s",
        })
    );
    assert_eq!(signing.url, SIGN_JWT);
    assert_eq!(header(signing, "authorization"), Some("Bearer marker-token-i"));
}

#[test]
fn a_subject_token_is_fetched_with_the_headers_and_the_field_that_are_asked_for() {
    let host = sts();
    let url = "https://ci.test/token?audience=x";
    host.answer_http("GET", url, |request| {
        assert_eq!(header(request, "x-ci"), Some("marker-secret"));
        Ok(Response::new(200, r#"{"value":"marker-token-s"}"#))
    });
    let source = json!({
        "url": url,
        "headers": {"X-CI": "marker-secret"},
        "format": {"type": "json", "subject_token_field_name": "value"},
    });
    let mut credentials = external(&source);
    credentials["client_id"] = json!("id");
    credentials["client_secret"] = json!("marker-secret");
    credentials["service_account_impersonation"] = json!({"token_lifetime_seconds": 1200});
    authenticate(&holding(&credentials)).unwrap();
    let [_, exchange, impersonation, _] = &host.requests()[..] else { panic!("four requests") };
    assert_eq!(fields(exchange)[4].1, "marker-token-s");
    assert_eq!(header(exchange, "authorization"), Some("Basic aWQ6bWFya2VyLXNlY3JldA=="));
    assert!(String::from_utf8_lossy(&impersonation.body).contains("\"1200s\""));
}

#[test]
fn without_impersonation_the_account_has_to_be_named() {
    let host = sts();
    host.put_file("/run/token", "s");
    let mut credentials = external(&json!({"file": "/run/token"}));
    credentials.as_object_mut().unwrap().remove("service_account_impersonation_url");
    credentials["workforce_pool_user_project"] = json!("7");
    let config = holding(&credentials);
    fails(&host, &config, Kind::Config, "config.missing", &["service_account"]);
    authenticate(&with(config, "service_account", json!(ACCOUNT))).unwrap();
    let [exchange, signing] = &host.requests()[..] else { panic!("two requests") };
    assert_eq!(fields(exchange)[2].1, "https://www.googleapis.com/auth/cloud-platform");
    let options = fields(exchange).pop().unwrap();
    assert_eq!(
        (options.0.as_str(), decoded(&options.1)),
        ("options", r#"{"userProject":"7"}"#.into())
    );
    assert_eq!(header(signing, "authorization"), Some("Bearer marker-token-f"));
}

#[test]
fn a_rotated_subject_token_is_no_other_credential() {
    let host = sts();
    host.put_file("/run/token", "one");
    let config = holding(&external(&json!({"file": "/run/token"})));
    let first = authenticate(&config).unwrap();
    host.put_file("/run/token", "two");
    assert_eq!(authenticate(&config).unwrap(), first);
}

#[test]
fn credentials_in_a_file_lead_to_projected_tokens_and_to_what_is_configured() {
    let host = sts();
    let projected = "/var/run/secrets/tokens/gcp";
    host.set_env("GOOGLE_APPLICATION_CREDENTIALS", "/adc.json");
    host.put_file("/adc.json", external(&json!({"file": projected})).to_string());
    host.put_file(projected, "s");
    authenticate(&iam()).unwrap();

    let host = sts();
    host.set_env("GOOGLE_APPLICATION_CREDENTIALS", "/adc.json");
    host.put_file("/adc.json", external(&json!({"file": "/srv/token"})).to_string());
    host.put_file("/srv/token", "s");
    fails(&host, &iam(), Kind::Config, "grant.missing", &["/srv/token", "subject_token_source"]);
    authenticate(&with(iam(), "subject_token_source", json!("/srv/token"))).unwrap();

    let host = sts();
    host.set_env("GOOGLE_APPLICATION_CREDENTIALS", "/adc.json");
    let mut elsewhere = external(&json!({"file": projected}));
    elsewhere["token_url"] = json!("https://evil.test/token");
    host.put_file("/adc.json", elsewhere.to_string());
    host.put_file(projected, "s");
    fails(&host, &iam(), Kind::Config, "grant.missing", &["not one of Google's", "`credentials`"]);
    assert!(host.requests().is_empty());
}

#[test]
fn each_bad_subject_token_is_told_and_not_sent() {
    let host = sts();
    let config = holding(&external(&json!({"file": "/run/token"})));
    let bad = |code, parts: &[&str]| {
        fails(&host, &config, Kind::Unavailable, code, parts);
        assert!(host.requests().is_empty());
    };
    bad("file.not-found", &["/run/token"]);
    host.put_file("/run/token", " \n");
    bad("file.empty", &["/run/token"]);
    host.put_file("/run/token", b"\xff\xfe");
    bad("file.not-text", &["/run/token"]);
    let directory = Failure::config("file.not-regular", "/run/token is a directory");
    host.fail(Operation::Read, "/run/token", directory);
    bad("file.not-regular", &["/run/token"]);
    host.heal(Operation::Read, "/run/token");
    host.put_file("/run/token", r#"{"other":"marker-secret"}"#);
    let source =
        json!({"file": "/run/token", "format": {"type": "json", "subject_token_field_name": "t"}});
    let config = holding(&external(&source));
    fails(&host, &config, Kind::Unavailable, "gcp.subject-token", &["/run/token", "\"t\""]);
}

#[test]
fn refusals_on_the_way_are_told_with_what_to_do() {
    let url = "https://ci.test/token";
    let config = holding(&external(&json!({"url": url})));
    let host = sts();
    host.answer_http("GET", url, |_| Ok(Response::new(403, "<html>marker-page")));
    fails(&host, &config, Kind::Denied, "gcp.subject-token", &["issuer", "403"]);
    host.answer_http("GET", url, |_| Ok(Response::new(200, "s")));
    host.answer_http("POST", STS, |_| {
        let body = json!({
            "error": "invalid_grant",
            "error_description": "The audience in ID Token [x] does not match the expected audience.",
        });
        Ok(Response::new(400, body.to_string()))
    });
    let parts = ["invalid_grant", "expected audience", "subject token issued"];
    fails(&host, &config, Kind::Denied, "oauth.invalid-grant", &parts);
    host.answer_http("POST", STS, |_| Ok(token("marker-token-f")));
    host.answer_http("POST", IMPERSONATION, |_| {
        let body = json!({"error": {"code": 403, "message": "Permission 'iam.serviceAccounts.getAccessToken' denied"}});
        Ok(Response::new(403, body.to_string()))
    });
    let parts = ["getAccessToken", "roles/iam.workloadIdentityUser", ACCOUNT];
    fails(&host, &config, Kind::Denied, "gcp.impersonation-refused", &parts);
}
