//! Response wrapping, by the sink and by the method: who reads the file unwraps once.

use std::time::Duration;

use serde_json::{Value, json};
use usher_tests::agent::{Agent, Launch};
use usher_tests::eventually::{always, eventually, eventually_true};
use usher_tests::openbao::text;
use usher_tests::proxy::Fault;
use usher_tests::site::{Site, delivered, file_sink};

#[test]
fn the_documented_walkthrough_ends_with_a_usable_token() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.top = "exit_after_auth = true".into();
    let ended = Launch::agent(&configuration.text()).run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(site.bao.is_valid(&site.wait_for_token()));

    std::fs::remove_file(site.file("token")).expect("the token file");
    configuration.sink_settings = "wrap_ttl = \"5m\"".into();
    let ended = Launch::agent(&configuration.text()).run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    let wrapping_token = text(&site.wrap_info()["token"]);
    let answer = site.bao.unwrap(&wrapping_token);
    assert_eq!(answer.status, 200);
    assert!(site.bao.is_valid(&text(&answer.body["data"]["token"])));
    assert_ne!(site.bao.unwrap(&wrapping_token).status, 200, "a second unwrap");

    std::fs::remove_file(site.file("token")).expect("the token file");
    configuration.sink_settings = "wrap_ttl = \"1s\"".into();
    let ended = Launch::agent(&configuration.text()).run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    let wrapping_token = text(&site.wrap_info()["token"]);
    eventually_true("the end of the wrap TTL", LIMIT, || !site.bao.is_wrapped(&wrapping_token));
    assert_ne!(site.bao.unwrap(&wrapping_token).status, 200, "an unwrap past wrap_ttl");
}

#[test]
fn a_wrapped_sink_gets_the_incumbents_json() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.sink_settings = "wrap_ttl = \"90s\"".into();
    let _agent = Agent::start(&configuration.text());
    let written = site.wait_for_token();
    assert_eq!(written.lines().count(), 1);
    assert!(written.ends_with("}\n"), "{written:?}");
    let names: Vec<&str> = written.split('"').skip(1).step_by(2).collect();
    let known = ["token", "accessor", "ttl", "creation_time", "creation_path", "wrapped_accessor"];
    assert_eq!(
        names.iter().filter(|name| known.contains(name)).collect::<Vec<_>>(),
        known.iter().collect::<Vec<_>>()
    );
    let info = site.wrap_info();
    assert_eq!(info["ttl"], 90);
    assert_eq!(info["creation_path"], "sys/wrapping/wrap");
    assert_eq!(info["wrapped_accessor"], "");
    let time = text(&info["creation_time"]);
    assert!(time.contains('T') && time.ends_with('Z'), "{time}");
    assert!(site.bao.is_wrapped(&text(&info["token"])));
}

