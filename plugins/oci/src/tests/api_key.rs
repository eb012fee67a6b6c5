//! Type `apikey`.

use super::*;

const FILE: &str = "[OTHER]\nuser=nobody\n[DEFAULT]\nuser=ocid1.user.oc1..u\nfingerprint=20:3b:97\n\
                    tenancy=ocid1.tenancy.oc1..t\nregion=us-phoenix-1\nkey_file=~/.oci/key.pem\n";

fn config() -> Value {
    json!({"type": "apikey", "role": "Dev"})
}

fn host_of_a_user() -> Host {
    let host = host_that_signs();
    host.put_file("~/.oci/config", FILE);
    host.put_file("~/.oci/key.pem", KEY);
    host
}

#[test]
fn the_login_itself_is_what_is_signed() {
    let _host = host_of_a_user();
    let (body, _) = log_in(&config()).unwrap();
    assert_eq!(header(&body, "Date"), "Thu, 01 Jan 2026 00:00:00 GMT");
    assert_eq!(header(&body, "(request-target)"), "get /v1/auth/oci/login/dev");
    let host = header(&body, "Host").to_owned();
    let authorization = header(&body, "Authorization");
    for (name, value) in [
        ("version", "1"),
        ("headers", "date (request-target) host"),
        ("keyId", "ocid1.tenancy.oc1..t/ocid1.user.oc1..u/20:3b:97"),
        ("algorithm", "rsa-sha256"),
    ] {
        assert_eq!(parameter(authorization, name), value);
    }
    assert_eq!(
        signed(authorization),
        format!(
            "date: Thu, 01 Jan 2026 00:00:00 GMT\n\
             (request-target): get /v1/auth/oci/login/dev\nhost: {host}"
        )
    );
}

#[test]
fn the_environment_counts_before_the_file_setting_by_setting() {
    let host = host_of_a_user();
    host.set_env("OCI_user_ocid", "ocid1.user.oc1..env");
    let (body, _) = log_in(&config()).unwrap();
    let key_id = "ocid1.tenancy.oc1..t/ocid1.user.oc1..env/20:3b:97";
    assert_eq!(parameter(header(&body, "Authorization"), "keyId"), key_id);
    // All of it, and no file.
    host.delete_file("~/.oci/config");
    host.set_env("OCI_tenancy_ocid", "t");
    host.set_env("OCI_fingerprint", "f");
    host.set_env("OCI_private_key_path", "/srv/key.pem");
    host.put_file("/srv/key.pem", KEY);
    let (body, _) = log_in(&config()).unwrap();
    let key_id = "t/ocid1.user.oc1..env/f";
    assert_eq!(parameter(header(&body, "Authorization"), "keyId"), key_id);
}

#[test]
fn another_file_counts_only_where_the_usual_one_is_not() {
    let host = host_of_a_user();
    host.set_env("OCI_CONFIG_FILE", "/etc/oci.ini");
    host.put_file("/etc/oci.ini", FILE.replace("..u", "..other"));
    let key_id = |(body, _): (Value, String)| {
        parameter(header(&body, "Authorization"), "keyId").split('/').nth(1).unwrap().to_owned()
    };
    assert_eq!(key_id(log_in(&config()).unwrap()), "ocid1.user.oc1..u");
    host.delete_file("~/.oci/config");
    assert_eq!(key_id(log_in(&config()).unwrap()), "ocid1.user.oc1..other");
    host.delete_file("/etc/oci.ini");
    host.put_file("~/.oraclebmc/config", FILE.replace("..u", "..old"));
    assert_eq!(key_id(log_in(&config()).unwrap()), "ocid1.user.oc1..old");
}

#[test]
fn a_key_with_a_passphrase_is_opened() {
    let host = host_of_a_user();
    let key = include_str!("../private_key/keys/pkcs8-aes-256.pem");
    host.put_file("~/.oci/key.pem", key);
    let failure = refused(&config(), "oci.pass-phrase");
    assert!(failure.message.contains("set pass_phrase"), "{}", failure.message);
    for key in ["pass_phrase", "passphrase"] {
        host.put_file("~/.oci/config", format!("{FILE}{key}=hunter2\n"));
        log_in(&config()).unwrap();
    }
    host.put_file("~/.oci/config", FILE);
    host.set_env("OCI_pass_phrase", "hunter2");
    log_in(&config()).unwrap();
}

#[test]
fn the_revision_is_whose_key_it_is() {
    let host = host_of_a_user();
    let (_, revision) = log_in(&config()).unwrap();
    host.advance(Duration::from_hours(1));
    assert_eq!(log_in(&config()).unwrap().1, revision);
    host.put_file("~/.oci/config", FILE.replace("20:3b", "20:3c"));
    assert_ne!(log_in(&config()).unwrap().1, revision);
}

#[test]
fn what_is_missing_or_half_written_is_told_with_its_place() {
    let case = |change: fn(&Host), code: &str, parts: &[&str]| {
        let host = host_of_a_user();
        change(&host);
        let failure = refused(&config(), code);
        assert_eq!(failure.kind, Kind::Unavailable, "{failure:?}");
        for part in parts {
            assert!(failure.message.contains(part), "{part}: {}", failure.message);
        }
    };
    case(
        |host| host.delete_file("~/.oci/config"),
        "oci.no-credentials",
        &["OCI_tenancy_ocid", "~/.oci/config, which isn't there", "instance"],
    );
    case(
        |host| host.put_file("~/.oci/config", "[DEFAULT]\nuser=u\ntenancy=t\nkey_file=~/.oci/k"),
        "oci.no-credentials",
        &["OCI_fingerprint", "DEFAULT of ~/.oci/config"],
    );
    case(
        |host| host.put_file("~/.oci/config", "[DEFAULT]\nuser=u\npass_phrase hunter2"),
        "oci.file",
        &["line 3"],
    );
    case(
        |host| host.put_file("~/.oci/config", FILE.replace("20:3b", "20:\"3b")),
        "oci.key-id",
        &["fingerprint"],
    );
    case(|host| host.put_file("~/.oci/config", [0xff, 0xfe]), "file.not-text", &["~/.oci/config"]);
    case(|host| host.delete_file("~/.oci/key.pem"), "file.not-found", &["private key"]);
    case(|host| host.put_file("~/.oci/key.pem", "<html>hunter2"), "oci.key", &["private key"]);
    case(
        |host| {
            host.sign_with(|_, _, _| Err(Failure::unavailable("crypto.key", "no such key")));
        },
        "crypto.key",
        &["~/.oci/key.pem: no such key"],
    );
}

#[test]
fn a_key_elsewhere_is_refused_with_the_remedy() {
    let host = host_of_a_user();
    host.put_file("~/.oci/config", FILE.replace("~/.oci/key.pem", "/srv/key.pem"));
    let failure = refused(&config(), "grant.missing");
    assert_eq!(failure.kind, Kind::Unavailable, "a key may be put in its place");
    for part in ["/srv/key.pem", "~/.oci", "OCI_private_key_path"] {
        assert!(failure.message.contains(part), "{part}: {}", failure.message);
    }
}
