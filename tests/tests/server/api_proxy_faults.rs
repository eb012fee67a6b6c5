//! Bad requests, bad servers and callers that leave: each is answered with a status and a reason where an
//! answer is possible, nobody else is held up, and the agent's token is told to nobody.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail the test that calls them")]

use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use tempfile::TempDir;
use usher_tests::agent::{Agent, Launch};
use usher_tests::api_client::{ApiClient, Reply, Request};
use usher_tests::eventually::eventually_true;
use usher_tests::leaks::leaks;
use usher_tests::listeners::{api_proxy, free_authority, tcp, unix};
use usher_tests::stand_in::{Answer, StandIn};
use usher_tests::upstream::{Gate, Head, Peer, Upstream};

const LIMIT: Duration = Duration::from_secs(30);

/// An agent that has a token and lends it, in front of a stand-in. Nothing is tried again.
struct Proxied {
    agent: Agent,
    client: ApiClient,
    upstream: Upstream,
    home: TempDir,
}

impl Proxied {
    /// Each test says what becomes of a target; whatever else is asked is answered "fine".
    fn new(
        serve: impl Fn(&Head, &mut Peer) -> Option<io::Result<()>> + Send + Sync + 'static,
    ) -> Self {
        let upstream = Upstream::start(move |head, peer| {
            serve(head, peer).unwrap_or_else(|| {
                peer.read_body(head)?;
                peer.answer(200, &[], "fine")
            })
        });
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("agent.sock");
        let blocks = unix(&path, "") + &api_proxy("use_auto_auth_token = true");
        let agent = Launch::agent_at(&upstream.configuration_with_login(&blocks), "trace")
            .environment("BAO_CLIENT_TIMEOUT", "3s")
            .start();
        let client = ApiClient::unix(&path);
        client.wait_until_open();
        assert_eq!(client.get("/v1/first").text(), "fine");
        Self { agent, client, upstream, home }
    }

    /// Others are answered as ever, and at once.
    #[track_caller]
    fn assert_serves(&self) {
        let started = Instant::now();
        assert_eq!(self.client.get("/v1/other").text(), "fine");
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }

    /// Stops the agent, whose output must not tell its token.
    #[track_caller]
    fn assert_tells_nothing(self) {
        let ended = self.agent.stop();
        assert!(ended.log.len() > 100, "there is a log to look through");
        let token = [Upstream::TOKEN.to_owned()];
        assert_eq!(leaks(&(ended.log + &ended.results), &token), [""; 0]);
    }
}

/// The proxy's own answer to what can't be had from the server.
#[track_caller]
fn assert_says_why(reply: &Reply) {
    assert!([500, 502, 503, 504].contains(&reply.status), "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/json"));
    reply.errors();
    assert_eq!(leaks(&format!("{reply:?}{}", reply.text()), &[Upstream::TOKEN.into()]), [""; 0]);
}

#[test]
fn a_server_that_is_down_is_said_and_reached_when_it_is_back() {
    let mut proxied = Proxied::new(|_, _| None);
    proxied.upstream.down();
    for request in [Request::get("/v1/x"), Request::new("POST", "/v1/x").body("{}")] {
        assert_says_why(&proxied.client.send(&request));
    }
    proxied.upstream.up();
    eventually_true("an answer", LIMIT, || proxied.client.get("/v1/x").status == 200);
    proxied.assert_tells_nothing();
}

#[test]
fn a_server_that_speaks_no_http_is_said() {
    let proxied = Proxied::new(|head, peer| {
        let garbage: &[u8] = match &*head.target {
            "/v1/tls" => b"\x15\x03\x01\x00\x02\x02\x46",
            "/v1/text" => b"SSH-2.0-OpenSSH_9.9\r\n",
            "/v1/status" => b"HTTP/1.1 twohundred OK\r\n\r\n",
            "/v1/header" => b"HTTP/1.1 200 OK\r\nno header at all\r\n\r\n",
            "/v1/length" => b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nabcde",
            "/v1/nothing" => b"",
            _ => return None,
        };
        Some(peer.write_all(garbage).and_then(|()| peer.flush()))
    });
    for target in ["/v1/tls", "/v1/text", "/v1/status", "/v1/header", "/v1/length", "/v1/nothing"] {
        assert_says_why(&proxied.client.get(target));
        proxied.assert_serves();
    }
    proxied.assert_tells_nothing();
}

