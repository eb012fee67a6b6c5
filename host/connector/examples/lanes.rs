//! How long a login takes while 500 requests a second are forwarded, beside how long it takes alone.
//!
//! As in the agent: one thread for logins, another for what is forwarded, a third for the server,
//! which takes 5 ms for each answer. `cargo run --release -p usher-connector --example lanes`

// A measurement, which has nobody to tell of its failures but its user.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use usher_address::ServerAddress;
use usher_connector::{Body, Connector, Governor, Lane, Outcome, Settings, TlsIdentity};

const LOGINS: u32 = 200;
const FORWARDED_PER_SECOND: u32 = 500;
/// Below the ceiling, so that only other traffic can delay a login.
const BETWEEN_LOGINS: Duration = Duration::from_millis(60);
const SERVER: Duration = Duration::from_millis(5);

fn main() {
    let address = server();
    let settings = Settings::new(ServerAddress::parse(&format!("http://{address}")).unwrap());
    let connector = Arc::new(Connector::new(settings, Governor::new()).unwrap());
    let alone = logins(&connector);
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let began = Instant::now();
    let traffic = thread::spawn({
        let (connector, stop, sent) =
            (Arc::clone(&connector), Arc::clone(&stop), Arc::clone(&sent));
        move || forward(&connector, &stop, &sent)
    });
    let beside = logins(&connector);
    let per_second = f64::from(sent.load(Ordering::Relaxed)) / began.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    traffic.join().unwrap();
    let milliseconds = |times: &[Duration], percent: usize| {
        times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3
    };
    for (what, times) in [("alone", &alone), ("beside", &beside)] {
        let [p50, p99, most] = [50, 99, 100].map(|percent| milliseconds(times, percent));
        println!("{what:6} p50 {p50:6.2} ms  p99 {p99:6.2} ms  max {most:6.2} ms");
    }
    let [p50, p99] =
        [50, 99].map(|percent| milliseconds(&beside, percent) - milliseconds(&alone, percent));
    println!(
        "{per_second:.0} forwarded a second delay a login by {p50:.2} ms (p50), {p99:.2} ms (p99)"
    );
}

/// How long each login took, the fastest first.
fn logins(connector: &Connector) -> Vec<Duration> {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut times = Vec::new();
        let identity = TlsIdentity::default();
        for _ in 0..LOGINS {
            tokio::time::sleep(BETWEEN_LOGINS).await;
            let began = Instant::now();
            let login = Request::put("/v1/auth/approle/login");
            let login = login.body(Body::from(Bytes::from_static(b"{}"))).unwrap();
            let answer = connector.send(Lane::Tokens, &identity, login).await.unwrap();
            answer.into_body().read(1 << 20).await.unwrap();
            connector.governor().record(Outcome::Success);
            times.push(began.elapsed());
        }
        times.sort();
        times
    })
}

/// Requests at an even rate, whether or not the ones before are answered.
fn forward(connector: &Arc<Connector>, stop: &AtomicBool, sent: &Arc<AtomicU32>) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut next = tokio::time::interval(Duration::from_secs(1) / FORWARDED_PER_SECOND);
        while !stop.load(Ordering::Relaxed) {
            next.tick().await;
            let (connector, sent) = (Arc::clone(connector), Arc::clone(sent));
            tokio::spawn(async move {
                let read = Request::get("/v1/secret/data/x").body(Body::default()).unwrap();
                let identity = TlsIdentity::default();
                let answer = connector.send(Lane::Proxied, &identity, read).await.unwrap();
                answer.into_body().read(1 << 20).await.unwrap();
                sent.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
}

fn server() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let service = service_fn(|_| async {
                    tokio::time::sleep(SERVER).await;
                    let body = Full::new(Bytes::from_static(&[b'x'; 1024]));
                    Ok::<_, Infallible>(Response::new(body))
                });
                let io = TokioIo::new(stream);
                tokio::spawn(http1::Builder::new().serve_connection(io, service));
            }
        });
    });
    address
}
