//! The shared files.

use super::*;
use usher_plugin::testing::Operation;

const FILE: &str = "~/.aws/credentials";
const CONFIG: &str = "~/.aws/config";

fn section(name: &str, key: &str) -> String {
    format!("[{name}]\naws_access_key_id = {key}\naws_secret_access_key = {SECRET}\n")
}

#[test]
fn the_profile_is_found_by_its_name_in_either_file() {
    let host = host();
    host.put_file(FILE, section("default", "AKID1") + &section("web", "AKID2"));
    assert_eq!(log_in(&iam()).unwrap().key(), "AKID1");
    host.set_env("AWS_PROFILE", "web");
    assert_eq!(log_in(&iam()).unwrap().key(), "AKID2");
    host.set_env("AWS_PROFILE", "db x");
    host.put_file(CONFIG, section("profile \"db x\"", "AKID3") + &section("web", "AKID4"));
    assert_eq!(log_in(&iam()).unwrap().key(), "AKID3");
    host.set_env("AWS_SHARED_CREDENTIALS_FILE", "/etc/app/aws");
    host.put_file("/etc/app/aws", section("db x", "AKID5") + "aws_session_token = t\n");
    let sent = log_in(&iam()).unwrap();
    assert_eq!((sent.key(), sent.header("X-Amz-Security-Token")), ("AKID5", Some("t")));
    host.set_env("AWS_CONFIG_FILE", "/etc/app/config");
    host.put_file("/etc/app/config", section("profile db x", "AKID6"));
    host.delete_file("/etc/app/aws");
    assert_eq!(log_in(&iam()).unwrap().key(), "AKID6");
}

#[test]
fn a_half_written_or_wrong_file_is_told_with_its_line() {
    let host = host();
    for (content, code, parts) in [
        (format!("[default]\naws_access_key_id = {KEY}\naws_sec"), "aws.file", &["line 3"][..]),
        ("[defa".to_owned(), "aws.file", &["line 1"]),
        (format!("aws_secret_access_key = {SECRET}"), "aws.file", &["line 1"]),
        (
            format!("[default]\naws_access_key_id = {KEY}\n"),
            "aws.partial",
            &["line 2", "aws_secret_access_key"],
        ),
        (
            format!("\n[default]\naws_access_key_id =\naws_secret_access_key = {SECRET}"),
            "aws.partial",
            &["line 4", "aws_access_key_id"],
        ),
        (
            section("default", KEY) + "x_security_token_expires = 2026-11-21T12:00:00+00:00",
            "aws.expired",
            &["profile \"default\""],
        ),
    ] {
        host.put_file(FILE, content);
        assert_fails(&host, &iam(), Kind::Unavailable, code, parts);
    }
    host.put_file(FILE, b"\xff\xfe");
    assert_fails(&host, &iam(), Kind::Unavailable, "file.not-text", &[FILE]);
    host.put_file(FILE, vec![b'x'; (1 << 20) + 1]);
    assert_fails(&host, &iam(), Kind::Unavailable, "limit.exceeded", &[FILE]);
    let secret = Failure::config("file.permission", format!("{FILE} can't be read"));
    host.fail(Operation::Read, FILE, secret);
    assert_fails(&host, &iam(), Kind::Unavailable, "file.permission", &[FILE]);
    host.heal(Operation::Read, FILE);
    host.put_file(FILE, section("default", KEY));
    assert_eq!(log_in(&iam()).unwrap().key(), KEY, "a good file ends it");
}

#[test]
fn halves_of_two_keys_make_no_pair() {
    let host = host();
    host.put_file(FILE, format!("[default]\naws_access_key_id = {KEY}\n"));
    host.put_file(CONFIG, section("default", "AKID2"));
    assert_fails(&host, &iam(), Kind::Unavailable, "aws.partial", &[FILE]);
}

#[test]
fn a_profile_that_is_named_must_be_there() {
    let host = host();
    host.set_env("AWS_PROFILE", "web");
    host.put_file(FILE, section("default", KEY));
    let parts = ["\"web\"", FILE, "AWS_SHARED_CREDENTIALS_FILE"];
    assert_fails(&host, &iam(), Kind::Unavailable, "aws.profile", &parts);
}

#[test]
fn what_a_profile_wants_and_this_method_lacks_is_told() {
    let host = host();
    for setting in ["source_profile = x", "credential_process = /bin/x", "sso_session = x"] {
        host.put_file(CONFIG, format!("[default]\nrole_arn = arn:aws:iam::1:role/x\n{setting}"));
        let key = setting.split(' ').next().unwrap();
        let parts = ["~/.aws/config line 3", key, "web_identity_token_file"];
        assert_fails(&host, &iam(), Kind::Unavailable, "aws.profile", &parts);
    }
}
