//! Who may call: a header against forgery, browsers kept out, the users of a socket, certificates.
#![allow(clippy::unwrap_used, reason = "helpers fail the test that calls them")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use usher_tests::agent::{Agent, is_root};
use usher_tests::api_client::{ApiClient, Reply, Request};
use usher_tests::authority::Authority;
use usher_tests::listeners::{api_proxy, free_authority, tcp, unix};
use usher_tests::operator::open_directory;
use usher_tests::oracle::ask_for_text;
use usher_tests::upstream::Upstream;

#[test]
fn the_request_header_is_demanded_exactly_where_the_configuration_says_so() {
    let upstream = Upstream::echo();
    let home = tempfile::tempdir().unwrap();
    let (open, strict) = (home.path().join("open.sock"), home.path().join("strict.sock"));
    let blocks = unix(&open, "") + &unix(&strict, "require_request_header = true");
    let _agent = Agent::start(&upstream.configuration(&blocks));
    let (open, strict) = (ApiClient::unix(&open), ApiClient::unix(&strict));
    open.wait_until_open();
    strict.wait_until_open();
    assert_eq!(open.get("/v1/x").status, 200);
    let good = Request::get("/v1/x").header("X-Vault-Request", "true");
    assert_eq!(strict.send(&good).status, 200);

    let before = upstream.count();
    let cases: [(&str, &[&str]); 6] = [
        ("/v1/x", &[]),
        ("/v1/x", &["TRUE"]),
        ("/v1/x", &["1"]),
        ("/v1/x", &[""]),
        ("/v1/x", &["true", "true"]),
        ("/agent/v1/metrics", &[]),
    ];
    for (target, values) in cases {
        let request = values
            .iter()
            .fold(Request::get(target), |request, value| request.header("X-Vault-Request", value));
        let reply = strict.send(&request);
        assert_eq!(reply.status, 412, "{target} {values:?}: {reply:?}");
        assert_eq!(reply.errors(), "missing \"X-Vault-Request\" header");
    }
    assert_eq!(upstream.count(), before, "the server isn't asked");
}

#[track_caller]
fn assert_forbidden(reply: &Reply) {
    assert_eq!(reply.status, 403, "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/json"));
    reply.errors();
}

#[test]
fn a_browser_gets_nothing_from_a_loopback_address() {
    let upstream = Upstream::echo();
    let authority = free_authority();
    let (_, port) = authority.split_once(':').unwrap();
    let _agent = Agent::start(&upstream.configuration(&tcp(&authority, "")));
    let client = ApiClient::tcp(&authority);
    client.wait_until_open();
    for host in [authority.clone(), format!("localhost:{port}")] {
        let reply = client.send(&Request::get("/v1/x").header("Host", &host));
        assert_eq!(reply.status, 200, "{host}");
    }
    let before = upstream.count();
    let rebound = format!("rebound.example.com:{port}");
    for host in ["example.com", rebound.as_str(), "127.0.0.1.example.com", ""] {
        assert_forbidden(&client.send(&Request::get("/v1/x").header("Host", host)));
    }
    let itself = format!("http://{authority}");
    for origin in ["https://example.com", "null", itself.as_str()] {
        for target in ["/v1/x", "/agent/v1/metrics", "/agent/v1/cache-clear"] {
            let request = Request::new("POST", target).header("Origin", origin);
            assert_forbidden(&client.send(&request));
        }
    }
    assert_eq!(upstream.count(), before, "the server isn't asked");
}

#[test]
fn an_address_where_others_reach_the_agents_token_is_warned_of() {
    let upstream = Upstream::echo();
    let remedy = "tls_require_and_verify_client_cert";
    for (host, warned) in [("127.0.0.1", false), ("0.0.0.0", true)] {
        let address = free_authority();
        let listener = tcp(&address.replace("127.0.0.1", host), "");
        let blocks = listener + &api_proxy("use_auto_auth_token = true");
        let agent = Agent::start(&upstream.configuration_with_login(&blocks));
        let client = ApiClient::tcp(&address);
        client.wait_until_open();
        assert_eq!(client.get("/v1/x").status, 200);
        assert_eq!(agent.log().contains(remedy), warned, "{host}: {}", agent.log());
        if warned {
            // It has many names, which the agent can't know.
            let named = client.send(&Request::get("/v1/x").header("Host", "usher.test"));
            assert_eq!(named.status, 200, "{named:?}");
        }
    }
}

/// The name of the user (`-un`), its number (`-u`) or its group (`-gn`).
fn own_name(of: &str) -> String {
    ask_for_text(Command::new("id").arg(of), "").trim().to_owned()
}

