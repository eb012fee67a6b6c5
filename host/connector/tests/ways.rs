//! What goes over the wire in each lane: paths, bodies, redirects, and one breaker for all.

// The lint's exception for tests doesn't reach the functions that tests share.
#![allow(clippy::unwrap_used, clippy::panic)]

mod loopback;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, LOCATION, USER_AGENT};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use loopback::{BrokenOff, Deaf, NO_CONTENT, Pieces, Raw, connector, serve};
use tokio::net::UnixListener;
use usher_address::OutboundProxy;
use usher_connector::{
    Body, Connector, Interrupted, Lane, Outcome, Patience, Requests, Resolve, Resolving,
    TlsIdentity, Transport, Trouble, TroubleKind, Unread,
};

async fn send(
    connector: &Connector,
    lane: Lane,
    request: Request<Body>,
) -> Result<Response<Body>, Trouble> {
    connector.send(lane, &TlsIdentity::default(), request).await
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::default()).unwrap()
}

/// The status, when all of the answer is there.
async fn status(connector: &Connector, lane: Lane, path: &str) -> Result<u16, Trouble> {
    let answer = send(connector, lane, get(path)).await?;
    let status = answer.status().as_u16();
    answer.into_body().read(1 << 20).await.unwrap();
    Ok(status)
}

/// The first line of each request.
fn lines(raw: &Raw) -> Vec<String> {
    raw.heads().iter().map(|head| head.lines().next().unwrap().to_owned()).collect()
}

/// What a parser of URLs would change.
const PATHS: [&str; 8] = [
    "/v1/secret/data/a%2Fb",
    "/v1/secret//data//x",
    "/v1/secret/..%2f..%2Fsys",
    "/v1/a/../b/./c",
    "/v1/%2e%2E/%7e~/x|y",
    "/v1/kv/a;b=c,d:e@f",
    "//v1/x?list=true&q=%2F..",
    "/v1/x?",
];

#[tokio::test]
async fn a_forwarded_path_reaches_the_server_byte_for_byte() {
    let (raw, address) = Raw::start(NO_CONTENT).await;
    let direct = connector(&format!("http://{address}"), |_| {});
    let below = connector(&format!("http://{address}/behind/it/"), |_| {});
    let proxied = connector("http://vault.example.org:8200", |settings| {
        settings.proxy = Some(OutboundProxy::parse(&address.to_string()).unwrap());
    });
    for path in PATHS {
        for connector in [&direct, &below, &proxied] {
            assert_eq!(status(connector, Lane::Proxied, path).await, Ok(204), "{path}");
        }
    }
    let expected: Vec<_> = PATHS
        .iter()
        .flat_map(|path| {
            ["", "/behind/it", "http://vault.example.org:8200"]
                .map(|before| format!("GET {before}{path} HTTP/1.1"))
        })
        .collect();
    assert_eq!(lines(&raw), expected);
}

#[tokio::test]
async fn a_request_for_no_path_is_not_sent() {
    let (raw, address) = Raw::start(NO_CONTENT).await;
    for address in [format!("http://{address}"), format!("http://{address}/behind/it")] {
        let connector = connector(&address, |_| {});
        for (method, target) in [
            (Method::OPTIONS, "*"),
            (Method::GET, "http://vault.example.org?list=true"),
            (Method::GET, "vault.example.org:8200"),
            (Method::CONNECT, "vault.example.org:8200"),
            (Method::CONNECT, "/v1/x"),
        ] {
            for lane in [Lane::Tokens, Lane::Proxied] {
                let request = Request::builder().method(method.clone()).uri(target);
                let request = request.body(Body::default()).unwrap();
                let trouble = send(&connector, lane, request).await.err().unwrap();
                assert_eq!(trouble.kind, TroubleKind::Request, "{method} {target}: {trouble}");
            }
        }
        assert_eq!(connector.governor().requests(), Requests::default());
    }
    assert_eq!(raw.connections(), 0);
}

#[tokio::test]
async fn a_unix_socket_leads_to_the_server_in_each_lane() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bao.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let raw = Raw::default();
    let server = raw.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(server.clone().answer(stream, NO_CONTENT.to_owned()));
        }
    });
    let connector = connector(&format!("unix://{}", path.display()), |_| {});
    for lane in [Lane::Tokens, Lane::Secrets, Lane::Proxied] {
        assert_eq!(status(&connector, lane, "/v1/a%2Fb").await, Ok(204), "{lane:?}");
    }
    assert_eq!(lines(&raw), ["GET /v1/a%2Fb HTTP/1.1"; 3]);
    assert!(raw.heads().iter().all(|head| head.contains("host: localhost\r\n")), "{raw:?}");
}