#[test]
fn the_token_behind_a_wrapped_sink_is_renewed_and_wrapped_anew_at_each_change() {
    let site = Site::new(json!({ "token_ttl": "6s", "token_max_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.sink_settings = "wrap_ttl = \"5m\"".into();
    let configuration = configuration.token_check_interval("300ms");
    let _agent = Agent::start(&configuration.text());
    let first = site.wait_for_token();
    let inner = text(&site.bao.unwrap(&text(&site.wrap_info()["token"])).body["data"]["token"]);
    always("the token inside is valid", Duration::from_secs(9), || site.bao.is_valid(&inner));
    assert_eq!(site.wait_for_token(), first, "a renewal is no change");
    assert_eq!(site.login_attempts(), 1);
    site.bao.revoke(&inner);
    site.wait_for_token_after(&first);
    let next = text(&site.bao.unwrap(&text(&site.wrap_info()["token"])).body["data"]["token"]);
    assert!(site.bao.is_valid(&next));
    assert_ne!(next, inner);
}

#[test]
fn the_plural_form_wraps_too() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.sinks.clear();
    configuration.auto_auth = wrapped_sink(&site);
    let _agent = Agent::start(&configuration.text());
    site.wait_for_token();
    assert!(site.bao.is_wrapped(&text(&site.wrap_info()["token"])));
}

#[test]
fn a_sink_without_wrapping_gets_the_bare_token_beside_one_with() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.sinks = vec![file_sink(&site.file("bare"))];
    configuration.auto_auth = wrapped_sink(&site);
    let _agent = Agent::start(&configuration.text());
    let bare = eventually("the bare token", LIMIT, || delivered(&site.file("bare")));
    site.wait_for_token();
    let answer = site.bao.unwrap(&text(&site.wrap_info()["token"]));
    assert_eq!(text(&answer.body["data"]["token"]), bare);
}

#[test]
fn wrapping_happens_in_the_namespace_of_the_method() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.bao.write("sys/namespaces/team", json!({}));
    site.bao.write("team/sys/auth/approle", json!({ "type": "approle" }));
    site.bao.write("team/auth/approle/role/app", json!({ "token_ttl": "1h" }));
    let role = site.bao.read("team/auth/approle/role/app/role-id");
    site.write("role-id", &text(&role["data"]["role_id"]));
    let secret = site.bao.write("team/auth/approle/role/app/secret-id", json!({}));
    site.write("secret-id", &text(&secret["data"]["secret_id"]));
    let mut configuration = site.configuration();
    configuration.method_settings += "\nnamespace = \"team\"";
    configuration.sink_settings = "wrap_ttl = \"5m\"".into();
    let _agent = Agent::start(&configuration.text());
    site.wait_for_token();
    let wrapping_token = text(&site.wrap_info()["token"]);
    let answer = site.bao.request("PUT", "team/sys/wrapping/unwrap", &wrapping_token, &Value::Null);
    assert_eq!(answer.status, 200, "{answer:?}");
    for request in site.proxy.requests("sys/wrapping/wrap") {
        let namespace = request.headers.iter().find(|(name, _)| name == "x-vault-namespace");
        assert_eq!(namespace.map(|(_, value)| value.trim_end_matches('/')), Some("team"));
    }
}

#[test]
fn retries_of_a_delivery_leave_one_wrapping_token() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    std::fs::create_dir(site.file("place")).expect("a directory");
    configuration.sinks = vec![file_sink(&site.file("place/token"))];
    configuration.sink_settings = "wrap_ttl = \"5m\"".into();
    let agent = Launch::agent(&configuration.text());
    // Gone after the check at the start, before the login is answered.
    site.proxy.fail("auth/approle/login", Fault::Status(503));
    let agent = agent.start();
    eventually_true("a login", LIMIT, || site.login_attempts() > 0);
    std::fs::remove_dir(site.file("place")).expect("the directory goes");
    site.proxy.heal();
    eventually_true("two failed deliveries", LIMIT, || {
        agent.log().matches("error delivering token").count() >= 2
    });
    std::fs::create_dir(site.file("place")).expect("a directory");
    let written = eventually("the wrapped token", LIMIT, || delivered(&site.file("place/token")));
    let info: Value = serde_json::from_str(&written).expect("JSON");
    assert!(site.bao.is_wrapped(&text(&info["token"])));
    assert_eq!(site.proxy.count("sys/wrapping/wrap"), 1);
}

