//! What passes through the connector is not kept: 1 GiB needs no more memory than a little.

// The lint's exception for tests doesn't reach the functions that tests share.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod loopback;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use loopback::{Bulk, connector, serve};
use usher_connector::{Body, Connector, Lane, TlsIdentity};

const GIB: u64 = 1 << 30;
const LARGEST_GROWTH_KIB: u64 = 2 << 10;

/// Of this process: the server's share is in it too.
fn status_kib(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

async fn count(
    mut body: impl http_body::Body<Data = Bytes, Error: std::fmt::Debug> + Unpin,
) -> u64 {
    let mut total = 0;
    while let Some(frame) = body.frame().await {
        total += frame.unwrap().into_data().unwrap().len() as u64;
    }
    total
}

async fn up_and_down(connector: &Connector, bytes: u64) {
    let identity = TlsIdentity::default();
    let upload = Request::put("/v1/sink").body(Body::stream(Bulk::new(bytes))).unwrap();
    let answer = connector.send(Lane::Proxied, &identity, upload).await.unwrap();
    let received = answer.into_body().read(100).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&received), bytes.to_string());
    let download = Request::get(format!("/v1/source?{bytes}")).body(Body::default()).unwrap();
    let answer = connector.send(Lane::Proxied, &identity, download).await.unwrap();
    assert_eq!(count(answer.into_body()).await, bytes);
}

#[tokio::test]
async fn a_gibibyte_in_either_direction_needs_next_to_no_memory() {
    let address = serve(|request: Request<hyper::body::Incoming>| async {
        let asked = request.uri().query().and_then(|query| query.parse().ok());
        Response::new(if let Some(bytes) = asked {
            Body::stream(Bulk::new(bytes))
        } else {
            let received = count(request.into_body()).await.to_string();
            Body::stream(Full::new(Bytes::from(received)))
        })
    })
    .await;
    let connector = connector(&format!("http://{address}"), |_| {});
    // What is made once is made.
    up_and_down(&connector, 64 << 20).await;
    let before = status_kib("VmRSS");
    // From here on the peak is this test's.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    up_and_down(&connector, GIB).await;
    let growth = status_kib("VmHWM").saturating_sub(before);
    println!("1 GiB up and 1 GiB down: {growth} KiB more than before");
    assert!(growth <= LARGEST_GROWTH_KIB, "{growth} KiB");
}
