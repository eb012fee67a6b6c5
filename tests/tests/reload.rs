//! SIGHUP: what changed is applied, what didn't goes on as if nothing had happened.

use std::time::Duration;

use serde_json::json;
use usher_tests::agent::Agent;
use usher_tests::eventually::{always, eventually, eventually_true};
use usher_tests::site::{Configuration, Site, delivered, file_sink};

#[test]
fn identities_come_and_go_and_the_others_keep_their_tokens() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let base = site.configuration();
    let mut agent =
        Agent::start(&(base.text() + &identity(&site, "leaving", "on_exit = \"revoke\"")));
    let first = site.wait_for_token();
    let leaving = token(&site, "leaving");
    assert_eq!(site.login_attempts(), 2);

    agent.reload(&(base.text() + &identity(&site, "new", "")));
    let new = token(&site, "new");
    assert!(site.bao.is_valid(&new));
    eventually_true("the revocation of the one that left", LIMIT, || !site.bao.is_valid(&leaving));
    assert_eq!(site.token(), Some(first.clone()));
    assert!(site.bao.is_valid(&first));
    assert_eq!(site.login_attempts(), 3, "one login for the new one");
}

#[test]
fn a_bad_configuration_changes_nothing_and_says_why() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let good = site.configuration();
    let mut agent = Agent::start(&good.text());
    let first = site.wait_for_token();
    for (bad, why) in [
        ("auto_auth {".to_owned(), "usher.hcl:"),
        (good.text().replace("approle\"", "aprole\""), "aprole"),
        (good.text().replace("role_id_file_path", "role_path"), "role_id_file_path"),
        (
            good.text().replace(&site.file("token").display().to_string(), "/no/such/place"),
            "/no/such/place",
        ),
        (String::new(), "auto_auth"),
    ] {
        let before = agent.log().len();
        agent.reload(&bad);
        eventually_true("the refusal", LIMIT, || agent.log()[before..].contains("stays as it is"));
        assert!(agent.log()[before..].contains(why), "{why}: {}", &agent.log()[before..]);
    }
    assert_eq!(site.token(), Some(first.clone()));
    assert!(site.bao.is_valid(&first));
    assert_eq!(site.login_attempts(), 1);

    let mut better = good;
    better.sinks.push(file_sink(&site.file("second")));
    agent.reload(&better.text());
    let second = eventually("the second sink", LIMIT, || delivered(&site.file("second")));
    assert!(site.bao.is_valid(&second));
}

#[test]
fn a_changed_identity_hands_its_token_over_until_the_new_one_is_there() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.auto_auth += "\non_exit = \"revoke\"";
    let mut agent = Agent::start(&configuration.text());
    let first = site.wait_for_token();
    site.proxy.fail("auth/approle/login", usher_tests::proxy::Fault::Status(503));
    configuration.method_settings = "min_backoff = \"100ms\"\nmax_backoff = \"300ms\"".into();
    agent.reload(&configuration.text());
    eventually_true("a failed login", LIMIT, || site.login_attempts() >= 3);
    always("the old token is valid", Duration::from_secs(1), || {
        site.token().as_ref() == Some(&first) && site.bao.is_valid(&first)
    });
    site.proxy.heal();
    let second = site.wait_for_token_after(&first);
    assert!(site.bao.is_valid(&second));
}

#[test]
fn another_server_means_another_login() {
    let old = Site::new(json!({ "token_ttl": "1h" }));
    let new = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = old.configuration();
    let mut agent = Agent::start(&configuration.text());
    let first = old.wait_for_token();
    for file in ["role-id", "secret-id"] {
        old.write(file, &std::fs::read_to_string(new.file(file)).expect("a credential"));
    }
    configuration.address = new.proxy.address();
    agent.reload(&configuration.text());
    let second = old.wait_for_token_after(&first);
    assert!(new.bao.is_valid(&second));
}

#[test]
fn a_token_that_is_wanted_no_more_leaves_the_sink_that_says_so() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.sink_settings = "on_exit = \"remove\"".into();
    let agent = Agent::start(&configuration.text());
    let token = site.wait_for_token();
    agent.stop();
    assert_eq!(site.token(), None);
    assert!(site.bao.is_valid(&token), "its token was not to be revoked");

    configuration.top = "exit_after_auth = true".into();
    let agent = Agent::start(&configuration.text());
    let ended = agent.ended(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(site.token().is_some(), "what exit_after_auth leaves is for somebody else");
}

/// A further identity of the site, whose sink is the file of its name.
fn identity(site: &Site, name: &str, settings: &str) -> String {
    let mut configuration: Configuration = site.configuration();
    configuration.auto_auth = settings.into();
    configuration.sinks = vec![file_sink(&site.file(name))];
    configuration.identity(&format!("identity \"{name}\""))
}

#[track_caller]
fn token(site: &Site, name: &str) -> String {
    eventually(name, LIMIT, || delivered(&site.file(name)))
}

const LIMIT: Duration = Duration::from_secs(30);
