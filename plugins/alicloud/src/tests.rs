//! The method against the SDK's fake host.

use super::*;
use serde_json::{Value, json};
use std::time::Duration;
use usher_plugin::http::Response;
use usher_plugin::testing::{self, Host};
use usher_plugin::{Credential, Kind};

const METADATA: &str = "http://100.100.100.200/latest";
const STS: &str = "https://sts.eu-central-1.aliyuncs.com";

fn config() -> Value {
    json!({"role": "app", "region": "eu-central-1"})
}

fn with(more: Value) -> Value {
    let mut config = config();
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    config
}

fn given() -> Value {
    with(json!({"access_key": "STS.id", "access_secret": "hunter2", "access_token": "token/+="}))
}

/// Body and revision of a login.
fn log_in(config: &Value) -> Result<(Value, String), Failure> {
    let answer = testing::authenticate::<AliCloud>(config)?;
    assert_eq!(answer.check_after, Some(Duration::from_mins(1)));
    let Credential::Login(login) = answer.credential else { panic!("not a login") };
    assert_eq!(login.path, "login");
    Ok((login.body, answer.revision))
}

/// The signed query of a login.
fn query(body: &Value) -> Vec<(String, String)> {
    let url = STANDARD.decode(body["identity_request_url"].as_str().unwrap()).unwrap();
    let url = String::from_utf8(url).unwrap();
    let query = url.strip_prefix("https://sts.eu-central-1.aliyuncs.com/?").expect("the region's");
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn parameter(body: &Value, name: &str) -> Option<String> {
    query(body).into_iter().find(|(candidate, _)| candidate == name).map(|(_, value)| value)
}

fn refused(config: &Value, code: &str) -> Failure {
    let failure = log_in(config).unwrap_err();
    assert_eq!(failure.code, code, "{}", failure.message);
    assert!(!format!("{failure:?}").contains("hunter2"));
    failure
}

/// An instance with the role "web", whose credentials live an hour.
fn instance(host: &Host) {
    host.answer_http("PUT", &format!("{METADATA}/api/token"), |request| {
        let ttl = ("X-aliyun-ecs-metadata-token-ttl-seconds".to_owned(), "21600".to_owned());
        assert!(request.headers.contains(&ttl));
        Ok(Response::new(200, "metadata-token"))
    });
    let roles = format!("{METADATA}/meta-data/ram/security-credentials/");
    host.answer_http("GET", &roles, |request| Ok(with_token(request, "web\n")));
    host.answer_http("GET", &format!("{roles}web"), |request| {
        Ok(with_token(request, &issued("Success", "2026-01-01T01:00:00Z")))
    });
}

fn with_token(request: &usher_plugin::http::Request, body: &str) -> Response {
    let token = ("X-aliyun-ecs-metadata-token".to_owned(), "metadata-token".to_owned());
    let known = request.headers.contains(&token);
    Response::new(if known { 200 } else { 403 }, if known { body } else { "" })
}

fn issued(code: &str, expiration: &str) -> String {
    json!({
        "Code": code, "AccessKeyId": "STS.web", "AccessKeySecret": "hunter2",
        "SecurityToken": "of-web", "Expiration": expiration,
    })
    .to_string()
}

#[test]
fn given_session_credentials_sign_what_the_server_sends_on() {
    let _host = Host::install();
    let (body, _) = log_in(&given()).unwrap();
    assert_eq!(body["role"], "app");
    let headers = STANDARD.decode(body["identity_request_headers"].as_str().unwrap()).unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&headers).unwrap(),
        json!({"Accept": ["application/json"]})
    );
    let query = query(&body);
    let names: Vec<&str> = query.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "AccessKeyId",
            "Action",
            "Format",
            "RegionId",
            "SecurityToken",
            "SignatureMethod",
            "SignatureNonce",
            "SignatureType",
            "SignatureVersion",
            "Timestamp",
            "Version",
            "Signature"
        ]
    );
    let value = |name| parameter(&body, name).unwrap();
    assert_eq!(value("Action"), "GetCallerIdentity");
    assert_eq!(value("Timestamp"), "2026-01-01T00%3A00%3A00Z");
    assert_eq!(value("SecurityToken"), "token%2F%2B%3D");
}

#[test]
fn no_two_logins_have_the_same_nonce_and_their_revision_stays() {
    let _host = Host::install();
    let (first, revision) = log_in(&given()).unwrap();
    let (second, same) = log_in(&given()).unwrap();
    assert_ne!(parameter(&first, "SignatureNonce"), parameter(&second, "SignatureNonce"));
    assert_eq!(revision, same);
    let other =
        with(json!({"access_key": "STS.id", "access_secret": "hunter2", "access_token": "x"}));
    assert_ne!(log_in(&other).unwrap().1, revision);
}

