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
    let site = Site::new(json!({ "token_ttl": "4s", "token_max_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.auto_auth += "\non_exit = \"revoke\"";
    let mut agent = Agent::start(&configuration.text());
    let first = site.wait_for_token();
    site.write("other-role-id", "of-no-role");
    configuration.method_config = configuration.method_config.replace("/role-id", "/other-role-id");
    agent.reload(&configuration.text());
    eventually_true("a failed login", LIMIT, || site.login_attempts() >= 3);
    // Twice its TTL: it is renewed.
    always("the old token is valid", Duration::from_secs(8), || {
        site.token().as_ref() == Some(&first) && site.bao.is_valid(&first)
    });
    // A reload that changes nothing of this changes nothing of it.
    configuration.sinks.push(file_sink(&site.file("second")));
    let attempts = site.login_attempts();
    agent.reload(&configuration.text());
    eventually_true("more failed logins", LIMIT, || site.login_attempts() > attempts + 1);
    // The old token is another identity's: it stays where it is, and goes to no new sink.
    assert_eq!(delivered(&site.file("second")), None);
    assert_eq!(site.token().as_ref(), Some(&first));
    site.write("other-role-id", &site.bao.role_id("app"));
    let second = site.wait_for_token_after(&first);
    assert!(site.bao.is_valid(&second));
    eventually_true("the second sink", LIMIT, || {
        delivered(&site.file("second")) == Some(second.clone())
    });
}

#[test]
fn what_makes_no_other_identity_costs_no_login() {
    let site = Site::new(json!({ "token_ttl": "6s", "token_max_ttl": "1h" }));
    let mut configuration = site.configuration().token_check_interval("300ms");
    let (role_id, secret_id) = (site.file("role-id"), site.file("secret-id"));
    let paths = format!(
        "role_id_file_path = \"{}\"\nsecret_id_file_path = \"{}\"",
        role_id.display(),
        secret_id.display()
    );
    configuration.method_config.clone_from(&paths);
    let mut agent = Agent::start(&configuration.text());
    let first = site.wait_for_token();
    eventually_true("the end of the one-shot file", LIMIT, || !secret_id.exists());
    let reload = |agent: &mut Agent, configuration: &Configuration| {
        let before = agent.log().len();
        agent.reload(&configuration.text());
        eventually_true("the reload", LIMIT, || agent.log()[before..].contains("is in force"));
        always("the token stays", Duration::from_millis(700), || {
            site.token().as_ref() == Some(&first) && site.bao.is_valid(&first)
        });
        assert_eq!(site.login_attempts(), 1, "{}", configuration.text());
    };
    for settings in [
        "min_backoff = \"300ms\"\nmax_backoff = \"1s\"",
        "max_backoff = \"5s\"",
        "",
        "exit_on_err = true",
        "exit_on_err = false\nmount_path = \"auth/approle\"",
    ] {
        configuration.method_settings = settings.into();
        reload(&mut agent, &configuration);
    }
    for more in ["remove_secret_id_file_after_reading = true", ""] {
        configuration.method_config = format!("{paths}\n{more}");
        reload(&mut agent, &configuration);
    }
    // What the method remembers of the one-shot secret-id outlives all that.
    let renewals = site.proxy.count("renew-self");
    eventually_true("a renewal", LIMIT, || site.proxy.count("renew-self") > renewals);
    site.bao.revoke(&first);
    assert!(site.bao.is_valid(&site.wait_for_token_after(&first)));
    assert_eq!(site.login_attempts(), 2);
}

#[test]
fn a_change_that_is_taken_back_needs_no_login() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let good = site.configuration();
    let mut agent = Agent::start(&good.text());
    let first = site.wait_for_token();
    let mut other = good.clone();
    other.method_settings += "\nmount_path = \"auth/elsewhere\"";
    agent.reload(&other.text());
    eventually_true("a refused login", LIMIT, || site.proxy.count("auth/elsewhere/login") > 0);
    agent.reload(&good.text());
    eventually_true("the end of the change", LIMIT, || {
        agent.log().matches("is in force").count() > 1
    });
    always("no login", Duration::from_secs(2), || site.login_attempts() == 1);
    assert_eq!(site.token(), Some(first.clone()));
    assert!(site.bao.is_valid(&first));
}

#[test]
fn another_back_off_holds_for_the_wait_that_has_begun() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.proxy.fail("auth/approle/login", usher_tests::proxy::Fault::Status(503));
    let mut configuration = site.configuration();
    configuration.method_settings = "min_backoff = \"1m\"\nmax_backoff = \"5m\"".into();
    let mut agent = Agent::start(&configuration.text());
    eventually_true("a failed login", LIMIT, || site.login_attempts() == 1);
    configuration.method_settings = "min_backoff = \"200ms\"\nmax_backoff = \"500ms\"".into();
    agent.reload(&configuration.text());
    eventually_true("more attempts", Duration::from_secs(8), || site.login_attempts() >= 5);
    site.proxy.heal();
    site.wait_for_token();
}

