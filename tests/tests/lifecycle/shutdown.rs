//! The end of the agent: in order, at once, and with the tokens as the operator wants them.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::process::Signal;
use serde_json::json;
use usher_tests::agent::{Agent, Launch};
use usher_tests::eventually::{eventually, eventually_true};
use usher_tests::proxy::Fault;
use usher_tests::site::Site;

#[test]
fn sigterm_ends_an_agent_that_is_blocked_in_its_login() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.proxy.fail("auth/approle/login", Fault::Hang);
    let mut agent = Agent::start(&site.configuration().text());
    eventually_true("the login", LIMIT, || site.login_attempts() == 1);
    let started = Instant::now();
    agent.terminate();
    let ended = agent.ended(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert_eq!(site.token(), None);
}

#[test]
fn sigterm_ends_an_agent_that_waits_for_its_next_attempt() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.proxy.fail("auth/approle/login", Fault::Status(503));
    let mut configuration = site.configuration();
    configuration.method_settings = "min_backoff = \"60s\"\nmax_backoff = \"120s\"".into();
    let agent = Agent::start(&configuration.text());
    eventually_true("the login", LIMIT, || site.login_attempts() == 1);
    agent.stop();
}

#[test]
fn sigint_is_a_clean_shutdown_too() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut agent = Agent::start(&site.configuration().text());
    let token = site.wait_for_token();
    agent.interrupt();
    let ended = agent.ended(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(site.bao.is_valid(&token));
}

#[test]
fn sigquit_and_sigpwr_are_clean_shutdowns_too() {
    for signal in [Signal::QUIT, Signal::POWER] {
        let site = Site::new(json!({ "token_ttl": "1h" }));
        let mut agent = Agent::start(&site.configuration().text());
        let token = site.wait_for_token();
        agent.signal(signal);
        let ended = agent.ended(LIMIT);
        assert_eq!(ended.status, 0, "{signal:?}: {ended:?}");
        assert!(ended.log.contains("shutting down"), "{signal:?}: {ended:?}");
        assert!(site.bao.is_valid(&token));
    }
}

#[test]
fn a_signal_that_asks_for_no_end_ends_nothing() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut agent = Agent::start(&site.configuration().text());
    let token = site.wait_for_token();
    for (number, signal) in WITHOUT_EFFECT.into_iter().enumerate() {
        agent.signal(signal);
        // An answer to the next one proves that it has outlived this one.
        agent.signal(Signal::USR1);
        eventually_true(&format!("an answer after {signal:?}"), LIMIT, || {
            agent.log().matches("usher.sigusr1: usher ").count() > number
        });
    }
    assert!(site.bao.is_valid(&token));
    assert_eq!(site.login_attempts(), 1);
    agent.stop();
}

#[test]
fn signals_that_come_before_the_agent_has_its_configuration_are_kept() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let configuration = site.configuration().text();
    let file = site.file("usher.hcl");
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, &file, FileType::Fifo, mode, 0).expect("a named pipe");
    let mut agent = Launch::command(&["agent", "--config"]).argument(&file).start();
    agent.wait_until_it_catches(Signal::USR1);
    for signal in WITHOUT_EFFECT.into_iter().chain([Signal::USR1, Signal::HUP]) {
        agent.signal(signal);
    }
    let mut pipe = eventually("somebody who reads the configuration", LIMIT, || {
        let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).expect("a flag");
        OpenOptions::new().write(true).custom_flags(nonblocking).open(&file).ok()
    });
    // What the reload reads.
    site.write("usher.hcl.new", &configuration);
    std::fs::rename(site.file("usher.hcl.new"), &file).expect("the configuration");
    pipe.write_all(configuration.as_bytes()).expect("the configuration is read");
    drop(pipe);
    site.wait_for_token();
    for told in ["usher.sigusr1: usher ", "reloading the configuration"] {
        agent.wait_for_log(told);
    }
    agent.stop();
}

#[test]
fn sigterm_ends_an_agent_at_once_that_waits_for_its_configuration() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let file = site.file("usher.hcl");
    mknodat(CWD, &file, FileType::Fifo, Mode::RUSR, 0).expect("a named pipe");
    let mut agent = Launch::command(&["agent", "--config"]).argument(&file).start();
    agent.wait_until_it_catches(Signal::USR1);
    agent.terminate();
    assert_eq!(agent.ended(LIMIT).status, 128 + Signal::TERM.as_raw());
}

#[test]
fn sigterm_before_the_first_token_leaves_nothing_behind() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    std::fs::create_dir(site.file("out")).expect("a directory");
    site.proxy.fail("auth/approle/login", Fault::Status(500));
    let mut configuration = site.configuration();
    configuration.sinks[0].1 = format!("path = \"{}\"", site.file("out/token").display());
    let agent = Agent::start(&configuration.text());
    eventually_true("the login", LIMIT, || site.login_attempts() >= 1);
    agent.stop();
    assert_eq!(std::fs::read_dir(site.file("out")).expect("the directory").count(), 0);
}

#[test]
fn a_token_that_arrives_during_shutdown_is_revoked_or_delivered_but_not_lost() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.proxy.fail("auth/approle/login", Fault::LateAnswer(Duration::from_secs(1)));
    let mut agent = Agent::start(&site.configuration().text());
    eventually_true("the server's side of the login", LIMIT, || site.bao.logins() == 1);
    agent.terminate();
    let ended = agent.ended(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    match site.token() {
        Some(token) => assert!(site.bao.is_valid(&token)),
        None => assert_eq!(site.bao.living_approle_tokens(), 0, "an undelivered token lives on"),
    }
}

#[test]
fn the_token_is_revoked_at_exit_only_if_asked() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.auto_auth += "\non_exit = \"revoke\"";
    let agent = Agent::start(&configuration.text());
    let token = site.wait_for_token();
    agent.stop();
    assert!(!site.bao.is_valid(&token));
}

/// The end of a process that does nothing about them, or nothing at all.
const WITHOUT_EFFECT: [Signal; 12] = [
    Signal::USR2,
    Signal::ALARM,
    Signal::VTALARM,
    Signal::PROF,
    Signal::IO,
    Signal::PIPE,
    Signal::STKFLT,
    Signal::XFSZ,
    Signal::CHILD,
    Signal::CONT,
    Signal::URG,
    Signal::WINCH,
];

const LIMIT: Duration = Duration::from_secs(20);
