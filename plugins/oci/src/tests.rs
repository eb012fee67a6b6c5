//! The method against the SDK's fake host.

mod api_key;
mod instance;

use super::*;
use serde_json::{Value, json};
use std::time::Duration;
use usher_plugin::testing::{self, Host};
use usher_plugin::{Credential, Kind};

/// A key that isn't encrypted.
const KEY: &str = "-----BEGIN RSA PRIVATE KEY-----\naHVudGVyMg==\n-----END RSA PRIVATE KEY-----\n";

fn host_that_signs() -> Host {
    let host = Host::install();
    host.set_identity("default", "", "auth/oci");
    host.sign_with(|algorithm, key, data| {
        assert_eq!(algorithm, "RS256");
        assert!(key.contains("-----BEGIN") || key.starts_with("private"), "{key}");
        Ok([b"signed ", data].concat())
    });
    host
}

/// Body and revision of a login.
fn log_in(config: &Value) -> Result<(Value, String), Failure> {
    let answer = testing::authenticate::<Oci>(config)?;
    assert_eq!(answer.check_after, Some(Duration::from_mins(1)));
    let Credential::Login(login) = answer.credential else { panic!("not a login") };
    assert_eq!(login.path, "login/dev");
    Ok((login.body, answer.revision))
}

fn refused(config: &Value, code: &str) -> Failure {
    let failure = log_in(config).unwrap_err();
    assert_eq!(failure.code, code, "{}", failure.message);
    assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
    failure
}

/// A value of the signed headers.
fn header<'a>(body: &'a Value, name: &str) -> &'a str {
    body["request_headers"][name][0].as_str().unwrap_or_else(|| panic!("{name} in {body}"))
}

/// A parameter of `Authorization`.
fn parameter<'a>(authorization: &'a str, name: &str) -> &'a str {
    let parameters = authorization.strip_prefix("Signature ").expect("the scheme");
    let found = parameters
        .split(',')
        .find_map(|parameter| parameter.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"'));
    found.unwrap_or_else(|| panic!("{name} in {authorization}"))
}

/// The text that was signed.
fn signed(authorization: &str) -> String {
    let signature = private_key::decode(parameter(authorization, "signature")).unwrap();
    let text = String::from_utf8(signature).unwrap();
    text.strip_prefix("signed ").unwrap().to_owned()
}

#[test]
fn the_host_is_that_of_the_servers_url() {
    for (url, expected) in [
        ("https://vault.example.com:8200", "vault.example.com:8200"),
        ("http://127.0.0.1:8200/prefix", "127.0.0.1:8200"),
        ("https://vault.example.com", "vault.example.com"),
        ("unix:///run/vault.sock", "localhost"),
    ] {
        assert_eq!(host(url), expected);
    }
}

#[test]
fn a_wrong_configuration_is_refused_by_key() {
    let _host = Host::install();
    for (config, code) in [
        (json!({"role": "dev"}), "config.missing"),
        (json!({"type": "apikey"}), "config.missing"),
        (json!({"type": "apikey", "role": ""}), "config.empty"),
        (json!({"type": "user", "role": "dev"}), "config.invalid"),
        (json!({"type": "apikey", "role": "dev", "credential_poll_interval": 0}), "config.invalid"),
    ] {
        let failure = testing::prepare_method::<Oci>(&config).unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (Kind::Config, code), "{config}");
    }
}

#[test]
fn needs_follow_the_type() {
    let _host = Host::install();
    let needs = |r#type: &str| {
        testing::prepare_method::<Oci>(&json!({"type": r#type, "role": "dev"})).unwrap()
    };
    let of_a_user = needs("apikey");
    assert!(of_a_user.contains(&Need::watch("~/.oci/config")));
    assert!(of_a_user.contains(&Need::read("~/.oci/*")));
    assert!(of_a_user.iter().all(|need| need.capability != "connect"));
    let of_an_instance = needs("instance");
    assert!(of_an_instance.contains(&Need::connect("http://169.254.169.254/opc/v2")));
    assert!(of_an_instance.contains(&Need::connect("https://*.oraclecloud.com")));
    assert!(of_an_instance.iter().all(|need| ["connect", "env"].contains(&&*need.capability)));
}

#[test]
fn the_schema_is_that_of_the_type() {
    testing::check_config_schema::<Config>(Oci::CONFIG_SCHEMA);
}