#[test]
fn a_web_page_is_relayed_with_its_status() {
    let page = "<html><h1>Down for maintenance</h1></html>";
    let proxied = Proxied::new(move |head, peer| {
        let status = head.target.strip_prefix("/v1/page/")?.parse().unwrap();
        let headers = [("Content-Type", "text/html"), ("Retry-After", "120")];
        Some(peer.answer(status, &headers, page))
    });
    for status in [200, 403, 404, 502, 503] {
        let reply = proxied.client.get(&format!("/v1/page/{status}"));
        assert_eq!((reply.status, reply.text().as_str()), (status, page));
        assert_eq!(reply.header("content-type"), Some("text/html"));
        assert_eq!(reply.header("retry-after"), Some("120"));
    }
    proxied.assert_tells_nothing();
}

#[test]
fn a_server_that_stalls_is_given_up_and_holds_nobody_up() {
    let gate = Gate::default();
    let held = gate.clone();
    let proxied = Proxied::new(move |head, _| (head.target == "/v1/stalls").then(|| held.pass()));
    let started = Instant::now();
    let mut talks: Vec<_> = (0..20).map(|_| proxied.client.connect().unwrap()).collect();
    for talk in &mut talks {
        talk.send(&Request::get("/v1/stalls")).unwrap();
    }
    eventually_true("the requests", LIMIT, || proxied.upstream.heads("/v1/stalls").len() >= 20);
    proxied.assert_serves();
    for talk in &mut talks {
        assert_says_why(&talk.reply("GET").unwrap());
    }
    let waited = started.elapsed();
    assert!(waited > Duration::from_secs(2) && waited < Duration::from_secs(15), "{waited:?}");
    gate.open();
    proxied.assert_tells_nothing();
}

#[test]
fn an_answer_that_has_begun_may_take_longer_than_the_first_byte() {
    let proxied = Proxied::new(|head, peer| {
        (head.target == "/v1/slow").then(|| {
            peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\n")?;
            for _ in 0..8 {
                peer.write_all(b".")?;
                peer.flush()?;
                std::thread::sleep(Duration::from_millis(700));
            }
            Ok(())
        })
    });
    // Longer than the time-out, which is for the beginning.
    assert_eq!(proxied.client.get("/v1/slow").text(), "........");
}

#[test]
fn an_answer_that_breaks_off_is_no_whole_answer() {
    let proxied = Proxied::new(|head, peer| {
        let answer: &[u8] = match &*head.target {
            "/v1/length" => b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"data\":",
            "/v1/chunks" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "/v1/chunk" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nhalf",
            _ => return None,
        };
        Some(peer.write_all(answer).and_then(|()| peer.flush()))
    });
    for target in ["/v1/length", "/v1/chunks", "/v1/chunk"] {
        // What has begun can't be taken back: either it never began, or it has no end.
        match proxied.client.try_send(&Request::get(target)) {
            Ok(reply) => assert_says_why(&reply),
            Err(error) => assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "{target}"),
        }
        proxied.assert_serves();
    }
    proxied.assert_tells_nothing();
}

#[test]
fn a_server_that_dies_under_a_large_upload_costs_no_memory() {
    let proxied = Proxied::new(|head, peer| {
        (head.target == "/v1/dies").then(|| peer.read_exact(&mut vec![0; 1 << 20]))
    });
    let (growth, ()) = proxied.agent.memory_grows(|| {
        let mut talk = proxied.client.connect().unwrap();
        let gigabyte: usize = 1 << 30;
        let request = Request::new("POST", "/v1/dies");
        talk.send(&request.header("Content-Length", &gigabyte.to_string())).unwrap();
        let part = vec![0; 1 << 16];
        // What comes after the answer is thrown away for a moment, so that the answer is seen.
        let _ = (0..gigabyte / part.len()).take_while(|_| talk.write_all(&part).is_ok()).count();
        if let Ok(reply) = talk.reply("POST") {
            assert_says_why(&reply);
        }
    });
    assert!(growth < 16 << 20, "{growth}");
    proxied.assert_serves();
    proxied.assert_tells_nothing();
}

