//! `usher explain`: a login step by step, and each cause of a failure in plain words.
#![allow(clippy::expect_used, reason = "tests fail by panicking")]

use std::time::Duration;

use serde_json::{Value, json};
use usher_tests::agent::{Ended, Launch};
use usher_tests::authority::Authority;
use usher_tests::issuer::{claims, in_seconds};
use usher_tests::leaks::leaks;
use usher_tests::methods::MethodSite;
use usher_tests::openbao::text;
use usher_tests::site::{Configuration, Site};

fn explain(configuration: &Configuration, arguments: &[&str]) -> Ended {
    Launch::explain(&configuration.text()).arguments(arguments).run(LIMIT)
}

#[test]
fn a_good_login_is_told_step_by_step_and_its_token_revoked() {
    let site = MethodSite::jwt(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.method_config =
        configuration.method_config.replace("remove_jwt_after_reading = false", "");
    let ended = explain(&configuration, &[]);
    ended.says(
        0,
        &[
            "identity default: jwt at auth/jwt",
            "role \"app\"",
            "audience usher",
            "expires in",
            "login           ok",
            "for 3600 s, renewable, policies app, default",
            "the token is revoked",
        ],
    );
    assert!(site.credential_file.exists(), "only --consume removes it");
    let token = text(&site.proxy.requests(site.login_path)[0].answer["auth"]["client_token"]);
    assert!(!site.bao.is_valid(&token));
    assert_eq!(leaks(&ended.results, &[site.credential(), token]), [""; 0]);
    explain(&configuration, &["--consume"]).says(0, &["login           ok"]);
    assert!(!site.credential_file.exists());
}

#[test]
fn what_the_server_refuses_of_a_jwt_is_told_with_the_remedy() {
    let site = MethodSite::jwt(json!({ "bound_claims": { "team": "web" } }));
    let with = |key: &str, value: Value| {
        let mut claims = claims();
        claims["team"] = "web".into();
        claims[key] = value;
        claims
    };
    let mut skewed = with("iat", json!(in_seconds(3600)));
    skewed["nbf"] = json!(in_seconds(3600));
    skewed["exp"] = json!(in_seconds(7200));
    for (claims, parts) in [
        (
            with("aud", json!("other")),
            &["audience other", "login           FAILED", "bound_audiences"][..],
        ),
        (with("team", json!("other")), &["claim \"team\" does not match", "bound_claims"]),
        (with("exp", json!(in_seconds(-3600))), &["it expired 36", "token is expired"]),
        (skewed, &["by this machine's clock", "not_before_leeway"]),
    ] {
        site.write_credential(&site.issuer.sign(&claims));
        let ended = explain(&site.configuration(), &[]);
        ended.says(3, parts);
        assert_eq!(leaks(&ended.results, &[site.credential()]), [""; 0]);
    }
    site.write_credential(&site.issuer.sign(&with("sub", json!("workload"))));
    let mut role = site.configuration();
    role.method_config = role.method_config.replace("role = \"app\"", "role = \"nobody\"");
    explain(&role, &[]).says(3, &["role \"nobody\" could not be found", "create the role"]);
    let mut mount = site.configuration();
    mount.method_settings += "\nmount_path = \"auth/nowhere\"";
    explain(&mount, &[]).says(3, &["auth/nowhere", "check that the method is mounted"]);
    let mut namespace = site.configuration();
    namespace.method_settings += "\nnamespace = \"nowhere\"";
    explain(&namespace, &[]).says(3, &["in namespace nowhere/", "check the namespace"]);
}

#[test]
fn a_plain_secret_id_in_place_of_a_wrapped_one_is_told() {
    let site = Site::new(json!({}));
    let mut configuration = site.configuration();
    configuration.method_config +=
        "\nsecret_id_response_wrapping_path = \"auth/approle/role/app/secret-id\"";
    for arguments in [&[][..], &["--consume"]] {
        let ended = explain(&configuration, arguments);
        ended.says(3, &["credential      FAILED", "a plain secret-id", "-wrap-ttl"]);
        assert!(!ended.results.contains("intercepted"), "{ended:?}");
    }
    assert!(site.file("secret-id").exists());
}

#[test]
fn a_refusal_for_the_address_of_the_machine_is_told_with_the_list_to_extend() {
    let site = Site::new(json!({ "secret_id_bound_cidrs": ["10.99.0.0/16"] }));
    let ended = explain(&site.configuration(), &[]);
    ended.says(3, &["login           FAILED", "CIDR restrictions", "secret_id_bound_cidrs"]);
    let site = MethodSite::jwt(json!({ "token_bound_cidrs": ["10.99.0.0/16"] }));
    let ended = explain(&site.configuration(), &[]);
    ended.says(3, &["login           FAILED", "token_bound_cidrs"]);
}

#[test]
fn an_unknown_setting_is_told_before_the_login() {
    let site = Site::new(json!({}));
    let mut configuration = site.configuration();
    configuration.method_config += "\nsecret_id_path = \"/x\"";
    let ended = explain(&configuration, &[]);
    ended.says(0, &["login           ok"]);
    assert!(ended.log.contains("`secret_id_path`"), "{ended:?}");
    assert!(ended.log.contains("did you mean `secret_id_file_path`?"), "{ended:?}");
}

#[test]
fn a_certificate_that_is_not_trusted_is_told() {
    let site = Site::with_tls(json!({}));
    site.bao.write("sys/auth/cert", json!({ "type": "cert" }));
    let trusted = Authority::new("trusted");
    site.bao.write("auth/cert/certs/web", json!({ "certificate": trusted.pem() }));
    let client = Authority::new("not trusted").issue("web.test");
    site.write("client.crt", &client.certificate);
    site.write("client.key", &client.key);
    let mut configuration = site.configuration();
    configuration.method = "cert".into();
    configuration.vault = format!("ca_cert = \"{}\"", site.bao.ca_file().display());
    configuration.method_config = format!(
        "client_cert = \"{}\"\nclient_key = \"{}\"",
        site.file("client.crt").display(),
        site.file("client.key").display()
    );
    let ended = explain(&configuration, &[]);
    ended.says(3, &["a client certificate", "the client certificate is trusted by it"]);
    configuration.vault = String::new();
    explain(&configuration, &[]).says(1, &["server          FAILED", "vault.ca_cert"]);
}

#[test]
fn a_one_shot_secret_id_is_used_only_with_consume() {
    let site = Site::new(json!({}));
    let wrapper = site.bao.wrapped_secret_id("app");
    site.write("secret-id", &wrapper);
    let mut configuration = site.configuration();
    configuration.method_config =
        configuration.method_config.replace("remove_secret_id_file_after_reading = false", "");
    configuration.method_config +=
        "\nsecret_id_response_wrapping_path = \"auth/approle/role/app/secret-id\"";
    let ended = explain(&configuration, &[]);
    ended.says(0, &["left unused", "login           ok      not tried"]);
    assert!(site.bao.is_wrapped(&wrapper));
    assert_eq!(site.login_attempts(), 0);
    explain(&configuration, &["--consume"]).says(0, &["login           ok      accepted"]);
    assert!(!site.bao.is_wrapped(&wrapper));
    assert!(!site.file("secret-id").exists());
    explain(&configuration, &[]).says(1, &["credential      FAILED", "there is no secret-id"]);
}

#[test]
fn a_handed_over_token_is_looked_up_and_not_revoked() {
    let site = Site::new(json!({}));
    let token = site.bao.write("auth/token/create", json!({ "ttl": "1h" }));
    let token = text(&token["auth"]["client_token"]);
    site.write("handed-over", &token);
    let mut configuration = site.configuration();
    configuration.method = "token_file".into();
    configuration.method_config =
        format!("token_file_path = \"{}\"", site.file("handed-over").display());
    explain(&configuration, &[]).says(0, &["lookup          ok", "handed over"]);
    assert!(site.bao.is_valid(&token));
}

#[test]
fn a_server_that_is_not_there_and_an_identity_that_is_not_are_told() {
    let mut site = MethodSite::jwt(json!({}));
    let configuration = site.configuration();
    let nobody = explain(&configuration, &["--identity", "nobody"]);
    assert_eq!(nobody.status, 2, "{nobody:?}");
    assert!(nobody.log.contains("there is default"), "{nobody:?}");
    site.take_down();
    explain(&configuration, &[]).says(1, &["server          FAILED"]);
}

const LIMIT: Duration = Duration::from_secs(30);
