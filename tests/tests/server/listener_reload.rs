//! Listeners over SIGHUP and at the end: what is unchanged goes on, and no request is broken off.
#![allow(clippy::unwrap_used, reason = "helpers fail the test that calls them")]

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use usher_tests::agent::Agent;
use usher_tests::api_client::{ApiClient, Request};
use usher_tests::authority::Authority;
use usher_tests::eventually::eventually_true;
use usher_tests::listeners::{free_authority, tcp, unix};
use usher_tests::upstream::{Gate, Upstream};

const LIMIT: Duration = Duration::from_secs(30);

/// Answers at once, but for "/v1/slow", which waits for the gate.
fn slow_upstream(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::start(move |head, peer| {
        peer.read_body(head)?;
        if head.target == "/v1/slow" {
            gate.pass()?;
        }
        peer.answer(200, &[], "done")
    })
}

#[track_caller]
fn reload(agent: &mut Agent, configuration: &str, outcome: &str) {
    let before = agent.log().len();
    agent.reload(configuration);
    eventually_true(outcome, LIMIT, || agent.log()[before..].contains(outcome));
}

/// An agent with this socket alone.
fn serving(upstream: &Upstream, socket: &Path) -> (Agent, ApiClient) {
    let agent = Agent::start(&upstream.configuration(&unix(socket, "")));
    let client = ApiClient::unix(socket);
    client.wait_until_open();
    (agent, client)
}

fn sockets(home: &TempDir) -> [PathBuf; 3] {
    ["kept.sock", "removed.sock", "new.sock"].map(|name| home.path().join(name))
}

#[test]
fn what_is_unchanged_keeps_its_connections_and_the_rest_comes_and_goes() {
    let (upstream, home) = (Upstream::echo(), tempfile::tempdir().unwrap());
    let [kept, removed, new] = sockets(&home);
    let address = free_authority();
    let first = unix(&kept, "") + &unix(&removed, "") + &tcp(&address, "");
    let mut agent = Agent::start(&upstream.configuration(&first));
    let clients = [ApiClient::unix(&kept), ApiClient::unix(&removed), ApiClient::tcp(&address)];
    let request = Request::get("/v1/x");
    let mut talks = clients.clone().map(|client| {
        client.wait_until_open();
        client.connect().unwrap()
    });
    for talk in &mut talks {
        assert_eq!(talk.ask(&request).unwrap().status, 200);
    }

    let second = unix(&kept, "") + &unix(&new, "") + &tcp(&address, "");
    reload(&mut agent, &upstream.configuration(&second), "is in force");
    let [on_kept, on_removed, on_address] = &mut talks;
    for talk in [on_kept, on_address] {
        assert_eq!(talk.ask(&request).unwrap().status, 200, "the connection of before");
    }
    assert!(on_removed.is_closed());
    eventually_true("the end of the removed one", LIMIT, || !clients[1].is_open());
    assert!(!removed.exists());
    let client = ApiClient::unix(&new);
    client.wait_until_open();
    assert_eq!(client.get("/v1/x").status, 200);
}

#[test]
fn a_changed_listener_asks_for_what_it_has_to_ask_for() {
    let (upstream, home) = (Upstream::echo(), tempfile::tempdir().unwrap());
    let [socket, ..] = sockets(&home);
    let (mut agent, client) = serving(&upstream, &socket);
    assert_eq!(client.get("/v1/x").status, 200);
    let demanding = upstream.configuration(&unix(&socket, "require_request_header = true"));
    reload(&mut agent, &demanding, "is in force");
    client.wait_until_open();
    assert_eq!(client.get("/v1/x").status, 412);
    let request = Request::get("/v1/x").header("X-Vault-Request", "true");
    assert_eq!(client.send(&request).status, 200);
    reload(&mut agent, &upstream.configuration(&unix(&socket, "")), "is in force");
    client.wait_until_open();
    assert_eq!(client.get("/v1/x").status, 200);
}

