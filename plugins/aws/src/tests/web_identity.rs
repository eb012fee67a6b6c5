//! Roles assumed with a JWT.

use super::*;

const ROLE: &str = "arn:aws:iam::123456789012:role/app";
const FILE: &str = "/var/run/secrets/eks.amazonaws.com/serviceaccount/token";
const STS: &str = "https://sts.amazonaws.com/";

fn pod() -> Host {
    let host = host();
    host.set_env("AWS_ROLE_ARN", ROLE);
    host.set_env("AWS_WEB_IDENTITY_TOKEN_FILE", FILE);
    host.put_file(FILE, format!("{JWT}\n"));
    host
}

fn assumed(key: &str) -> String {
    format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n\
         <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{key}</AccessKeyId>\
         <SecretAccessKey>{SECRET}</SecretAccessKey><SessionToken>{TOKEN}</SessionToken>\
         <Expiration>{SOON}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
         </AssumeRoleWithWebIdentityResponse>"
    )
}

fn refusal(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error></ErrorResponse>"
    )
}

#[test]
fn the_platforms_jwt_is_exchanged_for_session_credentials() {
    let host = pod();
    answer(&host, "POST", STS, 200, assumed("ASIA1"));
    let sent = log_in(&iam()).unwrap();
    assert_eq!((sent.key(), sent.header("X-Amz-Security-Token")), ("ASIA1", Some(TOKEN)));
    let request = host.requests().remove(0);
    assert_eq!(
        String::from_utf8(request.body).unwrap(),
        format!(
            "Action=AssumeRoleWithWebIdentity\
             &RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fapp\
             &RoleSessionName=usher-default&Version=2011-06-15&WebIdentityToken={JWT}"
        )
    );
    let content_type = "application/x-www-form-urlencoded; charset=utf-8".to_owned();
    assert_eq!(request.headers, [("content-type".to_owned(), content_type)], "no signature");
}

#[test]
fn the_regions_sts_is_asked_or_the_one_that_the_environment_names() {
    for (name, value, region, url) in [
        ("AWS_REGION", "eu-west-1", None, "https://sts.eu-west-1.amazonaws.com/"),
        ("AWS_DEFAULT_REGION", "cn-north-1", None, "https://sts.cn-north-1.amazonaws.com.cn/"),
        (
            "AWS_REGION",
            "eu-west-1",
            Some("us-gov-west-1"),
            "https://sts.us-gov-west-1.amazonaws.com/",
        ),
        ("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:4566", None, "http://127.0.0.1:4566/"),
        (
            "AWS_ENDPOINT_URL_STS",
            "https://sts.corp.test/",
            Some("eu-west-1"),
            "https://sts.corp.test/",
        ),
    ] {
        let host = pod();
        host.set_env("AWS_ROLE_SESSION_NAME", "mine");
        host.set_env(name, value);
        answer(&host, "POST", url, 200, assumed("ASIA1"));
        let config = with(region.map_or(json!({}), |region| json!({"region": region})));
        assert_eq!(log_in(&config).unwrap().key(), "ASIA1", "{url}");
        let body = String::from_utf8(host.requests().remove(0).body).unwrap();
        assert!(body.contains("&RoleSessionName=mine&"), "{body}");
    }
}

#[test]
fn a_profile_may_name_role_and_token() {
    let host = host();
    let profile = |file: &str| {
        format!("[profile pod]\nrole_arn = {ROLE}\nweb_identity_token_file = {file}\n")
    };
    host.set_env("AWS_PROFILE", "pod");
    host.put_file(FILE, JWT);
    host.put_file("~/.aws/config", profile(FILE));
    answer(&host, "POST", STS, 200, assumed("ASIA1"));
    assert_eq!(log_in(&iam()).unwrap().key(), "ASIA1");
    host.put_file("/etc/shadow", "marker");
    host.put_file("~/.aws/config", profile("/etc/shadow"));
    let parts = ["AWS_WEB_IDENTITY_TOKEN_FILE"];
    assert_fails(&host, &iam(), Kind::Config, "aws.token-file", &parts);
}

#[test]
fn one_variable_without_the_other_is_told() {
    for (set, missing) in [
        ("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"),
    ] {
        let host = host();
        host.set_env(set, "x");
        assert_fails(&host, &iam(), Kind::Config, "aws.partial", &[set, missing]);
    }
}

#[test]
fn each_refusal_has_its_class_and_its_remedy() {
    let host = pod();
    for (status, body, kind, parts) in [
        (
            400,
            refusal("InvalidIdentityToken", "No OpenIDConnect provider found"),
            Kind::Denied,
            &["No OpenIDConnect provider found", "OpenID Connect provider for"][..],
        ),
        (400, refusal("ExpiredTokenException", "expired"), Kind::Unavailable, &["clock"]),
        (403, refusal("AccessDenied", "Not authorized"), Kind::Denied, &["trust policy"]),
        (403, refusal("RegionDisabledException", "off"), Kind::Denied, &["region"]),
        (400, refusal("IDPCommunicationError", "x"), Kind::Unavailable, &["issuer"]),
        (400, refusal("Throttling", "Rate exceeded"), Kind::Unavailable, &["too often"]),
        (
            400,
            refusal("ValidationError", &format!("bad {JWT}")),
            Kind::Denied,
            &["ValidationError"],
        ),
        (500, "<html>marker</html>".to_owned(), Kind::Unavailable, &["500"]),
        (503, String::new(), Kind::Unavailable, &["503"]),
        (302, String::new(), Kind::Denied, &["302"]),
    ] {
        answer(&host, "POST", STS, status, body);
        assert_fails(&host, &iam(), kind, "sts.refused", parts);
    }
}

#[test]
fn an_answer_without_credentials_is_none() {
    let host = pod();
    let without = assumed("ASIA1").replace("SessionToken", "Other");
    let oversized = assumed("ASIA1") + &" ".repeat(64 << 10);
    for body in ["<html>marker</html>".to_owned(), String::new(), without, oversized] {
        answer(&host, "POST", STS, 200, body);
        assert_fails(&host, &iam(), Kind::Unavailable, "sts.body", &["AWS STS"]);
    }
    let stale = assumed("ASIA1").replace(SOON, "2026-11-21T12:00:00Z");
    answer(&host, "POST", STS, 200, stale);
    assert_fails(&host, &iam(), Kind::Unavailable, "aws.expired", &["clock"]);
}

#[test]
fn a_missing_or_empty_token_file_is_unavailable() {
    let host = pod();
    host.put_file(FILE, "\n");
    assert_fails(&host, &iam(), Kind::Unavailable, "file.empty", &[FILE]);
    host.delete_file(FILE);
    assert_fails(&host, &iam(), Kind::Unavailable, "file.not-found", &[FILE]);
    assert_eq!(host.requests().len(), 0);
}

#[test]
fn an_sts_that_is_not_there_is_unavailable() {
    let host = pod();
    assert_fails(&host, &iam(), Kind::Unavailable, "http.connect", &[]);
}