#[test]
fn a_token_that_may_not_be_wrapped_is_not_delivered_bare_and_not_thrown_away() {
    let site = Site::new(json!({ "token_ttl": "1h", "token_no_default_policy": true }));
    let mut configuration = site.configuration();
    configuration.sink_settings = "wrap_ttl = \"5m\"".into();
    let agent = Agent::start(&configuration.text());
    agent.wait_for_log("sys/wrapping/wrap");
    always("nothing is delivered", Duration::from_secs(3), || site.token().is_none());
    assert_eq!(site.login_attempts(), 1);
    site.bao.policy("app", r#"path "sys/wrapping/wrap" { capabilities = ["update"] }"#);
    site.wait_for_token();
    assert!(site.bao.is_wrapped(&text(&site.wrap_info()["token"])));
    assert_eq!(site.login_attempts(), 1);
}

#[test]
fn nonsense_from_the_server_instead_of_a_wrapping_token_costs_a_retry() {
    for nonsense in ["<html>", "{\"wrap_info\":", "{}", "{\"wrap_info\":{\"token\":\"\"}}"] {
        let site = Site::new(json!({ "token_ttl": "1h" }));
        let mut configuration = site.configuration();
        configuration.sink_settings = "wrap_ttl = \"5m\"".into();
        site.proxy.fail_times("sys/wrapping/wrap", Fault::Body(200, nonsense.into()), 1);
        let agent = Agent::start(&configuration.text());
        site.wait_for_token();
        assert!(site.bao.is_wrapped(&text(&site.wrap_info()["token"])), "{nonsense}");
        assert_eq!(site.login_attempts(), 1, "{nonsense}");
        assert!(agent.log().contains("error delivering token"), "{nonsense}");
    }
}

#[test]
fn a_wrapping_token_of_the_method_that_expired_undelivered_is_replaced() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    std::fs::create_dir(site.file("place")).expect("a directory");
    configuration.sinks = vec![file_sink(&site.file("place/token"))];
    configuration.method_settings += "\nwrap_ttl = \"3s\"";
    site.proxy.fail("auth/approle/login", Fault::Status(503));
    let _agent = Agent::start(&configuration.text());
    eventually_true("a login", LIMIT, || site.login_attempts() > 0);
    std::fs::remove_dir(site.file("place")).expect("the directory goes");
    site.proxy.heal();
    let first = eventually("a wrapped login", LIMIT, || {
        let answers = site.proxy.requests("auth/approle/login");
        answers
            .iter()
            .find(|request| request.status == Some(200))
            .map(|request| request.answer.clone())
    });
    let first = text(&first["wrap_info"]["token"]);
    eventually_true("its end", LIMIT, || !site.bao.is_wrapped(&first));
    std::fs::create_dir(site.file("place")).expect("a directory");
    let written = eventually("a wrapping token", LIMIT, || delivered(&site.file("place/token")));
    assert!(!written.contains(&first), "an expired wrapping token was delivered");
}

#[test]
fn a_method_that_wraps_hands_over_a_login_that_the_agent_never_sees() {
    let site = Site::new(json!({ "token_ttl": "4s", "token_max_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.method_settings += "\nwrap_ttl = \"5m\"";
    let _agent = Agent::start(&configuration.text());
    let first = site.wait_for_token();
    let info = site.wrap_info();
    assert_eq!(info["creation_path"], "auth/approle/login");
    assert_ne!(text(&info["wrapped_accessor"]), "");
    let answer = site.bao.unwrap(&text(&info["token"]));
    assert!(site.bao.is_valid(&text(&answer.body["auth"]["client_token"])));
    // Neither renewed nor replaced, though the token inside has expired by now.
    always("nothing more is asked of the server", Duration::from_secs(5), || {
        site.proxy.count("renew-self") == 0 && site.login_attempts() == 1
    });
    site.write("secret-id", &site.bao.secret_id("app"));
    site.wait_for_token_after(&first);
    assert_eq!(site.login_attempts(), 2);
    assert!(site.bao.is_wrapped(&text(&site.wrap_info()["token"])));
}

/// A second sink, in the other form.
fn wrapped_sink(site: &Site) -> String {
    format!(
        "sinks {{\n  sink \"file\" {{\n    wrap_ttl = \"5m\"\n    config = {{ path = \"{}\" }}\n  }}\n}}",
        site.file("token").display()
    )
}

const LIMIT: Duration = Duration::from_secs(30);
