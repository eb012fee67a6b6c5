//! What has another effect than with OpenBao Agent, as `docs/compatibility.md` tells it under "The
//! same words, another effect": both agents at work on the same server.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::json;
use usher_tests::agent::Launch;
use usher_tests::eventually::eventually_true;
use usher_tests::incumbent::Incumbent;
use usher_tests::proxy::Fault;
use usher_tests::site::{Configuration, Site};

const LIMIT: Duration = Duration::from_secs(30);

fn site() -> Site {
    Site::new(json!({ "token_ttl": "1h" }))
}

fn once(site: &Site) -> Configuration {
    let mut configuration = site.configuration();
    configuration.top = "exit_after_auth = true".into();
    configuration
}

/// A header of the last login.
fn sent(site: &Site, header: &str) -> Option<String> {
    let login = site.proxy.requests("auth/approle/login").pop().expect("a login");
    login.headers.into_iter().find(|(name, _)| name == header).map(|(_, value)| value)
}

/// What each of the two, the other agent first, sends in a header of its login.
fn both_send(
    site: &Site,
    configuration: &str,
    environment: &[(&str, &str)],
    header: &str,
) -> (Option<String>, Option<String>) {
    let before = site.login_attempts();
    let theirs = {
        let _running = Incumbent::start(configuration, environment);
        eventually_true("a login of theirs", LIMIT, || site.login_attempts() > before);
        sent(site, header)
    };
    let before = site.login_attempts();
    let launch = environment.iter().fold(Launch::agent(configuration), |launch, (name, value)| {
        launch.environment(name, value)
    });
    let _running = launch.start();
    eventually_true("a login of ours", LIMIT, || site.login_attempts() > before);
    (theirs, sent(site, header))
}

#[test]
fn an_ambient_token_goes_with_their_login_alone() {
    for variable in ["BAO_TOKEN", "VAULT_TOKEN"] {
        let site = site();
        let (theirs, ours) =
            both_send(&site, &once(&site).text(), &[(variable, "s.ambient")], "x-vault-token");
        assert_eq!((theirs.as_deref(), ours), (Some("s.ambient"), None), "{variable}");
    }
}

#[test]
fn a_namespace_of_vault_counts_here_alone_and_a_methods_goes_before_it() {
    for (vault, method, variable, theirs, ours) in [
        ("namespace = \"v\"", "", None, None, Some("v/")),
        ("namespace = \"v\"", "\nnamespace = \"m\"", None, Some("m/"), Some("m/")),
        ("", "\nnamespace = \"m\"", None, Some("m/"), Some("m/")),
        ("namespace = \"v\"", "\nnamespace = \"m\"", Some("e"), Some("e/"), Some("e/")),
    ] {
        let site = site();
        let mut configuration = once(&site);
        configuration.vault = vault.into();
        configuration.method_settings += method;
        let environment: Vec<_> =
            variable.map(|name| ("BAO_NAMESPACE", name)).into_iter().collect();
        let sent = both_send(&site, &configuration.text(), &environment, "x-vault-namespace");
        let sent = (sent.0.as_deref(), sent.1.as_deref());
        assert_eq!(sent, (theirs, ours), "{vault} {method} {variable:?}");
    }
}

#[test]
fn a_variable_that_says_false_switches_verification_off_for_them_alone() {
    for variable in ["BAO_SKIP_VERIFY", "VAULT_SKIP_VERIFY"] {
        let site = Site::with_tls(json!({ "token_ttl": "1h" }));
        let configuration = once(&site).text();
        Incumbent::start(&configuration, &[(variable, "false")]).succeeds(LIMIT);
        let logins = site.bao.logins();
        assert_eq!(logins, 1, "{variable}");
        let agent = Launch::agent(&configuration).environment(variable, "false").start();
        agent.wait_for_log("certificate");
        assert_eq!(site.bao.logins(), logins, "{variable}");
    }
}

#[test]
fn a_one_shot_file_is_gone_after_their_failed_login_and_not_after_ours() {
    let site = site();
    site.proxy.fail("auth/approle/login", Fault::Status(400));
    let mut configuration = once(&site);
    configuration.method_config =
        configuration.method_config.replace("\nremove_secret_id_file_after_reading = false", "");
    let secret_id = std::fs::read_to_string(site.file("secret-id")).unwrap();
    {
        let _running = Incumbent::start(&configuration.text(), &[]);
        eventually_true("the file is gone", LIMIT, || !site.file("secret-id").exists());
    }
    site.write("secret-id", &secret_id);
    let before = site.login_attempts();
    let agent = Launch::agent(&configuration.text()).start();
    eventually_true("two failed logins", LIMIT, || site.login_attempts() >= before + 2);
    assert!(site.file("secret-id").exists());
    site.proxy.heal();
    let ended = agent.ended(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(!site.file("secret-id").exists());
}

#[test]
fn a_mode_holds_here_whatever_the_umask() {
    let site = site();
    let mut configuration = once(&site);
    configuration.sinks[0].1 += "\nmode = 0640";
    let mode = || std::fs::metadata(site.file("token")).unwrap().permissions().mode() & 0o777;
    let file = site.file("theirs.hcl");
    std::fs::write(&file, configuration.text()).unwrap();
    super::run_openbao_agent_with("077", &file);
    assert_eq!(mode(), 0o600);
    std::fs::remove_file(site.file("token")).unwrap();
    let ended = Launch::agent(&configuration.text()).umask("077").run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(mode(), 0o640);
}

#[test]
fn every_error_of_a_configuration_is_told_here_and_the_status_is_2() {
    let text = "pid_file = true\nlog_level = [1]\n";
    let ended = Launch::agent(text).run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    for key in ["pid_file", "log_level"] {
        assert!(ended.log.contains(&format!("`{key}`")), "{ended:?}");
    }
    let theirs = Incumbent::start(text, &[]);
    let (status, log) = theirs.ended(LIMIT);
    assert_eq!(status, Some(1), "{log}");
    assert!(log.contains("pid_file") != log.contains("log_level"), "{log}");
}

#[test]
fn an_address_with_user_and_password_is_reached_alike() {
    let site = site();
    let mut configuration = once(&site);
    configuration.address = configuration.address.replace("http://", "http://usher:p%40ss@");
    let sent = both_send(&site, &configuration.text(), &[], "authorization");
    let expected = Some("Basic dXNoZXI6cEBzcw==".to_owned());
    assert_eq!(sent, (expected.clone(), expected));
}
