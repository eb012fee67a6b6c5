//! The end of a listener.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use usher_listen::Limits;

use crate::listener::{Listener, answer, ask, mirror, request, rest, soon, whole};

#[tokio::test]
async fn requests_under_way_are_finished_and_idle_connections_closed() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (has_begun, finish) = (Arc::clone(&begun), Arc::clone(&go_on));
    let service = move |request: http::Request<_>, _| {
        let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
        async move {
            if request.uri().path() == "/slow" {
                begun.notify_one();
                go_on.notified().await;
            }
            whole("done")
        }
    };
    let listener = Listener::plain(Limits::default(), service).await;
    let address = listener.address.unwrap();
    let (mut fresh, mut idle, mut busy) =
        (listener.connect().await, listener.connect().await, listener.connect().await);
    ask(&mut idle, "/").await;
    busy.write_all(request("/slow").as_bytes()).await.unwrap();
    soon(has_begun.notified()).await;

    let served = listener.stop();
    assert_eq!(soon(rest(&mut idle)).await, "");
    assert_eq!(soon(rest(&mut fresh)).await, "");
    TcpStream::connect(address).await.unwrap_err();
    assert!(!served.is_finished());
    finish.notify_one();
    let told = soon(rest(&mut busy)).await;
    assert!(told.contains("\r\nconnection: close\r\n") && told.ends_with("done"), "{told}");
    soon(served).await.unwrap();
}

#[tokio::test]
async fn what_is_not_finished_in_time_is_cut() {
    let begun = Arc::new(Notify::new());
    let has_begun = Arc::clone(&begun);
    let forever = move |_, _| {
        begun.notify_one();
        std::future::pending()
    };
    let limits = Limits { drain: Duration::from_millis(150), ..Limits::default() };
    let listener = Listener::plain(limits, forever).await;
    let mut client = listener.connect().await;
    client.write_all(request("/").as_bytes()).await.unwrap();
    soon(has_begun.notified()).await;
    let begin = Instant::now();
    soon(listener.stop()).await.unwrap();
    assert!(begin.elapsed() >= limits.drain);
    assert_eq!(rest(&mut client).await, "");
}

#[tokio::test]
async fn a_head_that_is_on_the_way_is_waited_for() {
    let listener = Listener::plain(Limits::default(), mirror).await;
    let mut client = listener.connect().await;
    let request = request("/late");
    let (one, other) = request.split_at(10);
    client.write_all(one.as_bytes()).await.unwrap();
    // Let in, and its first bytes read.
    let mut second = listener.connect().await;
    ask(&mut second, "/").await;
    let served = listener.stop();
    tokio::task::yield_now().await;
    client.write_all(other.as_bytes()).await.unwrap();
    assert!(soon(answer(&mut client)).await.contains("GET /late "));
    soon(served).await.unwrap();
}
