//! The method against the SDK's fake host.

use super::*;
use serde_json::{Value, json};
use std::time::Duration;
use usher_plugin::testing::{self, Host};
use usher_plugin::{Credential, Kind};

const CHAIN: &str = "/etc/app/client.crt";
const KEY: &str = "/etc/app/client.key";
const CA: &str = "/etc/app/ca.crt";

fn certificate(content: &str) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----\n")
}

fn private_key(content: &str) -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{content}\n-----END PRIVATE KEY-----\n")
}

fn config() -> Value {
    json!({"client_cert": CHAIN, "client_key": KEY, "ca_cert": CA, "name": "web"})
}

fn host() -> Host {
    let host = Host::install();
    host.put_file(CHAIN, certificate("leaf"));
    host.put_file(KEY, private_key("key"));
    host.put_file(CA, certificate("ca"));
    host
}

fn authenticate(config: &Value) -> Result<(Login, Answer), Failure> {
    let mut answer = testing::authenticate::<Cert>(config)?;
    let taken = std::mem::replace(&mut answer.credential, Credential::Token(String::new()));
    let Credential::Login(login) = taken else { panic!("not a login") };
    Ok((login, answer))
}

#[test]
fn certificate_authority_and_name_are_sent() {
    let _host = host();
    let (login, _) = authenticate(&config()).unwrap();
    assert_eq!((login.path.as_str(), login.body), ("login", json!({"name": "web"})));
    let sent = login.certificate.unwrap();
    assert_eq!(sent.chain_pem, certificate("leaf"));
    assert_eq!(sent.key_pem, private_key("key"));
    assert_eq!(login.ca_pem.as_deref(), Some(certificate("ca").as_str()));
}

#[test]
fn without_files_the_agents_own_certificate_serves_and_without_name_all_roles() {
    let _host = Host::install();
    let (login, answer) = authenticate(&json!({})).unwrap();
    assert_eq!(login.body, json!({}));
    assert!(login.certificate.is_none() && login.ca_pem.is_none());
    assert_eq!(answer.revision, "");
}

#[test]
fn needs_follow_the_configuration() {
    let _host = Host::install();
    let needs = |config: Value| testing::prepare_method::<Cert>(&config).unwrap();
    assert_eq!(needs(json!({"name": "web", "reload": true})), []);
    assert_eq!(
        needs(config()),
        [Need::watch(CHAIN), Need::watch(KEY), Need::watch(CA), Need::trust()]
    );
    assert_eq!(
        needs(json!({"client_cert": CHAIN, "client_key": KEY})),
        [Need::watch(CHAIN), Need::watch(KEY)]
    );
}

#[test]
fn the_revision_changes_with_each_file_and_only_then() {
    let host = host();
    let revision = || authenticate(&config()).unwrap().1.revision;
    let mut seen = vec![revision()];
    assert_eq!(revision(), seen[0]);
    host.put_file(CHAIN, certificate("next"));
    seen.push(revision());
    host.put_file(KEY, private_key("next"));
    seen.push(revision());
    host.put_file(CA, certificate("next"));
    seen.push(revision());
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), all);
}

#[test]
fn an_encrypted_key_is_denied_with_the_remedy() {
    let host = host();
    for key in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMII\n-----END RSA PRIVATE KEY-----\n",
    ] {
        host.put_file(KEY, key);
        let failure = authenticate(&config()).unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (Kind::Denied, "cert.key-encrypted"));
        assert!(failure.message.contains(KEY) && failure.message.contains("openssl pkey"));
    }
}

#[test]
fn every_form_of_an_open_key_is_taken() {
    let host = host();
    for kind in ["RSA ", "EC ", ""] {
        let pem = format!(
            "-----BEGIN {kind}PRIVATE KEY-----\r\nMII\r\n-----END {kind}PRIVATE KEY-----\r\n"
        );
        host.put_file(KEY, pem);
        assert!(authenticate(&config()).is_ok(), "{kind}");
    }
}

#[test]
fn a_bad_file_is_unavailable_and_named_with_its_setting() {
    for (path, setting) in [(CHAIN, "client_cert"), (KEY, "client_key"), (CA, "ca_cert")] {
        let host = host();
        for (content, code) in [
            (None, "file.not-found"),
            (Some(&b"\n"[..]), "file.empty"),
            (Some(b"\xff\xfe"), "file.not-text"),
            (Some(b"marker"), "file.not-a-credential"),
            (Some(b"-----BEGIN PUBLIC KEY-----\nmarker"), "file.not-a-credential"),
        ] {
            match content {
                Some(content) => host.put_file(path, content),
                None => host.delete_file(path),
            }
            let failure = authenticate(&config()).unwrap_err();
            assert_eq!((failure.kind, failure.code.as_str()), (Kind::Unavailable, code));
            let message = &failure.message;
            assert!(message.contains(path) && message.contains(setting), "{failure}");
            assert!(!format!("{failure:?}").contains("marker"));
        }
        host.put_file(path, vec![b'a'; (1 << 20) + 1]);
        assert_eq!(authenticate(&config()).unwrap_err().code, "limit.exceeded");
    }
}

#[test]
fn a_certificate_in_the_place_of_its_key_is_told() {
    let host = host();
    host.put_file(KEY, certificate("leaf"));
    let failure = authenticate(&config()).unwrap_err();
    assert!(failure.message.contains("holds no private key"), "{failure}");
}

#[test]
fn a_reload_period_asks_for_looks() {
    let _host = host();
    let mut config = config();
    assert_eq!(authenticate(&config).unwrap().1.check_after, None);
    config["reload_period"] = json!("1m");
    assert_eq!(authenticate(&config).unwrap().1.check_after, Some(Duration::from_mins(1)));
}

#[test]
fn a_wrong_configuration_is_refused_by_key() {
    let _host = Host::install();
    for (config, key) in [
        (json!({"client_cert": CHAIN}), "client_cert"),
        (json!({"client_key": KEY}), "client_key"),
        (json!({"ca_cert": "/etc/*"}), "ca_cert"),
        (json!({"name": 7}), "name"),
        (json!({"reload": "true"}), "reload"),
        (json!({"reload_period": 0}), "reload_period"),
    ] {
        let failure = testing::prepare_method::<Cert>(&config).unwrap_err();
        assert_eq!(failure.kind, Kind::Config);
        assert!(failure.message.contains(key), "{failure}");
    }
}

#[test]
fn the_schema_in_the_file_is_that_of_the_configuration() {
    testing::check_config_schema::<Config>(Cert::CONFIG_SCHEMA);
}