#[test]
fn a_token_that_no_sink_has_yet_outlives_the_reload_that_mends_the_sink() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.sink_settings =
        format!("dh_type = \"curve25519\"\ndh_path = \"{}\"", site.file("no-key-there").display());
    let mut agent = Agent::start(&configuration.text());
    eventually_true("a delivery in vain", LIMIT, || {
        agent.log().contains("waiting for the reader's public key")
    });
    configuration.sink_settings = String::new();
    agent.reload(&configuration.text());
    let token = site.wait_for_token();
    assert!(site.bao.is_valid(&token));
    assert_eq!(site.login_attempts(), 1);
}

#[test]
fn a_reload_during_the_first_login_costs_no_one_shot_secret_id() {
    let site = Site::new(json!({ "token_ttl": "1h", "secret_id_num_uses": 1 }));
    site.proxy.fail_times(
        "auth/approle/login",
        usher_tests::proxy::Fault::LateAnswer(Duration::from_secs(3)),
        1,
    );
    let mut configuration = site.configuration();
    let mut agent = Agent::start(&configuration.text());
    eventually_true("the login", LIMIT, || site.login_attempts() == 1);
    configuration.sinks = vec![file_sink(&site.file("second"))];
    agent.reload(&configuration.text());
    assert!(site.bao.is_valid(&token(&site, "second")));
    assert_eq!(site.login_attempts(), 1);
    assert_eq!(site.token(), None);
}

#[test]
fn a_token_that_the_method_wraps_is_neither_replaced_nor_delivered_again() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.method_settings += "\nwrap_ttl = \"5m\"";
    let mut agent = Agent::start(&configuration.text());
    site.wait_for_token();
    // Its reader takes it away.
    std::fs::remove_file(site.file("token")).expect("the token file");
    let alike = configuration.method_config.replace("= false", "= \"false\"");
    for (settings, config) in [
        ("max_backoff = \"5s\"\nwrap_ttl = \"5m\"", &configuration.method_config),
        ("max_backoff = \"5s\"\nwrap_ttl = \"9m\"", &configuration.method_config),
        ("max_backoff = \"5s\"\nwrap_ttl = \"9m\"", &alike),
    ] {
        let mut changed = configuration.clone();
        changed.method_settings = settings.into();
        changed.method_config.clone_from(config);
        let before = agent.log().len();
        agent.reload(&changed.text());
        eventually_true("the reload", LIMIT, || agent.log()[before..].contains("is in force"));
        always("no login and no delivery", Duration::from_secs(2), || {
            site.login_attempts() == 1 && site.token().is_none()
        });
    }
}

#[test]
fn a_method_that_wraps_from_now_on_hands_no_bare_token_to_a_new_sink() {
    let site = Site::new(json!({ "token_ttl": "4s", "token_max_ttl": "1h" }));
    let mut configuration = site.configuration();
    let mut agent = Agent::start(&configuration.text());
    let first = site.wait_for_token();
    site.proxy.fail("auth/approle/login", usher_tests::proxy::Fault::Status(503));
    configuration.method_settings += "\nwrap_ttl = \"5m\"";
    configuration.sinks = vec![file_sink(&site.file("second"))];
    agent.reload(&configuration.text());
    eventually_true("a failed login", LIMIT, || site.login_attempts() >= 3);
    always("the old token is valid and goes nowhere", Duration::from_secs(6), || {
        site.bao.is_valid(&first) && delivered(&site.file("second")).is_none()
    });
    site.proxy.heal();
    let wrapped = token(&site, "second");
    assert!(wrapped.contains("wrapped_accessor"), "{wrapped}");
}

