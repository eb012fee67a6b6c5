//! The instance metadata service.

use super::*;
use usher_plugin::http::Request;

const ORIGIN: &str = "http://169.254.169.254";
const PATH: &str = "/latest/meta-data/iam/security-credentials/";

/// A faithful service: it wants its token.
pub(super) fn serve(host: &Host, origin: &str, path: &str, body: String) {
    host.answer_http("GET", &format!("{origin}{path}"), move |request| {
        Ok(match token(request) {
            Some("imds-token") => Response::new(200, body.clone()),
            _ => Response::new(401, "marker"),
        })
    });
}

pub(super) fn instance(origin: &str) -> Host {
    let host = host();
    host.answer_http("PUT", &format!("{origin}/latest/api/token"), |request| {
        let lifetime = ("x-aws-ec2-metadata-token-ttl-seconds".to_owned(), "21600".to_owned());
        Ok(if request.headers == [lifetime] {
            Response::new(200, "imds-token")
        } else {
            Response::new(400, "")
        })
    });
    serve(&host, origin, PATH, "web+role=1,2.3@4_5-6\n".to_owned());
    let role = format!("{PATH}web+role=1,2.3@4_5-6");
    serve(&host, origin, &role, handed("ASIA1").to_string());
    host
}

fn token(request: &Request) -> Option<&str> {
    let mut headers = request.headers.iter();
    headers.find(|(name, _)| name == "x-aws-ec2-metadata-token").map(|(_, value)| value.as_str())
}

/// Answers nothing in time.
fn hang(host: &Host, method: &str, path: &str) {
    host.answer_http(method, &format!("{ORIGIN}{path}"), |_| {
        Err(Failure::unavailable("http.timeout", "didn't answer in time"))
    });
}

#[test]
fn the_instances_role_signs() {
    let host = instance(ORIGIN);
    let sent = log_in(&iam()).unwrap();
    assert_eq!((sent.key(), sent.header("X-Amz-Security-Token")), ("ASIA1", Some(TOKEN)));
    assert!(host.requests().iter().all(|request| request.timeout == Some(Duration::from_secs(2))));
}

#[test]
fn another_address_may_be_named() {
    let host = instance("http://[fd00:ec2::254]");
    host.set_env("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6");
    assert_eq!(log_in(&iam()).unwrap().key(), "ASIA1");
    let host = instance("http://127.0.0.1:1338");
    host.set_env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1338/");
    assert_eq!(log_in(&iam()).unwrap().key(), "ASIA1");
}

#[test]
fn switched_off_means_not_asked() {
    let host = instance(ORIGIN);
    host.set_env("AWS_EC2_METADATA_DISABLED", "TRUE");
    let parts = ["AWS_EC2_METADATA_DISABLED"];
    assert_fails(&host, &iam(), Kind::Unavailable, "aws.no-credentials", &parts);
    assert_eq!(host.requests().len(), 0);
}

#[test]
fn version_1_serves_only_where_there_is_no_other() {
    for status in [403, 404, 405] {
        let host = host();
        answer(&host, "PUT", "http://169.254.169.254/latest/api/token", status, "");
        answer(&host, "GET", &format!("{ORIGIN}{PATH}"), 200, "web");
        answer(&host, "GET", &format!("{ORIGIN}{PATH}web"), 200, handed("ASIA1"));
        assert_eq!(log_in(&iam()).unwrap().key(), "ASIA1");
        assert!(host.requests().iter().all(|request| token(request).is_none()));
        host.set_state(b"");
        host.set_env("AWS_EC2_METADATA_V1_DISABLED", "true");
        assert_fails(&host, &iam(), Kind::Denied, "imds.no-token", &["switched off"]);
    }
}

