//! Unix sockets: who is there, and who may come.

use std::sync::Arc;

use tokio::net::UnixStream;
use tokio::sync::watch;
use usher_listen::{Allowed, Limits, Manner, serve};

use crate::listener::{Listener, ask, mirror, rest, socket, soon, whole};

fn only(users: &[&str], groups: &[&str]) -> Manner {
    let own = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    Manner { tls: None, allowed: Allowed { users: own(users), groups: own(groups) } }
}

fn ids() -> (String, String) {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    (uid.as_raw().to_string(), gid.as_raw().to_string())
}

#[tokio::test]
async fn the_service_knows_the_process_that_asks() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let listener =
        Listener::start(socket(&path), Manner::default(), Limits::default(), mirror).await;
    let mut client = UnixStream::connect(&path).await.unwrap();
    let told = ask(&mut client, "/").await;
    let (uid, gid) = ids();
    let expected = format!("Unix {{ uid: {uid}, gid: {gid}, pid: Some({}) }}", std::process::id());
    assert!(told.contains(&expected), "{told}");
    drop(client);
    soon(listener.stop()).await.unwrap();
    assert!(!path.exists(), "the socket is removed");
}

#[tokio::test]
async fn who_may_not_ask_is_told_so_and_after_a_change_everybody_comes_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let (uid, gid) = ids();
    let listener =
        Listener::start(socket(&path), only(&[&uid], &[]), Limits::default(), mirror).await;
    let mut early = UnixStream::connect(&path).await.unwrap();
    assert!(ask(&mut early, "/").await.starts_with("HTTP/1.1 200 "));

    listener.manner.send_replace(only(&["12345678"], &["12345678"]));
    let mut late = UnixStream::connect(&path).await.unwrap();
    let told = ask(&mut late, "/").await;
    assert!(told.starts_with("HTTP/1.1 403 "), "{told}");
    assert!(told.contains(&format!("{{\"errors\":[\"uid {uid} may not use this socket")), "{told}");
    assert_eq!(soon(rest(&mut late)).await, "");
    assert_eq!(listener.tally.refused(), 1);
    assert_eq!(soon(rest(&mut early)).await, "", "nothing more is to be had there");

    listener.manner.send_replace(only(&["12345678"], &[&gid]));
    let mut later = UnixStream::connect(&path).await.unwrap();
    assert!(ask(&mut later, "/").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_socket_can_be_handed_over_without_a_client_noticing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let bound = Arc::new(socket(&path).bind().await.unwrap());
    assert_eq!(bound.to_string(), path.display().to_string());
    let (_manner, watched) = watch::channel(Manner::default());
    for round in 0..3 {
        let answer = move |_, _| async move { whole(round.to_string()) };
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        let served =
            serve(Arc::clone(&bound), watched.clone(), Limits::default(), answer, || (), stopped);
        let served = tokio::spawn(served);
        let mut client = UnixStream::connect(&path).await.unwrap();
        assert!(ask(&mut client, "/").await.ends_with(&round.to_string()));
        stop.send(()).unwrap();
        soon(served).await.unwrap().unwrap();
    }
    drop(bound);
    assert!(!path.exists());
}
