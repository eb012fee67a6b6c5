//! Several identities in one agent: each has a life of its own.

use std::time::Duration;

use serde_json::json;
use usher_tests::agent::{Agent, Launch};
use usher_tests::eventually::{always, eventually, eventually_true};
use usher_tests::site::{Site, delivered, file_sink};

#[test]
fn each_identity_gets_a_token_of_its_own() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut text = site.configuration().text();
    for name in ["web", "worker"] {
        text += &identity(&site, name, "role-id");
    }
    let _agent = Agent::start(&text);
    let tokens = [site.wait_for_token(), token(&site, "web"), token(&site, "worker")];
    for (index, token) in tokens.iter().enumerate() {
        assert!(site.bao.is_valid(token));
        assert!(!tokens[..index].contains(token));
    }
}

#[test]
fn identities_work_without_auto_auth() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let text = format!(
        "vault {{\n  address = \"{}\"\n}}\n{}",
        site.configuration().address,
        identity(&site, "web", "role-id")
    );
    let _agent = Agent::start(&text);
    assert!(site.bao.is_valid(&token(&site, "web")));
}

#[test]
fn one_that_cannot_log_in_disturbs_no_other() {
    let site = Site::new(json!({ "token_ttl": "6s", "token_max_ttl": "1h" }));
    site.write("wrong", "no-such-role");
    let text = site.configuration().text() + &identity(&site, "broken", "wrong");
    let agent = Agent::start(&text);
    let first = site.wait_for_token();
    eventually_true("failures of the broken one", LIMIT, || {
        agent
            .log()
            .lines()
            .filter(|line| line.contains("broken") && line.contains("[ERROR]"))
            .count()
            >= 3
    });
    always("the other is renewed", Duration::from_secs(8), || site.bao.is_valid(&first));
    assert_eq!(site.token(), Some(first));
    assert_eq!(delivered(&site.file("broken")), None);
    // Mended while the agent runs.
    site.write("wrong", &site.bao.role_id("app"));
    assert!(site.bao.is_valid(&token(&site, "broken")));
}

#[test]
fn exit_after_auth_waits_for_all_of_them() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.top = "exit_after_auth = true".into();
    let text = configuration.text() + &identity(&site, "late", "later");
    let mut agent = Agent::start(&text);
    site.wait_for_token();
    always("the agent waits", Duration::from_secs(1), || agent.is_running());
    site.write("later", &site.bao.role_id("app"));
    let ended = agent.ended(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(delivered(&site.file("late")).is_some());

    site.write("later", "no-such-role");
    std::fs::remove_file(site.file("late")).expect("the token file");
    let ended = Launch::agent(&text).argument("--timeout=10s").run(LIMIT);
    assert_eq!(ended.status, 3, "{ended:?}");
}

#[test]
fn two_sinks_of_different_identities_cannot_have_one_path() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut web = site.configuration();
    web.auto_auth.clear();
    let text = site.configuration().text() + &web.identity("identity \"web\"");
    let ended = Launch::agent(&text).run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.log.contains("two sinks write"), "{ended:?}");
    assert_eq!(site.login_attempts(), 0);
}

/// An identity whose sink is the file of its name.
fn identity(site: &Site, name: &str, role_id: &str) -> String {
    let mut configuration = site.configuration();
    configuration.method_config = configuration.method_config.replace(
        &format!("{}\"", site.file("role-id").display()),
        &format!("{}\"", site.file(role_id).display()),
    );
    configuration.method_settings += "\nmount_path = \"auth/approle\"";
    configuration.sinks = vec![file_sink(&site.file(name))];
    configuration.identity(&format!("identity \"{name}\""))
}

#[track_caller]
fn token(site: &Site, name: &str) -> String {
    eventually(name, LIMIT, || delivered(&site.file(name)))
}

const LIMIT: Duration = Duration::from_secs(30);