#[test]
fn a_hop_limit_that_is_too_low_is_told_with_the_command() {
    let command = "--http-put-response-hop-limit 2";
    let host = host();
    hang(&host, "PUT", "/latest/api/token");
    answer(&host, "GET", "http://169.254.169.254/latest/meta-data/", 401, "");
    assert_fails(&host, &iam(), Kind::Unavailable, "imds.hop-limit", &[command]);
    // Where version 1 is allowed, it helps out.
    answer(&host, "GET", "http://169.254.169.254/latest/meta-data/", 200, "iam/");
    answer(&host, "GET", &format!("{ORIGIN}{PATH}"), 200, "web");
    answer(&host, "GET", &format!("{ORIGIN}{PATH}web"), 200, handed("ASIA1"));
    assert_eq!(log_in(&iam()).unwrap().key(), "ASIA1");
    host.set_state(b"");
    host.set_env("AWS_EC2_METADATA_V1_DISABLED", "true");
    assert_fails(&host, &iam(), Kind::Unavailable, "imds.hop-limit", &[command]);
}

#[test]
fn a_service_that_is_not_there_is_unavailable() {
    let host = host();
    assert_fails(&host, &iam(), Kind::Unavailable, "http.connect", &["the EC2 metadata service"]);
    hang(&host, "PUT", "/latest/api/token");
    hang(&host, "GET", "/latest/meta-data/");
    assert_fails(&host, &iam(), Kind::Unavailable, "http.timeout", &["the EC2 metadata service"]);
}

#[test]
fn each_bad_answer_has_its_class_at_each_step() {
    for (status, body, kind) in [
        (302, "", Kind::Denied),
        (400, "marker", Kind::Denied),
        (401, "", Kind::Denied),
        (410, "", Kind::Unavailable),
        (429, "", Kind::Unavailable),
        (500, "<html>marker", Kind::Unavailable),
        (200, "<html>marker </html>", Kind::Unavailable),
        (200, "", Kind::Unavailable),
        (200, "\u{1}", Kind::Unavailable),
        (200, &"x".repeat((64 << 10) + 1), Kind::Unavailable),
    ] {
        let role = format!("{PATH}web+role=1,2.3@4_5-6");
        for (method, path) in [("PUT", "/latest/api/token"), ("GET", PATH), ("GET", &role)] {
            let host = instance(ORIGIN);
            answer(&host, method, &format!("{ORIGIN}{path}"), status, body);
            let failure = log_in(&iam()).err().unwrap();
            assert_eq!(failure.kind, kind, "{status} {path}: {failure}");
            // A short line of text is repeated, as a service explains itself so.
            assert!(status == 400 || !format!("{failure:?}").contains("marker"), "{failure}");
        }
    }
}

#[test]
fn an_instance_without_a_role_or_with_a_wrong_one_is_told() {
    let host = instance(ORIGIN);
    answer(&host, "GET", &format!("{ORIGIN}{PATH}"), 404, "");
    assert_fails(&host, &iam(), Kind::Denied, "imds.no-role", &["attach an instance profile"]);
    let host = instance(ORIGIN);
    let role = format!("{ORIGIN}{PATH}web+role=1,2.3@4_5-6");
    answer(&host, "GET", &role, 404, "");
    assert_fails(&host, &iam(), Kind::Unavailable, "imds.no-role", &["replaced"]);
    let refused = json!({"Code": "AssumeRoleUnauthorizedAccess", "Message": "marker"});
    answer(&host, "GET", &role, 200, refused);
    let parts = ["AssumeRoleUnauthorizedAccess", "trust policy"];
    assert_fails(&host, &iam(), Kind::Denied, "imds.role-refused", &parts);
    let mut half = handed(KEY);
    half["SecretAccessKey"] = json!("");
    answer(&host, "GET", &role, 200, half);
    assert_fails(&host, &iam(), Kind::Unavailable, "imds.body", &[]);
}

#[test]
fn a_slash_in_the_name_of_a_role_leads_nowhere_else() {
    let host = instance(ORIGIN);
    serve(&host, ORIGIN, PATH, "../../../dynamic/x".to_owned());
    assert_fails(&host, &iam(), Kind::Unavailable, "imds.body", &["name of a role"]);
}
