//! Delivery: each sink for itself, the newest token only, and what a reader removed stays gone.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use usher_tests::agent::{Agent, Launch, is_root};
use usher_tests::eventually::{always, eventually, eventually_true};
use usher_tests::proxy::Fault;
use usher_tests::site::{Site, delivered, file_sink};

#[test]
fn every_sink_gets_the_same_token() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.sinks.push(file_sink(&site.file("second")));
    let ended = Launch::agent(&configuration.text()).argument("--exit-after-auth").run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(site.token().is_some());
    assert_eq!(site.token(), delivered(&site.file("second")));
    assert_eq!(site.bao.logins(), 1);
}

#[test]
fn a_broken_sink_never_leaves_the_other_one_with_a_dead_token() {
    let site = Site::new(json!({ "token_ttl": "3s", "token_max_ttl": "6s" }));
    std::fs::create_dir(site.file("broken")).expect("a directory");
    let mut configuration = site.configuration();
    let broken = site.file("broken/token");
    configuration.sinks.insert(0, file_sink(&broken));
    let _agent = Agent::start(&configuration.text());
    let first = site.wait_for_token();
    eventually_true("the first delivery", LIMIT, || delivered(&broken).is_some());
    std::fs::remove_dir_all(site.file("broken")).expect("the directory");
    let end = Instant::now() + Duration::from_secs(12);
    while Instant::now() < end {
        let token = site.token().expect("the token file is always there");
        assert!(site.bao.is_valid(&token), "a dead token in the working sink");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_ne!(site.token(), Some(first));
    // Mended, it gets what the other one has.
    std::fs::create_dir(site.file("broken")).expect("a directory");
    eventually_true("the delivery", LIMIT, || {
        delivered(&broken).is_some_and(|token| site.bao.is_valid(&token))
    });
}

#[test]
fn a_sink_file_that_its_reader_removed_stays_removed_until_the_token_changes() {
    let site = Site::new(json!({ "token_ttl": "3s", "token_max_ttl": "1h" }));
    let configuration = site.configuration().token_check_interval("300ms");
    let agent = Agent::start(&configuration.text());
    let first = site.wait_for_token();
    std::fs::remove_file(site.file("token")).expect("the token file");
    let renewals = site.proxy.count("renew-self");
    always("the file stays removed", Duration::from_secs(5), || site.token().is_none());
    assert!(site.proxy.count("renew-self") > renewals, "renewed, not delivered again");
    site.bao.revoke(&first);
    let second = site.wait_for_token_after(&first);
    assert!(site.bao.is_valid(&second));
    agent.stop();
}

#[test]
fn a_sink_without_its_directory_stops_the_agent_before_any_login() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.sinks.push(file_sink(&site.file("missing/token")));
    let ended = Launch::agent(&configuration.text()).run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.log.contains(&site.file("missing").display().to_string()), "{ended:?}");
    assert_eq!(site.login_attempts(), 0);
    assert_eq!(site.token(), None);
}

#[test]
fn a_sink_on_a_read_only_file_system_stops_the_agent_before_any_login() {
    if !is_root() {
        return;
    }
    let site = Site::new(json!({ "token_ttl": "1h" }));
    std::fs::create_dir(site.file("mounted")).expect("a directory");
    let mut configuration = site.configuration();
    configuration.sinks = vec![file_sink(&site.file("mounted/token"))];
    let ended = Launch::agent(&configuration.text())
        .mounts(&format!("mount -t tmpfs -o ro none {}", site.file("mounted").display()))
        .run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.log.contains(&site.file("mounted").display().to_string()), "{ended:?}");
    assert!(ended.log.to_lowercase().contains("read-only"), "{ended:?}");
    assert_eq!(site.login_attempts(), 0);
}

