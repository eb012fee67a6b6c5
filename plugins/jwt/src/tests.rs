//! The method against the SDK's fake host.

use super::*;
use serde_json::{Value, json};
use std::time::Duration;
use usher_plugin::testing::{self, Host, Operation};
use usher_plugin::{Credential, Kind};

const PATH: &str = "/run/jwt";
const ONE: &str = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJvbmUifQ.c2lnbmF0dXJl";
const TWO: &str = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ0d28ifQ.c2lnbmF0dXJl";

fn config() -> Value {
    json!({"path": PATH, "role": "app"})
}

fn with(key: &str, value: Value) -> Value {
    let mut config = config();
    config[key] = value;
    config
}

fn authenticate(config: &Value) -> Result<(Value, String), Failure> {
    let answer = testing::authenticate::<Jwt>(config)?;
    let Credential::Login(login) = answer.credential else { panic!("not a login") };
    assert_eq!(login.path, "login");
    Ok((login.body, answer.revision))
}

#[test]
fn the_jwt_is_sent_without_white_space_and_with_the_role() {
    let host = Host::install();
    host.put_file(PATH, format!("{ONE}\n"));
    assert_eq!(authenticate(&config()).unwrap().0, json!({"jwt": ONE, "role": "app"}));
}

#[test]
fn needs_follow_the_configuration() {
    let _host = Host::install();
    let needs = |config: Value| testing::prepare_method::<Jwt>(&config).unwrap();
    assert_eq!(needs(config()), [Need::watch(PATH), Need::remove(PATH)]);
    assert_eq!(needs(with("remove_jwt_after_reading", json!("false"))), [Need::watch(PATH)]);
    assert_eq!(
        needs(with("remove_jwt_follows_symlinks", json!(true))),
        [Need::watch(PATH), Need::remove("/*")]
    );
    let variable = json!({"environment_variable": "CI_TOKEN", "role": "app"});
    assert_eq!(needs(variable), [Need::env("CI_TOKEN")]);
}

#[test]
fn a_jwt_from_a_variable_is_sent_and_nothing_is_removed() {
    let host = Host::install();
    let config = json!({"environment_variable": "CI_TOKEN", "role": "app"});
    host.set_env("CI_TOKEN", &format!("{ONE}\n"));
    let (body, revision) = authenticate(&config).unwrap();
    assert_eq!((body["jwt"].as_str(), revision.is_empty()), (Some(ONE), false));
    testing::authenticated::<Jwt>(&config).unwrap();
    host.set_env("CI_TOKEN", "marker");
    let failure = authenticate(&config).unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (Kind::Config, "env.not-a-jwt"));
    assert!(failure.message.contains("CI_TOKEN") && !failure.message.contains("marker"));
    host.set_env("CI_TOKEN", "");
    assert_eq!(authenticate(&config).unwrap_err().code, "env.unset");
}

#[test]
fn the_last_jwt_serves_while_its_file_is_gone() {
    let host = Host::install();
    host.put_file(PATH, ONE);
    let first = authenticate(&config()).unwrap();
    testing::authenticated::<Jwt>(&config()).unwrap();
    assert_eq!(host.file(PATH), None);
    host.set_reason("check");
    assert_eq!(authenticate(&config()).unwrap(), first);
    host.put_file(PATH, "");
    assert_eq!(authenticate(&config()).unwrap(), first);
    host.put_file(PATH, TWO);
    let second = authenticate(&config()).unwrap();
    assert_eq!(second.0["jwt"], TWO);
    assert_ne!(second.1, first.1);
}

#[test]
fn the_file_is_removed_only_after_a_proven_login_and_only_if_it_was_used() {
    let host = Host::install();
    host.put_file(PATH, ONE);
    authenticate(&config()).unwrap();
    assert!(host.file(PATH).is_some());
    host.put_file(PATH, TWO);
    testing::authenticated::<Jwt>(&config()).unwrap();
    assert!(host.file(PATH).is_some(), "not used yet");
    authenticate(&config()).unwrap();
    testing::authenticated::<Jwt>(&config()).unwrap();
    assert_eq!(host.file(PATH), None);
    testing::authenticated::<Jwt>(&config()).unwrap();
}

