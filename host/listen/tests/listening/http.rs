//! HTTP/1.1 and its limits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use usher_listen::Limits;

use crate::listener::{
    Endless, LETTERS, Listener, PIECE, answer, ask, mirror, request, rest, soon, whole,
};

#[tokio::test]
async fn requests_reach_the_service_as_they_are_one_after_another() {
    let listener = Listener::plain(Limits::default(), mirror).await;
    let mut client = listener.connect().await;
    for path in ["/v1/a%2Fb/../c?x=%20&y", "/", "*", "//host/x"] {
        let told = ask(&mut client, path).await;
        assert!(told.starts_with("HTTP/1.1 200 OK\r\n"), "{told}");
        assert!(told.contains(&format!("GET {path} ")), "{told}");
        assert!(told.contains("127.0.0.1") && told.contains("certificate: None"), "{told}");
    }
    let pipelined = request("/one") + &request("/two");
    client.write_all(pipelined.as_bytes()).await.unwrap();
    assert!(answer(&mut client).await.contains("GET /one "));
    assert!(answer(&mut client).await.contains("GET /two "));
}

#[tokio::test]
async fn what_comes_is_counted_and_a_connection_for_as_long_as_it_lasts() {
    let limits = Limits { header: Duration::from_millis(150), ..Limits::default() };
    let listener = Listener::plain(limits, mirror).await;
    let tally = listener.tally.clone();
    let (mut client, mut second) = (listener.connect().await, listener.connect().await);
    let mut sent = 0;
    for client in [&mut client, &mut second] {
        sent += ask(client, "/").await.len() as u64;
    }
    assert_eq!(tally.connections(), 2);
    assert_eq!(tally.received(), 2 * request("/").len() as u64);
    assert_eq!((tally.sent(), tally.refused()), (sent, 0));

    client.write_all(b"no HTTP at all\r\n\r\n").await.unwrap();
    assert!(soon(rest(&mut client)).await.starts_with("HTTP/1.1 400 "));
    second.write_all(b"GET / HT").await.unwrap();
    assert!(soon(rest(&mut second)).await.starts_with("HTTP/1.1 408 "));
    assert_eq!(tally.refused(), 2);
    drop((client, second));
    soon(listener.stop()).await.unwrap();
    assert_eq!(tally.connections(), 0);
}

#[tokio::test]
async fn half_a_head_is_answered_after_its_time() {
    let limits = Limits { header: Duration::from_millis(150), ..Limits::default() };
    let listener = Listener::plain(limits, mirror).await;
    for earlier_requests in [0, 2] {
        let mut client = listener.connect().await;
        for _ in 0..earlier_requests {
            ask(&mut client, "/").await;
        }
        // Before the first byte there is no hurry.
        tokio::time::sleep(limits.header).await;
        client.write_all(b"GET / HTTP/1.1\r\nhos").await.unwrap();
        let begin = Instant::now();
        let told = soon(rest(&mut client)).await;
        assert!(told.starts_with("HTTP/1.1 408 "), "{told}");
        assert!(told.ends_with("complete 150ms after its first byte\"]}\n"), "{told}");
        assert!(begin.elapsed().as_millis() >= 130);
    }
}

#[tokio::test]
async fn an_idle_connection_ends_in_silence_after_its_time() {
    let limits = Limits { idle: Duration::from_millis(150), ..Limits::default() };
    let listener = Listener::plain(limits, mirror).await;
    for earlier_requests in [0, 1] {
        let mut client = listener.connect().await;
        let mut begin = Instant::now();
        for _ in 0..earlier_requests {
            tokio::time::sleep(limits.idle / 2).await;
            begin = Instant::now();
            ask(&mut client, "/").await;
        }
        assert_eq!(soon(rest(&mut client)).await, "");
        assert!(begin.elapsed().as_millis() >= 130);
    }
}

#[tokio::test]
async fn a_service_may_take_its_time() {
    let moment = Duration::from_millis(50);
    let limits = Limits { header: moment, idle: moment, ..Limits::default() };
    let slow = async |_, _| {
        tokio::time::sleep(Duration::from_millis(300)).await;
        whole("at last")
    };
    let listener = Listener::plain(limits, slow).await;
    let mut client = listener.connect().await;
    assert!(ask(&mut client, "/").await.ends_with("at last"));
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_cut_and_little_is_buffered() {
    let (dropped, is_dropped) = oneshot::channel();
    let taken = Arc::new(AtomicUsize::new(0));
    let body = Mutex::new(Some(Endless { taken: Arc::clone(&taken), _dropped: dropped }));
    let body = Arc::new(body);
    let service = move |_, _| {
        let body = body.lock().unwrap().take().unwrap();
        async { Response::new(body.boxed()) }
    };
    let limits = Limits { idle: Duration::from_millis(300), ..Limits::default() };
    let listener = Listener::plain(limits, service).await;
    let mut client = listener.connect().await;
    client.write_all(request("/").as_bytes()).await.unwrap();
    client.readable().await.unwrap();
    let begin = Instant::now();
    soon(is_dropped).await.unwrap_err();
    assert!(begin.elapsed().as_millis() >= 250, "{:?}", begin.elapsed());
    let mut received = 0;
    let mut buffer = vec![0; PIECE];
    while let Ok(read @ 1..) = client.read(&mut buffer).await {
        received += read;
    }
    let held = taken.load(Ordering::Relaxed) - received;
    assert!(held <= limits.head_bytes + 2 * PIECE, "{held} bytes were buffered");
}

#[tokio::test]
async fn what_is_no_request_is_refused_in_words() {
    let listener = Listener::plain(Limits::default(), mirror).await;
    let roomy = Limits { head_bytes: 128 << 10, ..Limits::default() };
    let roomy = Listener::plain(roomy, mirror).await;
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101));
    // More than the system buffers, so that the client is still writing when it is refused.
    let large = format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(8 << 20));
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(65_534));
    for (written, status, said) in [
        ("nonsense\r\n\r\n", "400", "can't be read"),
        ("\x16\x03\x01\x02\x00\x01\r\n\r\n", "400", "without TLS"),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", "400", "can't be read"),
        (
            "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "400",
            "can't be read",
        ),
        (many.as_str(), "431", "100 headers"),
        (large.as_str(), "431", "65536 bytes"),
        (long.as_str(), "414", "65534 bytes"),
    ] {
        for earlier_requests in [0, 1] {
            let listener = if status == "414" { &roomy } else { &listener };
            let mut client = listener.connect().await;
            for _ in 0..earlier_requests {
                ask(&mut client, "/").await;
            }
            let (mut read, mut write) = client.split();
            let (_, told) =
                soon(async { tokio::join!(write.write_all(written.as_bytes()), rest(&mut read)) })
                    .await;
            let head = &written[..written.len().min(40)];
            assert!(told.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {told}");
            let (head, body) = told.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("content-length: {}", body.len())), "{told}");
            assert!(body.starts_with("{\"errors\":[\"") && body.contains(said), "{told}");
        }
    }
}

