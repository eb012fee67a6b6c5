//! The built-in `token_file` method: a token that something else has made.
#![allow(clippy::expect_used, reason = "tests fail by panicking")]

use std::time::Duration;

use serde_json::{Value, json};
use usher_tests::agent::{Agent, Launch};
use usher_tests::eventually::{always, eventually_true};
use usher_tests::leaks::leaks;
use usher_tests::methods::MethodSite;
use usher_tests::openbao::text;
use usher_tests::site::{Configuration, Site};

/// A token as an operator makes it; of the policy "app" unless said otherwise.
fn token(site: &Site, mut settings: Value) -> String {
    if settings["policies"].is_null() {
        settings["policies"] = json!(["app"]);
    }
    text(&site.bao.write("auth/token/create", settings)["auth"]["client_token"])
}

fn configuration(site: &Site) -> Configuration {
    let mut configuration = site.configuration();
    configuration.method = "token_file".into();
    configuration.method_config =
        format!("token_file_path = \"{}\"", site.file("handed-over").display());
    configuration
}

#[test]
fn the_token_in_the_file_is_delivered_and_renewed() {
    let site = Site::new(json!({}));
    let handed_over = token(&site, json!({ "period": "4s" }));
    site.write("handed-over", &format!("{handed_over}\n"));
    let _agent = Agent::start(&configuration(&site).text());
    assert_eq!(site.wait_for_token(), handed_over);
    eventually_true("three renewals", LIMIT, || site.proxy.count("auth/token/renew-self") >= 3);
    assert!(site.bao.is_valid(&handed_over));
    assert_eq!(site.login_attempts(), 0);
    assert!(site.file("handed-over").exists());
}

#[test]
fn another_token_in_the_file_is_taken_at_once_and_the_one_before_is_left_alone() {
    let site = Site::new(json!({}));
    let first = token(&site, json!({ "ttl": "1h" }));
    let second = token(&site, json!({ "ttl": "1h" }));
    site.write("handed-over", &first);
    let agent = Agent::start(&configuration(&site).text());
    assert_eq!(site.wait_for_token(), first);
    site.write("handed-over", &second);
    assert_eq!(site.wait_for_token_after(&first), second);
    agent.stop();
    assert!(site.bao.is_valid(&first) && site.bao.is_valid(&second));
}

#[test]
fn tokens_that_cannot_be_renewed_are_not() {
    let site = Site::new(json!({}));
    for (settings, what) in [
        (json!({ "type": "batch", "ttl": "1h" }), "batch"),
        (json!({ "ttl": "1h", "renewable": false }), "not renewable"),
        (json!({ "policies": ["root"] }), "without an end"),
    ] {
        let handed_over = token(&site, settings);
        site.write("handed-over", &handed_over);
        let ended =
            Launch::agent(&configuration(&site).text()).argument("--exit-after-auth").run(LIMIT);
        assert_eq!(ended.status, 0, "{what}: {ended:?}");
        assert_eq!(site.token(), Some(handed_over), "{what}");
        assert_eq!(site.proxy.count("auth/token/renew-self"), 0, "{what}");
    }
}

#[test]
fn a_token_without_an_end_gives_way_to_a_new_one_in_the_file() {
    let site = Site::new(json!({}));
    let endless = token(&site, json!({ "policies": ["root"] }));
    site.write("handed-over", &endless);
    let _agent = Agent::start(&configuration(&site).text());
    assert_eq!(site.wait_for_token(), endless);
    let next = token(&site, json!({ "ttl": "1h" }));
    site.write("handed-over", &next);
    assert_eq!(site.wait_for_token_after(&endless), next);
}

#[test]
fn a_dead_token_is_told_without_being_shown_and_a_living_one_ends_it() {
    let site = Site::new(json!({}));
    let dead = token(&site, json!({ "ttl": "1h" }));
    site.bao.revoke(&dead);
    site.write("handed-over", &dead);
    let mut configuration = configuration(&site);
    configuration.method_settings = "min_backoff = \"30s\"\nmax_backoff = \"60s\"".into();
    let agent = Agent::start(&configuration.text());
    agent.wait_for_log("error authenticating");
    agent.wait_for_log("the token is revoked or expired");
    always("nothing is delivered", Duration::from_secs(1), || site.token().is_none());
    let living = token(&site, json!({ "ttl": "1h" }));
    site.write("handed-over", &living);
    assert_eq!(site.wait_for_token(), living);
    assert_eq!(leaks(&agent.log(), &[dead, living]), [""; 0]);
}

#[test]
fn an_expired_token_is_refused_and_told_without_it() {
    let site = MethodSite::token_file(json!({ "ttl": "1s" }));
    eventually_true("its end", LIMIT, || !site.bao.is_valid(&site.credential()));
    let said = ["the token is revoked or expired"];
    site.assert_refused("expired", &site.log_in_once(|_| {}), &said);
}

#[test]
fn a_token_that_is_revoked_later_is_replaced_by_the_next_in_the_file() {
    let site = Site::new(json!({}));
    let first = token(&site, json!({ "ttl": "1h" }));
    site.write("handed-over", &first);
    let _agent = Agent::start(&configuration(&site).token_check_interval("300ms").text());
    assert_eq!(site.wait_for_token(), first);
    eventually_true("a check", LIMIT, || site.proxy.count("lookup-self") >= 2);
    site.bao.revoke(&first);
    let second = token(&site, json!({ "ttl": "1h" }));
    site.write("handed-over", &second);
    assert_eq!(site.wait_for_token_after(&first), second);
}

#[test]
fn each_bad_file_is_named_and_nothing_is_sent() {
    let site = Site::new(json!({}));
    let huge = "x".repeat((1 << 20) + 1);
    for (content, said) in [
        (None, "doesn't exist"),
        (Some(" \n"), "is empty"),
        (Some("two words"), "holds no token"),
        (Some(huge.as_str()), "larger than 1 MiB"),
    ] {
        if let Some(content) = content {
            site.write("handed-over", content);
        }
        let mut configuration = configuration(&site);
        configuration.method_settings += "\nexit_on_err = true";
        let ended = Launch::agent(&configuration.text()).argument("--exit-after-auth").run(LIMIT);
        assert_eq!(ended.status, 1, "{ended:?}");
        for part in [said, &site.file("handed-over").display().to_string()] {
            assert!(ended.log.contains(part), "{part:?}: {ended:?}");
        }
    }
    assert_eq!(site.proxy.exchanges().len(), 0);
}

#[test]
fn the_wrapped_form_hands_out_a_wrapping_token() {
    let site = Site::new(json!({}));
    let handed_over = token(&site, json!({ "ttl": "1h" }));
    site.write("handed-over", &handed_over);
    let mut configuration = configuration(&site);
    configuration.sink_settings = "wrap_ttl = \"5m\"".into();
    let _agent = Agent::start(&configuration.text());
    let unwrapped = site.bao.unwrap(&text(&site.wrap_info()["token"]));
    assert_eq!(unwrapped.body["data"]["token"], handed_over.as_str());
}

const LIMIT: Duration = Duration::from_secs(30);