#[tokio::test]
async fn a_lane_has_connections_of_its_own_and_keeps_them() {
    let (raw, address) = Raw::start(NO_CONTENT).await;
    let connector = connector(&format!("http://{address}"), |_| {});
    for _ in 0..3 {
        for lane in [Lane::Tokens, Lane::Secrets, Lane::Proxied] {
            status(&connector, lane, "/v1/x").await.unwrap();
        }
    }
    assert_eq!(raw.connections(), 3);
}

#[tokio::test]
async fn what_is_forwarded_gets_no_user_agent_and_another_host() {
    let (raw, address) = Raw::start(NO_CONTENT).await;
    let connector = connector(&format!("http://u:p@{address}"), |_| {});
    for lane in [Lane::Proxied, Lane::Tokens] {
        let mut request = get("/v1/x");
        request.headers_mut().insert(HOST, "127.0.0.1:8100".parse().unwrap());
        send(&connector, lane, request).await.unwrap();
    }
    let mut own = get("/v1/x");
    own.headers_mut().insert(USER_AGENT, "application".parse().unwrap());
    send(&connector, Lane::Proxied, own).await.unwrap();
    let heads = raw.heads();
    assert!(heads.iter().all(|head| head.contains(&format!("host: {address}\r\n"))), "{heads:?}");
    assert!(heads.iter().all(|head| head.contains("authorization: Basic dTpw\r\n")), "{heads:?}");
    assert!(!heads[0].contains("user-agent"), "{heads:?}");
    assert!(heads[1].contains("user-agent: Usher/"), "{heads:?}");
    assert!(heads[2].contains("user-agent: application\r\n"), "{heads:?}");
}

#[tokio::test]
async fn an_answer_begins_before_the_request_has_ended() {
    let echo =
        |request: Request<hyper::body::Incoming>| async { Response::new(request.into_body()) };
    let address = serve(echo).await;
    let connector = connector(&format!("http://{address}"), |_| {});
    let (pieces, receiver) = tokio::sync::mpsc::channel(1);
    pieces.send(Bytes::from_static(b"first")).await.unwrap();
    let request = Request::put("/v1/x").body(Body::stream(Pieces(receiver))).unwrap();
    let mut answer = send(&connector, Lane::Proxied, request).await.unwrap().into_body();
    let mut next = async || answer.frame().await.map(|frame| frame.unwrap().into_data().unwrap());
    assert_eq!(next().await.unwrap(), "first");
    pieces.send(Bytes::from_static(b"second")).await.unwrap();
    assert_eq!(next().await.unwrap(), "second");
    drop(pieces);
    assert!(next().await.is_none());
}

/// Sends a byte every fifth of a second, eight times.
async fn slow_server() -> String {
    let address = serve(|_| async {
        let (pieces, receiver) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            for _ in 0..8 {
                tokio::time::sleep(Duration::from_millis(200)).await;
                let _ = pieces.send(Bytes::from_static(b".")).await;
            }
        });
        Response::new(Pieces(receiver))
    })
    .await;
    format!("http://{address}")
}

#[tokio::test]
async fn what_is_forwarded_may_take_its_time_as_long_as_it_moves() {
    let connector =
        connector(&slow_server().await, |settings| settings.timeout = Duration::from_secs(1));
    let read = async |lane| {
        let answer = send(&connector, lane, get("/v1/x")).await.unwrap();
        answer.into_body().read(100).await.map(|body| body.len())
    };
    assert_eq!(read(Lane::Proxied).await.unwrap(), 8);
    let late = read(Lane::Tokens).await.unwrap_err();
    assert!(matches!(late, Unread::Interrupted(Interrupted::Timeout)), "{late}");
}

#[tokio::test]
async fn what_stands_still_is_given_up() {
    let never = |_| async { std::future::pending::<Response<Empty<Bytes>>>().await };
    let address = serve(never).await;
    let connector = connector(&format!("http://{address}"), |settings| {
        settings.timeout = Duration::from_millis(200);
    });
    for lane in [Lane::Tokens, Lane::Proxied] {
        let trouble = status(&connector, lane, "/v1/x").await.unwrap_err();
        assert_eq!(trouble.kind, TroubleKind::Timeout, "{trouble}");
        assert!(trouble.to_string().contains("no answer in time"), "{trouble}");
    }
}

/// Answers when it has read the whole request.
async fn reading_server() -> String {
    let address = serve(|request: Request<hyper::body::Incoming>| async {
        let _ = request.into_body().collect().await;
        Response::new(Empty::<Bytes>::new())
    })
    .await;
    format!("http://{address}")
}