#[test]
fn a_caller_that_leaves_in_its_request_is_not_waited_for() {
    let seen = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&seen);
    let proxied = Proxied::new(move |head, peer| {
        (head.target == "/v1/upload").then(|| {
            let whole = peer.read_body(head);
            shared.store(whole.is_err(), Ordering::SeqCst);
            peer.answer(200, &[], "")
        })
    });
    let mut talk = proxied.client.connect().unwrap();
    let request = Request::new("POST", "/v1/upload").header("Content-Length", "1000000");
    talk.send(&request.body("the beginning")).unwrap();
    eventually_true("the request", LIMIT, || !proxied.upstream.heads("/v1/upload").is_empty());
    drop(talk);
    eventually_true("the server is left as well", LIMIT, || seen.load(Ordering::SeqCst));
    proxied.assert_serves();
}

#[test]
fn a_caller_that_leaves_in_its_answer_is_not_waited_for() {
    let seen = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&seen);
    let proxied = Proxied::new(move |head, peer| {
        let is_endless = match &*head.target {
            "/v1/endless" => true,
            "/v1/silent" => false,
            _ => return None,
        };
        let answer = || -> io::Result<()> {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
            peer.write_all(head.as_bytes())?;
            peer.write_chunk(b"first")?;
            if is_endless {
                loop {
                    peer.write_chunk(&[0; 4096])?;
                }
            }
            if peer.is_gone() { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
        };
        Some(run(answer, &shared))
    });
    for target in ["/v1/endless", "/v1/silent"] {
        seen.store(false, Ordering::SeqCst);
        let mut talk = proxied.client.connect().unwrap();
        talk.send(&Request::get(target)).unwrap();
        assert_eq!(talk.head().unwrap().status, 200);
        assert!(talk.chunk().unwrap().is_some());
        drop(talk);
        eventually_true("the server is left as well", LIMIT, || seen.load(Ordering::SeqCst));
        proxied.assert_serves();
    }
}

/// Notes whether it fails.
fn run(answer: impl FnOnce() -> io::Result<()>, failed: &AtomicBool) -> io::Result<()> {
    let result = answer();
    failed.store(result.is_err(), Ordering::SeqCst);
    result
}

/// What comes until the connection ends, and whether it ends in time.
#[track_caller]
fn rest(client: &ApiClient, bytes: &[u8], finish: bool) -> String {
    let mut talk = client.connect().unwrap();
    // A connection that is refused early can't be written to the end.
    let _ = talk.write_all(bytes);
    if finish {
        let _ = talk.finish();
    }
    let mut rest = Vec::new();
    match talk.read_to_end(&mut rest) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("it never ends"),
        _ => String::from_utf8_lossy(&rest).into_owned(),
    }
}

#[test]
fn half_requests_and_what_is_none_end_and_reach_nobody() {
    let proxied = Proxied::new(|_, _| None);
    let before = proxied.upstream.count();
    for bytes in [
        &b""[..],
        b"GET",
        b"GET /v1/x HTTP/1.1\r\n",
        b"GET /v1/x HTTP/1.1\r\nHost: localhost\r\nX-Vault-To",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /v1/x HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET  /v1/x  HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v1/\x00x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v1/x HTTP/1.1\r\nHost: localhost\r\nno header\r\n\r\n",
        b"GET /v1/x HTTP/1.1\r\nHost: localhost\r\nX-Folded: a\r\n b\r\n\r\n",
        b"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\nab",
    ] {
        let answer = rest(&proxied.client, bytes, true);
        let is_refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4");
        assert!(is_refused, "{}: {answer}", bytes.escape_ascii());
        proxied.assert_serves();
    }
    let others = proxied.upstream.heads("/v1/other").len();
    assert_eq!(proxied.upstream.count(), before + others, "nothing else reached the server");
}

