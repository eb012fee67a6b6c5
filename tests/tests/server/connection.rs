//! The way to the real server: through proxies, by SRV records, no more often than allowed; and what
//! the client makes of the server's wrapping.

// The lint's exception for tests doesn't reach the functions that tests share.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use simple_dns::rdata::{RData, SRV};
use simple_dns::{CLASS, Name, Packet, ResourceRecord};
use usher_address::{ApiPath, ServerAddress};
use usher_secret::Secret;
use usher_server::{Client, Error, Governor, Login, Scope, Session, Settings, WrapInfo};
use usher_tests::agent::{Launch, is_root};
use usher_tests::eventually::eventually_true;
use usher_tests::forward::ForwardProxy;
use usher_tests::proxy::Fault;
use usher_tests::site::Site;

fn client(site: &Site) -> Client {
    let address = ServerAddress::parse(&site.proxy.address()).unwrap();
    Client::new(Settings::new(address), Governor::new()).unwrap()
}

fn login(site: &Site) -> Login {
    let read = |name| std::fs::read_to_string(site.file(name)).unwrap();
    let body = json!({ "role_id": read("role-id"), "secret_id": read("secret-id") });
    Login {
        path: ApiPath::constant("auth/approle/login"),
        body: Secret::new(body.to_string()),
        headers: Vec::new(),
        certificate: None,
        ca_pem: None,
    }
}

async fn log_in(client: &Client, site: &Site) -> Session {
    let result = client.login(&Scope::default(), &login(site)).await;
    result.unwrap_or_else(|error| panic!("{error}")).0
}

/// What the server sent, field by field, beside what the client made of it.
fn assert_same(made: Result<WrapInfo, Error>, sent: &Value) -> WrapInfo {
    let made = made.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(sent["token"], *made.token.expose());
    assert_eq!(sent["accessor"], made.accessor);
    assert_eq!(sent["ttl"], made.ttl.as_secs());
    assert_eq!(sent["creation_time"], made.creation_time);
    assert_eq!(sent["creation_path"], made.creation_path);
    assert_eq!(sent["wrapped_accessor"].as_str().unwrap_or_default(), made.wrapped_accessor);
    made
}

#[tokio::test]
async fn a_wrapped_token_unwraps_once_and_is_described_as_the_server_does() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let client = client(&site);
    let session = log_in(&client, &site).await;
    let made = client.wrap(&session, Duration::from_secs(90)).await;
    let sent = site.proxy.requests("sys/wrapping/wrap").remove(0).answer["wrap_info"].clone();
    let made = assert_same(made, &sent);
    assert_eq!((made.ttl.as_secs(), made.creation_path.as_str()), (90, "sys/wrapping/wrap"));
    assert_eq!(made.wrapped_accessor, "");

    let wrapping_token = made.token;
    let scope = Scope::default();
    let looked_at = client.wrapping_lookup(&scope, &wrapping_token).await.unwrap();
    assert_eq!(looked_at.creation_path, made.creation_path);
    assert_eq!(looked_at.creation_ttl, made.ttl);
    assert_eq!(looked_at.creation_time, made.creation_time);
    let inside = client.unwrap(&scope, &wrapping_token).await.unwrap_or_else(|e| panic!("{e}"));
    let inside: Value = serde_json::from_str(inside.expose()).unwrap();
    assert_eq!(inside["data"]["token"], *session.token().expose());
    let again = client.unwrap(&scope, &wrapping_token).await.err().unwrap();
    assert!(again.wrapping_used(), "{again}");
}

#[tokio::test]
async fn a_wrapped_login_gives_a_token_that_only_its_receiver_sees() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let client = client(&site);
    let scope = Scope::default();
    let made = client.login_wrapped(&scope, &login(&site), Duration::from_mins(2)).await;
    let request = site.proxy.requests("auth/approle/login").remove(0);
    assert!(request.headers.contains(&("x-vault-wrap-ttl".into(), "120s".into())));
    let made = assert_same(made, &request.answer["wrap_info"]);
    assert_eq!((made.ttl.as_secs(), made.creation_path.as_str()), (120, "auth/approle/login"));
    assert_ne!(made.wrapped_accessor, "");
    assert!(request.answer["auth"].is_null());

    let inside = client.unwrap(&scope, &made.token).await.unwrap_or_else(|e| panic!("{e}"));
    let inside: Value = serde_json::from_str(inside.expose()).unwrap();
    let token = inside["auth"]["client_token"].as_str().unwrap();
    assert!(site.bao.is_valid(token));
    assert_eq!(inside["auth"]["accessor"], made.wrapped_accessor);
}

const PASSWORD: &str = "correct-horse!";
/// The same in a URL.
const ENCODED: &str = "correct-horse%21";

#[test]
fn a_server_with_tls_is_reached_through_a_tunnel_that_shows_nothing_but_its_address() {
    let site = Site::with_tls(json!({ "token_ttl": "6s", "token_max_ttl": "1h" }));
    let proxy = ForwardProxy::start("usher", PASSWORD);
    let mut configuration = site.configuration();
    configuration.vault = format!("ca_cert = \"{}\"", site.bao.ca_file().display());
    let url = format!("http://usher:{ENCODED}@{}", proxy.authority());
    let agent = Launch::agent(&configuration.text()).environment("BAO_HTTP_PROXY", &url).start();
    let token = site.wait_for_token();
    agent.wait_for_log("renewed auth token");
    assert!(site.bao.is_valid(&token));
    let seen = proxy.seen();
    let address = site.bao.address().strip_prefix("https://").unwrap();
    for request in &seen {
        assert!(request.let_in, "{seen:?}");
        assert_eq!(request.first_line, format!("CONNECT {address} HTTP/1.1"));
        let names: Vec<_> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert!(!names.iter().any(|name| name.starts_with("x-vault")), "{names:?}");
    }
    assert!(!seen.is_empty());
    let log = agent.stop().log;
    assert!(!log.contains(PASSWORD) && !log.contains(ENCODED), "{log}");
}

