//! The built-in `kubernetes` method against the server's own; only `TokenReview` is a stand-in.

use std::time::Duration;

use serde_json::json;
use usher_tests::agent::Agent;
use usher_tests::eventually::{always, eventually_true};
use usher_tests::issuer::in_seconds;
use usher_tests::methods::{MethodSite, service_account_claims};

#[test]
fn a_service_account_token_is_sent_as_it_stands_in_its_file_and_logs_in() {
    let site = MethodSite::kubernetes(json!({ "token_ttl": "1h" }));
    let jwt = site.credential();
    site.write_credential(&format!("{jwt}\n"));
    let _agent = Agent::start(&site.configuration().text());
    let token = site.wait_for_token();
    assert_eq!(site.bao.lookup(&token).expect("a valid token")["path"], "auth/kubernetes/login");
    assert_eq!(site.sent(), json!({ "jwt": jwt, "role": "app" }));
    assert_eq!(site.reviewer.asked(), [jwt]);
}

#[test]
fn one_changed_byte_of_the_token_is_refused() {
    let site = MethodSite::kubernetes(json!({}));
    let jwt = site.credential();
    let at = jwt.rfind('.').expect("a signature") + 3;
    let changed = if jwt.as_bytes()[at] == b'A' { "B" } else { "A" };
    site.write_credential(&format!("{}{changed}{}", &jwt[..at], &jwt[at + 1..]));
    let ended = site.log_in_once(|_| {});
    assert_eq!(ended.status, 3, "{ended:?}");
}

#[test]
fn a_rotated_token_is_used_for_the_next_login_and_brings_none_of_its_own() {
    let site = MethodSite::kubernetes(json!({ "token_ttl": "1h" }));
    let _agent = Agent::start(&site.configuration().token_check_interval("500ms").text());
    let first = site.wait_for_token();
    let rotated = site.service_account_token("shop", "web", "usher");
    site.write_credential(&rotated);
    always("one login", Duration::from_secs(3), || site.attempts() == 1);
    site.bao.revoke(&first);
    assert!(site.bao.is_valid(&site.wait_for_token_after(&first)));
    assert_eq!(site.sent()["jwt"], rotated);
}

#[test]
fn the_links_of_a_projected_volume_are_followed() {
    let site = MethodSite::kubernetes(json!({ "token_ttl": "1h" }));
    // As the kubelet does it: the file is a link through "..data" into a directory of the version.
    let volume = site.file("volume");
    let publish = |version: &str, token: &str| {
        let directory = volume.join(version);
        std::fs::create_dir_all(&directory).expect("a directory");
        std::fs::write(directory.join("token"), token).expect("a token");
        std::os::unix::fs::symlink(version, volume.join("..tmp")).expect("a link");
        std::fs::rename(volume.join("..tmp"), volume.join("..data")).expect("in one step");
    };
    publish("..1", &site.service_account_token("shop", "stranger", "usher"));
    std::os::unix::fs::symlink("..data/token", volume.join("token")).expect("a link");
    let mut configuration = site.configuration();
    configuration.method_config =
        format!("token_path = \"{}\"\nrole = \"app\"", volume.join("token").display());
    configuration.method_settings = "min_backoff = \"30s\"\nmax_backoff = \"60s\"".into();
    let agent = Agent::start(&configuration.text());
    agent.wait_for_log("error authenticating");
    // A change wakes an identity that waits to retry.
    publish("..2", &site.service_account_token("shop", "web", "usher"));
    site.wait_for_token();
}

#[test]
fn what_the_server_refuses_is_told_with_its_cause_and_without_the_token() {
    let site = MethodSite::kubernetes(json!({}));
    for (what, namespace, account, audience, said) in [
        ("another service account", "shop", "stranger", "usher", &["service account", "bound"][..]),
        ("another namespace", "attic", "web", "usher", &["namespace", "bound"]),
        ("another audience", "shop", "web", "other", &["audience"]),
    ] {
        site.write_credential(&site.service_account_token(namespace, account, audience));
        site.assert_refused(what, &site.log_in_once(|_| {}), said);
    }
    // An hour off on either side, known to Kubernetes all the same.
    for (what, shift, said) in [
        ("expired", -7200, &["expired", "clock"][..]),
        ("an hour too early", 3600, &["not yet valid", "clock"]),
    ] {
        let mut claims = service_account_claims("shop", "web", "usher");
        claims["iat"] = in_seconds(shift).into();
        claims["nbf"] = in_seconds(shift).into();
        claims["exp"] = in_seconds(shift + 3600).into();
        let token = site.issuer.sign(&claims);
        site.reviewer.register(&token, "shop", "web", "usher");
        site.write_credential(&token);
        site.assert_refused(what, &site.log_in_once(|_| {}), said);
    }
    let unknown = service_account_claims("shop", "web", "usher");
    site.write_credential(&site.issuer.sign(&unknown));
    // Kubernetes says no, and the server no more than that.
    site.assert_refused("a deleted service account", &site.log_in_once(|_| {}), &["403"]);
    site.write_credential(&site.service_account_token("shop", "web", "usher"));
    let wrong_role = site.log_in_once(|configuration| {
        configuration.method_config =
            configuration.method_config.replace("role = \"app\"", "role = \"nobody\"");
    });
    site.assert_refused("another role", &wrong_role, &["role", "nobody"]);
}

#[test]
fn a_token_that_appears_is_used_at_once() {
    let site = MethodSite::kubernetes(json!({ "token_ttl": "1h" }));
    let token = site.credential();
    std::fs::remove_file(&site.credential_file).expect("the file");
    let mut configuration = site.configuration();
    configuration.method_settings = "min_backoff = \"60s\"\nmax_backoff = \"120s\"".into();
    let agent = Agent::start(&configuration.text());
    agent.wait_for_log(&site.credential_file.display().to_string());
    assert_eq!(site.attempts(), 0);
    site.write_credential(&token);
    eventually_true("the login", LIMIT, || site.token().is_some());
}

const LIMIT: Duration = Duration::from_secs(30);
