//! The built-in methods `userpass`, `ldap` and `radius`, one component, each against the server's
//! own: with a real directory and a real RADIUS server behind it.

use serde_json::json;
use usher_tests::agent::Agent;
use usher_tests::methods::{MethodSite, PASSWORD};
use usher_tests::user_servers::Slapd;

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
    for (site, said) in [
        (MethodSite::userpass(json!({})), "invalid username or password"),
        (MethodSite::ldap(json!({})), "failed to bind as user"),
        (MethodSite::radius(json!({})), "access denied by the authentication server"),
    ] {
        site.write_credential(&PASSWORD.replace("horse", "house"));
        let ended = site.log_in_once(|_| {});
        site.assert_refused("another byte", &ended, &[said, "check the credential"]);
    }
}

#[test]
fn an_unknown_name_is_refused_like_a_wrong_password() {
    for site in [
        MethodSite::userpass(json!({})),
        MethodSite::ldap(json!({})),
        MethodSite::radius(json!({})),
    ] {
        let ended = site.log_in_once(|configuration| {
            configuration.method_config = named(&site, "nobody");
        });
        site.assert_refused("another name", &ended, &["check the credential"]);
    }
}

#[test]
fn a_name_is_sent_percent_encoded() {
    let site = MethodSite::userpass(json!({}));
    site.bao.write("auth/userpass/users/web.app-1", json!({ "password": PASSWORD }));
    let mut configuration = site.configuration();
    configuration.method_config = named(&site, "Web.App-1");
    let agent = Agent::start(&configuration.text());
    site.wait_for_token();
    assert_eq!(site.proxy.count("auth/userpass/login/Web.App-1"), 1);
    drop(agent);
    site.log_in_once(|configuration| configuration.method_config = named(&site, "a/../b c?"));
    assert_eq!(site.proxy.count("auth/userpass/login/a%2F..%2Fb%20c%3F"), 1);
}

#[test]
fn an_ldap_directory_is_asked_exactly_for_what_was_sent() {
    let site = MethodSite::ldap(json!({ "token_ttl": "1h" }));
    site.write_credential(&format!("{PASSWORD}\n"));
    let agent = Agent::start(&site.configuration().text());
    let token = site.wait_for_token();
    assert_eq!(site.bao.lookup(&token).expect("a valid token")["path"], "auth/ldap/login/app");
    assert_eq!(site.sent(), json!({ "password": PASSWORD }));
    // What the server says that it received: its audit log hashes each text.
    let audited = site.bao.audited("auth/ldap/login/app");
    assert_eq!(audited.len(), 1);
    assert_eq!(audited[0]["data"], json!({ "password": site.bao.audit_hash(PASSWORD) }));
    let slapd = site.slapd.as_ref().expect("the directory");
    assert_eq!(slapd.binds(), [(format!("uid=app,{}", Slapd::BASE), true)]);
    drop(agent);
    let ended = site.log_in_once(|configuration| {
        configuration.method_config = named(&site, "web@shop.test");
    });
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(site.proxy.count("auth/ldap/login/web%40shop.test"), 1);
    assert_eq!(slapd.binds()[1], (format!("uid=web@shop.test,{}", Slapd::BASE), true));
    site.write_credential("wrong");
    site.log_in_once(|_| {});
    assert_eq!(slapd.binds()[2], (format!("uid=app,{}", Slapd::BASE), false));
}

#[test]
fn a_radius_server_accepts_what_was_sent() {
    let site = MethodSite::radius(json!({ "token_ttl": "1h" }));
    site.write_credential(&format!("{PASSWORD}\n"));
    let agent = Agent::start(&site.configuration().text());
    let token = site.wait_for_token();
    assert_eq!(site.bao.lookup(&token).expect("a valid token")["path"], "auth/radius/login/app");
    assert_eq!(site.sent(), json!({ "password": PASSWORD }));
    let freeradius = site.freeradius.as_ref().expect("the RADIUS server");
    assert_eq!(freeradius.answers(), (1, 0));
    drop(agent);
    let ended = site.log_in_once(|configuration| {
        configuration.method_config = named(&site, "web@shop.test");
    });
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(freeradius.answers(), (2, 0));
    site.write_credential("wrong");
    site.log_in_once(|_| {});
    assert_eq!(freeradius.answers(), (2, 1));
}

/// The configuration of the method for another user.
fn named(site: &MethodSite, name: &str) -> String {
    site.config.replace("\"app\"", &format!("\"{name}\""))
}
