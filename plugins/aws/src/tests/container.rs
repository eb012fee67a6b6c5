//! ECS tasks, and EKS's pod identity.

use super::*;

const ECS: &str = "http://169.254.170.2/v2/credentials/task";

#[test]
fn the_relative_address_goes_first() {
    let host = host();
    host.set_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/task");
    host.set_env("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/other");
    host.set_env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "marker");
    answer(&host, "GET", ECS, 200, handed("ASIA1"));
    let sent = log_in(&iam()).unwrap();
    assert_eq!((sent.key(), sent.header("X-Amz-Security-Token")), ("ASIA1", Some(TOKEN)));
    let request = host.requests().remove(0);
    assert!(request.headers.contains(&("authorization".into(), "marker".into())));
}

#[test]
fn the_pod_identity_agent_wants_the_pods_own_jwt() {
    for address in ["169.254.170.23", "[fd00:ec2::23]"] {
        let host = host();
        let url = format!("http://{address}/v1/credentials");
        let file = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token";
        host.set_env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url);
        host.set_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file);
        host.put_file(file, JWT);
        host.answer_http("GET", &url, |request| {
            let right = request.headers.contains(&("authorization".into(), JWT.into()));
            let status = if right { 200 } else { 401 };
            Ok(Response::new(status, handed("ASIA1").to_string()))
        });
        assert_eq!(log_in(&iam()).unwrap().key(), "ASIA1");
        host.put_file(file, "marker\r\nX-Injected: 1");
        host.set_state(b"");
        assert_fails(&host, &iam(), Kind::Unavailable, "container.token", &["one line"]);
        host.delete_file(file);
        assert_fails(&host, &iam(), Kind::Unavailable, "file.not-found", &[file]);
    }
}

#[test]
fn credentials_are_not_sent_for_in_the_open() {
    for url in ["http://credentials.example.org/x", "http://10.0.0.1/x", "http://a@localhost/"] {
        let host = host();
        host.set_env("AWS_CONTAINER_CREDENTIALS_FULL_URI", url);
        if url.contains('@') {
            // Refused before the method is asked; and if it weren't, by the method.
            assert_fails(&host, &iam(), Kind::Config, "grant.refused", &["more than scheme"]);
            host.allow_everything();
        }
        assert_fails(&host, &iam(), Kind::Config, "container.url", &["https"]);
    }
    let host = host();
    host.set_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@evil.test/x");
    assert_fails(&host, &iam(), Kind::Config, "container.url", &["/"]);
}

#[test]
fn each_bad_answer_has_its_class() {
    let host = host();
    host.set_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/task");
    host.set_env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "marker");
    let expired = json!({
        "AccessKeyId": KEY, "SecretAccessKey": SECRET, "Token": TOKEN,
        "Expiration": "2026-11-21T12:00:00Z",
    });
    let mut undated = handed(KEY);
    undated["Expiration"] = json!("soon");
    for (status, body, kind, code) in [
        (302, String::new(), Kind::Denied, "metadata.redirect"),
        (400, "who is marker?".to_owned(), Kind::Denied, "container.refused"),
        (401, "{}".to_owned(), Kind::Denied, "container.refused"),
        (404, "{}".to_owned(), Kind::Denied, "container.refused"),
        (410, "{}".to_owned(), Kind::Unavailable, "container.refused"),
        (429, "{}".to_owned(), Kind::Unavailable, "container.refused"),
        (500, "<html>marker".to_owned(), Kind::Unavailable, "container.refused"),
        (200, "<html>marker".to_owned(), Kind::Unavailable, "container.body"),
        (200, "{}".to_owned(), Kind::Unavailable, "container.body"),
        (200, undated.to_string(), Kind::Unavailable, "container.body"),
        (200, expired.to_string(), Kind::Unavailable, "aws.expired"),
        (200, "x".repeat((64 << 10) + 1), Kind::Unavailable, "http.too-large"),
    ] {
        answer(&host, "GET", ECS, status, body);
        assert_fails(&host, &iam(), kind, code, &[]);
    }
}
