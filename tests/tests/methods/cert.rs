//! The built-in `cert` method against the server's own, over TLS.
#![allow(clippy::expect_used, reason = "tests fail by panicking")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::json;
use usher_tests::agent::{Agent, Ended, Launch};
use usher_tests::authority::{Authority, ClientCertificate};
use usher_tests::eventually::{always, eventually, eventually_true};
use usher_tests::leaks::leaks;
use usher_tests::proxy::Fault;
use usher_tests::site::{Configuration, Site};

/// A server that trusts an authority for clients, and a certificate of it in the site's files.
struct CertSite {
    site: Site,
    authority: Authority,
}

impl CertSite {
    fn new(role: serde_json::Value) -> Self {
        let site = Site::with_tls(json!({}));
        let authority = Authority::new("authority of the clients");
        let cert = Self { site, authority };
        cert.mount("", role);
        cert.write(&cert.authority.issue("web.test"));
        cert
    }

    /// Mounts the method with the role "web" in a namespace: "", "team/".
    fn mount(&self, namespace: &str, role: serde_json::Value) {
        let bao = &self.site.bao;
        bao.write(&format!("{namespace}sys/auth/cert"), json!({ "type": "cert" }));
        let mut settings = json!({
            "certificate": self.authority.pem(),
            "allowed_common_names": ["web.test"],
            "token_policies": ["app"],
        });
        for (name, value) in role.as_object().expect("settings of the role") {
            settings[name] = value.clone();
        }
        bao.write(&format!("{namespace}auth/cert/certs/web"), settings);
    }

    /// The key last, so that the pair is whole when the last change is seen.
    fn write(&self, client: &ClientCertificate) {
        self.site.write("client.crt", &client.certificate);
        self.site.write("client.key", &client.key);
    }

    fn key(&self) -> String {
        let key = std::fs::read_to_string(self.file("client.key")).expect("the key");
        key.lines().nth(1).expect("the key's first line").to_owned()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.site.file(name)
    }

    fn configuration(&self) -> Configuration {
        let mut configuration = self.site.configuration();
        configuration.method = "cert".into();
        configuration.vault = format!("ca_cert = \"{}\"", self.site.bao.ca_file().display());
        configuration.method_config = format!(
            "name = \"web\"\nclient_cert = \"{}\"\nclient_key = \"{}\"",
            self.file("client.crt").display(),
            self.file("client.key").display()
        );
        configuration
    }

    /// One attempt, whose failure ends the agent.
    fn log_in_once(&self, change: impl Fn(&mut Configuration)) -> Ended {
        let mut configuration = self.configuration();
        configuration.method_settings += "\nexit_on_err = true";
        change(&mut configuration);
        Launch::agent(&configuration.text()).argument("--exit-after-auth").run(LIMIT)
    }
}

#[test]
fn a_client_certificate_logs_in_and_renews() {
    let cert = CertSite::new(json!({ "token_ttl": "4s", "token_max_ttl": "1h" }));
    let _agent = Agent::start(&cert.configuration().token_check_interval("1s").text());
    let token = cert.site.wait_for_token();
    // The server renews for the same certificate only.
    eventually_true("two renewals", LIMIT, || cert.site.bao.answered("auth/token/renew-self") >= 2);
    assert_eq!(cert.site.token(), Some(token.clone()));
    // What the server says that it received: its audit log hashes each text.
    let audited = cert.site.bao.audited("auth/cert/login");
    assert_eq!(audited[0]["data"], json!({ "name": cert.site.bao.audit_hash("web") }));
    let lookup = cert.site.bao.lookup(&token).expect("a valid token");
    assert_eq!(lookup["meta"]["cert_name"], "web");
    assert_eq!(lookup["meta"]["common_name"], "web.test");
}

#[test]
fn a_rotated_certificate_brings_a_new_login_and_the_old_token_lives_until_then() {
    let cert = CertSite::new(json!({ "token_ttl": "1h" }));
    let agent = Agent::start(&cert.configuration().text());
    let first = cert.site.wait_for_token();
    // The certificate without its key is no reason to do anything but wait.
    let next = cert.authority.issue("web.test");
    cert.site.write("client.crt", &next.certificate);
    agent.wait_for_log("error authenticating");
    assert!(cert.site.bao.is_valid(&first));
    assert_eq!(cert.site.token(), Some(first.clone()));
    cert.write(&next);
    let second = cert.site.wait_for_token_after(&first);
    let serial = |token: &str| {
        cert.site.bao.lookup(token).expect("a valid token")["meta"]["serial_number"].clone()
    };
    assert_ne!(serial(&first), serial(&second));
}

