//! What operators see of a listener: metrics, `usher status`, and both over a reload.
#![allow(clippy::unwrap_used, reason = "helpers fail the test that calls them")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use usher_tests::agent::Agent;
use usher_tests::api_client::{ApiClient, Request};
use usher_tests::eventually::eventually_true;
use usher_tests::listeners::{api_proxy, free_authority, tcp, unix};
use usher_tests::metrics::{Metrics, metrics_address, scrape};
use usher_tests::operator::{command, status, status_when};
use usher_tests::upstream::{Gate, Upstream};

/// An upstream that answers what its path says, `/v1/503`; "/v1/slow" waits for the gate.
fn upstream(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::start(move |head, peer| {
        peer.read_body(head)?;
        if head.target == "/v1/slow" {
            gate.pass()?;
        }
        let status = head.target.strip_prefix("/v1/").and_then(|status| status.parse().ok());
        peer.answer(status.unwrap_or(200), &[], "done")
    })
}

/// An agent's socket for operators, one for clients, and an address for metrics.
struct Places {
    home: TempDir,
}

impl Places {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn admin(&self) -> PathBuf {
        self.home.path().join("admin.sock")
    }

    fn clients(&self) -> PathBuf {
        self.home.path().join("clients.sock")
    }

    fn blocks(&self, listeners: &str) -> String {
        let admin = self.admin();
        format!(
            "admin_socket = \"{}\"\nmetrics_address = \"127.0.0.1:0\"\n{listeners}",
            admin.display()
        )
    }
}

fn requests(metrics: &Metrics, listener: &Path, class: &str) -> Option<f64> {
    let listener = listener.display();
    metrics
        .value(&format!("usher_proxy_requests_total{{listener=\"{listener}\",class=\"{class}\"}}"))
}

#[test]
fn requests_are_counted_by_what_became_of_them() {
    let gate = Gate::default();
    let (upstream, places) = (upstream(&gate), Places::new());
    let socket = places.clients();
    let blocks = places.blocks(&unix(&socket, ""));
    let agent = Agent::start(&upstream.configuration(&blocks));
    let client = ApiClient::unix(&socket);
    client.wait_until_open();
    for answered in [200, 200, 300, 403, 404, 503] {
        assert_eq!(client.get(&format!("/v1/{answered}")).status, answered);
    }
    assert_eq!(client.send(&Request::new("TRACE", "/v1/x")).status, 405);
    // Whoever asks for metrics makes no request of the proxy's.
    assert_eq!(client.get("/agent/v1/metrics").status, 200);
    let mut leaving = client.connect().unwrap();
    leaving.send(&Request::get("/v1/slow")).unwrap();
    eventually_true("the request", LIMIT, || upstream.heads("/v1/slow").len() == 1);
    drop(leaving);

    let address = metrics_address(&agent);
    eventually_true("the caller who left", LIMIT, || {
        requests(&scrape(&address), &socket, "gone") == Some(1.0)
    });
    gate.open();
    let metrics = scrape(&address);
    for (class, count) in
        [("1xx", 0.0), ("2xx", 2.0), ("3xx", 1.0), ("4xx", 2.0), ("5xx", 1.0), ("refused", 1.0)]
    {
        assert_eq!(requests(&metrics, &socket, class), Some(count), "{class}: {}", metrics.text);
    }
    let of = |name: &str| {
        metrics.value(&format!("usher_proxy_{name}{{listener=\"{}\"}}", socket.display()))
    };
    // All that went on to the server.
    assert_eq!(of("request_duration_seconds_count"), Some(7.0));
    assert!(of("request_duration_seconds_sum") > Some(0.0));
    assert!(of("received_bytes_total") > Some(100.0));
    assert!(of("sent_bytes_total") > Some(100.0));
    eventually_true("no connection", LIMIT, || {
        scrape(&address)
            .text
            .contains(&format!("usher_proxy_connections{{listener=\"{}\"}} 0\n", socket.display()))
    });
}