#[test]
fn a_caller_that_dawdles_over_its_head_is_shown_out() {
    let proxied = Proxied::new(|_, _| None);
    let started = Instant::now();
    let answer = rest(&proxied.client, b"GET /v1/x HTTP/1.1\r\nX-Slow: ", false);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    // Ten seconds, as for the incumbents.
    let waited = started.elapsed();
    assert!(waited > Duration::from_secs(5) && waited < Duration::from_secs(20), "{waited:?}");
    assert_eq!(proxied.upstream.heads("/v1/x").len(), 0);
}

#[test]
fn a_flood_of_headers_is_refused() {
    let proxied = Proxied::new(|_, _| None);
    let many = "X-Many: a\r\n".repeat(20_000);
    let long = format!("X-Long: {}\r\n", "a".repeat(4 << 20));
    let target = format!("/v1/{}", "a".repeat(1 << 20));
    let (growth, ()) = proxied.agent.memory_grows(|| {
        for request in [
            format!("GET /v1/x HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"),
            format!("GET /v1/x HTTP/1.1\r\nHost: localhost\r\n{long}\r\n"),
            format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ] {
            let answer = rest(&proxied.client, request.as_bytes(), true);
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
            proxied.assert_serves();
        }
    });
    assert!(growth < 16 << 20, "{growth}");
    assert_eq!(proxied.upstream.heads("/v1/x").len(), 0);
}

#[test]
fn two_lengths_of_one_body_smuggle_nothing() {
    let proxied = Proxied::new(|_, _| None);
    let length = "Content-Length: 4";
    let coding = "Transfer-Encoding: chunked";
    for (first, second) in [(length, coding), (coding, length)] {
        let smuggled = "GET /v1/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let request = format!(
            "POST /v1/both HTTP/1.1\r\nHost: localhost\r\n{first}\r\n{second}\r\n\r\n0\r\n\r\n{smuggled}"
        );
        let answer = rest(&proxied.client, request.as_bytes(), false);
        // Refused, or taken as the standard has it: the length doesn't count, and nothing follows.
        for head in proxied.upstream.heads("/v1/both") {
            assert!(head.header("content-length").is_none_or(|length| length == "0"), "{head:?}");
        }
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{answer}");
        assert_eq!(proxied.upstream.heads("/v1/smuggled").len(), 0);
    }
}

#[test]
fn tunnels_and_traces_are_refused() {
    let other = Upstream::echo();
    let proxied = Proxied::new(|_, _| None);
    let before = proxied.upstream.count();
    for request in
        [Request::new("CONNECT", &other.authority()), Request::new("TRACE", "/v1/x").token("s.own")]
    {
        let reply = proxied.client.send(&request);
        assert_eq!(reply.status, 405, "{request:?}: {reply:?}");
        reply.errors();
    }
    assert_eq!((proxied.upstream.count(), other.count()), (before, 0));
}

#[test]
fn nobody_is_sent_elsewhere_with_the_agents_token() {
    let other = Upstream::echo();
    let proxied = Proxied::new(|_, _| None);
    let authority = other.authority();
    for (target, host) in [
        (format!("{}/v1/x", other.url()), authority.as_str()),
        (format!("{}/v1/x", other.url()), "localhost"),
        (format!("http://user:password@{authority}/v1/x"), "localhost"),
        (format!("//{authority}/v1/x"), "localhost"),
        (format!("@{authority}/v1/x"), "localhost"),
        ("/v1/x".to_owned(), authority.as_str()),
    ] {
        // Whatever becomes of it.
        let _ = proxied.client.try_send(&Request::get(&target).header("Host", host));
        assert_eq!(other.count(), 0, "{target}");
    }
    for head in proxied.upstream.heads("/v1/x") {
        assert_eq!(head.header("host"), Some(proxied.upstream.authority().as_str()));
    }
    proxied.assert_serves();
}

