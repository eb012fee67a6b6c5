//! The method against the SDK's fake host.

use super::*;
use serde_json::{Value, json};
use usher_plugin::testing::{self, Host};
use usher_plugin::{Credential, Kind};

const PATH: &str = "/run/token";

fn config() -> Value {
    json!({"token_file_path": PATH})
}

fn authenticate() -> Result<(String, String), Failure> {
    let answer = testing::authenticate::<TokenFile>(&config())?;
    let Credential::Token(token) = answer.credential else { panic!("not a token") };
    Ok((token, answer.revision))
}

#[test]
fn the_token_is_handed_over_without_white_space() {
    let host = Host::install();
    host.put_file(PATH, "\ts.token \r\n");
    assert_eq!(authenticate().unwrap().0, "s.token");
}

#[test]
fn needs_follow_the_configuration() {
    let _host = Host::install();
    let needs = testing::prepare_method::<TokenFile>(&config()).unwrap();
    assert_eq!(needs, [Need::watch(PATH), Need::token()]);
}

#[test]
fn the_last_token_serves_while_its_file_is_gone_and_a_new_one_counts() {
    let host = Host::install();
    host.put_file(PATH, "s.one");
    let first = authenticate().unwrap();
    host.delete_file(PATH);
    assert_eq!(authenticate().unwrap(), first);
    host.put_file(PATH, "s.two");
    let second = authenticate().unwrap();
    assert_eq!(second.0, "s.two");
    assert_ne!(second.1, first.1);
}

#[test]
fn the_file_is_never_removed() {
    let host = Host::install();
    host.put_file(PATH, "s.one");
    authenticate().unwrap();
    testing::authenticated::<TokenFile>(&config()).unwrap();
    assert!(host.file(PATH).is_some());
}

#[test]
fn a_file_without_a_token_is_unavailable_and_named() {
    let host = Host::install();
    let long = "x".repeat(10_000);
    for (content, code) in [
        (None, "file.not-found"),
        (Some(&b" \n"[..]), "file.empty"),
        (Some(b"\xff\xfe"), "file.not-text"),
        (Some(b"marker one\nmarker two\n"), "file.not-a-credential"),
        (Some(long.as_bytes()), "file.not-a-credential"),
    ] {
        match content {
            Some(content) => host.put_file(PATH, content),
            None => host.delete_file(PATH),
        }
        let failure = authenticate().unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (Kind::Unavailable, code));
        assert!(failure.message.contains(PATH), "{failure}");
        assert!(!format!("{failure:?}").contains("marker"));
    }
}

#[test]
fn a_wrong_configuration_is_refused_by_key() {
    let _host = Host::install();
    for config in [json!({}), json!({"token_file_path": ""}), json!({"token_file_path": 7})] {
        let failure = testing::prepare_method::<TokenFile>(&config).unwrap_err();
        assert_eq!(failure.kind, Kind::Config);
        assert!(failure.message.contains("token_file_path"), "{failure}");
    }
}

#[test]
fn the_schema_in_the_file_is_that_of_the_configuration() {
    testing::check_config_schema::<Config>(TokenFile::CONFIG_SCHEMA);
}
