//! The built-in `cf` method: openssl makes the instance's identity and judges the signature, and a
//! judge before the real server is its auth method, which OpenBao lacks.
#![allow(clippy::expect_used, reason = "helpers fail the test that calls them")]

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use usher_tests::agent::{Ended, Launch};
use usher_tests::leaks::leaks;
use usher_tests::proxy::Fault;
use usher_tests::site::Site;

#[test]
fn the_instance_identity_logs_in() {
    let container = Container::new();
    let ended = container.log_in_once("cf", "app");
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(container.bao.is_valid(&container.wait_for_token()));
    assert_eq!(leaks(&ended.log, &container.key_lines()), [""; 0]);
}

#[test]
fn a_signature_of_another_key_is_refused() {
    let container = Container::new();
    openssl(&["genrsa", "-traditional", "-out", text(&container.key)]);
    let ended = container.log_in_once("cf", "app");
    assert_eq!(ended.status, 3, "{ended:?}");
    assert!(ended.log.contains("signature"), "{ended:?}");
    assert_eq!(leaks(&ended.log, &container.key_lines()), [""; 0]);
}

#[test]
fn what_the_servers_plug_in_refuses_is_told_with_the_remedy() {
    // In its own words.
    let refusals = [
        ("request is too old; signed at x but received request at y", "check the clocks"),
        ("request is too far in the future; signed at x", "check the clocks"),
        ("no matching role", "create the role"),
        ("crypto/rsa: verification error", "CF_INSTANCE_KEY"),
    ];
    let container = Container::new();
    for (said, _) in refusals {
        let answer = Fault::Body(400, json!({ "errors": [said] }).to_string());
        container.proxy.fail_times(&login("cf"), answer, 1);
    }
    let ended = container.log_in_once("cf", "app");
    assert_eq!(ended.status, 0, "{ended:?}");
    for (said, remedy) in refusals {
        let line = ended.log.lines().find(|line| line.contains(said));
        assert!(line.is_some_and(|line| line.contains(remedy)), "{said}: {ended:?}");
    }
}

#[test]
fn openssl_refuses_what_differs_in_a_byte() {
    let container = Container::new();
    assert_eq!(container.log_in_once("cf", "app").status, 0);
    let sent = container.proxy.requests(&login("cf")).pop().expect("a login").body;
    assert_eq!(judge(&sent), Ok(()));
    for (name, from, to) in [
        ("role", "app", "apq"),
        ("signing_time", "Z", "z"),
        ("cf_instance_cert", "END", "ENd"),
        ("signature", "A", "B"),
    ] {
        let mut changed = sent.clone();
        let value = changed[name].as_str().expect("text").replace(from, to);
        if sent[name] != value.as_str() {
            changed[name] = value.into();
            assert!(judge(&changed).is_err(), "{name}");
        }
    }
}

#[test]
fn the_old_name_works_and_is_warned_of() {
    let container = Container::new();
    let ended = container.log_in_once("pcf", "app");
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(ended.log.contains("`pcf` is the old name of the method `cf`"), "{ended:?}");
}

#[test]
fn a_missing_identity_is_told_with_the_variable() {
    let container = Container::new();
    let ended = Launch::agent(&container.configuration("cf", "app"))
        .argument("--exit-after-auth")
        .run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.log.contains("CF_INSTANCE_CERT is not set"), "{ended:?}");
}

#[test]
fn a_replaced_certificate_is_used_for_the_next_login() {
    let container = Container::new();
    assert_eq!(container.log_in_once("cf", "app").status, 0);
    container.issue();
    assert_eq!(container.log_in_once("cf", "app").status, 0);
    let sent = container.proxy.requests(&login("cf"));
    assert_ne!(sent[0].body["cf_instance_cert"], sent[1].body["cf_instance_cert"]);
}

/// A container of Cloud Foundry, and a server whose method at "auth/cf" is a judge.
struct Container {
    site: Site,
    certificate: PathBuf,
    key: PathBuf,
}

impl Deref for Container {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl Container {
    fn new() -> Self {
        let site = Site::new(json!({}));
        for name in ["cf", "pcf"] {
            site.proxy.judge_logins(&login(name), site.bao.root_token(), judge);
        }
        let container =
            Self { certificate: site.file("instance.crt"), key: site.file("instance.key"), site };
        container.issue();
        container
    }

