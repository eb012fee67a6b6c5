//! The connection to a server with TLS: verified, unless someone says otherwise in clear words.

use std::time::Duration;

use serde_json::json;
use usher_tests::agent::{Agent, Launch};
use usher_tests::eventually::always;
use usher_tests::site::Site;

#[test]
fn a_server_whose_authority_is_configured_is_trusted() {
    let site = Site::with_tls(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.vault = format!("ca_cert = \"{}\"", site.bao.ca_file().display());
    let agent = Agent::start(&configuration.text());
    let token = site.wait_for_token();
    assert!(site.bao.is_valid(&token));
    agent.stop();
}

#[test]
fn the_authority_is_taken_from_flag_and_environment_too() {
    let site = Site::with_tls(json!({ "token_ttl": "1h" }));
    let authority = site.bao.ca_file().display().to_string();
    let launches: [fn(Launch, &str) -> Launch; 3] = [
        |launch, authority| launch.argument("--ca-cert").argument(authority),
        |launch, authority| launch.environment("BAO_CACERT", authority),
        |launch, authority| launch.environment("VAULT_CACERT", authority),
    ];
    for launch in launches {
        let ended = launch(Launch::agent(&site.configuration().text()), &authority)
            .argument("--exit-after-auth")
            .run(LIMIT);
        assert_eq!(ended.status, 0, "{ended:?}");
    }
}

#[test]
fn a_certificate_that_does_not_verify_is_an_error_with_a_remedy_and_no_login() {
    let site = Site::with_tls(json!({ "token_ttl": "1h" }));
    let mut agent = Agent::start(&site.configuration().text());
    agent.wait_for_log("certificate");
    agent.wait_for_log("ca_cert");
    always("the agent goes on trying", Duration::from_secs(2), || agent.is_running());
    assert_eq!(site.bao.logins(), 0);
    assert_eq!(site.token(), None);
    agent.stop();
}

#[test]
fn skip_verify_false_means_false() {
    let site = Site::with_tls(json!({ "token_ttl": "1h" }));
    for variable in ["BAO_SKIP_VERIFY", "VAULT_SKIP_VERIFY"] {
        let agent =
            Launch::agent(&site.configuration().text()).environment(variable, "false").start();
        agent.wait_for_log("certificate");
        assert_eq!(site.bao.logins(), 0, "{variable}");
        agent.stop();
    }
}

#[test]
fn verification_that_is_switched_off_is_warned_of() {
    let site = Site::with_tls(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.vault = "tls_skip_verify = true".into();
    let ended = Launch::agent(&configuration.text()).argument("--exit-after-auth").run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    let log = ended.log.to_lowercase();
    assert!(log.contains("warn") && log.contains("verif"), "{ended:?}");
}

#[test]
fn a_missing_authority_file_stops_the_agent() {
    let site = Site::with_tls(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.vault = "ca_cert = \"/nowhere/ca.pem\"".into();
    let ended = Launch::agent(&configuration.text()).run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.log.contains("/nowhere/ca.pem"), "{ended:?}");
}

const LIMIT: Duration = Duration::from_secs(20);