#[test]
fn the_status_tells_each_listener_with_its_last_error_and_whose_token_it_lends() {
    let gate = Gate::default();
    let (mut upstream, places) = (upstream(&gate), Places::new());
    let (socket, address) = (places.clients(), free_authority());
    let listeners = unix(&socket, "") + &tcp(&address, "role = \"metrics_only\"");
    let blocks = places.blocks(&(listeners + &api_proxy("use_auto_auth_token = true")));
    let _agent = Agent::start(&upstream.configuration_with_login(&blocks));
    let client = ApiClient::unix(&socket);
    client.wait_until_open();
    status_when(&places.admin(), "readiness", |status| status["ready"] == true);
    let mut talk = client.connect().unwrap();
    assert_eq!(talk.ask(&Request::get("/v1/x")).unwrap().status, 200);
    let seen = status_when(&places.admin(), "no other connection", |status| {
        status["listeners"][0]["connections"] == 1
    });
    let listener = &seen["listeners"][0];
    let place = socket.display().to_string();
    assert_eq!((&listener["place"], &listener["bound"]), (&json!(place), &json!(place)));
    assert_eq!((&listener["tls"], &listener["role"]), (&json!("off"), &json!("default")));
    assert_eq!(listener["identity"], "default", "{seen:#}");
    assert_eq!(listener["token_use"], "when_absent", "{seen:#}");
    assert_eq!((&listener["requests"], &listener["errors"]), (&json!(1), &json!(0)));
    assert_eq!(listener["last_error"], Value::Null, "{seen:#}");
    assert_eq!(seen["listeners"][1]["role"], "metrics_only", "{seen:#}");
    assert_eq!(seen["listeners"][1]["identity"], Value::Null, "{seen:#}");

    upstream.down();
    let reply = client.get("/v1/x");
    assert_eq!(reply.header("proxy-status"), Some("usher"), "{reply:?}");
    let seen = status(&places.admin());
    let listener = &seen["listeners"][0];
    assert_eq!((&listener["requests"], &listener["errors"]), (&json!(2), &json!(1)));
    assert_eq!(listener["answers"]["refused"], 1, "{seen:#}");
    let error = &listener["last_error"];
    assert_eq!(error["status"], reply.status, "{seen:#}");
    assert_eq!(error["message"], reply.errors(), "{seen:#}");
    assert!(error["at"].is_string(), "{seen:#}");
    let people = command("status", &places.admin(), &[]);
    for word in ["LISTENER", &place, &address, "metrics only", "default", "ago: "] {
        assert!(people.results.contains(word), "{word}: {}", people.results);
    }
    assert!(
        !people.results.contains(Upstream::TOKEN) && !seen.to_string().contains(Upstream::TOKEN)
    );
}

#[test]
fn a_listener_that_stays_keeps_its_counts_over_a_reload() {
    let gate = Gate::default();
    let (upstream, places) = (upstream(&gate), Places::new());
    let (socket, other) = (places.clients(), places.home.path().join("other.sock"));
    let both = places.blocks(&(unix(&socket, "") + &unix(&other, "")));
    let mut agent = Agent::start(&upstream.configuration(&both));
    let clients = [ApiClient::unix(&socket), ApiClient::unix(&other)];
    for client in &clients {
        client.wait_until_open();
        assert_eq!(client.get("/v1/x").status, 200);
    }
    // It stays, with another rule; the other one goes.
    let demanding = places.blocks(&unix(&socket, "require_request_header = true"));
    agent.reload(&upstream.configuration(&demanding));
    let seen = status_when(&places.admin(), "the reload", |status| {
        status["listeners"].as_array().is_some_and(|listeners| listeners.len() == 1)
    });
    assert_eq!(seen["listeners"][0]["requests"], 1, "{seen:#}");
    assert_eq!(clients[0].get("/v1/x").status, 412);
    let seen = status(&places.admin());
    assert_eq!(seen["listeners"][0]["requests"], 2, "{seen:#}");
    assert_eq!(seen["listeners"][0]["answers"]["refused"], 1, "{seen:#}");
}

const LIMIT: Duration = Duration::from_secs(30);
