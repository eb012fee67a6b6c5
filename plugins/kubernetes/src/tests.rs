//! The method against the SDK's fake host.

use super::*;
use serde_json::{Value, json};
use usher_plugin::testing::{self, Host};
use usher_plugin::{Credential, Kind};

const DEFAULT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrOHMifQ.c2lnbmF0dXJl";

fn config() -> Value {
    json!({"role": "app"})
}

fn authenticate(config: &Value) -> Result<(Value, String), Failure> {
    let answer = testing::authenticate::<Kubernetes>(config)?;
    let Credential::Login(login) = answer.credential else { panic!("not a login") };
    assert_eq!(login.path, "login");
    Ok((login.body, answer.revision))
}

#[test]
fn the_token_is_sent_without_white_space_and_with_the_role() {
    let host = Host::install();
    host.put_file(DEFAULT, format!(" {TOKEN}\r\n"));
    assert_eq!(authenticate(&config()).unwrap().0, json!({"jwt": TOKEN, "role": "app"}));
}

#[test]
fn another_path_is_taken() {
    let host = Host::install();
    host.put_file("/run/token", TOKEN);
    let config = json!({"role": "app", "token_path": "/run/token"});
    assert_eq!(authenticate(&config).unwrap().0["jwt"], TOKEN);
}

#[test]
fn needs_follow_the_configuration() {
    let _host = Host::install();
    let needs = |config: Value| testing::prepare_method::<Kubernetes>(&config).unwrap();
    assert_eq!(needs(config()), [Need::watch(DEFAULT)]);
    let elsewhere = json!({"role": "app", "token_path": "/run/token"});
    assert_eq!(needs(elsewhere), [Need::watch("/run/token")]);
}

#[test]
fn the_file_is_read_for_each_login_and_nothing_is_remembered() {
    let host = Host::install();
    host.put_file(DEFAULT, TOKEN);
    let first = authenticate(&config()).unwrap();
    assert_eq!(authenticate(&config()).unwrap(), first);
    host.put_file(DEFAULT, format!("{TOKEN}2"));
    let second = authenticate(&config()).unwrap();
    assert_eq!(second.0["jwt"], format!("{TOKEN}2"));
    assert_ne!(second.1, first.1);
    host.delete_file(DEFAULT);
    assert_eq!(authenticate(&config()).unwrap_err().code, "file.not-found");
    assert!(!String::from_utf8_lossy(&host.state()).contains(TOKEN));
}

#[test]
fn a_file_without_a_token_is_unavailable_and_named() {
    let host = Host::install();
    for (content, code) in [
        (None, "file.not-found"),
        (Some(&b" \n"[..]), "file.empty"),
        (Some(b"\xff\xfe"), "file.not-text"),
        (Some(b"<html>marker</html>"), "file.not-a-credential"),
    ] {
        match content {
            Some(content) => host.put_file(DEFAULT, content),
            None => host.delete_file(DEFAULT),
        }
        let failure = authenticate(&config()).unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (Kind::Unavailable, code));
        assert!(failure.message.contains(DEFAULT), "{failure}");
        assert!(!format!("{failure:?}").contains("marker"));
    }
    host.put_file(DEFAULT, vec![b'a'; (1 << 20) + 1]);
    assert_eq!(authenticate(&config()).unwrap_err().code, "limit.exceeded");
}

#[test]
fn a_wrong_configuration_is_refused_by_key() {
    let _host = Host::install();
    for (config, key) in [
        (json!({}), "role"),
        (json!({"role": ""}), "role"),
        (json!({"role": 7}), "role"),
        (json!({"role": "app", "token_path": ""}), "token_path"),
        (json!({"role": "app", "token_path": "/run/*"}), "token_path"),
    ] {
        let failure = testing::prepare_method::<Kubernetes>(&config).unwrap_err();
        assert_eq!(failure.kind, Kind::Config);
        assert!(failure.message.contains(key), "{failure}");
    }
}

#[test]
fn the_schema_in_the_file_is_that_of_the_configuration() {
    testing::check_config_schema::<Config>(Kubernetes::CONFIG_SCHEMA);
}
