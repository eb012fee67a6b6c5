//! The log file: everything that standard error gets, rotated, and never in the agent's way.

// The lint's exception for tests doesn't reach the functions that tests share.
#![allow(clippy::expect_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use usher_tests::agent::{Agent, Launch, is_root};
use usher_tests::eventually::{always, eventually_true};
use usher_tests::site::{Configuration, Site};

/// A site's configuration with a log file in a directory of its own.
fn logging_to(site: &Site, settings: &str) -> (Configuration, PathBuf) {
    let directory = site.file("log");
    fs::create_dir(&directory).expect("a directory for the log");
    let mut configuration = site.configuration();
    configuration.top = format!("log_file = \"{}/agent.log\"\n{settings}", directory.display());
    (configuration, directory)
}

fn content(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

/// Rotated files, in order, without their directory.
fn archives(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("the log's directory").flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().into_string().expect("a name in plain letters"))
        .filter(|name| name != "agent.log")
        .collect();
    names.sort();
    names
}

#[test]
fn the_file_has_the_same_lines_as_standard_error_and_no_secret() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let (mut configuration, directory) = logging_to(&site, "");
    configuration.top += "\nlog_format = \"json\"";
    fs::write(directory.join("agent.log"), "{\"earlier\": true}\n").expect("an earlier log");
    let agent = Agent::start(&configuration.text());
    site.wait_for_token();
    let ended = agent.stop();
    let logged = content(&directory.join("agent.log"));
    let own = logged.strip_prefix("{\"earlier\": true}\n").expect("appended");
    assert!(own.contains("token written"), "{own}");
    assert!(ended.log.ends_with(own), "{own}\n---\n{}", ended.log);
    for line in own.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(line["@message"].is_string(), "{line}");
    }
    for secret in site.secrets() {
        assert!(!logged.contains(&secret), "{logged}");
    }
}

#[test]
fn a_directory_is_enough_and_the_file_is_not_for_everybody() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let directory = site.file("log");
    fs::create_dir(&directory).expect("a directory for the log");
    let ended = Launch::agent(&site.configuration().text())
        .argument("--log-file")
        .argument(format!("{}/", directory.display()))
        .argument("--exit-after-auth")
        .run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    let file = directory.join("usher.log");
    assert!(content(&file).contains("sinks finished"), "{ended:?}");
    let mode = fs::metadata(&file).expect("the log file").permissions().mode() & 0o777;
    assert_eq!(mode, 0o640);
}

#[test]
fn a_file_that_can_not_be_made_stops_the_agent_at_start() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    for path in ["/nowhere/agent.log".to_owned(), site.file("").display().to_string() + "."] {
        configuration.top = format!("log_file = \"{path}\"");
        let ended = Launch::agent(&configuration.text()).run(LIMIT);
        assert_eq!(ended.status, 2, "{ended:?}");
        assert!(ended.log.contains(&path) && ended.log.contains("log file"), "{ended:?}");
    }
    assert_eq!(site.login_attempts(), 0);
}

#[test]
fn a_large_file_is_rotated_and_the_oldest_go() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let (configuration, directory) =
        logging_to(&site, "log_rotate_bytes = 300\nlog_rotate_max_files = 2");
    let agent = Agent::start(&configuration.text());
    site.wait_for_token();
    let ended = agent.stop();
    let names = archives(&directory);
    assert_eq!(names.len(), 2, "{names:?}");
    for name in &names {
        let time = name.strip_prefix("agent-").and_then(|name| name.strip_suffix(".log"));
        assert!(time.is_some_and(|time| time.parse::<u64>().is_ok()), "{name}");
    }
    // No line is lost or torn at a seam.
    let kept: String = names.iter().map(|name| content(&directory.join(name))).collect::<String>()
        + &content(&directory.join("agent.log"));
    assert!(ended.log.ends_with(&kept), "{kept}\n---\n{}", ended.log);
}

#[test]
fn no_archive_is_kept_if_none_is_wanted() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let (configuration, directory) =
        logging_to(&site, "log_rotate_bytes = 300\nlog_rotate_max_files = -1");
    let agent = Agent::start(&configuration.text());
    site.wait_for_token();
    agent.stop();
    assert_eq!(archives(&directory), Vec::<String>::new());
    assert!(content(&directory.join("agent.log")).len() < 1000);
}

#[test]
fn an_old_file_is_rotated() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let (configuration, directory) = logging_to(&site, "log_rotate_duration = \"1s\"");
    site.proxy.fail("auth/approle/login", usher_tests::proxy::Fault::Status(503));
    let _agent = Agent::start(&configuration.text());
    eventually_true("two rotated files", LIMIT, || archives(&directory).len() >= 2);
}

#[test]
fn a_file_that_was_moved_is_made_again_also_on_sighup() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.proxy.fail("auth/approle/login", usher_tests::proxy::Fault::Status(503));
    let (configuration, directory) = logging_to(&site, "");
    let mut agent = Agent::start(&configuration.text());
    let file = directory.join("agent.log");
    eventually_true("a failed login", LIMIT, || content(&file).contains("error authenticating"));
    for name in ["moved-1", "moved-2"] {
        fs::rename(&file, directory.join(name)).expect("the log file can be moved");
        agent.hang_up();
        eventually_true("the log goes on", LIMIT, || {
            content(&file).contains("error authenticating")
        });
    }
    fs::remove_file(&file).expect("the log file can be removed");
    eventually_true("the log goes on", LIMIT, || content(&file).contains("error authenticating"));
    assert!(agent.is_running());
}

#[test]
fn a_full_disk_costs_log_lines_and_nothing_else() {
    if !is_root() {
        return;
    }
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let (configuration, directory) = logging_to(&site, "");
    let file = directory.join("agent.log");
    let mut agent = Launch::agent(&configuration.text())
        .mounts(&format!(
            "mount -t tmpfs -o size=16k none {0}; head -c 16k /dev/zero > {0}/ballast || true",
            directory.display()
        ))
        .start();
    let token = site.wait_for_token();
    assert!(site.bao.is_valid(&token));
    agent.wait_for_log("the log file can't be written");
    site.proxy.fail("auth/approle/login", usher_tests::proxy::Fault::Status(503));
    site.bao.revoke(&token);
    agent.in_its_mounts(&format!("rm {}/ballast", directory.display()));
    // Only a new line shows that there is room again.
    agent.hang_up();
    let seen = agent.path(&file);
    eventually_true("the log goes on", LIMIT, || content(&seen).contains("written again"));
    let complaints = agent.log().matches("can't be written").count();
    assert_eq!(complaints, 1, "{}", agent.log());
    always("the agent runs", Duration::from_secs(1), || agent.is_running());
}

const LIMIT: Duration = Duration::from_secs(30);