#[test]
fn another_mode_of_a_socket_is_set_and_its_connections_go_on() {
    let (upstream, home) = (Upstream::echo(), tempfile::tempdir().unwrap());
    let [socket, ..] = sockets(&home);
    let mode = || std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777;
    let block = |mode: &str| upstream.configuration(&unix(&socket, mode));
    let mut agent = Agent::start(&block("socket_mode = \"0666\""));
    let client = ApiClient::unix(&socket);
    client.wait_until_open();
    assert_eq!(mode(), 0o666);
    let mut talk = client.connect().unwrap();
    for (wanted, expected) in [("socket_mode = \"0600\"", 0o600), ("", 0o755)] {
        reload(&mut agent, &block(wanted), "is in force");
        assert_eq!(mode(), expected, "{wanted}");
        assert_eq!(talk.ask(&Request::get("/v1/x")).unwrap().status, 200);
        assert_eq!(client.get("/v1/x").status, 200);
    }
    let unknown = block("socket_group = \"none-of-this-name\"");
    reload(&mut agent, &unknown, "stays as it is");
    assert!(agent.log().contains("no group named"));
    assert_eq!(mode(), 0o755);
    assert_eq!(talk.ask(&Request::get("/v1/x")).unwrap().status, 200);
}

#[test]
fn a_port_that_the_agents_own_listener_has_until_then_is_told_as_such() {
    let (upstream, address) = (Upstream::echo(), free_authority());
    let mut agent = Agent::start(&upstream.configuration(&tcp(&address, "")));
    let client = ApiClient::tcp(&address);
    client.wait_until_open();
    let mut talk = client.connect().unwrap();
    let everywhere = address.replace("127.0.0.1", "0.0.0.0");
    reload(&mut agent, &upstream.configuration(&tcp(&everywhere, "")), "stays as it is");
    let own = format!("the agent's own listener {address} is in the way");
    let log = agent.log();
    assert!(log.contains(&own) && !log.contains("another process"), "{log}");
    assert_eq!(talk.ask(&Request::get("/v1/x")).unwrap().status, 200);
    // As the help says.
    let socket = agent.home().join("s");
    reload(&mut agent, &upstream.configuration(&unix(&socket, "")), "is in force");
    reload(&mut agent, &upstream.configuration(&tcp(&everywhere, "")), "is in force");
    client.wait_until_open();
    assert_eq!(client.get("/v1/x").status, 200);
}

#[test]
fn ports_that_the_system_chose_stay_over_a_reload() {
    let upstream = Upstream::echo();
    let two = upstream.configuration(&tcp("127.0.0.1:0", "").repeat(2));
    let mut agent = Agent::start(&two);
    let bound = |agent: &Agent| -> Vec<String> {
        let log = agent.log();
        let told = log.split("listening: listener=").skip(1);
        told.filter_map(|rest| rest.split_whitespace().next().map(str::to_owned)).collect()
    };
    eventually_true("both listen", LIMIT, || bound(&agent).len() == 2);
    let before = bound(&agent);
    reload(&mut agent, &two, "is in force");
    reload(&mut agent, &upstream.configuration(&tcp("127.0.0.1:0", "")), "is in force");
    assert_eq!(bound(&agent), before);
    assert_eq!(ApiClient::tcp(&before[0]).get("/v1/x").status, 200);
    let second = ApiClient::tcp(&before[1]);
    eventually_true("the end of the second", LIMIT, || !second.is_open());
}

#[test]
fn who_may_not_call_any_more_has_no_connection_left() {
    let (upstream, home) = (Upstream::echo(), tempfile::tempdir().unwrap());
    let [socket, ..] = sockets(&home);
    let (mut agent, client) = serving(&upstream, &socket);
    let mut talk = client.connect().unwrap();
    assert_eq!(talk.ask(&Request::get("/v1/x")).unwrap().status, 200);
    let others = unix(&socket, "allow_users = [\"12345678\"]");
    reload(&mut agent, &upstream.configuration(&others), "is in force");
    assert!(talk.is_closed());
    assert_eq!(client.get("/v1/x").status, 403);
}