#[test]
fn the_file_stays_when_the_configuration_says_so() {
    let host = Host::install();
    host.put_file(PATH, ONE);
    let config = with("remove_jwt_after_reading", json!(false));
    authenticate(&config).unwrap();
    testing::authenticated::<Jwt>(&config).unwrap();
    assert!(host.file(PATH).is_some());
}

#[test]
fn a_file_that_cannot_be_removed_is_a_failure_with_the_remedy() {
    let host = Host::install();
    host.put_file(PATH, ONE);
    authenticate(&config()).unwrap();
    let read_only = Failure::unavailable("file.permission", "read-only file system");
    host.fail(Operation::Remove, PATH, read_only);
    let failure = testing::authenticated::<Jwt>(&config()).unwrap_err();
    assert!(failure.message.contains("remove_jwt_after_reading = false"), "{failure}");
}

#[test]
fn a_file_without_a_jwt_is_unavailable_and_named() {
    let host = Host::install();
    for (content, code) in [
        (None, "file.not-found"),
        (Some(&b" \n"[..]), "file.empty"),
        (Some(b"\xff\xfe"), "file.not-text"),
        (Some(b"<html>marker</html>"), "file.not-a-credential"),
    ] {
        match content {
            Some(content) => host.put_file(PATH, content),
            None => host.delete_file(PATH),
        }
        let failure = authenticate(&config()).unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (Kind::Unavailable, code));
        assert!(failure.message.contains(PATH), "{failure}");
        assert!(!format!("{failure:?}").contains("marker"));
    }
    let unreadable = Failure::config("file.not-regular", format!("{PATH} is a directory"));
    host.fail(Operation::Read, PATH, unreadable);
    assert_eq!(authenticate(&config()).unwrap_err().kind, Kind::Unavailable);
}

#[test]
fn garbage_in_the_file_is_told_even_if_another_jwt_is_remembered() {
    let host = Host::install();
    host.put_file(PATH, ONE);
    authenticate(&config()).unwrap();
    host.put_file(PATH, "half a jw");
    assert_eq!(authenticate(&config()).unwrap_err().code, "file.not-a-credential");
}

#[test]
fn a_read_period_asks_for_looks() {
    let host = Host::install();
    host.put_file(PATH, ONE);
    let look = |config: &Value| testing::authenticate::<Jwt>(config).unwrap().check_after;
    assert_eq!(look(&config()), None);
    let expected = Some(Duration::from_mins(2));
    assert_eq!(look(&with("jwt_read_period", json!("2m"))), expected);
}

#[test]
fn a_wrong_configuration_is_refused_by_key() {
    let _host = Host::install();
    for (config, key) in [
        (json!({"path": PATH}), "role"),
        (with("role", json!("")), "role"),
        (json!({"role": "app"}), "path"),
        (with("path", json!("/run/*")), "path"),
        (with("environment_variable", json!("X")), "environment_variable"),
        (with("jwt_read_period", json!(0)), "jwt_read_period"),
        (with("jwt_read_period", json!("soon")), "jwt_read_period"),
        (with("remove_jwt_after_reading", json!("maybe")), "remove_jwt_after_reading"),
    ] {
        let failure = testing::prepare_method::<Jwt>(&config).unwrap_err();
        assert_eq!(failure.kind, Kind::Config);
        assert!(failure.message.contains(key), "{failure}");
    }
}

#[test]
fn explaining_remembers_nothing() {
    let host = Host::install();
    host.put_file(PATH, ONE);
    host.set_reason("explain");
    authenticate(&config()).unwrap();
    assert_eq!(host.state(), b"");
}

#[test]
fn no_secret_is_ever_logged() {
    let host = Host::install();
    host.put_file(PATH, ONE);
    host.fail(Operation::Save, "", Failure::internal("limit.exceeded", "too large"));
    assert_eq!(authenticate(&config()).unwrap().1, "", "nothing to compare with next time");
    assert!(!format!("{:?}", host.logs()).contains(ONE));
}

#[test]
fn the_schema_in_the_file_is_that_of_the_configuration() {
    testing::check_config_schema::<Config>(Jwt::CONFIG_SCHEMA);
}
