//! Bad configurations: each is refused before any login, naming the place and the remedy.

use std::time::Duration;

use serde_json::json;
use usher_tests::agent::{Agent, Launch};
use usher_tests::site::{Configuration, Site, file_sink};

#[test]
fn malformed_hcl_is_shown_with_its_line() {
    let site = Site::new(json!({}));
    let text = site.configuration().text().replace("auto_auth {", "auto_auth = = {");
    let line = 1 + text.lines().take_while(|line| !line.contains("= = {")).count();
    let log = refused(&site, &text);
    assert!(log.contains(&format!("usher.hcl:{line}:")), "{log}");
    assert!(log.contains("auto_auth = = {"), "shows the line: {log}");
}

#[test]
fn an_unclosed_block_is_an_error() {
    let site = Site::new(json!({}));
    let text = site.configuration().text();
    refused(&site, text.trim_end().trim_end_matches('}'));
}

#[test]
fn an_unknown_method_is_named_with_what_there_is() {
    let log = refused_after(|configuration, _| configuration.method = "aprole".into());
    assert!(log.contains("aprole") && log.contains("approle"), "{log}");
}

#[test]
fn an_unknown_sink_is_named_with_what_there_is() {
    let log = refused_after(|configuration, _| configuration.sinks[0].0 = "flie".into());
    assert!(log.contains("flie") && log.contains("file"), "{log}");
}

#[test]
fn two_sinks_with_one_path_are_refused() {
    let log = refused_after(|configuration, site| {
        configuration.sinks.push(file_sink(&site.file("token")));
    });
    assert!(log.contains("token"), "{log}");
}

#[test]
fn wrong_types_are_located() {
    for (setting, key) in [
        ("exit_after_auth = \"true\"", "exit_after_auth"),
        ("pid_file = [1]", "pid_file"),
        ("log_level = \"loud\"", "log_level"),
    ] {
        let log = refused_after(|configuration, _| configuration.top = setting.into());
        assert!(log.contains(key) && log.contains("usher.hcl:1:"), "{setting}: {log}");
    }
    let log = refused_after(|configuration, _| {
        configuration.method_settings = "min_backoff = \"soon\"".into();
    });
    assert!(log.contains("min_backoff") && log.contains("soon"), "{log}");
    let log = refused_after(|configuration, _| configuration.address = "vault.example".into());
    assert!(log.contains("address"), "{log}");
}

#[test]
fn settings_of_the_plugins_are_checked_too() {
    let log = refused_after(|configuration, _| {
        configuration.method_config = "secret_id_file_path = \"/tmp/x\"".into();
    });
    assert!(log.contains("role_id_file_path"), "{log}");
    let log = refused_after(|configuration, _| configuration.sinks[0].1 = "mode = 0600".into());
    assert!(log.contains("path"), "{log}");
}

#[test]
fn every_problem_is_reported_at_once() {
    let log = refused_after(|configuration, _| {
        configuration.top = "exit_after_auth = \"true\"".into();
        configuration.method_settings = "min_backoff = \"soon\"".into();
        configuration.vault = "tls_skip_verify = \"perhaps\"".into();
    });
    for key in ["exit_after_auth", "min_backoff", "tls_skip_verify"] {
        assert!(log.contains(key), "{key}: {log}");
    }
}

#[test]
fn an_unknown_key_is_a_located_warning_with_a_suggestion_and_an_error_with_strict() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.top = "exit_after_aut = true".into();
    let agent = Agent::start(&configuration.text());
    site.wait_for_token();
    let log = agent.log();
    assert!(log.contains("exit_after_aut") && log.contains("exit_after_auth"), "{log}");
    assert!(log.contains("usher.hcl:1:"), "{log}");
    agent.stop();
    let ended = Launch::agent(&configuration.text()).argument("--strict").run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
}

#[test]
fn an_unknown_setting_of_a_plugin_is_warned_of_at_start_and_reload_and_an_error_with_strict() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.sinks[0].1 += "\nperms = \"0600\"";
    let mut agent = Agent::start(&configuration.text());
    site.wait_for_token();
    let log = agent.log();
    assert!(log.contains("the config of sink \"file\" has no key `perms`; it is ignored"), "{log}");
    assert!(log.contains("it takes gid, in_place, mode, path, uid"), "{log}");
    configuration.method_config += "\nremove_secret_id_file_reading = false";
    agent.reload(&configuration.text());
    agent.wait_for_log("did you mean `remove_secret_id_file_after_reading`?");
    agent.stop();
    let ended = Launch::agent(&configuration.text()).argument("--strict").run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    for key in ["`perms`", "`remove_secret_id_file_reading`"] {
        assert!(ended.log.contains(key), "{key}: {ended:?}");
    }
    assert!(ended.log.contains(": error: the config of sink"), "{ended:?}");
}

