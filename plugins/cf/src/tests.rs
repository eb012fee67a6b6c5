//! The method against the SDK's fake host.

use super::*;
use serde_json::{Value, json};
use usher_plugin::Credential;
use usher_plugin::testing::{self, Host, Operation};

const PEM: &str = "-----BEGIN CERTIFICATE-----\nbGVhZg==\n-----END CERTIFICATE-----\n\
                   -----BEGIN CERTIFICATE-----\ncm9vdA==\n-----END CERTIFICATE-----\n";
const KEY_PEM: &str = "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----\n";

fn container() -> Host {
    let host = Host::install();
    host.set_env(CERTIFICATE, "/etc/cf-instance-credentials/instance.crt");
    host.set_env(KEY, "/etc/cf-instance-credentials/instance.key");
    host.put_file("/etc/cf-instance-credentials/instance.crt", PEM);
    host.put_file("/etc/cf-instance-credentials/instance.key", KEY_PEM);
    host.sign_with(|algorithm, key, data| {
        assert_eq!((algorithm, key), ("PS256", KEY_PEM));
        Ok([b"signed ", data].concat())
    });
    host
}

fn log_in() -> Result<(Value, String), Failure> {
    let answer = testing::authenticate::<CloudFoundry>(&json!({"role": "app"}))?;
    let Credential::Login(login) = answer.credential else { panic!("not a login") };
    assert_eq!(login.path, "login");
    Ok((login.body, answer.revision))
}

#[test]
fn time_certificates_and_role_are_signed_as_they_are_sent() {
    let _host = container();
    let body = log_in().unwrap().0;
    assert_eq!(body["signing_time"], "2026-01-01T00:00:00Z");
    assert_eq!(body["cf_instance_cert"], PEM);
    assert_eq!(body["role"], "app");
    let signature = body["signature"].as_str().unwrap().strip_prefix("v1:").unwrap();
    let signed = STANDARD.decode(signature).unwrap();
    assert_eq!(signed, format!("signed 2026-01-01T00:00:00Z{PEM}app").into_bytes());
}

#[test]
fn a_replaced_certificate_is_read_anew_and_brings_no_login() {
    let host = container();
    let (_, revision) = log_in().unwrap();
    let replaced = PEM.replace("bGVhZg", "b3RoZXI");
    host.put_file("/etc/cf-instance-credentials/instance.crt", replaced.as_str());
    let (body, same) = log_in().unwrap();
    assert_eq!(body["cf_instance_cert"], replaced);
    assert_eq!(same, revision);
}

#[test]
fn what_is_missing_or_half_written_is_told_without_the_key() {
    let failure = |change: fn(&Host)| {
        let host = container();
        change(&host);
        let failure = log_in().unwrap_err();
        assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
        (failure.kind, failure.code)
    };
    assert_eq!(
        failure(|host| host.set_env(KEY, "")),
        (Kind::Config, "cf.no-instance-identity".to_owned())
    );
    assert_eq!(
        failure(|host| host.delete_file("/etc/cf-instance-credentials/instance.crt")),
        (Kind::Unavailable, "file.not-found".to_owned())
    );
    for content in ["", "-----BEGIN CERTIF", "<html>hunter2"] {
        let host = container();
        host.put_file("/etc/cf-instance-credentials/instance.crt", content);
        assert_eq!(log_in().unwrap_err().code, "cf.not-pem", "{content:?}");
    }
    assert_eq!(
        failure(|host| {
            host.sign_with(|_, _, _| Err(Failure::config("crypto.key", "no such key")));
        }),
        (Kind::Unavailable, "crypto.key".to_owned())
    );
    assert_eq!(
        failure(|host| {
            let denied = Failure::unavailable("file.permission", "not permitted");
            host.fail(Operation::Read, "/etc/cf-instance-credentials/instance.key", denied);
        }),
        (Kind::Unavailable, "file.permission".to_owned())
    );
}

#[test]
fn needs_are_the_two_variables_and_the_files_they_name() {
    let _host = Host::install();
    let needs = testing::prepare_method::<CloudFoundry>(&json!({"role": "app"})).unwrap();
    let expected = [
        Need::env("CF_INSTANCE_CERT"),
        Need::env("CF_INSTANCE_KEY"),
        Need::read("${CF_INSTANCE_CERT}"),
        Need::read("${CF_INSTANCE_KEY}"),
    ];
    assert_eq!(needs, expected);
    let empty = testing::prepare_method::<CloudFoundry>(&json!({"role": ""})).unwrap_err();
    assert_eq!(empty.code, "config.empty");
}

#[test]
fn the_schema_is_that_of_the_type() {
    testing::check_config_schema::<Config>(CloudFoundry::CONFIG_SCHEMA);
}