#[test]
fn the_environment_counts_before_the_configuration() {
    let host = Host::install();
    host.set_env("ALICLOUD_ACCESS_KEY", "STS.env");
    host.set_env("ALICLOUD_SECRET_KEY", "s");
    host.set_env("ALICLOUD_ACCESS_KEY_STS_TOKEN", "t");
    assert_eq!(parameter(&log_in(&given()).unwrap().0, "AccessKeyId").unwrap(), "STS.env");
    host.set_env("ALICLOUD_SECRET_KEY", "");
    refused(&given(), "config.incomplete");
}

#[test]
fn a_users_credentials_are_refused_before_anything_is_sent() {
    let host = Host::install();
    let key = json!({"access_key": "LTAI", "access_secret": "hunter2"});
    let pair = json!({"private_key": "hunter2", "public_key_id": "k"});
    for config in [with(key), with(pair)] {
        let failure = testing::prepare_method::<AliCloud>(&config).unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (Kind::Config, "alicloud.not-a-role"));
    }
    host.set_env("ALICLOUD_ACCESS_KEY", "LTAI");
    host.set_env("ALICLOUD_SECRET_KEY", "hunter2");
    refused(&config(), "alicloud.not-a-role");
    assert!(host.requests().is_empty());
}

#[test]
fn a_role_is_assumed_with_an_access_key_and_its_session_kept_until_shortly_before_its_end() {
    let host = Host::install();
    let config = with(json!({
        "access_key": "LTAI", "access_secret": "hunter2", "role_arn": "acs:ram::1:role/web",
        "role_session_expiration": 1800,
    }));
    host.answer_http("POST", &format!("{STS}/?"), |request| {
        assert!(request.url.contains("Action=AssumeRole"), "{}", request.url);
        assert!(request.url.contains("RoleArn=acs%3Aram%3A%3A1%3Arole%2Fweb"));
        assert!(request.url.contains("RoleSessionName=usher&"));
        assert!(request.url.contains("DurationSeconds=1800"));
        let credentials: Value =
            serde_json::from_str(&issued("Success", "2026-01-01T00:30:00Z")).unwrap();
        Ok(Response::new(200, json!({"Credentials": credentials}).to_string()))
    });
    let (body, revision) = log_in(&config).unwrap();
    assert_eq!(parameter(&body, "AccessKeyId").unwrap(), "STS.web");
    assert_eq!(parameter(&body, "SecurityToken").unwrap(), "of-web");
    host.advance(Duration::from_mins(24));
    assert_eq!(log_in(&config).unwrap().1, revision);
    assert_eq!(host.requests().len(), 1);
    host.set_previous_failure(Some(Failure::denied("server.refused", "no")));
    log_in(&config).unwrap();
    assert_eq!(host.requests().len(), 2, "what the server refused is not offered again");
    host.set_previous_failure(None);
    host.advance(Duration::from_mins(2));
    log_in(&config).unwrap();
    assert_eq!(host.requests().len(), 3, "less than five minutes are left");
}

#[test]
fn a_temporary_key_assumes_a_role_with_its_security_token() {
    let host = Host::install();
    let config = with(json!({
        "access_key": "STS.id", "access_secret": "hunter2", "access_token": "of-the-key",
        "role_arn": "acs:ram::1:role/web",
    }));
    host.answer_http("POST", &format!("{STS}/?"), |request| {
        assert!(request.url.contains("SecurityToken=of-the-key"), "{}", request.url);
        let credentials: Value =
            serde_json::from_str(&issued("Success", "2026-01-01T01:00:00Z")).unwrap();
        Ok(Response::new(200, json!({"Credentials": credentials}).to_string()))
    });
    assert_eq!(parameter(&log_in(&config).unwrap().0, "SecurityToken").unwrap(), "of-web");
}