#[tokio::test]
async fn an_answer_reaches_a_client_that_is_still_sending() {
    let refuse = async |_, _| {
        let mut refused = whole("too much");
        *refused.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        refused
    };
    let listener = Listener::plain(Limits::default(), refuse).await;
    let mut client = listener.connect().await;
    let (mut read, mut write) = client.split();
    let head = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", 1_u64 << 30);
    let mut send = async || -> std::io::Result<()> {
        write.write_all(head.as_bytes()).await?;
        loop {
            write.write_all(&LETTERS).await?;
        }
    };
    let told = tokio::select! {
        told = soon(answer(&mut read)) => told,
        error = send() => panic!("{error:?} before the answer"),
    };
    assert!(told.starts_with("HTTP/1.1 413 ") && told.ends_with("too much"), "{told}");
}

#[tokio::test]
async fn a_service_is_given_up_when_its_client_leaves() {
    let (dropped, is_dropped) = oneshot::channel::<()>();
    let (begun, has_begun) = oneshot::channel::<()>();
    let guards = Arc::new(Mutex::new(Some((dropped, begun))));
    let service = move |_, _| {
        let (dropped, begun) = guards.lock().unwrap().take().unwrap();
        async move {
            let _dropped = dropped;
            begun.send(()).unwrap();
            std::future::pending().await
        }
    };
    let listener = Listener::plain(Limits::default(), service).await;
    let mut client = listener.connect().await;
    client.write_all(request("/").as_bytes()).await.unwrap();
    soon(has_begun).await.unwrap();
    drop(client);
    soon(is_dropped).await.unwrap_err();
}

#[tokio::test]
async fn an_upgraded_connection_is_the_services_and_is_not_touched() {
    const LIKE_A_REFUSAL: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    let service = async |mut request, _| {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgrade.await.unwrap());
            let mut greeting = [0; 5];
            stream.read_exact(&mut greeting).await.unwrap();
            assert_eq!(&greeting, b"hello");
            stream.write_all(LIKE_A_REFUSAL.as_bytes()).await.unwrap();
            // Half closed: the other half still serves.
            stream.shutdown().await.unwrap();
            assert_eq!(rest(&mut stream).await, "more");
        });
        let mut switching = whole("");
        *switching.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = switching.headers_mut();
        headers.insert("connection", "upgrade".parse().unwrap());
        headers.insert("upgrade", "talk".parse().unwrap());
        switching
    };
    let limits = Limits { connections: 1, ..Limits::default() };
    let listener = Listener::plain(limits, service).await;
    let mut client = listener.connect().await;
    let head = "GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: talk\r\n\r\nhello";
    client.write_all(head.as_bytes()).await.unwrap();
    assert!(answer(&mut client).await.starts_with("HTTP/1.1 101 "));
    assert_eq!(soon(rest(&mut client)).await, LIKE_A_REFUSAL);

    // It still counts.
    let mut other = listener.connect().await;
    other.write_all(request("/").as_bytes()).await.unwrap();
    let refused = tokio::time::timeout(Duration::from_millis(50), other.read_u8()).await;
    assert!(refused.is_err(), "there is no place yet");
    client.write_all(b"more").await.unwrap();
    drop(client);
    assert!(soon(answer(&mut other)).await.starts_with("HTTP/1.1 101 "));
}

#[tokio::test]
async fn those_for_whom_there_is_no_place_wait() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let listener = Listener::plain(limits, mirror).await;
    let mut inside: Vec<TcpStream> = Vec::new();
    for _ in 0..2 {
        let mut client = listener.connect().await;
        ask(&mut client, "/").await;
        inside.push(client);
    }
    let mut waiting = listener.connect().await;
    waiting.write_all(request("/waited").as_bytes()).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(50), waiting.read_u8()).await;
    assert!(early.is_err());
    inside.pop();
    assert!(soon(answer(&mut waiting)).await.contains("GET /waited "));
}
