//! A server that costs nearly nothing: what is measured through a proxy is then the proxy.
//!
//! Every login succeeds, and every secret is the same, or 1 MB if it is called "large". For
//! `cargo xtask bench proxy`, which names the address to listen at.

// Part of a measurement, which has nobody to tell of its failures but its user.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

fn main() {
    let address = std::env::args().nth(1).unwrap();
    let answers = Answers { small: secret(64), large: secret(1_000_000) };
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await.unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let answers = answers.clone();
            let service = service_fn(move |request| answer(request, answers.clone()));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
}

/// Clones are cheap.
#[derive(Clone)]
struct Answers {
    small: Bytes,
    large: Bytes,
}

async fn answer(
    request: Request<Incoming>,
    answers: Answers,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    let body = if path.starts_with("/v1/auth/") {
        Bytes::from_static(TOKEN)
    } else if path.ends_with("/large") {
        answers.large
    } else {
        answers.small
    };
    // A connection whose request wasn't read is closed.
    let _ = request.into_body().collect().await;
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// As OpenBao answers a read of its KV store.
fn secret(length: usize) -> Bytes {
    let value = "x".repeat(length);
    Bytes::from(format!(
        r#"{{"request_id":"e46df678-17b0-66df-0ae1-8d73bfd75368","lease_id":"","renewable":false,"lease_duration":0,"data":{{"data":{{"value":"{value}"}},"metadata":{{"created_time":"2026-12-01T03:25:10.015603656Z","custom_metadata":null,"deletion_time":"","destroyed":false,"version":1}}}},"wrap_info":null,"warnings":null,"auth":null}}
"#
    ))
}

/// A login, a renewal and a look-up in one: whoever asks reads what he asked for.
const TOKEN: &[u8] = br#"{"request_id":"e0b1c9fc-c78a-7a08-8507-d2a0ee1d9da2","lease_id":"","renewable":false,"lease_duration":0,"data":{"accessor":"fixed","ttl":86400,"creation_ttl":86400,"renewable":true,"type":"service","policies":["default"],"path":"auth/approle/login","num_uses":0,"orphan":true},"wrap_info":null,"warnings":null,"auth":{"client_token":"s.fixed","accessor":"fixed","policies":["default"],"token_policies":["default"],"metadata":null,"lease_duration":86400,"renewable":true,"entity_id":"","token_type":"service","orphan":true,"mfa_requirement":null,"num_uses":0}}
"#;