#[test]
fn the_namespace_is_kept() {
    let cert = CertSite::new(json!({}));
    cert.site.bao.write("sys/namespaces/team", json!({}));
    cert.mount("team/", json!({ "token_ttl": "1h" }));
    let mut configuration = cert.configuration();
    configuration.method_settings += "\nnamespace = \"team\"";
    // With trust of its own, which costs the incumbents the namespace.
    configuration.vault = String::new();
    let ca_file = cert.site.bao.ca_file();
    configuration.method_config.extend([format!("\nca_cert = \"{}\"", ca_file.display())]);
    let _agent = Agent::start(&configuration.text());
    let token = cert.site.wait_for_token();
    assert_eq!(cert.site.bao.lookup(&token).expect("a token")["namespace_path"], "team/");
}

#[test]
fn without_files_of_its_own_it_presents_the_agents_certificate() {
    let cert = CertSite::new(json!({ "token_ttl": "1h" }));
    let mut configuration = cert.configuration();
    configuration.vault.extend([format!(
        "\nclient_cert = \"{}\"\nclient_key = \"{}\"",
        cert.file("client.crt").display(),
        cert.file("client.key").display()
    )]);
    configuration.method_config = String::new();
    let _agent = Agent::start(&configuration.text());
    let token = cert.site.wait_for_token();
    assert!(cert.site.bao.is_valid(&token));
}

#[test]
fn an_encrypted_key_is_refused_with_the_remedy_and_an_open_one_ends_it() {
    let cert = CertSite::new(json!({ "token_ttl": "1h" }));
    let openssl = |arguments: &[&str]| {
        let mut command = std::process::Command::new("openssl");
        let status = command.args(arguments).current_dir(cert.file("")).status();
        assert!(status.expect("openssl can be started").success());
    };
    openssl(&[
        "pkey",
        "-in",
        "client.key",
        "-aes256",
        "-passout",
        "pass:word",
        "-out",
        "encrypted",
    ]);
    std::fs::rename(cert.file("encrypted"), cert.file("client.key")).expect("in one step");
    let agent = Agent::start(&cert.configuration().text());
    agent.wait_for_log("is encrypted, and the agent has no password for it");
    agent.wait_for_log("openssl pkey");
    always("no token", Duration::from_secs(1), || cert.site.token().is_none());
    // The remedy.
    openssl(&["pkey", "-in", "client.key", "-passin", "pass:word", "-out", "new"]);
    std::fs::rename(cert.file("new"), cert.file("client.key")).expect("in one step");
    cert.site.wait_for_token();
}

#[test]
fn what_is_refused_is_told_with_its_cause_and_without_the_key() {
    let cert = CertSite::new(json!({}));
    let stranger = Authority::new("somebody else");
    let untrusted = stranger.issue("web.test");
    let hour = Duration::from_hours(1);
    let now = SystemTime::now();
    let expired = cert.authority.issue_for("web.test", now - 2 * hour..now - hour);
    let too_early = cert.authority.issue_for("web.test", now + hour..now + 2 * hour);
    let other = cert.authority.issue("other.test");
    let mixed = ClientCertificate {
        certificate: cert.authority.issue("web.test").certificate,
        key: other.key.clone(),
    };
    for (what, client, said) in [
        ("another authority", &untrusted, &["certificate", "trusted"][..]),
        ("another name", &other, &["certificate", "allowed_"]),
        ("the key of another certificate", &mixed, &["certificate of the auth method", "key"]),
    ] {
        cert.write(client);
        refused(&cert, what, &cert.log_in_once(|_| {}), said);
    }
    for client in [&expired, &too_early] {
        cert.write(client);
        // The server answers 500, as if it were its own trouble.
        let ended = cert.log_in_once(|_| {});
        assert_eq!(ended.status, 1, "{ended:?}");
        assert!(ended.log.contains("renew the client certificate"), "{ended:?}");
        assert!(ended.log.contains("clock"), "{ended:?}");
    }
    cert.write(&cert.authority.issue("web.test"));
    let wrong_role = cert.log_in_once(|configuration| {
        configuration.method_config =
            configuration.method_config.replace("name = \"web\"", "name = \"nobody\"");
    });
    refused(&cert, "another role", &wrong_role, &["certificate"]);
    let none = cert.log_in_once(|configuration| {
        configuration.method_config = "name = \"web\"".into();
    });
    refused(&cert, "no certificate", &none, &["certificate", "client_cert"]);
    let mount = cert.log_in_once(|configuration| {
        configuration.method_settings += "\nmount_path = \"auth/nowhere\"";
    });
    refused(&cert, "another mount", &mount, &["auth/nowhere", "mounted"]);
    let namespace = cert.log_in_once(|configuration| {
        configuration.method_settings += "\nnamespace = \"nowhere\"";
    });
    refused(&cert, "another namespace", &namespace, &["namespace"]);
    let right = cert.log_in_once(|_| {});
    assert_eq!(right.status, 0, "{right:?}");
}

