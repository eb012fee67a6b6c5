//! The built-in `userpass` method against the server's own; `ldap` and `radius` are the same
//! component under other names.

use std::time::Duration;

use serde_json::json;
use usher_tests::agent::{Agent, Launch};
use usher_tests::methods::{MethodSite, PASSWORD};

#[test]
fn name_and_password_log_in_without_the_line_end() {
    let site = MethodSite::userpass(json!({ "token_ttl": "1h" }));
    site.write_credential(&format!("{PASSWORD}\r\n"));
    let _agent = Agent::start(&site.configuration().text());
    let token = site.wait_for_token();
    assert_eq!(site.bao.lookup(&token).expect("a valid token")["path"], "auth/userpass/login/app");
    assert_eq!(site.sent(), json!({ "password": PASSWORD }));
}

#[test]
fn blanks_belong_to_the_password() {
    let site = MethodSite::userpass(json!({ "password": "  two blanks  " }));
    site.write_credential("  two blanks  \n");
    let _agent = Agent::start(&site.configuration().text());
    site.wait_for_token();
    assert_eq!(site.sent(), json!({ "password": "  two blanks  " }));
}

#[test]
fn one_changed_byte_of_the_password_is_refused_and_told_without_it() {
    let site = MethodSite::userpass(json!({}));
    let wrong = PASSWORD.replace("horse", "house");
    site.write_credential(&wrong);
    let mut configuration = site.configuration();
    configuration.method_settings += "\nexit_on_err = true";
    let ended = Launch::agent(&configuration.text()).argument("--exit-after-auth").run(LIMIT);
    assert_eq!(ended.status, 3, "{ended:?}");
    assert!(ended.log.contains("invalid username or password"), "{ended:?}");
    assert!(ended.log.contains("check the credential"), "{ended:?}");
    assert!(!ended.log.contains(&wrong), "{ended:?}");
}

#[test]
fn a_name_is_sent_percent_encoded() {
    let site = MethodSite::userpass(json!({}));
    site.bao.write("auth/userpass/users/web.app-1", json!({ "password": PASSWORD }));
    let mut configuration = site.configuration();
    let named = |name: &str| site.config.replace("\"app\"", &format!("\"{name}\""));
    configuration.method_config = named("Web.App-1");
    let agent = Agent::start(&configuration.text());
    site.wait_for_token();
    assert_eq!(site.proxy.count("auth/userpass/login/Web.App-1"), 1);
    drop(agent);
    configuration.method_config = named("a/../b c?");
    configuration.method_settings += "\nexit_on_err = true";
    Launch::agent(&configuration.text()).argument("--exit-after-auth").run(LIMIT);
    assert_eq!(site.proxy.count("auth/userpass/login/a%2F..%2Fb%20c%3F"), 1);
}

#[test]
fn the_other_names_send_the_same_to_mounts_of_their_own() {
    let site = MethodSite::userpass(json!({}));
    for name in ["ldap", "radius"] {
        let mut configuration = site.configuration();
        configuration.method = name.into();
        configuration.method_settings += "\nexit_on_err = true";
        let ended = Launch::agent(&configuration.text()).argument("--exit-after-auth").run(LIMIT);
        // This server has neither: 2.7 dropped them.
        assert_eq!(ended.status, 3, "{ended:?}");
        let sent = site.proxy.requests(&format!("auth/{name}/login/app"));
        assert_eq!(sent.len(), 1, "{name}");
        assert_eq!(sent[0].body, json!({ "password": PASSWORD }));
    }
}

const LIMIT: Duration = Duration::from_secs(30);
