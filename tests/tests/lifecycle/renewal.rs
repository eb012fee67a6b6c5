//! A token is kept alive as long as the server lets it live, and replaced before it dies.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use usher_tests::agent::Agent;
use usher_tests::eventually::{always, eventually_true};
use usher_tests::proxy::Fault;
use usher_tests::site::Site;

#[test]
fn a_token_is_renewed_before_it_expires() {
    let site = Site::new(json!({ "token_ttl": "3s", "token_max_ttl": "1h" }));
    let _agent = Agent::start(&site.configuration().text());
    let token = site.wait_for_token();
    always("the first token is valid", Duration::from_secs(9), || site.bao.is_valid(&token));
    assert_eq!(site.token(), Some(token));
    assert_eq!(site.login_attempts(), 1);
}

#[test]
fn a_periodic_token_is_renewed_for_ever() {
    let site = Site::new(json!({ "token_period": "3s" }));
    let _agent = Agent::start(&site.configuration().text());
    let token = site.wait_for_token();
    always("the first token is valid", Duration::from_secs(9), || site.bao.is_valid(&token));
    assert_eq!(site.login_attempts(), 1);
}

#[test]
fn a_token_at_its_max_ttl_is_replaced_before_it_dies() {
    let site = Site::new(json!({ "token_ttl": "4s", "token_max_ttl": "8s" }));
    let _agent = Agent::start(&site.configuration().text());
    let first = site.wait_for_token();
    // The file is read before the server is asked, so the token asked about may be one that
    // was replaced in between; it must be alive all the same.
    let end = Instant::now() + Duration::from_secs(16);
    while Instant::now() < end {
        let token = site.token().expect("the token file is always there");
        assert!(site.bao.is_valid(&token), "a dead token in the file");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_ne!(site.token(), Some(first));
    let logins = site.login_attempts();
    assert!((2..=4).contains(&logins), "{logins} logins in two lifetimes");
}

#[test]
fn a_token_that_cannot_be_renewed_is_replaced_before_it_dies() {
    let site = Site::new(json!({ "token_type": "batch", "token_ttl": "5s" }));
    let _agent = Agent::start(&site.configuration().text());
    let first = site.wait_for_token();
    always("the token in the file is valid", Duration::from_secs(9), || {
        site.bao.is_valid(&site.token().expect("the token file is always there"))
    });
    assert_ne!(site.token(), Some(first));
    assert_eq!(site.proxy.count("renew-self"), 0, "batch tokens can't be renewed");
    let logins = site.login_attempts();
    assert!((2..=4).contains(&logins), "{logins} logins in two lifetimes");
}

#[test]
fn a_token_without_the_default_policy_lives_its_whole_ttl_with_one_login() {
    let site = Site::new(json!({
        "token_ttl": "10s", "token_max_ttl": "1h", "token_no_default_policy": true
    }));
    let configuration = site.configuration().token_check_interval("300ms");
    let _agent = Agent::start(&configuration.text());
    let first = site.wait_for_token();
    let ttl = |token: &str| site.bao.lookup(token).map(|known| known["ttl"].clone());
    assert_eq!(site.bao.lookup(&first).expect("valid")["policies"], json!(["app"]));
    // Renewal and look-up are refused with 403, which proves nothing.
    always("one login", Duration::from_secs(7), || site.login_attempts() == 1);
    assert_eq!(site.token(), Some(first.clone()));
    // Replaced in its last fifth, and not dead before.
    let second = site.wait_for_token_after(&first);
    assert!(ttl(&first).is_some_and(|ttl| ttl.as_u64() <= Some(3)), "{:?}", ttl(&first));
    assert!(site.bao.is_valid(&second));
}

#[test]
fn a_token_with_a_use_limit_is_never_checked() {
    let site = Site::new(json!({ "token_ttl": "1h", "token_num_uses": 5 }));
    let configuration = site.configuration().token_check_interval("200ms");
    let _agent = Agent::start(&configuration.text());
    let token = site.wait_for_token();
    let uses = || site.bao.lookup(&token).map(|known| known["num_uses"].clone());
    always("no use is spent", Duration::from_secs(2), || uses() == Some(Value::from(5)));
    assert_eq!(site.proxy.count("lookup-self"), 0);
}

#[test]
fn a_renewal_that_is_put_off_for_an_hour_costs_no_token() {
    for fault in [
        Fault::RetryAfter(503, 3600),
        Fault::Page(503, "3600".into()),
        Fault::Page(429, "Fri, 31 Dec 9999 23:59:59 GMT".into()),
        Fault::Page(503, "99999999999999999999".into()),
    ] {
        let site = Site::new(json!({ "token_ttl": "6s", "token_max_ttl": "1h" }));
        let mut configuration = site.configuration();
        configuration.method_settings = "max_backoff = \"5m\"".into();
        let _agent = Agent::start(&configuration.text());
        let token = site.wait_for_token();
        site.proxy.fail_times("renew-self", fault.clone(), 1);
        always("the token is valid", Duration::from_secs(8), || site.bao.is_valid(&token));
        assert_eq!(site.token(), Some(token), "{fault:?}");
        assert_eq!(site.login_attempts(), 1, "{fault:?}");
    }
}

#[test]
fn renewals_that_are_put_off_for_ever_bind_no_login() {
    let site = Site::new(json!({ "token_ttl": "6s", "token_max_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.method_settings = "max_backoff = \"5m\"".into();
    let _agent = Agent::start(&configuration.text());
    let first = site.wait_for_token();
    site.proxy.fail("renew-self", Fault::RetryAfter(503, 3600));
    always("the token in the file is valid", Duration::from_secs(14), || {
        site.bao.is_valid(&site.token().expect("the token file is always there"))
    });
    assert_ne!(site.token(), Some(first));
    let requests = site.login_attempts() + site.proxy.count("renew-self");
    assert!(requests < 30, "{requests} in 14 seconds");
}

#[test]
fn a_role_that_lives_longer_now_is_followed() {
    let site = Site::new(json!({ "token_ttl": "3s", "token_max_ttl": "1h" }));
    let _agent = Agent::start(&site.configuration().text());
    let token = site.wait_for_token();
    eventually_true("a renewal", Duration::from_secs(4), || site.proxy.count("renew-self") > 0);
    always("the token is valid", Duration::from_secs(5), || site.bao.is_valid(&token));
    assert!(site.proxy.count("renew-self") < 10, "renewals are scheduled, not hammered");
}
