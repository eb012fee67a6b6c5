//! What passes the API proxy passes as it is: paths, headers and bodies byte for byte, as they come and
//! in both directions, however large; and connections that become something else.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail the test that calls them")]

use std::io::{Read as _, Write as _};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use usher_tests::agent::Agent;
use usher_tests::api_client::{ApiClient, Request};
use usher_tests::eventually::eventually_true;
use usher_tests::listeners::unix;
use usher_tests::upstream::{Gate, Head, Upstream};

const LIMIT: Duration = Duration::from_secs(30);

/// An agent without identity in front of a stand-in.
struct Proxied {
    agent: Agent,
    client: ApiClient,
    upstream: Upstream,
    _home: TempDir,
}

impl Proxied {
    fn new(upstream: Upstream) -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("agent.sock");
        let agent = Agent::start(&upstream.configuration(&unix(&path, "")));
        let client = ApiClient::unix(&path);
        client.wait_until_open();
        Self { agent, client, upstream, _home: home }
    }
}

#[test]
fn paths_and_queries_are_forwarded_byte_for_byte() {
    let proxied = Proxied::new(Upstream::echo());
    for target in [
        "/v1/secret/data/a%2Fb",
        "/v1/secret/data/a%2fb",
        "/v1/secret/metadata/dir/",
        "/v1/secret/metadata//dir//",
        "/v1/secret/./data/../data/app",
        "/v1/secret/%2e%2e/app",
        "/v1/secret/data/%7Euser/~user",
        "/v1/secret/data/%C3%A4%e4",
        "/v1/secret/data/with%20space+plus%2Bplus",
        "/v1/secret/data/a:b@c!d$e&f'g(h)i*j,k;l=m",
        "/v1/secret/data/%zz%",
        "/v1/secret/data/app?z=1&a=2&a=1&z",
        "/v1/secret/data/app?list=true&after=a%2Fb%20c+d&x=/?",
        "/v1/secret/data/app?",
        "/v1/pki/cert/17:67:16:b0",
        "/v1/identity/oidc/.well-known/keys",
        "/v1/",
        "/v1",
        "/",
        "/ui/vault/secrets?namespace=team",
        "/agent/v2/other",
        "/proxy/v1/metrics",
    ] {
        let reply = proxied.client.get(target);
        assert_eq!(reply.status, 200, "{target}: {reply:?}");
        assert_eq!(reply.json()["target"], target);
    }
}

#[test]
fn methods_and_bodies_are_forwarded_as_they_are() {
    let proxied = Proxied::new(Upstream::echo());
    let body = "{ \"b\" :1, \"a\":\t\"<>&\u{e4}\" }\n";
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "LIST", "SCAN", "OPTIONS"] {
        let reply = proxied.client.send(&Request::new(method, "/v1/x").body(body));
        assert_eq!(reply.json()["method"], method, "{reply:?}");
        assert_eq!(reply.json()["body"], body, "{method}");
    }
    let chunked = Request::new("POST", "/v1/x")
        .header("Transfer-Encoding", "chunked")
        .body("3\r\nabc\r\n2;extension=1\r\nde\r\n0\r\n\r\n");
    assert_eq!(proxied.client.send(&chunked).json()["body"], "abcde");
    let empty = proxied.client.send(&Request::new("POST", "/v1/x")).json();
    assert_eq!(empty["body"], "");
    assert_eq!(header(&empty, "content-length"), [json!("0")]);
}

/// The values of a header in an echo.
fn header(echo: &Value, name: &str) -> Vec<Value> {
    let headers = echo["headers"].as_array().unwrap();
    headers.iter().filter(|header| header[0] == name).map(|header| header[1].clone()).collect()
}