#[test]
fn a_configuration_whose_listener_can_not_open_changes_nothing() {
    let (upstream, home) = (Upstream::echo(), tempfile::tempdir().unwrap());
    let [socket, ..] = sockets(&home);
    let (mut agent, client) = serving(&upstream, &socket);
    let mut talk = client.connect().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let bad = unix(&socket, "require_request_header = true") + &tcp(&address, "");
    reload(&mut agent, &upstream.configuration(&bad), "stays as it is");
    assert!(agent.log().contains(&address));
    assert_eq!(talk.ask(&Request::get("/v1/x")).unwrap().status, 200);
    assert_eq!(client.get("/v1/x").status, 200);
}

#[test]
fn a_request_in_flight_is_answered_by_a_listener_that_goes() {
    let gate = Gate::default();
    let (upstream, home) = (slow_upstream(&gate), tempfile::tempdir().unwrap());
    let [kept, removed, _] = sockets(&home);
    let blocks = unix(&kept, "") + &unix(&removed, "");
    let mut agent = Agent::start(&upstream.configuration(&blocks));
    let client = ApiClient::unix(&removed);
    client.wait_until_open();
    let mut talk = client.connect().unwrap();
    talk.send(&Request::get("/v1/slow")).unwrap();
    eventually_true("the request", LIMIT, || upstream.heads("/v1/slow").len() == 1);
    reload(&mut agent, &upstream.configuration(&unix(&kept, "")), "is in force");
    eventually_true("the end of the removed one", LIMIT, || !client.is_open());
    gate.open();
    assert_eq!(talk.reply("GET").unwrap().text(), "done");
    assert!(talk.is_closed());
}