#[tokio::test]
async fn an_upload_that_its_sender_leaves_standing_says_nothing_of_the_server() {
    let connector = connector(&reading_server().await, |settings| {
        settings.timeout = Duration::from_millis(200);
    });
    let (pieces, receiver) = tokio::sync::mpsc::channel(1);
    pieces.send(Bytes::from_static(b"first")).await.unwrap();
    let request = Request::put("/v1/x").body(Body::stream(Pieces(receiver))).unwrap();
    let trouble = send(&connector, Lane::Proxied, request).await.err().unwrap();
    assert_eq!(trouble.kind, TroubleKind::RequestBody, "{trouble}");
    assert_eq!(connector.governor().requests(), Requests::default());
}

#[tokio::test]
async fn an_upload_that_its_sender_breaks_off_says_nothing_of_the_server() {
    let connector = connector(&reading_server().await, |_| {});
    for lane in [Lane::Tokens, Lane::Proxied] {
        for body in [BrokenOff::with_an_error(), BrokenOff::short_of(100)] {
            let request = Request::put("/v1/x").body(Body::stream(body)).unwrap();
            let trouble = send(&connector, lane, request).await.err().unwrap();
            assert_eq!(trouble.kind, TroubleKind::RequestBody, "{trouble}");
        }
    }
    assert_eq!(connector.governor().requests(), Requests::default());
}

#[tokio::test]
async fn a_patience_without_end_is_one() {
    let (_, address) = Raw::start(NO_CONTENT).await;
    let connector = connector(&format!("http://{address}"), |settings| {
        settings.timeout = Duration::MAX;
    });
    for lane in [Lane::Tokens, Lane::Proxied] {
        assert_eq!(status(&connector, lane, "/v1/x").await, Ok(204), "{lane:?}");
    }
}

#[tokio::test]
async fn a_redirect_to_the_active_node_is_followed_where_the_request_can_be_made_again() {
    let (active, its_address) = Raw::start(NO_CONTENT).await;
    let standby = serve(move |request: Request<hyper::body::Incoming>| async move {
        let location = format!("http://{its_address}{}", request.uri());
        let mut answer = Response::new(Empty::<Bytes>::new());
        *answer.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        answer.headers_mut().insert(LOCATION, location.parse().unwrap());
        answer
    })
    .await;
    let connector = connector(&format!("http://{standby}"), |_| {});
    for lane in [Lane::Tokens, Lane::Proxied] {
        assert_eq!(status(&connector, lane, "/v1/a%2Fb").await, Ok(204));
    }
    assert_eq!(lines(&active), ["GET /v1/a%2Fb HTTP/1.1"; 2]);
    // What was sent can't be sent again: others are told where to, and may know better.
    let streamed = || {
        let (_, receiver) = tokio::sync::mpsc::channel(1);
        Request::put("/v1/x").body(Body::stream(Pieces(receiver))).unwrap()
    };
    let trouble = send(&connector, Lane::Tokens, streamed()).await.err().unwrap();
    assert_eq!(trouble.kind, TroubleKind::Redirect, "{trouble}");
    let answer = send(&connector, Lane::Proxied, streamed()).await.unwrap();
    assert_eq!(answer.status(), 307);
    assert_eq!(active.connections(), 2);
}

/// Where every name leads to, with the ports for a URL that names none.
struct Everywhere(Vec<SocketAddr>);

impl Resolve for Everywhere {
    fn resolve(&self, _host: String) -> Resolving {
        let found = self.0.clone();
        Box::pin(async move { Ok(found) })
    }
}

#[tokio::test]
async fn an_address_that_swallows_packets_leaves_time_for_the_next() {
    let deaf = Deaf::start().await;
    let (raw, address) = Raw::start(NO_CONTENT).await;
    let resolver = Arc::new(Everywhere(vec![deaf.address, address]));
    let transport = Transport::direct(resolver, None, Duration::from_secs(2));
    let patience = Patience::Whole(Duration::from_secs(20));
    let answer = transport.send(get("http://two.example/v1/x"), patience).await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(raw.connections(), 1);
}

async fn is_slow(connector: &Connector, lane: Lane) -> bool {
    let answered = status(connector, lane, "/v1/x");
    tokio::time::timeout(Duration::from_millis(500), answered).await.is_err()
}