#[test]
fn headers_pass_but_for_those_of_the_connection() {
    let proxied = Proxied::new(Upstream::echo());
    let kept = [
        ("accept", "text/html, */*;q=0.1"),
        ("accept-encoding", "gzip, br"),
        ("authorization", "Basic dXNlcjpwYXNz"),
        ("cookie", "a=b; c=d"),
        ("content-type", "application/merge-patch+json"),
        ("if-modified-since", "Mon, 30 Nov 2026 08:00:00 GMT"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("x-vault-token", "s.own"),
        ("x-vault-request", "true"),
        ("x-vault-index", "djE6eDox"),
        ("x-vault-inconsistent", "forward-active-node"),
        ("x-vault-inline-auth-path", "auth/approle/login"),
        ("x-vault-mfa", "id:code"),
        ("x-vault-namespace", "team"),
        ("x-vault-wrap-ttl", "5m"),
        ("x-many", "one"),
        ("x-many", "two"),
    ];
    let dropped = [
        ("Connection", "keep-alive, X-Mine"),
        ("X-Mine", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("Proxy-Authorization", "Basic dXNlcjpwYXNz"),
        ("Proxy-Authenticate", "Basic"),
    ];
    let mut request = Request::new("PATCH", "/v1/x").body("{}");
    for (name, value) in kept.into_iter().chain(dropped) {
        request = request.header(name, value);
    }
    let echo = proxied.client.send(&request).json();
    for (name, _) in kept {
        let sent: Vec<_> = kept
            .iter()
            .filter(|(other, _)| *other == name)
            .map(|(_, value)| json!(value))
            .collect();
        assert_eq!(header(&echo, name), sent, "{name}");
    }
    for (name, value) in dropped {
        let found = header(&echo, &name.to_lowercase());
        assert!(!found.contains(&json!(value)), "{name}: {found:?}");
    }
    assert_eq!(header(&echo, "host"), [json!(proxied.upstream.authority())]);
}

#[test]
fn the_callers_user_agent_stands_last() {
    let proxied = Proxied::new(Upstream::echo());
    let request = Request::get("/v1/x").header("User-Agent", "hvac/2.4.0 (Python)");
    let agents = header(&proxied.client.send(&request).json(), "user-agent");
    let [Value::String(agent)] = &agents[..] else { panic!("one: {agents:?}") };
    assert!(agent.ends_with("; hvac/2.4.0 (Python)"), "{agent}");
    assert!(agent.len() > "; hvac/2.4.0 (Python)".len(), "{agent}");
    let agents = header(&proxied.client.get("/v1/x").json(), "user-agent");
    let [Value::String(agent)] = &agents[..] else { panic!("one: {agents:?}") };
    assert!(!agent.is_empty() && !agent.trim_end().ends_with(';'), "{agent}");
}

/// Neither UTF-8 nor anything else.
const NO_TEXT: [u8; 5] = [0, 159, 146, 150, 255];

#[test]
fn answers_pass_but_for_the_headers_of_the_connection() {
    let upstream = Upstream::start(|head, peer| {
        peer.read_body(head)?;
        let status: u16 = head.target.trim_start_matches("/v1/").parse().unwrap_or(500);
        // No gzip at all: whoever opened it would fail.
        let headers = [
            ("Content-Type", "application/octet-stream"),
            ("Content-Encoding", "gzip"),
            ("Cache-Control", "no-store"),
            ("Strict-Transport-Security", "max-age=31536000"),
            ("Set-Cookie", "a=b"),
            ("Set-Cookie", "c=d"),
            ("X-Vault-Index", "djE6eDox"),
            ("Keep-Alive", "timeout=77"),
            ("Proxy-Authenticate", "Basic"),
        ];
        peer.answer(status, &headers, NO_TEXT)
    });
    let proxied = Proxied::new(upstream);
    for status in [200, 201, 299, 400, 403, 404, 405, 412, 418, 429, 472, 473, 500, 501, 503] {
        let reply = proxied.client.get(&format!("/v1/{status}"));
        assert_eq!(reply.status, status);
        assert_eq!(reply.body, NO_TEXT);
        for (name, value) in [
            ("content-type", "application/octet-stream"),
            ("content-encoding", "gzip"),
            ("cache-control", "no-store"),
            ("strict-transport-security", "max-age=31536000"),
            ("x-vault-index", "djE6eDox"),
            ("content-length", "5"),
        ] {
            assert_eq!(reply.header(name), Some(value), "{status}");
        }
        let cookies = reply.headers.iter().filter(|(name, _)| name == "set-cookie");
        assert_eq!(cookies.map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["a=b", "c=d"]);
        assert_ne!(reply.header("keep-alive"), Some("timeout=77"));
        assert_eq!(reply.header("proxy-authenticate"), None);
    }
}

#[test]
fn answers_without_a_body_have_none() {
    let upstream = Upstream::start(|head, peer| {
        let answer = match &*head.target {
            "/v1/204" => "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
            "/v1/304" => "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nConnection: close\r\n\r\n",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nConnection: close\r\n\r\n",
        };
        peer.write_all(answer.as_bytes())?;
        peer.flush()
    });
    let proxied = Proxied::new(upstream);
    let mut talk = proxied.client.connect().unwrap();
    // On one connection: a body where none belongs would stand in the way of the next answer.
    for (method, target, status) in [
        ("GET", "/v1/204", 204),
        ("GET", "/v1/304", 304),
        ("HEAD", "/v1/x", 200),
        ("DELETE", "/v1/204", 204),
    ] {
        let reply = talk.ask(&Request::new(method, target)).unwrap();
        assert_eq!(reply.status, status, "{method} {target}: {reply:?}");
        if method == "HEAD" {
            assert_eq!(reply.header("content-length"), Some("12345"));
        }
    }
}

#[test]
fn the_beginning_of_an_answer_arrives_before_its_end() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |_, peer| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nConnection: close\r\n\r\n";
        peer.write_all(head.as_bytes())?;
        peer.write_chunk(b"first")?;
        held.pass()?;
        peer.write_chunk(b"last")?;
        peer.write_all(b"0\r\nX-Sum: 9\r\n\r\n")?;
        peer.flush()
    });
    let proxied = Proxied::new(upstream);
    let mut talk = proxied.client.connect().unwrap();
    talk.send(&Request::get("/v1/sys/monitor").header("TE", "trailers")).unwrap();
    assert_eq!(talk.head().unwrap().status, 200);
    assert_eq!(talk.chunk().unwrap(), Some(b"first".to_vec()));
    gate.open();
    assert_eq!(talk.chunk().unwrap(), Some(b"last".to_vec()));
    assert_eq!(talk.chunk().unwrap(), None);

    let reply = proxied.client.send(&Request::get("/v1/sys/monitor").header("TE", "trailers"));
    assert_eq!(reply.body, b"firstlast");
    assert_eq!(reply.trailers, [("x-sum".to_owned(), "9".to_owned())]);
}

