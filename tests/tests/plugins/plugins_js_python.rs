//! Methods in JavaScript and Python, built from source, log in against the real server.

use std::time::Duration;

use serde_json::json;
use usher_tests::agent::{Agent, Launch};
use usher_tests::eventually::eventually_true;
use usher_tests::leaks::leaks;
use usher_tests::plugins::{self, PluginDirectory};
use usher_tests::site::Site;
use usher_tests::stand_in::{Answer, StandIn};

#[test]
fn a_method_in_javascript_logs_in() {
    logs_in(&plugins::javascript("files_login"), "hello from JavaScript");
}

#[test]
fn a_method_in_python_logs_in() {
    logs_in(&plugins::python("files_login"), "hello from Python");
}

#[test]
fn crypto_answers_and_kdc_sends_nothing_but_its_requests() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let directory = PluginDirectory::new();
    directory.add("crypto-and-kdc", &plugins::javascript("crypto_and_kdc"));
    let mut configuration = site.configuration();
    configuration.top = format!(
        "plugin_directory = \"{}\"\nplugin \"crypto-and-kdc\" {{\n  allow {{\n    kdc = [\"EXAMPLE.ORG\"]\n  }}\n}}",
        directory.path().display()
    );
    configuration.method = "crypto-and-kdc".into();
    configuration.method_config = String::new();
    let agent = Launch::agent(&configuration.text()).keep_code().start();
    eventually_true("the answers", LIMIT, || agent.log().contains("exchange: "));
    // FIPS 180-4 and RFC 4231 for the first two.
    for answer in [
        "digest: ba7816bf",
        "hmac: 5bdcc146",
        "sign: 64 bytes",
        "generate: -----BEGIN PUBLIC KEY-----",
        "misuse: unavailable crypto.key",
        "exchange: config kdc.request",
    ] {
        assert!(agent.log().contains(answer), "{answer}");
    }
}

#[test]
fn a_plugin_without_its_grants_stops_the_agent_with_the_block_to_paste() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let directory = PluginDirectory::new();
    directory.add("files-login", &plugins::javascript("files_login"));
    let mut configuration = site.files_login(&directory);
    configuration.top = format!("plugin_directory = \"{}\"", directory.path().display());
    let ended = Launch::agent(&configuration.text()).keep_code().run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    for part in
        ["plugin \"files-login\"", "allow", "read", &site.file("role-id").display().to_string()]
    {
        assert!(ended.log.contains(part), "{part}: {ended:?}");
    }
    assert_eq!(site.login_attempts(), 0);
}

#[test]
fn a_plugin_that_others_can_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let directory = PluginDirectory::new();
    let file = directory.add("files-login", &plugins::javascript("files_login"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).expect("the file");
    let ended = Launch::agent(&site.files_login(&directory).text())
        .argument("--exit-after-auth")
        .run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.log.contains(&file.display().to_string()), "{ended:?}");
}

#[test]
fn a_file_that_is_no_component_is_refused() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let directory = PluginDirectory::new();
    let file = directory.add("files-login", b"\0asm is not enough");
    let ended = Launch::agent(&site.files_login(&directory).text())
        .argument("--exit-after-auth")
        .run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.log.contains(&file.display().to_string()), "{ended:?}");
    assert!(!ended.log.contains("panicked"), "{ended:?}");
}

#[test]
fn sigterm_while_a_plugin_is_compiled_is_a_clean_shutdown() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let directory = PluginDirectory::new();
    directory.add("files-login", &plugins::javascript("files_login"));
    let mut agent = Agent::start(&site.files_login(&directory).text());
    agent.wait_for_log("compiling the plug-in");
    agent.terminate();
    let ended = agent.ended(Duration::from_secs(5));
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(site.login_attempts(), 0);
}

#[test]
fn a_plugin_takes_a_built_in_name_only_if_told_to() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let directory = PluginDirectory::new();
    directory.add("approle", &plugins::javascript("files_login"));
    let mut plain = site.configuration();
    plain.top = format!("plugin_directory = \"{}\"", directory.path().display());
    let ended = Launch::agent(&plain.text()).argument("--exit-after-auth").run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(!ended.log.contains("hello from JavaScript"), "{ended:?}");

    let mut told = site.files_login(&directory);
    told.method = "approle".into();
    told.top =
        told.top.replace("plugin \"files-login\" {", "plugin \"approle\" {\n  override = true");
    let ended = Launch::agent(&told.text()).keep_code().argument("--exit-after-auth").run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(ended.log.contains("hello from JavaScript"), "{ended:?}");
}

#[test]
fn a_component_that_breaks_off_says_why_in_the_log_in_explain_and_in_inspect() {
    let (jwt, secret) =
        ("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJib29tIn0.c2lnbmF0dXJlLW9mLWJvb20", "a-secret-file");
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let service = StandIn::http(move |_| Answer::new(200, jwt));
    let directory = PluginDirectory::new();
    let file = directory.add("boom", &plugins::python("boom"));
    site.write("credential", secret);
    let credential = site.file("credential").display().to_string();
    let mut configuration = site.configuration();
    configuration.top = format!(
        "plugin_directory = \"{}\"\nplugin \"boom\" {{\n  allow {{\n    read = [\"{credential}\"]\n    connect = [\"{}\"]\n  }}\n}}",
        directory.path().display(),
        service.url()
    );
    configuration.method = "boom".into();
    configuration.method_config = format!("file = \"{credential}\"\nurl = \"{}\"", service.url());
    // At the default level, where its lines aren't logged themselves.
    let agent = Launch::agent_at(&configuration.text(), "info").keep_code().start();
    eventually_true("the traceback", LIMIT, || {
        agent.log().contains("RuntimeError: boom [redacted]")
    });
    let log = agent.log();
    for told in ["aborted", "boom.py", "read [redacted] answered [redacted]"] {
        assert!(log.contains(told), "{told}: {log}");
    }
    assert!(!log.contains("step 1 ") && !log.contains("[31m"), "{log}");
    agent.stop();

    let ended = Launch::explain(&configuration.text()).keep_code().run(LIMIT);
    ended.says(1, &["boom.py", "RuntimeError: boom [redacted]"]);
    assert_eq!(leaks(&(log + &ended.results + &ended.log), &[jwt.into(), secret.into()]), [""; 0]);

    configuration.method_config = String::new();
    site.write("usher.hcl", &configuration.text());
    let ended = Launch::command(&["plugin", "inspect"])
        .argument(file)
        .argument("--config")
        .argument(site.file("usher.hcl"))
        .keep_code()
        .run(LIMIT);
    assert_ne!(ended.status, 0, "{ended:?}");
    assert!(ended.log.contains("no file in {}"), "{ended:?}");
    assert!(ended.log.contains("KeyError"), "{ended:?}");
}

#[track_caller]
fn logs_in(component: &[u8], greeting: &str) {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let directory = PluginDirectory::new();
    directory.add("files-login", component);
    let agent = Launch::agent(&site.files_login(&directory).text()).keep_code().start();
    eventually_true("the token", LIMIT, || site.token().is_some());
    assert!(site.token().is_some_and(|token| site.bao.is_valid(&token)));
    assert!(agent.log().contains(greeting), "the plug-in's own line is in the log");
    agent.stop();
}

/// Compiling such a component takes seconds, on a busy machine many.
const LIMIT: Duration = Duration::from_mins(2);
