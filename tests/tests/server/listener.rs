//! Where clients reach the agent: sockets and addresses, their modes, and places that aren't free.
#![allow(clippy::unwrap_used, reason = "helpers fail the test that calls them")]

use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;
use usher_tests::agent::{Agent, Launch, is_root};
use usher_tests::api_client::{ApiClient, Request};
use usher_tests::listeners::{free_authority, tcp, unix};
use usher_tests::operator::ServiceManager;
use usher_tests::upstream::Upstream;

const LIMIT: Duration = Duration::from_secs(30);

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn sockets_and_addresses_serve_at_once() {
    let (upstream, home) = (Upstream::echo(), home());
    let sockets = ["one.sock", "two.sock"].map(|name| home.path().join(name));
    let addresses = [free_authority(), free_authority()];
    let blocks: String = sockets
        .iter()
        .map(|path| unix(path, ""))
        .chain(addresses.iter().map(|address| tcp(address, "")))
        .collect();
    let agent = Agent::start(&upstream.configuration(&blocks));
    let clients = sockets.iter().map(|path| ApiClient::unix(path));
    for client in clients.chain(addresses.iter().map(|address| ApiClient::tcp(address))) {
        client.wait_until_open();
        let reply = client.get("/v1/secret/data/app");
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.json()["target"], "/v1/secret/data/app");
    }
    agent.stop();
}

#[test]
fn a_sockets_mode_is_what_the_umask_leaves() {
    let upstream = Upstream::echo();
    for (umask, settings, mode) in [
        ("022", "", 0o755),
        ("007", "", 0o770),
        ("077", "", 0o700),
        ("022", "socket_mode = \"0600\"", 0o600),
        ("077", "socket_mode = \"0666\"", 0o666),
        ("022", "socket_mode = \"660\"", 0o660),
    ] {
        let home = home();
        let socket = home.path().join("agent.sock");
        let configuration = upstream.configuration(&unix(&socket, settings));
        let _agent = Launch::agent(&configuration).umask(umask).start();
        ApiClient::unix(&socket).wait_until_open();
        let found = std::fs::symlink_metadata(&socket).unwrap();
        assert!(found.file_type().is_socket());
        assert_eq!(found.mode() & 0o7777, mode, "umask {umask} {settings}");
    }
}

#[test]
fn a_socket_has_the_owner_that_is_named() {
    if !is_root() {
        return;
    }
    let (upstream, home) = (Upstream::echo(), home());
    let socket = home.path().join("agent.sock");
    let settings = "socket_mode = \"0660\"\nsocket_user = \"65534\"\nsocket_group = \"65533\"";
    let _agent = Agent::start(&upstream.configuration(&unix(&socket, settings)));
    ApiClient::unix(&socket).wait_until_open();
    let found = std::fs::symlink_metadata(&socket).unwrap();
    assert_eq!((found.uid(), found.gid(), found.mode() & 0o777), (65534, 65533, 0o660));
}

#[test]
fn a_socket_goes_with_its_agent_and_one_that_was_left_is_replaced() {
    let (upstream, home) = (Upstream::echo(), home());
    let socket = home.path().join("agent.sock");
    let client = ApiClient::unix(&socket);
    let configuration = upstream.configuration(&unix(&socket, ""));
    let mut killed = Agent::start(&configuration);
    client.wait_until_open();
    killed.signal(Signal::KILL);
    killed.ended(LIMIT);
    assert!(socket.exists(), "nobody has cleared it away");

    let agent = Agent::start(&configuration);
    client.wait_until_open();
    assert_eq!(client.get("/v1/x").status, 200);
    agent.stop();
    assert!(!socket.exists());
}

#[test]
fn a_file_where_the_socket_belongs_is_left_alone() {
    let (upstream, home) = (Upstream::echo(), home());
    let file = home.path().join("agent.sock");
    std::fs::write(&file, "precious").unwrap();
    let ended = Launch::agent(&upstream.configuration(&unix(&file, ""))).run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.log.contains(&file.display().to_string()), "{ended:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn a_socket_in_a_directory_that_is_missing_ends_the_start() {
    let (upstream, home) = (Upstream::echo(), home());
    let directory = home.path().join("nowhere");
    let blocks = unix(&directory.join("agent.sock"), "");
    let ended = Launch::agent(&upstream.configuration(&blocks)).run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.log.contains(&directory.display().to_string()), "{ended:?}");
}