#[test]
fn the_beginning_of_a_request_arrives_before_its_end() {
    let gate = Gate::default();
    let seen = gate.clone();
    let upstream = Upstream::start(move |_, peer| {
        let first = peer.chunk()?.unwrap_or_default();
        seen.open();
        let last = peer.chunk()?.unwrap_or_default();
        peer.answer(200, &[], [first, last].concat())
    });
    let proxied = Proxied::new(upstream);
    let mut talk = proxied.client.connect().unwrap();
    let request = Request::new("POST", "/v1/x").header("Transfer-Encoding", "chunked");
    talk.send(&request.body("5\r\nfirst\r\n")).unwrap();
    gate.pass().expect("the first part reaches the server before the last is sent");
    talk.write_all(b"4\r\nlast\r\n0\r\n\r\n").unwrap();
    assert_eq!(talk.reply("POST").unwrap().text(), "firstlast");
}

#[test]
fn whoever_waits_for_leave_to_send_a_body_gets_it() {
    let proxied = Proxied::new(Upstream::echo());
    let mut talk = proxied.client.connect().unwrap();
    let request = Request::new("POST", "/v1/x").header("Content-Length", "4");
    talk.send(&request.header("Expect", "100-continue")).unwrap();
    assert_eq!(talk.head().unwrap().status, 100);
    talk.write_all(b"body").unwrap();
    let reply = talk.reply("POST").unwrap();
    assert_eq!((reply.status, &reply.json()["body"]), (200, &json!("body")));
}

/// How large the bodies are that don't fit where they mustn't be kept.
const LARGE: usize = 64 << 20;
const MOST_GROWTH: u64 = 16 << 20;

/// A number for bytes in their order, however they are cut into parts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    length: usize,
    value: u64,
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        self.length += bytes.len();
        for byte in bytes {
            self.value = self.value.wrapping_mul(31).wrapping_add(u64::from(*byte));
        }
    }

    fn of_large() -> Self {
        let mut sum = Self::default();
        for number in 0..LARGE / PART {
            sum.add(&part(number));
        }
        sum
    }
}

const PART: usize = 1 << 16;

/// A part of the large body; no two are alike.
fn part(number: usize) -> Vec<u8> {
    let mut part = vec![u8::try_from(number % 251).unwrap(); PART];
    part[..8].copy_from_slice(&number.to_le_bytes());
    part
}

#[test]
fn a_large_upload_passes_without_being_kept() {
    let upstream = Upstream::start(|head, peer| {
        let mut sum = Sum::default();
        peer.read_parts(head, |part| sum.add(part))?;
        peer.answer(200, &[], format!("{sum:?}"))
    });
    let proxied = Proxied::new(upstream);
    let (growth, reply) = proxied.agent.memory_grows(|| {
        let mut talk = proxied.client.connect().unwrap();
        let request = Request::new("POST", "/v1/sys/storage/raft/snapshot");
        talk.send(&request.header("Content-Length", &LARGE.to_string())).unwrap();
        for number in 0..LARGE / PART {
            talk.write_all(&part(number)).unwrap();
        }
        talk.reply("POST").unwrap()
    });
    assert_eq!(reply.text(), format!("{:?}", Sum::of_large()));
    assert!(growth < MOST_GROWTH, "{growth}");
}