#[test]
fn a_server_without_tls_is_reached_through_a_proxy_that_forwards() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let proxy = ForwardProxy::start("usher", PASSWORD);
    let url = format!("http://usher:{ENCODED}@{}", proxy.authority());
    // The one goes before the other.
    let ended = Launch::agent(&site.configuration().text())
        .environment("VAULT_PROXY_ADDR", &url)
        .environment("VAULT_HTTP_PROXY", "http://127.0.0.1:1")
        .argument("--exit-after-auth")
        .run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(site.login_attempts(), 1);
    let first = proxy.seen().remove(0).first_line;
    assert_eq!(first, format!("PUT {}/v1/auth/approle/login HTTP/1.1", site.proxy.address()));
}

#[test]
fn a_proxy_that_refuses_is_said_without_its_password_and_tried_again() {
    for site in [Site::new(json!({})), Site::with_tls(json!({}))] {
        let proxy = ForwardProxy::start("usher", PASSWORD);
        let url = format!("http://usher:wrong-{ENCODED}@{}", proxy.authority());
        let agent = Launch::agent(&site.configuration().text())
            .environment("BAO_HTTP_PROXY", &url)
            .environment("BAO_SKIP_VERIFY", "true")
            .start();
        agent.wait_for_log("the proxy wants a user and a password");
        eventually_true("another attempt", LIMIT, || proxy.seen().len() > 1);
        assert_eq!(site.login_attempts(), 0);
        let log = agent.stop().log;
        assert!(!log.contains(PASSWORD) && !log.contains(ENCODED), "{log}");
    }
}

#[test]
fn a_socket_and_an_excluded_server_are_spoken_to_past_the_proxy() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let proxy = ForwardProxy::start("usher", PASSWORD);
    let address = format!("http://{}", proxy.authority());
    let mut configuration = site.configuration();
    // This host is never asked of a proxy that isn't named for the server.
    let direct = Launch::agent(&configuration.text()).environment("HTTP_PROXY", &address);
    configuration.address = site.bao.socket_address();
    let socket = Launch::agent(&configuration.text()).environment("BAO_HTTP_PROXY", &address);
    for launch in [direct, socket] {
        let ended = launch.argument("--exit-after-auth").run(LIMIT);
        assert_eq!(ended.status, 0, "{ended:?}");
    }
    assert!(proxy.seen().is_empty(), "{:?}", proxy.seen());
}

#[test]
fn a_rate_limit_holds_the_agent_back() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.proxy.fail("auth/approle/login", Fault::Status(400));
    let mut configuration = site.configuration();
    configuration.method_settings = "min_backoff = \"50ms\"\nmax_backoff = \"60ms\"".into();
    let started = Instant::now();
    let _agent = Launch::agent(&configuration.text()).environment("BAO_RATE_LIMIT", "2:1").start();
    eventually_true("a few attempts", LIMIT, || site.login_attempts() >= 6);
    // Five more than the first, each half a second after the one before.
    assert!(started.elapsed() >= Duration::from_millis(2400), "{:?}", started.elapsed());
}

#[test]
fn an_address_without_port_leads_to_the_server_that_its_srv_record_names() {
    if !is_root() {
        return;
    }
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let port: u16 = site.proxy.address().rsplit_once(':').unwrap().1.parse().unwrap();
    let name_server = name_server(port);
    site.write("resolv.conf", &format!("nameserver {name_server}\noptions timeout:1\n"));
    let mut configuration = site.configuration();
    configuration.address = "http://bao.usher.test".into();
    let mount = format!("mount --bind {} /etc/resolv.conf", site.file("resolv.conf").display());
    let ended = Launch::agent(&configuration.text())
        .mounts(&mount)
        .environment("BAO_SRV_LOOKUP", "true")
        .argument("--exit-after-auth")
        .run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(site.login_attempts(), 1);
    let headers = &site.proxy.requests("auth/approle/login")[0].headers;
    assert!(headers.contains(&("host".into(), format!("localhost:{port}"))), "{headers:?}");

    // With a port the name is an ordinary one, and nothing has it.
    configuration.address = format!("http://bao.usher.test:{port}");
    let agent = Launch::agent(&configuration.text())
        .mounts(&mount)
        .environment("BAO_SRV_LOOKUP", "true")
        .start();
    agent.wait_for_log("doesn't resolve");
    assert_eq!(site.login_attempts(), 1);
}

/// Knows one name, `_http._tcp.bao.usher.test`, which leads to `localhost` and the port; gives its
/// own address. Its thread ends with the test.
fn name_server(port: u16) -> String {
    // Port 53 of an address that no other test has.
    let (socket, address) = (2..=254)
        .find_map(|last| {
            let address = format!("127.53.{}.{last}", std::process::id() % 250);
            Some((UdpSocket::bind((address.as_str(), 53)).ok()?, address))
        })
        .unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let mut answer = Packet::parse(&buffer[..length]).unwrap().into_reply();
            let name = answer.questions[0].qname.clone();
            let target = Name::new_unchecked("localhost");
            if name.to_string() == "_http._tcp.bao.usher.test" {
                let record = SRV { priority: 0, weight: 0, port, target };
                let record = ResourceRecord::new(name, CLASS::IN, 60, RData::SRV(record));
                answer.answers.push(record);
            } else {
                *answer.rcode_mut() = simple_dns::RCODE::NameError;
            }
            let _ = socket.send_to(&answer.build_bytes_vec().unwrap(), peer);
        }
    });
    address
}

const LIMIT: Duration = Duration::from_secs(30);