#[tokio::test]
async fn a_server_in_trouble_for_one_lane_is_left_in_peace_by_all() {
    let unavailable = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    let (_, address) = Raw::start(unavailable).await;
    let failing = connector(&format!("http://{address}"), |_| {});
    for _ in 0..5 {
        assert_eq!(status(&failing, Lane::Proxied, "/v1/x").await, Ok(503));
    }
    assert!(failing.governor().is_open());
    let slow = tokio::join!(is_slow(&failing, Lane::Tokens), is_slow(&failing, Lane::Secrets));
    assert_eq!(slow, (true, true));
    // What is forwarded doesn't queue up.
    let held = status(&failing, Lane::Proxied, "/v1/x").await.unwrap_err();
    assert_eq!(held.kind, TroubleKind::Held, "{held}");
    assert!(held.retry_after.is_some_and(|wait| wait <= Duration::from_secs(1)), "{held:?}");

    let (raw, address) = Raw::start(NO_CONTENT).await;
    let governed = connector(&format!("http://{address}"), |_| {});
    for _ in 0..5 {
        governed.governor().record(Outcome::Passing);
    }
    assert_eq!(
        status(&governed, Lane::Proxied, "/v1/x").await.unwrap_err().kind,
        TroubleKind::Held
    );
    // The first to come through finds it well again.
    assert_eq!(status(&governed, Lane::Tokens, "/v1/x").await, Ok(204));
    governed.governor().record(Outcome::Success);
    assert_eq!(status(&governed, Lane::Proxied, "/v1/x").await, Ok(204));
    assert_eq!(raw.heads().len(), 2);
}

#[tokio::test]
async fn an_engine_that_fails_for_others_slows_no_login() {
    for answer in ["500 Internal Server Error", "429 Too Many Requests", "403 Forbidden"] {
        let whole = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
        let (_, address) = Raw::start(&whole).await;
        let connector = connector(&format!("http://{address}"), |_| {});
        for _ in 0..10 {
            status(&connector, Lane::Proxied, "/v1/x").await.unwrap();
        }
        assert!(!connector.governor().is_open(), "{answer}");
    }
}

#[tokio::test]
async fn a_redirect_is_no_sign_that_the_server_is_well_again() {
    for (answer, succeeded) in [
        ("307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/elsewhere", 0),
        ("302 Found\r\nLocation: https://portal.example/login", 0),
        ("304 Not Modified", 1),
    ] {
        let whole = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
        let (_, address) = Raw::start(&whole).await;
        let connector = connector(&format!("http://{address}"), |_| {});
        let governor = connector.governor();
        governor.record(Outcome::Passing);
        let recoveries = governor.recoveries();
        status(&connector, Lane::Proxied, "/v1/x").await.unwrap();
        let Requests { succeeded: counted, passing, .. } = governor.requests();
        assert_eq!((counted, passing), (succeeded, 1), "{answer}");
        assert_eq!(recoveries.has_changed().unwrap(), succeeded > 0, "{answer}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_named() {
    let away = connector("http://127.0.0.1:1", |_| {});
    let trouble = status(&away, Lane::Proxied, "/v1/x").await.unwrap_err();
    assert_eq!(trouble.kind, TroubleKind::Connection, "{trouble}");
    assert!(trouble.to_string().contains("(http://127.0.0.1:1)"), "{trouble}");
    assert_eq!(away.governor().requests().passing, 1);
    let unknown = connector("http://vault.invalid", |_| {});
    let trouble = status(&unknown, Lane::Tokens, "/v1/x").await.unwrap_err();
    assert_eq!(trouble.kind, TroubleKind::Dns, "{trouble}");
}

#[tokio::test]
async fn a_proxy_whose_name_leads_nowhere_is_named() {
    for (address, proxy) in [
        ("http://vault.example.org:8200", "http://proxy.invalid:3128"),
        ("https://vault.example.org:8200", "http://proxy.invalid:3128"),
        ("https://vault.example.org:8200", "socks5://proxy.invalid"),
    ] {
        let connector = connector(address, |settings| {
            settings.tls.skip_verify = true;
            settings.proxy = Some(OutboundProxy::parse(proxy).unwrap());
        });
        let trouble = status(&connector, Lane::Tokens, "/v1/x").await.unwrap_err();
        assert_eq!(trouble.kind, TroubleKind::Dns, "{proxy}: {trouble}");
        let text = trouble.to_string();
        assert!(text.contains("the proxy's name") && text.contains("HTTPS_PROXY"), "{text}");
    }
}

#[tokio::test]
async fn a_proxy_that_speaks_no_tls_is_named() {
    let address = serve(|_| async { Response::new(Empty::<Bytes>::new()) }).await;
    let connector = connector("https://vault.example.org:8200", |settings| {
        settings.tls.skip_verify = true;
        settings.proxy = Some(OutboundProxy::parse(&format!("https://{address}")).unwrap());
    });
    let trouble = status(&connector, Lane::Tokens, "/v1/x").await.unwrap_err();
    assert_eq!(trouble.kind, TroubleKind::Tls, "{trouble}");
    assert!(trouble.to_string().contains("no TLS with the proxy"), "{trouble}");
}
