//! `metrics_address`: metrics that Prometheus can read, and probes for orchestrators.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;
use usher_tests::agent::{Agent, Launch};
use usher_tests::eventually::{eventually, eventually_true};
use usher_tests::metrics::{get, metrics_address, scrape};
use usher_tests::proxy::Fault;
use usher_tests::site::{Configuration, Site};

#[test]
fn the_metrics_are_well_formed_and_true() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.proxy.fail_times("auth/approle/login", Fault::Status(503), 2);
    let agent = Agent::start(&with_metrics(&site).text());
    let address = metrics_address(&agent);
    let token = site.wait_for_token();
    let metrics = eventually("a delivery in the metrics", LIMIT, || {
        let metrics = scrape(&address);
        (metrics.value("usher_ready") == Some(1.0)).then_some(metrics)
    });
    let app = "identity=\"default\"";
    let value = |sample: &str| metrics.value(sample);
    assert_eq!(value(&format!("usher_logins_total{{{app},result=\"success\"}}")), Some(1.0));
    assert_eq!(value(&format!("usher_logins_total{{{app},result=\"failure\"}}")), Some(2.0));
    assert_eq!(value(&format!("usher_failures_in_a_row{{{app}}}")), Some(0.0));
    let delivered = format!("usher_deliveries_total{{{app},sink=\"file\",result=\"success\"}}");
    assert_eq!(value(&delivered), Some(1.0));
    assert_eq!(value(&format!("usher_sink_pending{{{app},sink=\"file\"}}")), Some(0.0));
    let requests =
        |result: &str| value(&format!("usher_server_requests_total{{result=\"{result}\"}}"));
    assert_eq!(requests("unavailable"), Some(2.0));
    assert!(requests("success") >= Some(1.0), "the login at least");
    assert_eq!(requests("refused"), Some(0.0));
    assert_eq!(value("usher_server_in_trouble"), Some(0.0));
    assert_eq!(metrics.state(), "valid");
    let expiry = value(&format!("usher_token_expiry_timestamp_seconds{{{app}}}"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    let left = expiry.expect("an expiry") - now;
    assert!((3000.0..=3601.0).contains(&left), "{left} s left");
    assert!(metrics.value("process_resident_memory_bytes") > Some(1e6));
    assert!(metrics.value("process_start_time_seconds").expect("a start") <= now);
    let version = format!("usher_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(value(&version), Some(1.0));

    let on_server = site.bao.lookup(&token).expect("a valid token");
    let accessor = on_server["accessor"].as_str().expect("an accessor");
    assert!(!metrics.text.contains(accessor), "no accessor in metrics");
    for secret in site.secrets() {
        assert!(!metrics.text.contains(&secret), "no secret in metrics");
    }
}

#[test]
fn an_outage_is_seen_in_the_metrics_with_the_deadline() {
    let mut site = Site::new(json!({ "token_ttl": "1h" }));
    let agent = Agent::start(&with_metrics(&site).token_check_interval("300ms").text());
    let address = metrics_address(&agent);
    site.wait_for_token();
    site.proxy.down();
    let metrics = eventually("the state degraded", LIMIT, || {
        let metrics = scrape(&address);
        (metrics.state() == "degraded").then_some(metrics)
    });
    let value = |sample: &str| metrics.value(sample);
    assert!(value("usher_token_expiry_timestamp_seconds{identity=\"default\"}").is_some());
    assert!(value("usher_failures_in_a_row{identity=\"default\"}") >= Some(1.0));
    let failed = "usher_token_checks_total{identity=\"default\",result=\"failure\"}";
    assert!(value(failed) >= Some(1.0));
    assert_eq!(value("usher_ready"), Some(1.0), "the token is still good");
    site.proxy.up();
    eventually_true("the end of the outage", LIMIT, || scrape(&address).state() == "valid");
}

#[test]
fn the_probes_tell_alive_from_ready() {
    let mut site = Site::new(json!({ "token_ttl": "1h" }));
    site.proxy.down();
    let mut agent = Agent::start(&with_metrics(&site).text());
    let address = metrics_address(&agent);
    let probe = |path: &str| get(&address, path).expect("an answer");
    let (status, kind, body) = probe("/readyz");
    assert_eq!(status, 503);
    assert!(kind.starts_with("text/plain"), "{kind}");
    assert!(body.starts_with("default: ") && body.contains("file"), "who isn't ready: {body}");
    assert_eq!(probe("/livez").0, 200, "alive, though not ready");
    site.proxy.up();
    site.wait_for_token();
    eventually_true("readiness", LIMIT, || probe("/readyz").0 == 200);
    assert_eq!(probe("/livez").0, 200);
    assert!(agent.is_running());
}

#[test]
fn an_expired_token_is_not_ready() {
    let mut site = Site::new(json!({ "token_ttl": "3s" }));
    let agent = Agent::start(&with_metrics(&site).text());
    let address = metrics_address(&agent);
    eventually_true("readiness", LIMIT, || get(&address, "/readyz").expect("an answer").0 == 200);
    site.proxy.down();
    eventually_true("no readiness", LIMIT, || {
        get(&address, "/readyz").expect("an answer").0 == 503
    });
    let metrics = scrape(&address);
    assert!(["expired", "authenticating"].contains(&&*metrics.state()), "{}", metrics.text);
    assert_eq!(metrics.value("usher_ready"), Some(0.0));
}

#[test]
fn the_address_serves_nothing_that_changes_the_agent_or_names_a_token() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let agent = Agent::start(&with_metrics(&site).text());
    let address = metrics_address(&agent);
    for path in ["/", "/v1/status", "/v1/reload", "/v1/wait", "/metrics/"] {
        assert_eq!(get(&address, path).expect("an answer").0, 404, "{path}");
    }
    let mut stream = TcpStream::connect(&address).expect("a connection");
    stream.write_all(b"POST /v1/reload HTTP/1.1\r\nhost: x\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[test]
fn idle_connections_shut_nobody_out_for_long() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let agent = Agent::start(&with_metrics(&site).text());
    let address = metrics_address(&agent);
    let idle: Vec<TcpStream> =
        (0..40).map(|_| TcpStream::connect(&address).expect("a connection")).collect();
    // They are cut off after ten seconds.
    let started = Instant::now();
    let (status, ..) = get(&address, "/livez").expect("an answer");
    assert_eq!(status, 200);
    assert!(started.elapsed() < Duration::from_secs(40), "{:?}", started.elapsed());
    drop(idle);
}

#[test]
fn an_address_in_use_stops_the_agent_and_names_the_key() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut configuration = site.configuration();
    let address = taken.local_addr().expect("an address");
    configuration.top = format!("metrics_address = \"{address}\"");
    let ended = Launch::agent(&configuration.text()).run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.log.contains(&format!("metrics_address {address}")), "{ended:?}");
    assert_eq!(site.login_attempts(), 0);
}

#[test]
fn a_reload_opens_the_port_to_all_and_closes_it_again() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let on = |address: &str| {
        let mut configuration = site.configuration();
        configuration.top = format!("metrics_address = \"{address}:{port}\"");
        configuration.text()
    };
    let answers = |address: &str| get(&format!("{address}:{port}"), "/livez").is_ok();
    let mut agent = Agent::start(&on("127.0.0.1"));
    eventually_true("an answer", LIMIT, || answers("127.0.0.1"));
    agent.reload(&on("0.0.0.0"));
    eventually_true("an answer at another address", LIMIT, || answers("127.0.0.2"));
    agent.reload(&on("127.0.0.1"));
    eventually_true("no answer there", LIMIT, || !answers("127.0.0.2"));
    assert!(answers("127.0.0.1"));
}

fn with_metrics(site: &Site) -> Configuration {
    let mut configuration = site.configuration();
    configuration.top = "metrics_address = \"127.0.0.1:0\"".into();
    configuration
}

const LIMIT: Duration = Duration::from_secs(30);