#[test]
fn each_bad_answer_has_its_class_and_shows_no_key() {
    let cert = CertSite::new(json!({}));
    // The proxy speaks no TLS, and so hears the login only to refuse it.
    let mut configuration = cert.configuration();
    configuration.address = cert.site.proxy.address();
    // Refused is an error, passing a warning; each is tried again.
    let expected =
        [(400, "[ERROR]"), (403, "[ERROR]"), (404, "[ERROR]"), (429, "[WARN]"), (500, "[WARN]")];
    for (status, _) in expected {
        cert.site.proxy.fail_times("auth/cert/login", Fault::Status(status), 1);
    }
    let agent = Agent::start(&configuration.text());
    let failures = eventually("the failures", LIMIT, || {
        let log = agent.log();
        let lines = log.lines().filter(|line| line.contains("error authenticating"));
        let lines: Vec<String> = lines.map(str::to_owned).collect();
        (lines.len() >= expected.len()).then_some(lines)
    });
    for ((status, level), line) in expected.iter().zip(&failures) {
        assert!(line.contains(level) && line.contains(&format!("({status}")), "{line}");
    }
    assert_eq!(leaks(&agent.log(), &[cert.key()]), [""; 0]);
}

#[test]
fn an_unreadable_key_is_told() {
    if !usher_tests::agent::is_root() {
        return;
    }
    let cert = CertSite::new(json!({}));
    for (file, mode) in [("", 0o777), ("client.key", 0o600)] {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(cert.file(file), mode).expect("ours");
    }
    let mut configuration = cert.configuration();
    configuration.method_settings += "\nexit_on_err = true";
    // What the agent trusts the server by lies in a directory of the server's.
    let ca = std::fs::read_to_string(cert.site.bao.ca_file()).expect("the CA");
    cert.site.write("ca.crt", &ca);
    configuration.vault = format!("ca_cert = \"{}\"", cert.file("ca.crt").display());
    let ended =
        Launch::agent(&configuration.text()).user(65534).argument("--exit-after-auth").run(LIMIT);
    assert_eq!(ended.status, 1, "{ended:?}");
    let key = cert.file("client.key").display().to_string();
    for part in ["client_key", &key, "ermission"] {
        assert!(ended.log.contains(part), "{part:?}: {ended:?}");
    }
}

#[test]
fn each_bad_file_is_named_with_its_setting() {
    let cert = CertSite::new(json!({}));
    cert.site.write("ca.crt", &std::fs::read_to_string(cert.site.bao.ca_file()).expect("the CA"));
    let ca = cert.file("ca.crt").display().to_string();
    for (name, setting) in
        [("client.crt", "client_cert"), ("client.key", "client_key"), ("ca.crt", "ca_cert")]
    {
        let good = std::fs::read_to_string(cert.file(name)).expect("the file");
        let huge = "x".repeat((1 << 20) + 1);
        for (content, said) in [
            (None, "doesn't exist"),
            (Some(""), "is empty"),
            (Some("no-such-thing"), "in PEM form"),
            (Some(huge.as_str()), "larger than 1 MiB"),
        ] {
            match content {
                Some(content) => cert.site.write(name, content),
                None => std::fs::remove_file(cert.file(name)).expect("the file"),
            }
            let ended = cert.log_in_once(|configuration| {
                configuration.method_config.extend([format!("\nca_cert = \"{ca}\"")]);
            });
            assert_eq!(ended.status, 1, "{name}: {ended:?}");
            for part in [said, setting, &cert.file(name).display().to_string()] {
                assert!(ended.log.contains(part), "{name} lacks {part:?}: {ended:?}");
            }
        }
        cert.site.write(name, &good);
    }
}

#[track_caller]
fn refused(cert: &CertSite, what: &str, ended: &Ended, said: &[&str]) {
    assert_eq!(ended.status, 3, "{what}: {ended:?}");
    let log = ended.log.to_lowercase();
    for part in said {
        assert!(log.contains(part), "{what} lacks {part:?}: {ended:?}");
    }
    assert_eq!(leaks(&ended.log, &[cert.key()]), [""; 0], "{what}");
}

const LIMIT: Duration = Duration::from_secs(30);