#[test]
fn a_socket_that_another_agent_serves_is_not_taken_away() {
    let (upstream, home) = (Upstream::echo(), home());
    let socket = home.path().join("agent.sock");
    let configuration = upstream.configuration(&unix(&socket, ""));
    let _first = Agent::start(&configuration);
    let client = ApiClient::unix(&socket);
    client.wait_until_open();
    let second = Launch::agent(&configuration).run(LIMIT);
    assert_eq!(second.status, 2, "{second:?}");
    assert!(second.log.contains(&socket.display().to_string()), "{second:?}");
    assert_eq!(client.get("/v1/x").status, 200);
}

#[test]
fn a_port_in_use_ends_the_start_before_it_is_said_to_be_ready() {
    let (upstream, manager) = (Upstream::echo(), ServiceManager::at_path());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let other = free_authority();
    let blocks = tcp(&other, "") + &tcp(&address, "");
    let ended = Launch::agent(&upstream.configuration(&blocks))
        .environment("NOTIFY_SOCKET", manager.name())
        .run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    let sentence = ended.log.lines().find(|line| line.contains(&address));
    let sentence = sentence.unwrap_or_else(|| panic!("{ended:?}")).to_lowercase();
    assert!(["listens on", "in use"].iter().any(|why| sentence.contains(why)), "{sentence}");
    while let Some(message) = manager.message(Duration::from_millis(100)) {
        assert!(!message.contains("READY=1"), "{message}");
    }
}

#[test]
fn whoever_is_told_that_the_agent_is_ready_can_connect() {
    let (upstream, home) = (Upstream::echo(), home());
    let manager = ServiceManager::at_path();
    let (socket, address) = (home.path().join("agent.sock"), free_authority());
    let blocks = unix(&socket, "") + &tcp(&address, "");
    let _agent = Launch::agent(&upstream.configuration(&blocks))
        .environment("NOTIFY_SOCKET", manager.name())
        .start();
    manager.message_with("READY=1");
    for client in [ApiClient::unix(&socket), ApiClient::tcp(&address)] {
        assert_eq!(client.get("/v1/x").status, 200);
    }
}

#[test]
fn a_template_that_stands_for_no_address_ends_the_start() {
    let upstream = Upstream::echo();
    // As in go-sockaddr: loopback is where nothing is forwarded from.
    for template in ["{{ GetInterfaceIP \"lo\" }}", "{{ GetInterfaceIP \"none0\" }}", "{{ GetIt }}"]
    {
        let address = format!("{template}:8200");
        let ended = Launch::agent(&upstream.configuration(&tcp(&address, ""))).run(LIMIT);
        assert_eq!(ended.status, 2, "{ended:?}");
        assert!(ended.log.contains(template), "{ended:?}");
    }
}

#[test]
fn metrics_are_served_by_every_role_and_nothing_else_by_the_one_for_metrics() {
    let (upstream, home) = (Upstream::echo(), home());
    let (every, metrics) = (home.path().join("every.sock"), home.path().join("metrics.sock"));
    // Never asked for where there are only metrics.
    let settings = "role = \"metrics_only\"\nrequire_request_header = true";
    let blocks = unix(&every, "") + &unix(&metrics, settings);
    let _agent = Agent::start(&upstream.configuration(&blocks));
    for client in [ApiClient::unix(&every), ApiClient::unix(&metrics)] {
        client.wait_until_open();
        let reply = client.get("/agent/v1/metrics");
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(!reply.body.is_empty());
        let refused = client.post("/agent/v1/metrics", &json!({}));
        assert_eq!(refused.status, 405, "{refused:?}");
    }
    let before = upstream.count();
    let client = ApiClient::unix(&metrics);
    for target in ["/v1/secret/data/app", "/v1/sys/health", "/agent/v1/quit", "/"] {
        assert_eq!(client.get(target).status, 404, "{target}");
    }
    assert_eq!(upstream.count(), before);
}

#[test]
fn the_agent_can_be_told_to_end_only_where_that_is_allowed() {
    let (upstream, home) = (Upstream::echo(), home());
    let (plain, ending) = (home.path().join("plain.sock"), home.path().join("ending.sock"));
    let settings = "agent_api {\n    enable_quit = true\n  }";
    let blocks = unix(&plain, "") + &unix(&ending, settings);
    let agent = Agent::start(&upstream.configuration(&blocks));
    let client = ApiClient::unix(&plain);
    client.wait_until_open();
    for method in ["GET", "POST"] {
        assert_eq!(client.send(&Request::new(method, "/agent/v1/quit")).status, 404, "{method}");
    }
    assert_eq!(upstream.heads("/agent/v1/quit").len(), 0, "the server isn't asked");
    let client = ApiClient::unix(&ending);
    assert_eq!(client.get("/agent/v1/quit").status, 405);
    let reply = client.send(&Request::new("POST", "/agent/v1/quit"));
    assert_eq!(reply.status, 200, "{reply:?}");
    let ended = agent.ended(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(!plain.exists() && !ending.exists());
}
