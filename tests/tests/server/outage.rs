//! The server is away, slow or confused: the agent waits, keeps what it has, and comes back.

use std::time::{Duration, Instant};

use serde_json::json;
use usher_tests::agent::{Agent, Launch};
use usher_tests::eventually::{always, eventually_true};
use usher_tests::proxy::Fault;
use usher_tests::site::{Site, delivered, file_sink};

#[test]
fn a_server_that_is_down_at_start_gives_a_token_within_one_back_off_of_its_return() {
    let mut site = Site::new(json!({ "token_ttl": "1h" }));
    site.proxy.down();
    let mut agent = Agent::start(&site.configuration().text());
    always("the agent waits", Duration::from_secs(3), || agent.is_running());
    site.proxy.up();
    let back = Instant::now();
    site.wait_for_token();
    // `max_backoff` is one second; the rest is for a slow machine.
    assert!(back.elapsed() < Duration::from_secs(3), "{:?}", back.elapsed());
}

#[test]
fn a_token_is_kept_through_an_outage_and_renewed_after_it() {
    let mut site = Site::new(json!({ "token_ttl": "8s", "token_max_ttl": "1h" }));
    let configuration = site.configuration().token_check_interval("500ms");
    let _agent = Agent::start(&configuration.text());
    let token = site.wait_for_token();
    eventually_true("a renewal", LIMIT, || site.proxy.count("renew-self") > 0);
    site.proxy.down();
    always("the token stays in the file", Duration::from_secs(5), || {
        site.token().as_ref() == Some(&token)
    });
    let renewals = site.proxy.count("renew-self");
    site.proxy.up();
    eventually_true("a renewal after the outage", LIMIT, || {
        site.proxy.count("renew-self") > renewals
    });
    always("the token is valid", Duration::from_secs(6), || site.bao.is_valid(&token));
    assert_eq!(site.login_attempts(), 1);
    assert_eq!(site.token(), Some(token));
}

#[test]
fn a_token_that_died_in_an_outage_is_replaced_after_it() {
    let mut site = Site::new(json!({ "token_ttl": "3s" }));
    let mut agent = Agent::start(&site.configuration().text());
    let first = site.wait_for_token();
    site.proxy.down();
    eventually_true("the token's end", LIMIT, || !site.bao.is_valid(&first));
    assert!(agent.is_running());
    site.proxy.up();
    let back = Instant::now();
    let second = site.wait_for_token_after(&first);
    assert!(site.bao.is_valid(&second));
    assert!(back.elapsed() < Duration::from_secs(3), "{:?}", back.elapsed());
}

#[test]
fn every_passing_answer_to_a_login_is_retried() {
    for fault in [
        Fault::Status(412),
        Fault::Status(429),
        Fault::Status(472),
        Fault::Status(473),
        Fault::Status(500),
        Fault::Status(502),
        Fault::Status(503),
        Fault::Garbage,
        Fault::Reset,
        Fault::Body(200, "{\"auth\": 7}".into()),
        Fault::Body(200, String::new()),
    ] {
        let site = Site::new(json!({ "token_ttl": "1h" }));
        site.proxy.fail_times("auth/approle/login", fault.clone(), 2);
        let agent = Agent::start(&site.configuration().text());
        let token = site.wait_for_token();
        assert!(site.bao.is_valid(&token), "{fault:?}");
        // The answer that couldn't be read made the agent try again, no more than it had to.
        assert_eq!(site.login_attempts(), 3, "{fault:?}");
        agent.stop();
    }
}

#[test]
fn retry_after_is_obeyed() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.proxy.fail_times("auth/approle/login", Fault::RetryAfter(503, 3), 1);
    let mut configuration = site.configuration();
    configuration.method_settings = "min_backoff = \"200ms\"\nmax_backoff = \"10s\"".into();
    let _agent = Agent::start(&configuration.text());
    site.wait_for_token();
    let logins = site.proxy.requests("auth/approle/login");
    assert_eq!(logins.len(), 2);
    let waited = logins[1].at - logins[0].at;
    assert!(waited >= Duration::from_millis(2950), "{waited:?}");
}

#[test]
fn retry_after_is_obeyed_within_max_backoff() {
    for fault in [
        Fault::RetryAfter(503, 120),
        Fault::RetryAfter(429, u32::MAX),
        Fault::Page(503, "120".into()),
        Fault::Page(503, "Fri, 31 Dec 9999 23:59:59 GMT".into()),
        Fault::Page(502, "99999999999999999999".into()),
    ] {
        let site = Site::new(json!({ "token_ttl": "1h" }));
        site.proxy.fail_times("auth/approle/login", fault.clone(), 1);
        let mut configuration = site.configuration();
        configuration.method_settings = "min_backoff = \"200ms\"\nmax_backoff = \"2s\"".into();
        let _agent = Agent::start(&configuration.text());
        site.wait_for_token();
        let logins = site.proxy.requests("auth/approle/login");
        assert_eq!(logins.len(), 2, "{fault:?}");
        let waited = logins[1].at - logins[0].at;
        // As after a failure that has the longest wait, with its jitter.
        assert!(waited >= Duration::from_millis(1450), "{fault:?}: {waited:?}");
        assert!(waited <= Duration::from_millis(3500), "{fault:?}: {waited:?}");
    }
}

#[test]
fn a_wrapping_that_is_put_off_for_an_hour_comes_within_max_backoff() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.proxy.fail_times("sys/wrapping/wrap", Fault::Page(503, "3600".into()), 1);
    let mut configuration = site.configuration();
    configuration.sink_settings = "wrap_ttl = \"5m\"".into();
    let _agent = Agent::start(&configuration.text());
    site.wait_for_token();
    assert_eq!(site.proxy.count("sys/wrapping/wrap"), 2);
    assert_eq!(site.login_attempts(), 1);
}