#[test]
fn a_file_system_that_turned_read_only_is_retried_and_costs_no_token() {
    if !is_root() {
        return;
    }
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let directory = site.file("mounted");
    std::fs::create_dir(&directory).expect("a directory");
    let mut configuration = site.configuration().token_check_interval("300ms");
    configuration.sinks.push(file_sink(&site.file("mounted/token")));
    let mut agent = Launch::agent(&configuration.text())
        .mounts(&format!("mount -t tmpfs none {}", directory.display()))
        .start();
    let first = site.wait_for_token();
    let inside = agent.path(&site.file("mounted/token"));
    eventually_true("the first delivery", LIMIT, || delivered(&inside).is_some());
    remount(&agent, &directory, "ro");
    site.bao.revoke(&first);
    let second = site.wait_for_token_after(&first);
    always("the agent stays", Duration::from_secs(2), || agent.is_running());
    assert_eq!(site.token().as_ref(), Some(&second), "the other sink is unaffected");
    assert!(site.bao.is_valid(&second));
    remount(&agent, &directory, "rw");
    eventually_true("the delivery", LIMIT, || delivered(&inside).as_ref() == Some(&second));
}

#[test]
fn a_full_file_system_is_retried_and_the_old_file_stays_whole() {
    if !is_root() {
        return;
    }
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let directory = site.file("mounted");
    std::fs::create_dir(&directory).expect("a directory");
    let mut configuration = site.configuration().token_check_interval("300ms");
    configuration.sinks.push(file_sink(&site.file("mounted/token")));
    let agent = Launch::agent(&configuration.text())
        .mounts(&format!("mount -t tmpfs -o size=64k none {}", directory.display()))
        .start();
    let first = site.wait_for_token();
    let inside = agent.path(&site.file("mounted/token"));
    eventually_true("the first delivery", LIMIT, || delivered(&inside).is_some());
    let filler = agent.path(&site.file("mounted/filler"));
    // Fails when the file system is full, having filled it.
    assert!(std::fs::write(&filler, vec![0_u8; 128 << 10]).is_err());
    site.bao.revoke(&first);
    let second = site.wait_for_token_after(&first);
    agent.wait_for_log("full");
    assert_eq!(delivered(&inside), Some(first), "whole or not at all");
    std::fs::remove_file(&filler).expect("the filler");
    eventually_true("the delivery", LIMIT, || delivered(&inside).as_ref() == Some(&second));
    let names: Vec<_> = std::fs::read_dir(agent.path(&directory))
        .expect("the directory")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names, ["token"], "nothing of the failed attempts is left");
}

#[test]
fn a_token_superseded_before_its_delivery_is_not_delivered_late() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    std::fs::create_dir(site.file("broken")).expect("a directory");
    let mut configuration = site.configuration().token_check_interval("300ms");
    let broken = site.file("broken/token");
    configuration.sinks.push(file_sink(&broken));
    let agent = Agent::start(&configuration.text());
    // A refused look-up proves something only after one that succeeded.
    let looked_up = || {
        eventually_true("a look-up of the token", LIMIT, || {
            let log = agent.log();
            log.rsplit("authentication successful").next().unwrap_or_default().contains("is alive")
        });
    };
    let first = site.wait_for_token();
    eventually_true("the first delivery", LIMIT, || delivered(&broken).is_some());
    looked_up();
    std::fs::remove_dir_all(site.file("broken")).expect("the directory");
    site.bao.revoke(&first);
    let second = site.wait_for_token_after(&first);
    looked_up();
    site.bao.revoke(&second);
    let third = site.wait_for_token_after(&second);
    std::fs::create_dir(site.file("broken")).expect("a directory");
    let late = eventually("the delivery", LIMIT, || delivered(&broken));
    assert_eq!(late, third);
}

#[test]
fn a_one_shot_login_whose_sink_fails_ends_with_status_4() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    std::fs::create_dir(site.file("broken")).expect("a directory");
    let mut configuration = site.configuration();
    configuration.sinks.push(file_sink(&site.file("broken/token")));
    site.proxy.fail_times("auth/approle/login", Fault::Status(503), 3);
    let agent = Launch::agent(&configuration.text())
        .argument("--exit-after-auth")
        .argument("--timeout")
        .argument("5s")
        .start();
    // The sink was good when it was checked, and is gone when the token comes.
    eventually_true("a login", LIMIT, || site.login_attempts() > 0);
    std::fs::remove_dir_all(site.file("broken")).expect("the directory");
    let ended = agent.ended(LIMIT);
    assert_eq!(ended.status, 4, "{ended:?}");
    assert!(ended.log.contains("broken"), "{ended:?}");
}

fn remount(agent: &Agent, directory: &Path, mode: &str) {
    agent.in_its_mounts(&format!("mount -o remount,{mode} {}", directory.display()));
}

const LIMIT: Duration = Duration::from_secs(20);
