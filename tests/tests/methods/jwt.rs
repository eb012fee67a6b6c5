//! The built-in `jwt` method against the server's own, with tokens that an independent program
//! has signed.

use std::time::Duration;

use serde_json::{Value, json};
use usher_tests::agent::{Agent, Launch};
use usher_tests::eventually::{always, eventually_true};
use usher_tests::issuer::{claims, in_seconds};
use usher_tests::methods::MethodSite;
use usher_tests::proxy::Fault;
use usher_tests::site::Configuration;

#[test]
fn a_jwt_is_sent_as_it_stands_in_its_file_and_logs_in() {
    let site = MethodSite::jwt(json!({ "token_ttl": "1h" }));
    let jwt = site.credential();
    site.write_credential(&format!(" {jwt}\n"));
    let _agent = Agent::start(&site.configuration().text());
    let token = site.wait_for_token();
    assert_eq!(site.bao.lookup(&token).expect("a valid token")["path"], "auth/jwt/login");
    assert_eq!(site.sent(), json!({ "jwt": jwt, "role": "app" }));
}

#[test]
fn one_changed_byte_of_the_jwt_is_refused() {
    let site = MethodSite::jwt(json!({}));
    let jwt = site.credential();
    let at = jwt.rfind('.').expect("a signature") + 3;
    let changed = if jwt.as_bytes()[at] == b'A' { "B" } else { "A" };
    site.write_credential(&format!("{}{changed}{}", &jwt[..at], &jwt[at + 1..]));
    let ended = site.log_in_once(|_| {});
    assert_eq!(ended.status, 3, "{ended:?}");
}

#[test]
fn the_file_is_removed_only_after_a_proven_login() {
    let site = MethodSite::jwt(json!({ "token_ttl": "1h" }));
    site.proxy.fail(site.login_path, Fault::Status(503));
    let _agent = Agent::start(&removing(&site).text());
    eventually_true("two attempts", LIMIT, || site.attempts() >= 2);
    assert!(site.credential_file.exists());
    site.proxy.heal();
    site.wait_for_token();
    eventually_true("the removal", LIMIT, || !site.credential_file.exists());
}

#[test]
fn a_jwt_whose_file_was_removed_serves_the_next_login() {
    let site = MethodSite::jwt(json!({ "token_ttl": "1h" }));
    let _agent = Agent::start(&removing(&site).token_check_interval("300ms").text());
    let first = site.wait_for_token();
    eventually_true("the removal", LIMIT, || !site.credential_file.exists());
    eventually_true("a check", LIMIT, || site.proxy.count("lookup-self") > 0);
    site.bao.revoke(&first);
    assert!(site.bao.is_valid(&site.wait_for_token_after(&first)));
}

#[test]
fn of_a_link_either_the_link_or_its_target_is_removed() {
    for follow in [false, true] {
        let site = MethodSite::jwt(json!({ "token_ttl": "1h" }));
        let (link, target) = (&site.credential_file, site.file("target"));
        std::fs::rename(link, &target).expect("the file");
        std::os::unix::fs::symlink(&target, link).expect("a link");
        let mut configuration = removing(&site);
        configuration.method_config.extend([format!("\nremove_jwt_follows_symlinks = {follow}")]);
        let ended = Launch::agent(&configuration.text()).argument("--exit-after-auth").run(LIMIT);
        assert_eq!(ended.status, 0, "{ended:?}");
        assert_eq!(link.symlink_metadata().is_ok(), follow, "the link");
        assert_eq!(target.exists(), !follow, "its target");
    }
}

#[test]
fn a_jwt_comes_from_a_variable_too() {
    let site = MethodSite::jwt(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.method_config = "environment_variable = \"WORKLOAD_JWT\"\nrole = \"app\"".into();
    let launch = Launch::agent(&configuration.text()).argument("--exit-after-auth");
    let ended = launch.environment("WORKLOAD_JWT", &site.credential()).run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(site.sent(), json!({ "jwt": site.credential(), "role": "app" }));
    let unset = Launch::agent(&configuration.text()).argument("--exit-after-auth").run(LIMIT);
    assert_eq!(unset.status, 2, "{unset:?}");
    assert!(unset.log.contains("WORKLOAD_JWT is not set"), "{unset:?}");
}

#[test]
fn a_new_jwt_brings_a_new_login_unless_that_is_switched_off() {
    let site = MethodSite::jwt(json!({ "token_ttl": "1h" }));
    let _agent = Agent::start(&site.configuration().text());
    let first = site.wait_for_token();
    // The agent begins to watch a moment after its first login.
    let mut next = claims();
    next["jti"] = "next".into();
    site.write_credential(&site.issuer.sign(&next));
    assert!(site.bao.is_valid(&site.wait_for_token_after(&first)));

    let site = MethodSite::jwt(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.auto_auth += "\nenable_reauth_on_new_credentials = false";
    let _agent = Agent::start(&configuration.text());
    site.wait_for_token();
    site.write_credential(&site.issuer.sign(&next));
    always("one login", Duration::from_secs(3), || site.attempts() == 1);
}

#[test]
fn what_the_server_refuses_is_told_with_its_cause_and_without_the_jwt() {
    let site = MethodSite::jwt(json!({ "bound_claims": { "team": "web" } }));
    let with = |key: &str, value: Value| {
        let mut claims = claims();
        claims["team"] = "web".into();
        claims[key] = value;
        claims
    };
    let later = |seconds: i64| {
        let mut claims = with("iat", json!(in_seconds(seconds)));
        claims["nbf"] = json!(in_seconds(seconds));
        claims["exp"] = json!(in_seconds(seconds + 600));
        claims
    };
    for (what, claims, said) in [
        ("expired", later(-3600), &["expired", "clock"][..]),
        ("an hour too early", later(3600), &["not yet valid", "clock"]),
        ("another audience", with("aud", json!("other")), &["audience", "bound_audiences"]),
        ("another team", with("team", json!("other")), &["claim", "bound_claims"]),
    ] {
        site.write_credential(&site.issuer.sign(&claims));
        let ended = site.log_in_once(|_| {});
        site.assert_refused(what, &ended, said);
    }
    site.write_credential(&site.issuer.sign(&with("sub", json!("workload"))));
    let right = site.log_in_once(|_| {});
    assert_eq!(right.status, 0, "{right:?}");
    let wrong_role = site.log_in_once(|configuration| {
        configuration.method_config =
            configuration.method_config.replace("role = \"app\"", "role = \"nobody\"");
    });
    site.assert_refused("another role", &wrong_role, &["nobody", "create the role"]);
}

#[test]
fn a_namespace_is_kept() {
    let site = MethodSite::jwt(json!({}));
    site.bao.write("sys/namespaces/team", json!({}));
    site.mount_jwt("team/", json!({}));
    let mut configuration = site.configuration();
    configuration.method_settings += "\nnamespace = \"team\"";
    let _agent = Agent::start(&configuration.text());
    let token = site.wait_for_token();
    assert_eq!(site.bao.lookup(&token).expect("a token")["namespace_path"], "team/");
}

/// The incumbents' default: the file goes after the login.
fn removing(site: &MethodSite) -> Configuration {
    let mut configuration = site.configuration();
    configuration.method_config =
        configuration.method_config.replace("remove_jwt_after_reading = false", "");
    configuration
}

const LIMIT: Duration = Duration::from_secs(30);
