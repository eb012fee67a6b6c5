//! What a service manager is told, by `sd_notify(3)`.

use std::time::Duration;

use serde_json::json;
use usher_tests::agent::Launch;
use usher_tests::eventually::eventually_true;
use usher_tests::operator::ServiceManager;
use usher_tests::site::{Site, file_sink};

#[test]
fn more_time_is_asked_for_until_every_sink_has_its_token() {
    let mut site = Site::new(json!({ "token_ttl": "1h" }));
    site.proxy.down();
    let manager = ServiceManager::at_path();
    let agent = Launch::agent(&site.configuration().text())
        .environment("NOTIFY_SOCKET", manager.name())
        .start();
    // The first request at once, the next one after 30 s.
    for _ in 0..2 {
        let message = manager.message(Duration::from_mins(1)).expect("a message");
        let lines: Vec<&str> = message.lines().collect();
        let time = lines.iter().find_map(|line| line.strip_prefix("EXTEND_TIMEOUT_USEC="));
        let time: u64 = time.and_then(|time| time.parse().ok()).expect("a time");
        assert!(time >= 60_000_000, "it outlasts the pause: {message}");
        assert!(lines.iter().any(|line| line.starts_with("STATUS=")), "{message}");
        assert!(!lines.contains(&"READY=1"), "{message}");
    }
    site.proxy.up();
    let message = manager.message_with("READY=1");
    assert!(site.token().is_some(), "the token is there before READY=1");
    assert!(message.contains("STATUS=the token is delivered"), "{message}");
    assert_eq!(manager.message(Duration::from_secs(1)), None, "nothing more is said");
    let stopped = agent.stop();
    manager.message_with("STOPPING=1");
    assert_eq!(manager.message(Duration::from_millis(100)), None, "{}", stopped.log);
}

#[test]
fn a_reload_is_announced_with_its_time_and_its_end() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let manager = ServiceManager::at_path();
    let configuration = site.configuration().text();
    let mut agent =
        Launch::agent(&configuration).environment("NOTIFY_SOCKET", manager.name()).start();
    manager.message_with("READY=1");
    let uptime = || {
        let uptime = std::fs::read_to_string("/proc/uptime").expect("the uptime");
        uptime.split(' ').next().and_then(|text| text.parse::<f64>().ok()).expect("seconds")
    };
    for text in [&*configuration, "auto_auth {"] {
        agent.reload(text);
        let message = manager.message_with("RELOADING=1");
        let micros = message.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
        let micros: f64 = micros.and_then(|text| text.parse().ok()).expect("a time");
        let seconds = micros / 1e6;
        // The uptime also counts the time in which the machine was suspended.
        assert!(seconds <= uptime() + 1.0 && seconds > 0.0, "{message}");
        let done = manager.message_with("READY=1");
        let refused = done.contains("refused");
        assert_eq!(refused, text == "auto_auth {", "{done}");
    }
    assert!(site.token().is_some());
}

#[test]
fn an_abstract_socket_is_told_too() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let manager = ServiceManager::abstract_socket();
    let agent = Launch::agent(&site.configuration().text())
        .environment("NOTIFY_SOCKET", manager.name())
        .start();
    manager.message_with("READY=1");
    assert!(site.token().is_some());
    agent.stop();
    manager.message_with("STOPPING=1");
}

#[test]
fn readiness_waits_for_the_slowest_sink() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    std::fs::create_dir(site.file("late")).expect("a directory");
    let mut configuration = site.configuration();
    configuration.sinks.push(file_sink(&site.file("late/token")));
    site.proxy.fail_times("auth/approle/login", usher_tests::proxy::Fault::Status(503), 3);
    let manager = ServiceManager::at_path();
    let _agent =
        Launch::agent(&configuration.text()).environment("NOTIFY_SOCKET", manager.name()).start();
    // The sink was good when it was checked, and is gone when the token comes.
    eventually_true("a login", LIMIT, || site.login_attempts() > 0);
    std::fs::remove_dir_all(site.file("late")).expect("the directory");
    site.wait_for_token();
    while let Some(message) = manager.message(Duration::from_secs(2)) {
        assert!(!message.contains("READY=1"), "{message}");
    }
    std::fs::create_dir(site.file("late")).expect("a directory");
    manager.message_with("READY=1");
    assert!(site.file("late/token").exists());
}

#[test]
fn a_manager_that_is_away_is_no_trouble() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    for name in ["/missing/notify.sock", "vsock:1:1"] {
        let agent =
            Launch::agent(&site.configuration().text()).environment("NOTIFY_SOCKET", name).start();
        site.wait_for_token();
        agent.stop();
        std::fs::remove_file(site.file("token")).expect("the token file");
    }
}

const LIMIT: Duration = Duration::from_secs(30);