#[test]
fn a_request_in_flight_is_answered_before_the_agent_ends() {
    let gate = Gate::default();
    let (upstream, home) = (slow_upstream(&gate), tempfile::tempdir().unwrap());
    let [socket, ..] = sockets(&home);
    let (mut agent, client) = serving(&upstream, &socket);
    let mut idle = client.connect().unwrap();
    assert_eq!(idle.ask(&Request::get("/v1/x")).unwrap().status, 200);
    let mut talk = client.connect().unwrap();
    talk.send(&Request::get("/v1/slow")).unwrap();
    eventually_true("the request", LIMIT, || upstream.heads("/v1/slow").len() == 1);
    agent.terminate();
    eventually_true("nobody new is let in", LIMIT, || !client.is_open());
    assert!(idle.is_closed());
    gate.open();
    assert_eq!(talk.reply("GET").unwrap().text(), "done");
    let ended = agent.ended(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(!socket.exists());
}

#[test]
fn a_request_that_never_ends_holds_the_end_up_for_a_while_only() {
    let gate = Gate::default();
    let (upstream, home) = (slow_upstream(&gate), tempfile::tempdir().unwrap());
    let [socket, ..] = sockets(&home);
    let (mut agent, client) = serving(&upstream, &socket);
    let mut talk = client.connect().unwrap();
    talk.send(&Request::get("/v1/slow")).unwrap();
    eventually_true("the request", LIMIT, || upstream.heads("/v1/slow").len() == 1);
    agent.terminate();
    let ended = agent.ended(Duration::from_mins(1));
    assert_eq!(ended.status, 0, "{ended:?}");
    gate.open();
}

#[test]
fn a_replaced_certificate_is_shown_to_new_connections() {
    let (upstream, home) = (Upstream::echo(), tempfile::tempdir().unwrap());
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let write = |authority: &Authority| {
        let server = authority.issue_for_server("127.0.0.1");
        std::fs::write(home.path().join("server.pem"), server.certificate).unwrap();
        std::fs::write(home.path().join("server.key"), server.key).unwrap();
    };
    write(&old);
    let settings = format!(
        "tls_cert_file = \"{0}/server.pem\"\ntls_key_file = \"{0}/server.key\"",
        home.path().display()
    );
    let address = free_authority();
    let configuration = upstream.configuration(&tcp(&address, &settings));
    let mut agent = Agent::start(&configuration);
    let trusting = |authority: &Authority| ApiClient::tls(&address, &authority.pem(), None);
    let client = trusting(&old);
    client.wait_until_open();
    let mut talk = client.connect().unwrap();
    assert_eq!(talk.ask(&Request::get("/v1/x")).unwrap().status, 200);

    write(&new);
    reload(&mut agent, &configuration, "in force");
    let request = Request::get("/v1/x");
    eventually_true("the new certificate", LIMIT, || trusting(&new).try_send(&request).is_ok());
    assert!(trusting(&old).try_send(&request).is_err());
    assert_eq!(talk.ask(&request).unwrap().status, 200, "the connection of before");
}

#[test]
fn a_certificate_that_expires_while_it_is_in_use_is_said_and_replaced_without_a_restart() {
    let (upstream, home) = (Upstream::echo(), tempfile::tempdir().unwrap());
    let authority = Authority::new("servers");
    let write = |lifetime: Duration| {
        let end = SystemTime::now() + lifetime;
        let server = authority.issue_for_server_until("127.0.0.1", end);
        std::fs::write(home.path().join("server.pem"), server.certificate).unwrap();
        std::fs::write(home.path().join("server.key"), server.key).unwrap();
    };
    write(Duration::from_secs(8));
    let settings = format!(
        "tls_cert_file = \"{0}/server.pem\"\ntls_key_file = \"{0}/server.key\"",
        home.path().display()
    );
    let address = free_authority();
    let agent = Agent::start(&upstream.configuration(&tcp(&address, &settings)));
    // A new one each time: who resumes a session doesn't look at the certificate.
    let client = || ApiClient::tls(&address, &authority.pem(), None);
    client().wait_until_open();
    let request = Request::get("/v1/x");
    let mut talk = client().connect().unwrap();
    assert_eq!(talk.ask(&request).unwrap().status, 200);

    eventually_true("clients refuse it", LIMIT, || client().try_send(&request).is_err());
    let said = "the listener's certificate has expired";
    eventually_true("it is said", LIMIT, || {
        let _ = client().try_send(&request);
        agent.log().contains(said)
    });
    assert_eq!(talk.ask(&request).unwrap().status, 200, "the connection of before");

    write(Duration::from_hours(1));
    eventually_true("the new certificate", LIMIT, || client().try_send(&request).is_ok());
    assert_eq!(agent.log().matches(said).count(), 1);
}

#[test]
fn a_listener_that_only_moves_in_the_file_is_unchanged() {
    let (upstream, home) = (Upstream::echo(), tempfile::tempdir().unwrap());
    let authority = Authority::new("servers");
    let server = authority.issue_for_server("127.0.0.1");
    std::fs::write(home.path().join("server.pem"), server.certificate).unwrap();
    std::fs::write(home.path().join("server.key"), server.key).unwrap();
    let settings = format!(
        "tls_cert_file = \"{0}/server.pem\"\ntls_key_file = \"{0}/server.key\"",
        home.path().display()
    );
    let address = free_authority();
    let configuration = upstream.configuration(&tcp(&address, &settings));
    let mut agent = Agent::start(&configuration);
    let client = ApiClient::tls(&address, &authority.pem(), None);
    client.wait_until_open();
    assert_eq!(client.get("/v1/x").status, 200);

    // A changed one would need a certificate.
    std::fs::write(home.path().join("server.pem"), "none").unwrap();
    reload(&mut agent, &format!("# A comment.\n{configuration}"), "is in force");
    assert_eq!(client.get("/v1/x").status, 200);
}
