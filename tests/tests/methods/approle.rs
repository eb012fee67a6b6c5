//! The built-in `approle` method: its files, and secret-ids in response-wrapping tokens.

use std::time::{Duration, Instant};

use serde_json::json;
use usher_tests::agent::{Agent, Launch};
use usher_tests::eventually::{always, eventually_true};
use usher_tests::methods::MethodSite;
use usher_tests::plugins::{self, PluginDirectory};
use usher_tests::proxy::Fault;
use usher_tests::site::{Configuration, Site, delivered, file_sink};

#[test]
fn the_secret_id_file_is_removed_only_after_a_proven_login() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.proxy.fail("auth/approle/login", Fault::Status(503));
    let _agent = Agent::start(&removing(&site).text());
    eventually_true("two attempts", LIMIT, || site.login_attempts() >= 2);
    assert!(site.file("secret-id").exists());
    site.proxy.heal();
    site.wait_for_token();
    eventually_true("the removal", LIMIT, || !site.file("secret-id").exists());
    assert!(site.file("role-id").exists());
}

#[test]
fn the_secret_id_file_stays_if_asked_to() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let ended =
        Launch::agent(&site.configuration().text()).argument("--exit-after-auth").run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(site.file("secret-id").exists());
}

#[test]
fn a_secret_id_whose_file_was_removed_serves_the_next_login() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let _agent = Agent::start(&removing(&site).token_check_interval("300ms").text());
    let first = site.wait_for_token();
    eventually_true("the removal", LIMIT, || !site.file("secret-id").exists());
    eventually_true("a check", LIMIT, || site.proxy.count("lookup-self") > 0);
    site.bao.revoke(&first);
    assert!(site.bao.is_valid(&site.wait_for_token_after(&first)));
}

#[test]
fn a_role_id_file_that_appears_is_used_at_once() {
    // Missing, empty, or no file at all: retried in half a minute, or when the file changes.
    for make_bad in [
        |site: &Site| std::fs::remove_file(site.file("role-id")).expect("the file"),
        |site: &Site| site.write("role-id", ""),
        |site: &Site| {
            std::fs::remove_file(site.file("role-id")).expect("the file");
            std::fs::create_dir(site.file("role-id")).expect("a directory");
        },
    ] {
        let site = Site::new(json!({ "token_ttl": "1h" }));
        let role_id = site.bao.role_id("app");
        make_bad(&site);
        let mut configuration = site.configuration();
        configuration.method_settings = "min_backoff = \"30s\"\nmax_backoff = \"60s\"".into();
        let mut agent = Agent::start(&configuration.text());
        agent.wait_for_log(&site.file("role-id").display().to_string());
        assert!(agent.is_running());
        assert_eq!(site.login_attempts(), 0);
        let _ = std::fs::remove_dir(site.file("role-id"));
        site.replace("role-id", &role_id);
        let appeared = Instant::now();
        site.wait_for_token();
        assert!(appeared.elapsed() < Duration::from_secs(5), "{:?}", appeared.elapsed());
    }
}

#[test]
fn a_missing_role_id_file_is_retried_by_time_too() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    std::fs::remove_file(site.file("role-id")).expect("the file");
    let agent = Agent::start(&site.configuration().text());
    agent.wait_for_log("role-id");
    site.write("role-id", &site.bao.role_id("app"));
    site.wait_for_token();
}

#[test]
fn a_wrong_secret_id_is_an_error_that_names_the_remedy_and_a_right_one_ends_it() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.write("secret-id", "00000000-0000-0000-0000-000000000000");
    let mut agent = Agent::start(&site.configuration().text());
    eventually_true("two attempts", LIMIT, || site.login_attempts() >= 2);
    assert!(agent.is_running());
    agent.wait_for_log("secret");
    assert!(agent.log().contains("auth/approle"), "names what was refused");
    site.write("secret-id", &site.bao.secret_id("app"));
    site.wait_for_token();
}

#[test]
fn an_expired_secret_id_is_refused_and_told_without_it() {
    let site = MethodSite::approle(json!({ "secret_id_ttl": "1s" }));
    eventually_true("its end", LIMIT, || site.log_in().is_some_and(|(status, _)| status == 400));
    site.assert_refused("expired", &site.log_in_once(|_| {}), &["secret", "auth/approle"]);
}

#[test]
fn white_space_around_credentials_is_ignored() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let secret_id = site.bao.secret_id("app");
    site.write("secret-id", &format!(" {secret_id}\n"));
    site.write("role-id", &format!("{}\r\n", site.bao.role_id("app")));
    let _agent = Agent::start(&site.configuration().text());
    site.wait_for_token();
}

#[test]
fn a_wrapped_secret_id_logs_in() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.write("secret-id", &site.bao.wrapped_secret_id("app"));
    let _agent = Agent::start(&unwrapping(&site).text());
    site.wait_for_token();
    assert_eq!(site.proxy.count("sys/wrapping/unwrap"), 1);
}

