//! The method against the SDK's fake host.

use super::*;
use serde_json::{Value, json};
use std::time::Duration;
use usher_plugin::testing::{self, Host, Operation};
use usher_plugin::{Credential, Kind};

const PATH: &str = "/run/password";

fn config() -> Value {
    json!({"username": "app", "password_file_path": PATH})
}

fn with(key: &str, value: Value) -> Value {
    let mut config = config();
    config[key] = value;
    config
}

fn authenticate(config: &Value) -> Result<(String, Value), Failure> {
    let answer = testing::authenticate::<UserPass>(config)?;
    let Credential::Login(login) = answer.credential else { panic!("not a login") };
    Ok((login.path, login.body))
}

#[test]
fn name_and_password_are_sent() {
    let host = Host::install();
    host.put_file(PATH, "secret");
    let expected = ("login/app".to_owned(), json!({"password": "secret"}));
    assert_eq!(authenticate(&config()).unwrap(), expected);
}

#[test]
fn one_line_end_is_no_part_of_the_password_and_all_else_is() {
    let host = Host::install();
    for (content, password) in [
        ("secret\n", "secret"),
        ("secret\r\n", "secret"),
        (" secret \n", " secret "),
        ("secret\n\n", "secret\n"),
        ("pass wörd", "pass wörd"),
    ] {
        host.put_file(PATH, content);
        assert_eq!(authenticate(&config()).unwrap().1["password"], password, "{content:?}");
    }
}

#[test]
fn the_name_is_percent_encoded() {
    let host = Host::install();
    host.put_file(PATH, "secret");
    for (name, path) in [
        ("a.b-c_d~e", "login/a.b-c_d~e"),
        ("EXAMPLE\\app", "login/EXAMPLE%5Capp"),
        ("app@example.org", "login/app%40example.org"),
        ("a/../b c?#%", "login/a%2F..%2Fb%20c%3F%23%25"),
        ("jürgen", "login/j%C3%BCrgen"),
    ] {
        assert_eq!(authenticate(&with("username", json!(name))).unwrap().0, path);
    }
}

#[test]
fn needs_follow_the_configuration() {
    let _host = Host::install();
    let needs = |config: Value| testing::prepare_method::<UserPass>(&config).unwrap();
    assert_eq!(needs(config()), [Need::watch(PATH), Need::remove(PATH)]);
    assert_eq!(needs(with("remove_password_after_reading", json!(false))), [Need::watch(PATH)]);
}

#[test]
fn the_file_is_removed_after_a_proven_login_and_the_password_serves_on() {
    let host = Host::install();
    host.put_file(PATH, "secret\n");
    let first = authenticate(&config()).unwrap();
    assert!(host.file(PATH).is_some());
    testing::authenticated::<UserPass>(&config()).unwrap();
    assert_eq!(host.file(PATH), None);
    assert_eq!(authenticate(&config()).unwrap(), first);
    host.put_file(PATH, "new");
    testing::authenticated::<UserPass>(&config()).unwrap();
    assert!(host.file(PATH).is_some(), "not used yet");
    assert_eq!(authenticate(&config()).unwrap().1["password"], "new");
}

#[test]
fn a_file_that_cannot_be_removed_is_a_failure_with_the_remedy() {
    let host = Host::install();
    host.put_file(PATH, "secret");
    authenticate(&config()).unwrap();
    let read_only = Failure::unavailable("file.permission", "read-only file system");
    host.fail(Operation::Remove, PATH, read_only);
    let failure = testing::authenticated::<UserPass>(&config()).unwrap_err();
    assert!(failure.message.contains("remove_password_after_reading = false"), "{failure}");
}

#[test]
fn a_file_without_a_password_is_unavailable_and_named() {
    let host = Host::install();
    for (content, code) in [
        (None, "file.not-found"),
        (Some(&b"\r\n"[..]), "file.empty"),
        (Some(b"\xff\xfe"), "file.not-text"),
    ] {
        match content {
            Some(content) => host.put_file(PATH, content),
            None => host.delete_file(PATH),
        }
        let failure = authenticate(&config()).unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (Kind::Unavailable, code));
        assert!(failure.message.contains(PATH), "{failure}");
    }
    host.put_file(PATH, vec![b'a'; (1 << 20) + 1]);
    assert_eq!(authenticate(&config()).unwrap_err().code, "limit.exceeded");
}

#[test]
fn a_read_period_asks_for_looks() {
    let host = Host::install();
    host.put_file(PATH, "secret");
    let config = with("password_read_period", json!("2m"));
    let answer = testing::authenticate::<UserPass>(&config).unwrap();
    assert_eq!(answer.check_after, Some(Duration::from_mins(2)));
}

#[test]
fn a_wrong_configuration_is_refused_by_key() {
    let _host = Host::install();
    for (config, key) in [
        (json!({"password_file_path": PATH}), "username"),
        (json!({"username": "app"}), "password_file_path"),
        (with("username", json!("")), "username"),
        (with("username", json!("..")), "username"),
        (with("password_file_path", json!("/run/${X}")), "password_file_path"),
        (with("password_read_period", json!("0s")), "password_read_period"),
    ] {
        let failure = testing::prepare_method::<UserPass>(&config).unwrap_err();
        assert_eq!(failure.kind, Kind::Config);
        assert!(failure.message.contains(key), "{failure}");
    }
}

#[test]
fn the_schema_in_the_file_is_that_of_the_configuration() {
    testing::check_config_schema::<Config>(UserPass::CONFIG_SCHEMA);
}
