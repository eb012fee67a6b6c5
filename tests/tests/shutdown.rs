//! The end of the agent: in order, at once, and with the tokens as the operator wants them.

use std::time::{Duration, Instant};

use serde_json::json;
use usher_tests::agent::Agent;
use usher_tests::eventually::eventually_true;
use usher_tests::proxy::Fault;
use usher_tests::site::Site;

#[test]
fn sigterm_ends_an_agent_that_is_blocked_in_its_login() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.proxy.fail("auth/approle/login", Fault::Hang);
    let mut agent = Agent::start(&site.configuration().text());
    eventually_true("the login", LIMIT, || site.login_attempts() == 1);
    let started = Instant::now();
    agent.terminate();
    let ended = agent.ended(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert_eq!(site.token(), None);
}

#[test]
fn sigterm_ends_an_agent_that_waits_for_its_next_attempt() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.proxy.fail("auth/approle/login", Fault::Status(503));
    let mut configuration = site.configuration();
    configuration.method_settings = "min_backoff = \"60s\"\nmax_backoff = \"120s\"".into();
    let agent = Agent::start(&configuration.text());
    eventually_true("the login", LIMIT, || site.login_attempts() == 1);
    agent.stop();
}

#[test]
fn sigint_is_a_clean_shutdown_too() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut agent = Agent::start(&site.configuration().text());
    let token = site.wait_for_token();
    agent.interrupt();
    let ended = agent.ended(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(site.bao.is_valid(&token));
}

#[test]
fn sigterm_before_the_first_token_leaves_nothing_behind() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    std::fs::create_dir(site.file("out")).expect("a directory");
    site.proxy.fail("auth/approle/login", Fault::Status(500));
    let mut configuration = site.configuration();
    configuration.sinks[0].1 = format!("path = \"{}\"", site.file("out/token").display());
    let agent = Agent::start(&configuration.text());
    eventually_true("the login", LIMIT, || site.login_attempts() >= 1);
    agent.stop();
    assert_eq!(std::fs::read_dir(site.file("out")).expect("the directory").count(), 0);
}

#[test]
fn a_token_that_arrives_during_shutdown_is_revoked_or_delivered_but_not_lost() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.proxy.fail("auth/approle/login", Fault::LateAnswer(Duration::from_secs(1)));
    let mut agent = Agent::start(&site.configuration().text());
    eventually_true("the server's side of the login", LIMIT, || site.bao.logins() == 1);
    agent.terminate();
    let ended = agent.ended(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    match site.token() {
        Some(token) => assert!(site.bao.is_valid(&token)),
        None => assert_eq!(site.bao.living_approle_tokens(), 0, "an undelivered token lives on"),
    }
}

#[test]
fn the_token_is_revoked_at_exit_only_if_asked() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.auto_auth += "\non_exit = \"revoke\"";
    let agent = Agent::start(&configuration.text());
    let token = site.wait_for_token();
    agent.stop();
    assert!(!site.bao.is_valid(&token));
}

const LIMIT: Duration = Duration::from_secs(20);