    /// As Diego: an RSA key in PKCS#1, and below the leaf the certificate of its authority.
    fn issue(&self) {
        let (ca, ca_key) = (self.file("ca.crt"), self.file("ca.key"));
        let request = self.file("request");
        openssl(&[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=instance identity CA",
            "-keyout",
            text(&ca_key),
            "-out",
            text(&ca),
        ]);
        openssl(&["genrsa", "-traditional", "-out", text(&self.key)]);
        openssl(&[
            "req",
            "-new",
            "-key",
            text(&self.key),
            "-out",
            text(&request),
            "-subj",
            "/OU=organization:o/OU=space:s/OU=app:a/CN=f9c7cd7d-1f0d-4ab2-5ec2-4ac0",
        ]);
        openssl(&[
            "x509",
            "-req",
            "-in",
            text(&request),
            "-CA",
            text(&ca),
            "-CAkey",
            text(&ca_key),
            "-CAcreateserial",
            "-days",
            "1",
            "-out",
            text(&self.certificate),
        ]);
        let both = [&self.certificate, &ca].map(|file| std::fs::read(file).expect("a certificate"));
        std::fs::write(&self.certificate, both.concat()).expect("the chain");
    }

    fn configuration(&self, method: &str, role: &str) -> String {
        let mut configuration = self.site.configuration();
        configuration.method = method.into();
        configuration.method_config = format!("role = \"{role}\"");
        configuration.text()
    }

    fn log_in_once(&self, method: &str, role: &str) -> Ended {
        Launch::agent(&self.configuration(method, role))
            .environment("CF_INSTANCE_CERT", text(&self.certificate))
            .environment("CF_INSTANCE_KEY", text(&self.key))
            .argument("--exit-after-auth")
            .argument("--timeout=10s")
            .run(LIMIT)
    }

    /// The key, line by line.
    fn key_lines(&self) -> Vec<String> {
        let key = std::fs::read_to_string(&self.key).expect("the key");
        key.lines().filter(|line| line.len() > 40).map(str::to_owned).collect()
    }
}

/// What the server's method would find wrong with a login: time, role, certificate and signature.
fn judge(login: &Value) -> Result<(), String> {
    let part = |name: &str| login[name].as_str().ok_or_else(|| format!("no {name}"));
    let (certificate, time, role) =
        (part("cf_instance_cert")?, part("signing_time")?, part("role")?);
    let signature = part("signature")?.strip_prefix("v1:").ok_or("a signature of an old agent")?;
    let signature = STANDARD.decode(signature).map_err(|_| "the signature is no base64")?;
    if role != "app" {
        return Err("unknown role".into());
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_secs();
    let recent = seconds_of(time).is_some_and(|at| (now - 300..=now + 60).contains(&at));
    if !recent || !time.ends_with('Z') {
        return Err(format!("{time} is no time of the last five minutes"));
    }
    let home = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str, content: &[u8]| {
        let path = home.path().join(name);
        std::fs::write(&path, content).expect("a file");
        path
    };
    let certificate_file = file("certificate", certificate.as_bytes());
    let public_key = home.path().join("public-key");
    let message = file("message", [time, certificate, role].concat().as_bytes());
    let signature = file("signature", &signature);
    let good = runs(&[
        "x509",
        "-in",
        text(&certificate_file),
        "-pubkey",
        "-noout",
        "-out",
        text(&public_key),
    ]) && runs(&[
        "dgst",
        "-sha256",
        "-sigopt",
        "rsa_padding_mode:pss",
        "-sigopt",
        "rsa_pss_saltlen:auto",
        "-verify",
        text(&public_key),
        "-signature",
        text(&signature),
        text(&message),
    ]);
    good.then_some(()).ok_or_else(|| "the signature is not that of the certificate".into())
}

/// Seconds since 1970, of "2026-11-21T12:34:56Z", by the program `date`.
fn seconds_of(time: &str) -> Option<u64> {
    let output = Command::new("date").args(["-u", "-d", time, "+%s"]).output();
    String::from_utf8(output.expect("date can be started").stdout).ok()?.trim().parse().ok()
}

#[track_caller]
fn openssl(arguments: &[&str]) {
    assert!(runs(arguments), "openssl {arguments:?}");
}

fn runs(arguments: &[&str]) -> bool {
    Command::new("openssl")
        .args(arguments)
        .output()
        .expect("openssl can be started")
        .status
        .success()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

fn login(mount: &str) -> String {
    format!("/v1/auth/{mount}/login")
}

const LIMIT: Duration = Duration::from_mins(1);