#[test]
fn a_large_answer_passes_without_being_kept_even_if_the_caller_is_slow() {
    let upstream = Upstream::start(|_, peer| {
        write!(peer, "HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\nConnection: close\r\n\r\n")?;
        for number in 0..LARGE / PART {
            peer.write_all(&part(number))?;
        }
        peer.flush()
    });
    let proxied = Proxied::new(upstream);
    let (growth, sum) = proxied.agent.memory_grows(|| {
        let mut talk = proxied.client.connect().unwrap();
        talk.send(&Request::get("/v1/sys/storage/raft/snapshot")).unwrap();
        assert_eq!(talk.head().unwrap().header("content-length"), Some(&*LARGE.to_string()));
        // Whatever the proxy reads ahead, it has to stop some time.
        std::thread::sleep(Duration::from_secs(1));
        let mut sum = Sum::default();
        let mut buffer = vec![0; PART];
        while sum.length < LARGE {
            let length = talk.read(&mut buffer).unwrap();
            assert_ne!(length, 0, "after {}", sum.length);
            sum.add(&buffer[..length]);
        }
        sum
    });
    assert_eq!(sum, Sum::of_large());
    assert!(growth < MOST_GROWTH, "{growth}");
}

/// Agrees to another protocol, and sends back whatever comes.
fn websocket() -> Upstream {
    Upstream::start(|head, peer| {
        let has = |name: &str, value: &str| {
            head.header(name).is_some_and(|found| found.to_lowercase().contains(value))
        };
        if !has("connection", "upgrade") || !has("upgrade", "websocket") {
            return peer.answer(426, &[("Upgrade", "websocket")], "");
        }
        let Head { target, .. } = head;
        let answer =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket";
        write!(peer, "{answer}\r\nX-Target: {target}\r\n\r\n")?;
        // Both speak at once: the server first.
        peer.write_all(b"hello")?;
        peer.flush()?;
        let mut buffer = [0; 4096];
        loop {
            let length = peer.read(&mut buffer)?;
            if length == 0 {
                return Ok(());
            }
            peer.write_all(&buffer[..length])?;
            peer.flush()?;
        }
    })
}

#[test]
fn a_websocket_passes_both_ways() {
    let proxied = Proxied::new(websocket());
    let mut talk = proxied.client.connect().unwrap();
    let target = "/v1/sys/events/subscribe/kv*?json=true";
    let request = Request::get(target)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Sec-WebSocket-Version", "13");
    let reply = talk.ask(&request).unwrap();
    assert_eq!(reply.status, 101, "{reply:?}");
    assert_eq!(reply.header("upgrade").map(str::to_lowercase).as_deref(), Some("websocket"));
    assert_eq!(reply.header("x-target"), Some(target));
    let mut hello = [0; 5];
    talk.read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");
    for message in
        [vec![0x81, 0x04, 1, 2, 3, 4], b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![7; 100_000]]
    {
        // What is large comes back while it is still being sent.
        for part in message.chunks(4096) {
            talk.write_all(part).unwrap();
            let mut bytes = vec![0; part.len()];
            talk.read_exact(&mut bytes).unwrap();
            assert_eq!(bytes, part);
        }
    }
    let head = &proxied.upstream.heads(target)[0];
    assert_eq!(head.header("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    talk.finish().unwrap();
    assert!(talk.is_closed(), "the server has seen the end, and ended");
}

#[test]
fn a_server_that_wants_no_websocket_says_so() {
    let proxied = Proxied::new(Upstream::echo());
    let request =
        Request::get("/v1/x").header("Connection", "Upgrade").header("Upgrade", "websocket");
    let mut talk = proxied.client.connect().unwrap();
    let reply = talk.ask(&request).unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
    // The connection is still one for requests.
    assert_eq!(talk.ask(&Request::get("/v1/y")).unwrap().json()["target"], "/v1/y");
}

#[test]
fn a_connection_serves_request_after_request_and_several_sent_at_once() {
    let proxied = Proxied::new(Upstream::echo());
    let mut talk = proxied.client.connect().unwrap();
    for number in 0..50 {
        let target = format!("/v1/{number}");
        assert_eq!(talk.ask(&Request::get(&target)).unwrap().json()["target"], target);
    }
    for number in 0..5 {
        talk.send(&Request::new("POST", &format!("/v1/{number}")).body("body")).unwrap();
    }
    for number in 0..5 {
        let reply = talk.reply("POST").unwrap();
        assert_eq!(reply.json()["target"], format!("/v1/{number}"));
    }
}

#[test]
fn a_caller_of_http_1_0_is_answered() {
    let proxied = Proxied::new(Upstream::echo());
    let mut talk = proxied.client.connect().unwrap();
    talk.write_all(b"GET /v1/x HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let reply = talk.reply("GET").unwrap();
    assert_eq!((reply.status, &reply.json()["target"]), (200, &json!("/v1/x")));
    eventually_true("the end", LIMIT, || talk.is_closed());
}