#[test]
fn an_unknown_setting_in_an_identity_is_an_error() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut other = site.configuration();
    other.sinks[0] = file_sink(&site.file("other"));
    other.sinks[0].1 += "\nperms = \"0600\"";
    let text = site.configuration().text() + &other.identity("identity \"web\"");
    let log = refused(&site, &text);
    assert!(log.contains("error: the config of sink \"file\" has no key `perms`"), "{log}");
}

#[test]
fn a_plugin_block_without_effect_is_named() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.top = "plugin \"apprle\" {\n}\nplugin \"file\" {\n}".into();
    let ended = Launch::agent(&configuration.text()).argument("--exit-after-auth").run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(ended.log.contains("\"apprle\"") && ended.log.contains("\"file\""), "{ended:?}");
    assert!(ended.log.contains("usher.hcl:1:") && ended.log.contains("usher.hcl:3:"), "{ended:?}");
}

#[test]
fn the_last_of_a_repeated_flag_wins() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let ended = Launch::agent(&site.configuration().text())
        .argument("-exit-after-auth=false")
        .argument("-exit-after-auth")
        .argument("-log-level=info")
        .argument("-non-interactive")
        .run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
}

#[test]
fn an_unknown_key_in_a_block_of_our_own_is_an_error() {
    let log = refused_after(|configuration, _| {
        configuration.top = "plugin \"acme\" {\n  alow {\n  }\n}".into();
    });
    assert!(log.contains("alow") && log.contains("allow"), "{log}");
}

#[test]
fn a_block_that_is_not_built_yet_is_refused_by_name() {
    for block in ["template", "env_template \"A\"", "exec"] {
        let log = refused_after(|configuration, _| configuration.top = format!("{block} {{\n}}"));
        assert!(log.contains(block.split(' ').next().unwrap_or(block)), "{block}: {log}");
    }
}

#[test]
fn missing_parts_are_named() {
    let site = Site::new(json!({}));
    let text = site.configuration().text();
    let (vault, _) = text.split_once("auto_auth").unwrap_or_default();
    let log = refused(&site, vault);
    assert!(log.contains("auto_auth"), "{log}");
    let log = refused_after(|configuration, _| configuration.sinks.clear());
    assert!(log.contains("sink"), "{log}");
}

#[test]
fn a_configuration_that_is_not_there_is_a_usage_error() {
    let ended = Launch::command(&["agent", "--config", "/nowhere/usher.hcl"]).run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.log.contains("/nowhere/usher.hcl"), "{ended:?}");
    let ended = Launch::command(&["agent"]).run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.log.contains("--config"), "{ended:?}");
    let ended = Launch::command(&["agent", "--no-such-option"]).run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
}

#[test]
fn the_layouts_of_hcl_1_are_understood() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let text = format!(
        r#"# a comment
"exit_after_auth" = true // another
VAULT = {{ Address = "{address}" }}
auto_auth = {{ /* and
 a third */
  method approle {{
    config = {{ role_id_file_path = "{role}" secret_id_file_path = "{secret}", remove_secret_id_file_after_reading = "false" }}
  }}
  sink "file" {{ config {{ path = "{token}" mode = 0600 }} }}
}}
"#,
        address = site.proxy.address(),
        role = site.file("role-id").display(),
        secret = site.file("secret-id").display(),
        token = site.file("token").display(),
    );
    let ended = Launch::agent(&text).run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(site.token().is_some_and(|token| site.bao.is_valid(&token)));
    assert!(site.file("secret-id").exists());
}

/// Runs the agent on a good configuration after a change; see [`refused`].
#[track_caller]
fn refused_after(change: impl FnOnce(&mut Configuration, &Site)) -> String {
    let site = Site::new(json!({}));
    let mut configuration = site.configuration();
    change(&mut configuration, &site);
    refused(&site, &configuration.text())
}

/// The agent must end with status 2, without a panic and before any login. Returns its log.
#[track_caller]
fn refused(site: &Site, configuration: &str) -> String {
    let ended = Launch::agent(configuration).run(LIMIT);
    assert_eq!(ended.status, 2, "{configuration}\n{}", ended.log);
    assert!(!ended.log.contains("panicked"), "{}", ended.log);
    assert_eq!(site.login_attempts(), 0);
    ended.log
}

const LIMIT: Duration = Duration::from_secs(20);
