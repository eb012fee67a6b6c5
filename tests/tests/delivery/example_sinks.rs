//! The example sinks in JavaScript, each run as a script with the blocks that it says to paste.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use usher_tests::agent::Agent;
use usher_tests::eventually::{eventually, eventually_true};
use usher_tests::oracle;
use usher_tests::plugins::PluginDirectory;
use usher_tests::site::Site;
use usher_tests::stand_in::StandIn;

#[test]
fn an_environment_file_holds_the_token_in_each_format() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let file = home.path().join("vault.env");
    for (format, expected) in [
        ("systemd", "VAULT_TOKEN=\"{}\"\n"),
        ("dotenv", "VAULT_TOKEN='{}'\n"),
        ("json", "{\"VAULT_TOKEN\":\"{}\"}\n"),
    ] {
        let example = Example::new("environment-file")
            .with("/run/app/vault.env", &file.display().to_string())
            .with("\"systemd\"", &format!("{format:?}"));
        let agent = example.start();
        let token = example.site.wait_for_token();
        eventually_true("the variable", LIMIT, || {
            fs::read_to_string(&file).is_ok_and(|text| text == expected.replace("{}", &token))
        });
        assert_eq!(fs::metadata(&file).expect("the file").permissions().mode() & 0o777, 0o640);
        agent.stop();
        assert!(!file.exists(), "{format}: it was to be withdrawn at exit");
    }
}

#[test]
fn a_systemd_credential_lies_in_the_credential_store() {
    let store = tempfile::tempdir().expect("a temporary directory");
    let path = store.path().display().to_string();
    let example = Example::new("systemd-credential").with("/run/credstore", &path).with(
        "name = \"app.vault-token\"",
        &format!("name = \"app.vault-token\", directory = \"{path}\""),
    );
    let agent = example.start();
    let token = example.site.wait_for_token();
    let file = store.path().join("app.vault-token");
    eventually_true("the credential", LIMIT, || {
        fs::read_to_string(&file).is_ok_and(|text| text == token)
    });
    assert_eq!(fs::metadata(&file).expect("the file").permissions().mode() & 0o777, 0o600);
    agent.stop();
    assert!(!file.exists(), "it was to be withdrawn at exit");
}

#[test]
fn a_webhook_receives_the_token_signed() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let key = home.path().join("webhook.key");
    fs::write(&key, "a-key-of-sixteen-bytes-or-more\n").expect("the key");
    // The first delivery finds it broken, and is made again.
    let failed_once = std::sync::atomic::AtomicBool::new(false);
    let service = StandIn::http(move |_| {
        if failed_once.swap(true, std::sync::atomic::Ordering::Relaxed) { 204 } else { 503 }
    });
    let example = Example::new("webhook")
        .with("https://hooks.acme.internal", &service.url())
        .with("/etc/acme/webhook.key", &key.display().to_string());
    let agent = example.start();
    let token = example.site.wait_for_token();
    let request = eventually("a second delivery", LIMIT, || service.requests().into_iter().nth(1));
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/usher"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    assert_eq!(body["content"], token);
    assert_eq!((&body["identity"], &body["form"]), (&json!("default"), &json!("token")));
    assert_eq!(body["generation"], 1);
    assert!(body["expires_at"].as_str().is_some_and(|time| time.ends_with('Z')), "{body}");
    let signature = request.header("x-usher-signature").expect("a signature");
    let (seconds, signature) = signature
        .strip_prefix("t=")
        .and_then(|rest| rest.split_once(",v1="))
        .unwrap_or_else(|| panic!("{signature}"));
    let signed = [format!("{seconds}.").as_bytes(), &request.body].concat();
    assert_eq!(signature, oracle::hmac_sha256(b"a-key-of-sixteen-bytes-or-more", &signed));
    agent.stop();
}

#[test]
fn a_kubernetes_secret_is_applied_by_the_service_account() {
    let account = tempfile::tempdir().expect("a temporary directory");
    fs::write(account.path().join("token"), "service-account-token\n").expect("a token");
    let api = StandIn::https(|request| {
        if request.header("authorization") == Some("Bearer service-account-token") {
            200
        } else {
            401
        }
    });
    fs::write(account.path().join("ca.crt"), api.ca_pem()).expect("a CA");
    let directory = account.path().display().to_string();
    let example = Example::new("kubernetes-secret")
        .with("https://kubernetes.default.svc", &api.url())
        .with("/var/run/secrets/kubernetes.io/serviceaccount", &directory)
        .with(
            "key = \"token\"",
            &format!(
                "key = \"token\", api_server = \"{}\", service_account_directory = \"{directory}\"",
                api.url()
            ),
        );
    let agent = example.start();
    let token = example.site.wait_for_token();
    let manifest = |data: Value| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": { "name": "vault-token", "namespace": "app" }, "data": data,
        })
    };
    let path = "/api/v1/namespaces/app/secrets/vault-token?fieldManager=usher&force=true";
    eventually_true("the Secret", LIMIT, || api.requests().len() >= 2);
    agent.stop();
    let requests = api.requests();
    let expected = [
        (format!("{path}&dryRun=All"), manifest(json!({ "token": "" }))),
        (path.to_owned(), manifest(json!({ "token": STANDARD.encode(&token) }))),
        (path.to_owned(), manifest(json!({}))),
    ];
    assert_eq!(requests.len(), expected.len(), "{requests:?}");
    for (request, (target, body)) in requests.iter().zip(expected) {
        assert_eq!((request.method.as_str(), &request.target), ("PATCH", &target));
        assert_eq!(request.header("content-type"), Some("application/apply-patch+yaml"));
        let sent: Value = serde_json::from_slice(&request.body).expect("JSON");
        assert_eq!(sent, body);
    }
}

/// An example in a plug-in directory, beside a file sink.
struct Example {
    site: Site,
    directory: PluginDirectory,
    /// The blocks of its head: the sink, and the plug-in's grants.
    sink: String,
    grants: String,
}

impl Example {
    fn new(name: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/js/examples");
        let text = fs::read_to_string(file.join(format!("{name}.js"))).expect("an example");
        let directory = PluginDirectory::new();
        directory.add_script(name, &text);
        let code: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("//   ")).collect();
        let grants = code.iter().position(|line| line.starts_with("plugin ")).expect("grants");
        let (sink, grants) = code.split_at(grants);
        Self {
            site: Site::new(json!({ "token_ttl": "1h" })),
            directory,
            sink: sink.join("\n"),
            grants: grants.join("\n"),
        }
    }

    /// With a path or URL of the test in place of the one in the example.
    fn with(mut self, example: &str, test: &str) -> Self {
        assert!(self.sink.contains(example) || self.grants.contains(example), "{example}");
        self.sink = self.sink.replace(example, test);
        self.grants = self.grants.replace(example, test);
        self
    }

    fn start(&self) -> Agent {
        let mut configuration = self.site.configuration();
        configuration.top =
            format!("plugin_directory = \"{}\"\n{}", self.directory.path().display(), self.grants);
        let sink = self.sink.replacen("sink {", "sink {\n  on_exit = \"remove\"", 1);
        configuration.auto_auth = format!("{}\n{sink}", configuration.auto_auth);
        Agent::start(&configuration.text())
    }
}

const LIMIT: Duration = Duration::from_mins(1);