#[test]
fn a_wrapper_with_another_creation_path_is_refused_and_stays_wrapped() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let foreign = site.bao.wrapped("sys/wrapping/wrap", &json!({ "secret_id": "planted" }));
    site.write("secret-id", &foreign);
    let mut agent = Agent::start(&unwrapping(&site).text());
    agent.wait_for_log("creation path");
    always("nothing is unwrapped or tried", Duration::from_secs(2), || {
        site.proxy.count("sys/wrapping/unwrap") == 0 && site.login_attempts() == 0
    });
    assert!(agent.is_running());
    assert!(site.bao.is_wrapped(&foreign), "the evidence is left for the operator");
    // A right one in its place is taken.
    site.write("secret-id", &site.bao.wrapped_secret_id("app"));
    site.wait_for_token();
}

#[test]
fn a_used_wrapper_is_reported_and_a_fresh_one_is_taken() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let used = site.bao.wrapped_secret_id("app");
    assert_eq!(site.bao.unwrap(&used).status, 200);
    site.write("secret-id", &used);
    let mut agent = Agent::start(&unwrapping(&site).text());
    agent.wait_for_log("wrapping");
    always("no login is tried", Duration::from_secs(1), || site.login_attempts() == 0);
    assert!(agent.is_running());
    site.write("secret-id", &site.bao.wrapped_secret_id("app"));
    site.wait_for_token();
}

#[test]
fn an_unwrapped_secret_id_survives_failed_logins() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.write("secret-id", &site.bao.wrapped_secret_id("app"));
    site.proxy.fail("auth/approle/login", Fault::Status(500));
    let _agent = Agent::start(&unwrapping(&site).text());
    eventually_true("three attempts", LIMIT, || site.login_attempts() >= 3);
    site.proxy.heal();
    site.wait_for_token();
    assert_eq!(site.proxy.count("sys/wrapping/unwrap"), 1, "the wrapper works only once");
}

#[test]
fn a_reload_while_a_secret_id_is_unwrapped_does_not_lose_it() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.write("secret-id", &site.bao.wrapped_secret_id("app"));
    let late = Fault::LateAnswer(Duration::from_secs(3));
    site.proxy.fail_times("sys/wrapping/unwrap", late, 1);
    let mut configuration = unwrapping(&site);
    let mut agent = Agent::start(&configuration.text());
    eventually_true("the unwrapping", LIMIT, || site.proxy.count("sys/wrapping/unwrap") == 1);
    configuration.sinks.push(file_sink(&site.file("second")));
    agent.reload(&configuration.text());
    let token = site.wait_for_token();
    eventually_true("the second sink", LIMIT, || {
        delivered(&site.file("second")) == Some(token.clone())
    });
    assert_eq!(site.proxy.count("sys/wrapping/unwrap"), 1, "the wrapper works only once");
}

#[test]
fn a_trap_right_after_unwrapping_does_not_lose_the_secret_id() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let wrapper = site.bao.wrapped_secret_id("app");
    site.write("secret-id", &wrapper);
    let directory = PluginDirectory::new();
    directory.add("unwrap-then-hang", &plugins::javascript("unwrap_then_hang"));
    let mut configuration = site.configuration();
    configuration.top = format!(
        r#"plugin_directory = "{}"
           plugin "unwrap-then-hang" {{
             allow {{
               read   = ["{home}/*"]
               server = ["unwrap"]
             }}
             limits {{
               timeout = "2s"
             }}
           }}"#,
        directory.path().display(),
        home = site.file("").display().to_string().trim_end_matches('/'),
    );
    configuration.method = "unwrap-then-hang".into();
    configuration.method_settings += "\nmount_path = \"auth/approle\"";
    configuration.method_config = format!(
        "role_id_file = \"{}\"\nwrapper_file = \"{}\"",
        site.file("role-id").display(),
        site.file("secret-id").display()
    );
    let _agent = Launch::agent(&configuration.text()).keep_code().start();
    // The first call never returns, the second finds the secret-id in `state`.
    eventually_true("the token", Duration::from_mins(5), || site.token().is_some());
    assert_eq!(site.proxy.count("sys/wrapping/unwrap"), 1);
    assert!(!site.bao.is_wrapped(&wrapper));
}

/// The incumbents' default: the secret-id file goes after the login.
fn removing(site: &Site) -> Configuration {
    let mut configuration = site.configuration();
    configuration.method_config =
        configuration.method_config.replace("remove_secret_id_file_after_reading = false", "");
    configuration
}

fn unwrapping(site: &Site) -> Configuration {
    let mut configuration = site.configuration();
    configuration.method_config +=
        "\nsecret_id_response_wrapping_path = \"auth/approle/role/app/secret-id\"";
    configuration
}

const LIMIT: Duration = Duration::from_secs(20);