#[test]
fn until_another_server_lets_it_in_the_token_of_the_old_one_is_renewed() {
    let old = Site::new(json!({ "token_ttl": "4s", "token_max_ttl": "1h" }));
    let new = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = old.configuration();
    let mut agent = Agent::start(&configuration.text());
    let first = old.wait_for_token();
    new.proxy.fail("auth/approle/login", usher_tests::proxy::Fault::Status(503));
    for file in ["role-id", "secret-id"] {
        old.write(file, &std::fs::read_to_string(new.file(file)).expect("a credential"));
    }
    configuration.address = new.proxy.address();
    agent.reload(&configuration.text());
    eventually_true("a failed login", LIMIT, || new.login_attempts() > 0);
    always("the old token is valid", Duration::from_secs(8), || old.bao.is_valid(&first));
    assert_eq!(new.proxy.count("renew-self"), 0, "the new server never sees the old token");
    new.proxy.heal();
    let second = old.wait_for_token_after(&first);
    assert!(new.bao.is_valid(&second));
}

#[test]
fn a_changed_sink_keeps_the_token_and_what_the_method_remembers() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration().token_check_interval("300ms");
    // The secret-id is gone after the login: only the method remembers it.
    configuration.method_config = format!(
        "role_id_file_path = \"{}\"\nsecret_id_file_path = \"{}\"",
        site.file("role-id").display(),
        site.file("secret-id").display()
    );
    let mut agent = Agent::start(&configuration.text());
    let first = site.wait_for_token();
    eventually_true("the end of the file", LIMIT, || !site.file("secret-id").exists());
    configuration.sinks.push(file_sink(&site.file("second")));
    agent.reload(&configuration.text());
    assert_eq!(token(&site, "second"), first);
    assert_eq!(site.login_attempts(), 1);
    eventually_true("a check of the token", LIMIT, || site.proxy.count("lookup-self") > 1);
    site.bao.revoke(&first);
    let next = site.wait_for_token_after(&first);
    assert!(site.bao.is_valid(&next));
    eventually_true("the second sink", LIMIT, || {
        delivered(&site.file("second")) == Some(next.clone())
    });
}

#[test]
fn sinks_may_change_places_and_names_and_a_refusal_costs_none_its_path() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration().token_check_interval("300ms");
    configuration.sinks.push(file_sink(&site.file("second")));
    let mut agent = Agent::start(&configuration.text());
    let mut current = token(&site, "second");
    let swapped = {
        let mut swapped = configuration.clone();
        swapped.sinks.reverse();
        swapped
    };
    let mut broken = swapped.clone();
    broken.sinks.push(file_sink("/no/such/place".as_ref()));
    let renamed = swapped.text().replace("auto_auth {", "identity \"renamed\" {");
    for (text, answer) in [
        (broken.text(), "stays as it is"),
        (swapped.text(), "is in force"),
        (renamed, "is in force"),
    ] {
        let before = agent.log().len();
        agent.reload(&text);
        eventually_true(answer, LIMIT, || agent.log()[before..].contains(answer));
        let checks = site.proxy.count("lookup-self");
        eventually_true("a check of the token", LIMIT, || {
            site.proxy.count("lookup-self") > checks + 1
        });
        let newest = site.wait_for_token();
        if site.bao.is_valid(&newest) {
            site.bao.revoke(&newest);
        }
        let past = [current, newest];
        current = eventually("another token", LIMIT, || {
            site.token().filter(|token| !past.contains(token))
        });
        eventually_true("the second sink", LIMIT, || {
            delivered(&site.file("second")).as_ref() == Some(&current)
        });
    }
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

#[test]
fn exit_after_auth_waits_no_longer_for_an_identity_that_a_reload_takes_out() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.top = "exit_after_auth = true".into();
    let late = identity(&site, "late", "").replace("/role-id", "/no-role-id");
    let mut agent = Agent::start(&(configuration.text() + &late));
    agent.wait_for_log("token written");
    agent.wait_for_log("error authenticating");
    agent.reload(&configuration.text());
    let ended = agent.ended(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(site.bao.is_valid(&site.token().expect("a token")));
}

#[test]
fn a_sink_that_moves_takes_its_token_along_if_it_says_so() {
    for (setting, stays) in [("on_exit = \"remove\"", false), ("", true)] {
        let site = Site::new(json!({ "token_ttl": "1h" }));
        let mut configuration = site.configuration();
        configuration.sink_settings = setting.into();
        let mut agent = Agent::start(&configuration.text());
        let first = site.wait_for_token();
        configuration.sinks = vec![file_sink(&site.file("moved"))];
        agent.reload(&configuration.text());
        assert_eq!(token(&site, "moved"), first);
        if stays {
            assert_eq!(site.token(), Some(first));
        } else {
            eventually_true("the end of the old file", LIMIT, || site.token().is_none());
        }
    }
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