/// What curl is answered over a socket as this user and its group: the status.
fn status_as(uid: u32, socket: &Path) -> String {
    let mut command = Command::new("setpriv");
    command.args(["--clear-groups", &format!("--reuid={uid}"), &format!("--regid={uid}")]);
    command.args(["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}"]);
    command.arg("--unix-socket").arg(socket).arg("http://localhost/v1/x").current_dir("/");
    ask_for_text(&mut command, "")
}

#[test]
fn a_socket_is_for_the_users_and_groups_that_are_named() {
    let upstream = Upstream::echo();
    let home = open_directory();
    let (user, group) = (own_name("-un"), own_name("-gn"));
    let mut serve = Vec::new();
    for (name, settings, is_allowed) in [
        ("user", format!("allow_users = [\"nobody\", \"{user}\"]"), true),
        ("no-user", "allow_users = [\"nobody\"]".to_owned(), false),
        ("number", format!("allow_users = [\"{}\"]", own_name("-u")), true),
        ("group", format!("allow_groups = [\"{group}\"]"), true),
        ("no-group", "allow_groups = [\"nogroup\"]".to_owned(), false),
        ("either", format!("allow_users = [\"nobody\"]\nallow_groups = [\"{group}\"]"), true),
    ] {
        let socket = home.path().join(name);
        serve.push((
            unix(&socket, &format!("socket_mode = \"0666\"\n{settings}")),
            socket,
            is_allowed,
        ));
    }
    let blocks: String = serve.iter().map(|(block, ..)| block.as_str()).collect();
    let _agent = Agent::start(&upstream.configuration(&blocks));
    for (block, socket, is_allowed) in &serve {
        let client = ApiClient::unix(socket);
        client.wait_until_open();
        let reply = client.get("/v1/x");
        if *is_allowed {
            assert_eq!(reply.status, 200, "{block}: {reply:?}");
        } else {
            assert_forbidden(&reply);
        }
    }
    if is_root() {
        for (name, status) in [
            ("user", "200"),
            ("no-user", "200"),
            ("group", "403"),
            ("no-group", "200"),
            ("either", "200"),
        ] {
            assert_eq!(status_as(65534, &home.path().join(name)), status, "nobody at {name}");
        }
        assert_eq!(status_as(65533, &home.path().join("user")), "403");
    }
}

#[test]
fn a_listener_with_tls_lets_in_whoever_has_a_certificate_of_the_authority() {
    let upstream = Upstream::echo();
    let home = tempfile::tempdir().unwrap();
    let (servers, clients, others) =
        (Authority::new("servers"), Authority::new("clients"), Authority::new("others"));
    let server = servers.issue_for_server("127.0.0.1");
    let write = |name: &str, text: &str| {
        let file = home.path().join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        file.display().to_string()
    };
    let certificate = format!(
        "tls_cert_file = \"{}\"\ntls_key_file = \"{}\"",
        write("server.pem", &server.certificate),
        write("server.key", &server.key)
    );
    let demanding = format!(
        "{certificate}\ntls_require_and_verify_client_cert = true\ntls_client_ca_file = \"{}\"",
        write("clients.pem", &clients.pem())
    );
    let (open, closed) = (free_authority(), free_authority());
    let blocks = tcp(&open, &certificate) + &tcp(&closed, &demanding);
    let _agent = Agent::start(&upstream.configuration(&blocks));
    let (ca, good, bad) = (servers.pem(), clients.issue("app"), others.issue("app"));
    let client = ApiClient::tls(&open, &ca, None);
    client.wait_until_open();
    assert_eq!(client.get("/v1/x").status, 200);
    // Whom the client doesn't trust it doesn't speak to.
    let stranger = ApiClient::tls(&open, &others.pem(), None);
    assert!(stranger.try_send(&Request::get("/v1/x")).is_err());

    let client = ApiClient::tls(&closed, &ca, Some(&good));
    client.wait_until_open();
    assert_eq!(client.get("/v1/x").status, 200);
    let before = upstream.count();
    for certificate in [None, Some(&bad)] {
        let client = ApiClient::tls(&closed, &ca, certificate);
        let reply = client.try_send(&Request::get("/v1/x"));
        assert!(reply.is_err(), "{reply:?}");
    }
    for authority in [&open, &closed] {
        let reply = ApiClient::tcp(authority).try_send(&Request::get("/v1/x"));
        assert!(!reply.as_ref().is_ok_and(|reply| reply.status != 400), "{reply:?}");
    }
    assert_eq!(upstream.count(), before, "the server isn't asked");
}
