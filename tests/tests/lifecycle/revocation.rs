//! A token that died before its time is replaced without a restart; a good one never is.

use std::time::Duration;

use serde_json::json;
use usher_tests::agent::Agent;
use usher_tests::eventually::{always, eventually_true};
use usher_tests::proxy::Fault;
use usher_tests::site::Site;

#[test]
fn a_revoked_token_is_replaced_without_restart() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let configuration = site.configuration().token_check_interval("300ms");
    let _agent = Agent::start(&configuration.text());
    let mut token = site.wait_for_token();
    for _ in 0..2 {
        eventually_true("a check of the token", LIMIT, || site.proxy.count("lookup-self") > 0);
        site.bao.revoke(&token);
        let next = site.wait_for_token_after(&token);
        assert!(site.bao.is_valid(&next));
        token = next;
    }
    assert_eq!(site.bao.logins(), 3);
}

#[test]
fn a_revoked_token_is_noticed_by_its_renewal_when_checks_are_rare() {
    let site = Site::new(json!({ "token_ttl": "4s", "token_max_ttl": "1h" }));
    let _agent = Agent::start(&site.configuration().text());
    let first = site.wait_for_token();
    eventually_true("a renewal", LIMIT, || site.proxy.count("renew-self") > 0);
    site.bao.revoke(&first);
    let second = site.wait_for_token_after(&first);
    assert!(site.bao.is_valid(&second));
}

#[test]
fn a_failing_check_proves_nothing_and_costs_no_token() {
    for fault in [
        Fault::Status(500),
        Fault::Status(429),
        Fault::Garbage,
        Fault::Reset,
        Fault::Body(200, "not JSON".into()),
    ] {
        let site = Site::new(json!({ "token_ttl": "1h" }));
        let configuration = site.configuration().token_check_interval("200ms");
        let _agent = Agent::start(&configuration.text());
        let token = site.wait_for_token();
        eventually_true("a check", LIMIT, || site.proxy.count("lookup-self") > 0);
        site.proxy.fail("lookup-self", fault.clone());
        let before = site.proxy.count("lookup-self");
        eventually_true("more checks", LIMIT, || site.proxy.count("lookup-self") > before + 2);
        site.proxy.heal();
        always("the token stays", Duration::from_secs(1), || site.token().as_ref() == Some(&token));
        assert_eq!(site.login_attempts(), 1, "{fault:?}");
    }
}

#[test]
fn while_the_replacement_cannot_be_had_the_agent_keeps_trying() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let configuration = site.configuration().token_check_interval("300ms");
    let mut agent = Agent::start(&configuration.text());
    let first = site.wait_for_token();
    eventually_true("a check", LIMIT, || site.proxy.count("lookup-self") > 0);
    site.proxy.fail("auth/approle/login", Fault::Status(503));
    site.bao.revoke(&first);
    eventually_true("three attempts", LIMIT, || site.login_attempts() >= 4);
    assert!(agent.is_running());
    site.proxy.heal();
    assert!(site.bao.is_valid(&site.wait_for_token_after(&first)));
}

#[test]
fn one_refused_look_up_does_not_switch_the_checks_off() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    // A standby that doesn't know the new token yet.
    site.proxy.fail_times("lookup-self", Fault::Status(403), 1);
    let configuration = site.configuration().token_check_interval("300ms");
    let agent = Agent::start(&configuration.text());
    let first = site.wait_for_token();
    eventually_true("two checks more", LIMIT, || site.proxy.count("lookup-self") >= 3);
    let checks = site.proxy.requests("lookup-self");
    let apart = checks[1].at - checks[0].at;
    assert!(apart >= Duration::from_secs(2), "asked again after {apart:?}");
    assert!(!agent.log().contains("forbid auth/token/lookup-self"), "{}", agent.log());
    site.bao.revoke(&first);
    assert!(site.bao.is_valid(&site.wait_for_token_after(&first)));
}

#[test]
fn a_second_refusal_seconds_later_switches_the_checks_off_and_costs_no_token() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.proxy.fail("lookup-self", Fault::Status(403));
    let configuration = site.configuration().token_check_interval("300ms");
    let agent = Agent::start(&configuration.text());
    let token = site.wait_for_token();
    agent.wait_for_log("forbid auth/token/lookup-self");
    always("no more checks", Duration::from_secs(3), || site.proxy.count("lookup-self") == 2);
    assert_eq!(site.token(), Some(token));
    assert_eq!(site.login_attempts(), 1);
}

#[test]
fn a_check_that_is_put_off_for_an_hour_comes_within_max_backoff() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let configuration = site.configuration().token_check_interval("300ms");
    let _agent = Agent::start(&configuration.text());
    let first = site.wait_for_token();
    eventually_true("a check", LIMIT, || site.proxy.count("lookup-self") > 0);
    site.proxy.fail_times("lookup-self", Fault::Page(503, "3600".into()), 1);
    let before = site.proxy.count("lookup-self");
    eventually_true("the check that is put off", LIMIT, || {
        site.proxy.count("lookup-self") > before
    });
    site.bao.revoke(&first);
    assert!(site.bao.is_valid(&site.wait_for_token_after(&first)));
}

const LIMIT: Duration = Duration::from_secs(20);