#[test]
fn a_refusal_of_sts_is_told_with_its_code() {
    let host = Host::install();
    let config = with(json!({
        "access_key": "LTAI", "access_secret": "hunter2", "role_arn": "acs:ram::1:role/web",
    }));
    for (status, code, kind, said) in [
        (404, "EntityNotExist.Role", Kind::Denied, "EntityNotExist.Role"),
        (400, "InvalidTimeStamp.Expired", Kind::Denied, "clock"),
        (400, "Throttling.User", Kind::Unavailable, "Throttling.User"),
        (503, "ServiceUnavailable", Kind::Unavailable, "ServiceUnavailable"),
    ] {
        host.answer_http("POST", &format!("{STS}/?"), move |_| {
            Ok(Response::new(status, json!({"Code": code, "Message": "no"}).to_string()))
        });
        let failure = refused(&config, "sts.refused");
        assert_eq!(failure.kind, kind, "{code}");
        assert!(failure.message.contains(said), "{}", failure.message);
    }
    host.answer_http("POST", &format!("{STS}/?"), |_| Ok(Response::new(502, "<html>")));
    assert_eq!(refused(&config, "sts.refused").kind, Kind::Unavailable);
}

#[test]
fn the_role_of_the_instance_serves_where_nothing_is_given() {
    let host = Host::install();
    instance(&host);
    let (body, revision) = log_in(&config()).unwrap();
    assert_eq!(parameter(&body, "AccessKeyId").unwrap(), "STS.web");
    let asked = host.requests().len();
    assert_eq!(log_in(&config()).unwrap().1, revision);
    assert_eq!(host.requests().len(), asked, "its credentials are kept");
    let named = with(json!({"role_name": "web"}));
    assert_eq!(parameter(&log_in(&named).unwrap().0, "SecurityToken").unwrap(), "of-web");
}

#[test]
fn a_metadata_service_that_fails_is_told_from_an_instance_without_a_role() {
    let roles = format!("{METADATA}/meta-data/ram/security-credentials/");
    for (status, body, kind, code) in [
        (404, "", Kind::Unavailable, "ecs.no-role"),
        (200, "<html>hunter2", Kind::Unavailable, "ecs.no-role"),
        (200, "", Kind::Unavailable, "ecs.no-role"),
        (302, "", Kind::Denied, "metadata.redirect"),
        (401, "", Kind::Denied, "ecs.refused"),
        (410, "", Kind::Unavailable, "ecs.refused"),
        (429, "", Kind::Unavailable, "ecs.refused"),
        (500, "<html>hunter2", Kind::Unavailable, "ecs.refused"),
    ] {
        let host = Host::install();
        instance(&host);
        host.answer_http("GET", &roles, move |_| Ok(Response::new(status, body)));
        assert_eq!(refused(&config(), code).kind, kind, "{status}");
    }
    let host = Host::install();
    instance(&host);
    host.answer_http("GET", &roles, |_| Ok(Response::new(200, "x".repeat(70_000))));
    refused(&config(), "http.too-large");
    let host = Host::install();
    host.answer_http("PUT", &format!("{METADATA}/api/token"), |_| {
        Err(Failure::unavailable("http.timeout", "no answer in time"))
    });
    assert!(refused(&config(), "http.timeout").message.contains("ECS metadata service"));
}

#[test]
fn what_is_handed_out_must_be_whole_and_fresh() {
    for body in [
        issued("Failed", "2026-01-01T01:00:00Z"),
        issued("Success", "2025-12-31T23:00:00Z"),
        issued("Success", "soon"),
        issued("Success", "2026-01-01T01:00:00Z").replace("STS.web", ""),
    ] {
        let host = Host::install();
        instance(&host);
        let url = format!("{METADATA}/meta-data/ram/security-credentials/web");
        host.answer_http("GET", &url, move |_| Ok(Response::new(200, body.clone())));
        assert_eq!(refused(&config(), "alicloud.no-credentials").kind, Kind::Unavailable);
    }
}

#[test]
fn the_configuration_is_judged() {
    let _host = Host::install();
    for (config, code) in [
        (json!({"role": "", "region": "r"}), "config.empty"),
        (json!({"role": "app", "region": ""}), "config.invalid"),
        (json!({"role": "app", "region": "evil.example/"}), "config.invalid"),
        (with(json!({"credential_poll_interval": 0})), "config.invalid"),
        (with(json!({"access_key": "LTAI"})), "config.incomplete"),
    ] {
        let failure = testing::prepare_method::<AliCloud>(&config).unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (Kind::Config, code), "{config}");
    }
    let needs = testing::prepare_method::<AliCloud>(&config()).unwrap();
    assert!(needs.contains(&Need::connect(STS)));
    assert!(needs.contains(&Need::connect("http://100.100.100.200")));
    assert!(needs.contains(&Need::env("ALICLOUD_ROLE_ARN")));
}

#[test]
fn the_schema_is_that_of_the_type() {
    testing::check_config_schema::<Config>(AliCloud::CONFIG_SCHEMA);
}