#[test]
fn a_redirect_takes_no_token_where_it_can_be_read() {
    // The server has TLS, where it sends to has none.
    let other = Upstream::echo();
    let location = other.url();
    let redirecting = StandIn::https(move |request| {
        let location = format!("{location}{}", request.target);
        Answer::new(307, "").header("Location", &location)
    });
    let home = tempfile::tempdir().unwrap();
    let (ca, path) = (home.path().join("ca.pem"), home.path().join("agent.sock"));
    std::fs::write(&ca, redirecting.ca_pem()).unwrap();
    let text = format!(
        "vault {{\n  address = \"{}\"\n  ca_cert = \"{}\"\n}}\n{}",
        redirecting.url(),
        ca.display(),
        unix(&path, "")
    );
    let _agent = Agent::start(&text);
    let client = ApiClient::unix(&path);
    client.wait_until_open();
    let reply = client.get_as("s.own", "/v1/x");
    assert_ne!(reply.status, 200, "{reply:?}");
    assert_eq!(other.count(), 0);
}

#[test]
fn many_that_are_idle_hold_nobody_up() {
    let proxied = Proxied::new(|_, _| None);
    let (growth, ()) = proxied.agent.memory_grows(|| {
        let idle: Vec<_> = (0..300).map(|_| proxied.client.connect().unwrap()).collect();
        proxied.assert_serves();
        assert_eq!(idle.len(), 300);
    });
    assert!(growth < 16 << 20, "{growth}");
    proxied.assert_serves();
}

/// Connects until the system takes nobody more for a process that takes nobody in.
fn fill_backlog(socket: &Path) -> Vec<OwnedFd> {
    let address = SocketAddrUnix::new(socket).unwrap();
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files }).unwrap();
    let mut waiting = Vec::new();
    loop {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let client = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        match connect(&client, &address) {
            Ok(()) => waiting.push(client),
            Err(Errno::AGAIN) => return waiting,
            Err(error) => panic!("{error} after {}", waiting.len()),
        }
    }
}

#[test]
fn a_full_backlog_is_worked_off() {
    let mut proxied = Proxied::new(|_, _| None);
    let path = proxied.home.path().join("agent.sock");
    proxied.agent.signal(Signal::STOP);
    let mut waiting = fill_backlog(&path);
    assert!(waiting.len() >= 128, "{}", waiting.len());
    proxied.agent.signal(Signal::CONT);
    // Some leave, others ask nothing.
    waiting.truncate(100);
    eventually_true("an answer", LIMIT, || {
        proxied.client.try_send(&Request::get("/v1/other")).is_ok_and(|reply| reply.status == 200)
    });
    proxied.assert_serves();
    drop(waiting);
    proxied.assert_tells_nothing();
}

#[test]
fn a_token_of_a_callers_is_in_no_log() {
    let upstream = Upstream::start(|head, peer| {
        if head.target == "/v1/garbage" {
            return peer.write_all(b"garbage\r\n\r\n").and_then(|()| peer.flush());
        }
        peer.read_body(head)?;
        peer.answer(403, &[("Content-Type", "application/json")], "{\"errors\":[\"no\"]}")
    });
    let address = free_authority();
    let agent = Launch::agent_at(&upstream.configuration(&tcp(&address, "")), "trace").start();
    let client = ApiClient::tcp(&address);
    client.wait_until_open();
    let (token, bearer, password) =
        ("s.canaryOfTheHeader0001", "s.canaryOfTheBearer0002", "canaryOfThePassword0003");
    for target in ["/v1/x", "/v1/garbage"] {
        let request = Request::new("POST", target)
            .token(token)
            .header("Authorization", &format!("Bearer {bearer}"))
            .json(&serde_json::json!({ "password": password }));
        let reply = client.send(&request);
        assert!(reply.status >= 400, "{reply:?}");
        client.send(&request.clone().header("Origin", "http://example.com"));
    }
    let secrets = [token, bearer, password].map(String::from);
    let ended = agent.stop();
    assert_eq!(leaks(&ended.log, &secrets), [""; 0]);
}
