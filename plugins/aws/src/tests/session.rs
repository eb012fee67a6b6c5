//! Where credentials come from first, and how long they are kept.

use super::imds::instance;
use super::*;

const ORIGIN: &str = "http://169.254.169.254";
const ROLE: &str =
    "http://169.254.169.254/latest/meta-data/iam/security-credentials/web+role=1,2.3@4_5-6";

#[test]
fn each_place_goes_before_the_next() {
    let host = instance(ORIGIN);
    // From the last to the first; each is asked for anew.
    let key = |host: &Host, config: &Value| {
        host.set_state(b"");
        log_in(config).unwrap().key().to_owned()
    };
    assert_eq!(key(&host, &iam()), "ASIA1");
    let ecs = "http://169.254.170.2/task";
    host.set_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/task");
    answer(&host, "GET", ecs, 200, handed("ASIA2"));
    assert_eq!(key(&host, &iam()), "ASIA2");
    host.set_env("AWS_ROLE_ARN", "arn:aws:iam::1:role/x");
    host.set_env("AWS_WEB_IDENTITY_TOKEN_FILE", "/jwt");
    host.put_file("/jwt", JWT);
    let assumed = format!(
        "<AccessKeyId>ASIA3</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>\
         <SessionToken>t</SessionToken>"
    );
    answer(&host, "POST", "https://sts.amazonaws.com/", 200, assumed);
    assert_eq!(key(&host, &iam()), "ASIA3");
    let file = format!("[default]\naws_access_key_id=AKID4\naws_secret_access_key={SECRET}");
    host.put_file("~/.aws/credentials", file);
    assert_eq!(key(&host, &iam()), "AKID4");
    host.set_env("AWS_ACCESS_KEY_ID", "AKID5");
    host.set_env("AWS_SECRET_ACCESS_KEY", SECRET);
    assert_eq!(key(&host, &iam()), "AKID5");
    let own = with(json!({"access_key": "AKID6", "secret_key": SECRET}));
    assert_eq!(key(&host, &own), "AKID6");
}

#[test]
fn a_place_that_does_not_work_is_not_passed_over() {
    let host = instance(ORIGIN);
    host.put_file("~/.aws/credentials", "[default]\naws_access_key_id=AKID4\n");
    assert_fails(&host, &iam(), Kind::Unavailable, "aws.partial", &[]);
    assert_eq!(host.requests().len(), 0);
}

#[test]
fn session_credentials_are_kept_until_shortly_before_they_expire() {
    let host = instance(ORIGIN);
    let first = log_in(&iam()).unwrap();
    assert_eq!(host.requests().len(), 3);
    wait_until(&host, "2026-11-21T17:54:59Z");
    host.set_reason("check");
    let kept = log_in(&iam()).unwrap();
    assert_eq!((host.requests().len(), kept.key()), (3, "ASIA1"));
    assert_ne!(kept.authorization, first.authorization, "signed anew each time");
    wait_until(&host, "2026-11-21T17:55:01Z");
    let mut next = handed("ASIA2");
    next["Expiration"] = json!("2026-11-22T00:00:00Z");
    answer(&host, "GET", ROLE, 200, next);
    let rotated = log_in(&iam()).unwrap();
    assert_eq!((host.requests().len(), rotated.key()), (6, "ASIA2"));
    assert_eq!(rotated.revision, first.revision, "the same identity: no reason to log in");
    assert!(!first.revision.is_empty());
}

#[test]
fn old_session_credentials_serve_while_new_ones_cannot_be_had() {
    let host = instance(ORIGIN);
    log_in(&iam()).unwrap();
    answer(&host, "GET", ROLE, 500, "");
    wait_until(&host, "2026-11-21T17:59:00Z");
    assert_eq!(log_in(&iam()).unwrap().key(), "ASIA1");
    assert!(format!("{:?}", host.logs()).contains("can't be had yet"));
    assert_eq!(log_in(&iam()).unwrap().key(), "ASIA1", "they are kept on");
    wait_until(&host, "2026-11-21T18:00:01Z");
    assert_fails(&host, &iam(), Kind::Unavailable, "imds.refused", &[]);
}

#[test]
fn session_credentials_that_the_server_denied_are_dropped() {
    let host = instance(ORIGIN);
    log_in(&iam()).unwrap();
    host.set_previous_failure(Some(Failure::unavailable("server.unreachable", "down")));
    log_in(&iam()).unwrap();
    assert_eq!(host.requests().len(), 3);
    host.set_previous_failure(Some(Failure::denied("server.refused", "ExpiredToken")));
    answer(&host, "GET", ROLE, 500, "");
    assert_fails(&host, &iam(), Kind::Unavailable, "imds.refused", &[]);
    host.set_previous_failure(Some(Failure::unavailable("imds.refused", "500")));
    answer(&host, "GET", ROLE, 200, handed("ASIA2"));
    assert_eq!(log_in(&iam()).unwrap().key(), "ASIA2", "for good");
    assert_eq!(host.requests().len(), 9);
}

#[test]
fn session_credentials_of_another_place_are_not_used() {
    let host = instance(ORIGIN);
    let first = log_in(&iam()).unwrap();
    host.set_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/task");
    answer(&host, "GET", "http://169.254.170.2/task", 200, handed("ASIA2"));
    let second = log_in(&iam()).unwrap();
    assert_eq!(second.key(), "ASIA2");
    assert_ne!(second.revision, first.revision, "somebody else");
}

#[test]
fn another_key_or_role_is_another_revision() {
    let host = host();
    let revision = |key: &str, role: &str| {
        let config = json!({"role": role, "access_key": key, "secret_key": SECRET});
        log_in(&with(config)).unwrap().revision
    };
    let first = revision(KEY, "app");
    assert_eq!(revision(KEY, "app"), first);
    assert_ne!(revision("AKID2", "app"), first);
    assert_ne!(revision(KEY, "web"), first);
    assert!(!String::from_utf8(host.state()).unwrap().contains(SECRET), "needn't be kept");
}

#[test]
fn explaining_remembers_nothing() {
    let host = instance(ORIGIN);
    host.set_reason("explain");
    assert_eq!(log_in(&iam()).unwrap().key(), "ASIA1");
    assert_eq!(host.state(), b"");
}