#[test]
fn whoever_reaches_the_server_first_wakes_who_waits_for_it() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.proxy.fail("auth/approle/login", Fault::Status(503));
    let quick = site.configuration();
    let mut patient = site.configuration();
    patient.method_settings = "min_backoff = \"40s\"\nmax_backoff = \"5m\"".into();
    patient.sinks = vec![file_sink(&site.file("patient"))];
    let agent = Agent::start(&(quick.text() + &patient.identity("identity \"patient\"")));
    eventually_true("failed logins of both", LIMIT, || {
        site.login_attempts() >= 4 && agent.log().contains("identity=patient")
    });
    site.proxy.heal();
    let back = Instant::now();
    site.wait_for_token();
    eventually_true("the other token", LIMIT, || delivered(&site.file("patient")).is_some());
    // A second after the first success; alone it would have waited for half a minute.
    assert!(back.elapsed() < Duration::from_secs(6), "{:?}", back.elapsed());
}

#[test]
fn a_login_that_fails_for_ever_is_not_woken_at_each_success_of_others() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.proxy.fail("auth/broken/login", Fault::Status(503));
    let busy = site.configuration().token_check_interval("1s");
    let mut broken = site.configuration();
    broken.method_settings =
        "mount_path = \"auth/broken\"\nmin_backoff = \"1s\"\nmax_backoff = \"5m\"".into();
    broken.sinks = vec![file_sink(&site.file("broken"))];
    let _agent = Agent::start(&(busy.text() + &broken.identity("identity \"broken\"")));
    site.wait_for_token();
    eventually_true("fifteen checks", LIMIT, || site.proxy.count("lookup-self") >= 15);
    let attempts = site.proxy.count("auth/broken/login");
    assert!(attempts <= 10, "{attempts} attempts, at most twice those of the back-off");
}

#[test]
fn attempts_back_off() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.proxy.fail("auth/approle/login", Fault::Status(503));
    let mut configuration = site.configuration();
    configuration.method_settings = "min_backoff = \"100ms\"\nmax_backoff = \"30s\"".into();
    let _agent = Agent::start(&configuration.text());
    eventually_true("six attempts", LIMIT, || site.login_attempts() >= 6);
    let at: Vec<Instant> =
        site.proxy.requests("auth/approle/login").iter().map(|login| login.at).collect();
    // 100 ms doubling: with any jitter the fifth pause is far longer than the first.
    assert!(at[5] - at[4] > (at[1] - at[0]) * 3, "{at:?}");
    assert!(at[1] - at[0] >= Duration::from_millis(30), "{at:?}");
}

#[test]
fn a_login_that_is_refused_is_retried_until_the_role_exists() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    // The mount isn't there yet: OpenBao answers 403.
    let mut configuration = site.configuration();
    configuration.method_settings += "\nmount_path = \"auth/later\"";
    let mut agent = Agent::start(&configuration.text());
    eventually_true("two attempts", LIMIT, || site.proxy.count("auth/later/login") >= 2);
    assert!(agent.is_running());
    assert_eq!(site.token(), None);
    agent.wait_for_log("error");
    site.bao.enable_approle("later");
    site.bao.write("auth/later/role/app", json!({ "token_ttl": "1h", "role_id": "later-app" }));
    site.write("role-id", "later-app");
    let secret_id = site.bao.write("auth/later/role/app/secret-id", json!({}));
    site.write("secret-id", secret_id["data"]["secret_id"].as_str().expect("a secret-id"));
    let token = site.wait_for_token();
    assert_eq!(site.bao.lookup(&token).expect("a valid token")["path"], "auth/later/login");
}

#[test]
fn a_server_that_does_not_answer_costs_one_attempt_and_not_the_agent() {
    let site = Site::new(json!({ "token_ttl": "6s", "token_max_ttl": "1h" }));
    let _agent = Agent::start(&site.configuration().text());
    let token = site.wait_for_token();
    site.proxy.fail_times("renew-self", Fault::Hang, 1);
    always("the token in the file is valid", Duration::from_secs(9), || {
        site.token().is_some_and(|token| site.bao.is_valid(&token))
    });
    drop(token);
}

#[test]
fn exit_on_err_ends_with_status_3_when_the_login_is_refused() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.write("secret-id", "wrong-secret-id");
    let mut configuration = site.configuration();
    configuration.method_settings += "\nexit_on_err = true";
    let ended = Launch::agent(&configuration.text()).run(LIMIT);
    assert_eq!(ended.status, 3, "{ended:?}");
    assert!(ended.log.contains("approle"), "{ended:?}");
}

#[test]
fn a_one_shot_login_is_given_up_after_its_time_with_a_status_that_says_why() {
    let mut site = Site::new(json!({ "token_ttl": "1h" }));
    let one_shot = |site: &Site| {
        Launch::agent(&site.configuration().text())
            .argument("--exit-after-auth")
            .argument("--timeout")
            .argument("2s")
    };
    site.proxy.down();
    let ended = one_shot(&site).run(LIMIT);
    assert_eq!(ended.status, 1, "unreachable: {ended:?}");
    site.proxy.up();
    site.write("secret-id", "wrong-secret-id");
    let ended = one_shot(&site).run(LIMIT);
    assert_eq!(ended.status, 3, "refused: {ended:?}");
}

const LIMIT: Duration = Duration::from_secs(20);
