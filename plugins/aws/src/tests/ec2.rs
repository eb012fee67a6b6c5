//! The identity document of an instance.

use super::imds::{instance, serve};
use super::*;
use usher_plugin::testing::Operation;

const ORIGIN: &str = "http://169.254.169.254";
const FILE: &str = "/var/lib/usher/nonce";
/// White space and all: AWS has signed these bytes.
const DOCUMENT: &str = "{\n  \"instanceId\" : \"i-0123\",\n  \"region\" : \"eu-west-1\"\n}";
const SIGNATURE: &str = "MIIBexample+/\nsignature==";

fn machine() -> Host {
    let host = instance(ORIGIN);
    for (part, content) in
        [("document", DOCUMENT), ("signature", SIGNATURE), ("pkcs7", "MIIC\nAb+/\n")]
    {
        let path = format!("/latest/dynamic/instance-identity/{part}");
        serve(&host, ORIGIN, &path, content.to_owned());
    }
    host
}

fn config() -> Value {
    json!({"type": "ec2", "role": "app", "state_file": FILE})
}

fn body(config: &Value) -> Result<Value, Failure> {
    let answer = testing::authenticate::<Aws>(config)?;
    assert_eq!(answer.check_after, None);
    assert!(!answer.revision.is_empty() || context::reason() == Reason::Explain);
    let Credential::Login(login) = answer.credential else { panic!("not a login") };
    assert_eq!(login.path, "login");
    Ok(login.body)
}

#[test]
fn document_and_signature_are_carried_byte_by_byte() {
    let _host = machine();
    let config = json!({"type": "ec2", "role": "app", "nonce": "n0nce"});
    let identity = STANDARD.encode(DOCUMENT);
    let expected =
        json!({"role": "app", "nonce": "n0nce", "identity": identity, "signature": SIGNATURE});
    assert_eq!(body(&config).unwrap(), expected);
}

#[test]
fn a_pkcs7_signature_is_sent_in_one_line() {
    let _host = machine();
    let config = json!({"type": "ec2", "role": "app", "nonce": "n0nce", "pkcs7": true});
    let expected = json!({"role": "app", "nonce": "n0nce", "pkcs7": "MIICAb+/"});
    assert_eq!(body(&config).unwrap(), expected);
}

#[test]
fn the_nonce_in_the_state_file_outlives_a_restart() {
    let host = machine();
    let first = body(&config()).unwrap();
    let file = host.file(FILE).unwrap();
    assert_eq!((file.mode, file.content.len()), (0o600, 32));
    assert_eq!(first["nonce"], String::from_utf8(file.content).unwrap());
    host.set_state(b"");
    assert_eq!(body(&config()).unwrap(), first);
    host.put_file(FILE, "mine\n");
    assert_eq!(body(&config()).unwrap()["nonce"], "mine");
}

#[test]
fn no_nonce_is_used_that_could_not_be_kept() {
    let host = machine();
    host.fail(Operation::Write, FILE, Failure::unavailable("file.permission", "read-only"));
    let failure = body(&config()).unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (Kind::Unavailable, "file.permission"));
    host.heal(Operation::Write, FILE);
    host.put_file(FILE, "");
    assert_eq!(body(&config()).unwrap_err().code, "file.empty");
}

#[test]
fn explaining_makes_no_nonce() {
    let host = machine();
    host.set_reason("explain");
    assert_eq!(body(&config()).unwrap_err().code, "explain.one-shot");
    assert_eq!(host.file(FILE), None);
    host.put_file(FILE, "mine");
    assert_eq!(body(&config()).unwrap()["nonce"], "mine");
}

#[test]
fn what_is_no_identity_is_not_sent_and_makes_no_nonce() {
    for (part, status, content, kind, code) in [
        ("document", 404, "", Kind::Denied, "imds.no-identity"),
        ("document", 200, "<html>", Kind::Unavailable, "imds.body"),
        ("document", 200, "{}", Kind::Unavailable, "imds.body"),
        ("document", 500, "<html>", Kind::Unavailable, "imds.refused"),
        ("signature", 200, "<html>", Kind::Unavailable, "imds.body"),
        ("signature", 200, "\n", Kind::Unavailable, "imds.body"),
        ("signature", 404, "", Kind::Denied, "imds.no-identity"),
    ] {
        let host = machine();
        let url = format!("{ORIGIN}/latest/dynamic/instance-identity/{part}");
        answer(&host, "GET", &url, status, content);
        let failure = body(&config()).unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (kind, code), "{failure}");
        assert_eq!(host.file(FILE), None);
    }
}

#[test]
fn without_the_metadata_service_there_is_no_identity() {
    let host = machine();
    host.set_env("AWS_EC2_METADATA_DISABLED", "true");
    assert_eq!(body(&config()).unwrap_err().code, "imds.disabled");
}
