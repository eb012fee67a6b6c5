//! The harness itself: what the other tests rely on to see a fault is there.

use serde_json::json;
use usher_tests::plugins::{self, Mischief, hostile_method, hostile_sink};
use usher_tests::proxy::Fault;
use usher_tests::site::Site;

#[test]
fn the_server_is_the_tests_own_and_hands_out_tokens() {
    let site = Site::new(json!({ "token_ttl": "10s" }));
    let (status, answer) = site.log_in().expect("an answer");
    assert_eq!(status, 200);
    let token = answer["auth"]["client_token"].as_str().expect("a token").to_owned();
    assert!(site.bao.is_valid(&token));
    assert_eq!(site.bao.logins(), 1);
    assert_eq!(site.bao.living_approle_tokens(), 1);
    assert_eq!(site.proxy.tokens(), std::slice::from_ref(&token));
    site.bao.revoke(&token);
    assert!(!site.bao.is_valid(&token));
    assert_eq!(site.bao.living_approle_tokens(), 0);
}

#[test]
fn a_wrapped_secret_id_can_be_unwrapped_once() {
    let site = Site::new(json!({}));
    let wrapping_token = site.bao.wrapped_secret_id("app");
    assert!(site.bao.is_wrapped(&wrapping_token));
    let unwrapped = site.bao.unwrap(&wrapping_token);
    assert!(unwrapped.body["data"]["secret_id"].is_string(), "{unwrapped:?}");
    assert!(!site.bao.is_wrapped(&wrapping_token));
}

#[test]
fn the_proxy_injects_faults_and_heals() {
    let mut site = Site::new(json!({ "token_ttl": "10s" }));
    let status = |site: &Site| site.log_in().map(|(status, _)| status);
    site.proxy.fail_times("auth/approle/login", Fault::Status(503), 2);
    assert_eq!(status(&site), Some(503));
    assert_eq!(status(&site), Some(503));
    assert_eq!(status(&site), Some(200));
    for fault in [Fault::Garbage, Fault::Reset] {
        site.proxy.fail("auth/approle/login", fault.clone());
        assert_eq!(status(&site), None, "{fault:?}");
        site.proxy.heal();
    }
    site.proxy.down();
    assert_eq!(status(&site), None);
    site.proxy.up();
    assert_eq!(status(&site), Some(200));
    // Those refused while it was down never arrived.
    assert_eq!(site.login_attempts(), 6);
    assert_eq!(site.bao.logins(), 2);
}

#[test]
fn a_server_with_tls_has_an_authority_of_its_own() {
    let site = Site::with_tls(json!({ "token_ttl": "10s" }));
    assert!(site.bao.address().starts_with("https://"));
    let authority = std::fs::read_to_string(site.bao.ca_file()).expect("a certificate");
    assert!(authority.contains("BEGIN CERTIFICATE"));
    assert_eq!(site.log_in().map(|(status, _)| status), Some(200));
}

#[test]
fn plugins_are_built_from_javascript_and_python() {
    for component in [plugins::javascript("files_login"), plugins::python("files_login")] {
        assert!(component.starts_with(b"\0asm") && component.len() > 1 << 20);
    }
}

#[test]
fn hostile_plugins_are_well_formed_components() {
    for mischief in Mischief::ALL {
        assert!(hostile_method(mischief).starts_with(b"\0asm"));
        assert!(hostile_sink(mischief).starts_with(b"\0asm"));
    }
}
