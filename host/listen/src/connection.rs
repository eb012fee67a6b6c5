//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::answer::{Answer, BoxError, Content};
use crate::connection_stream::ConnectionStream;
use crate::life::{LINGER, Late, Life};
use crate::limits::Limits;
use crate::manner::Manner;
use crate::peer::{Certificate, Origin, Peer};
use crate::refusal;
use crate::stream::{Plain, Stream};
use crate::tally::{Tally, Visit};
use crate::watchdog::Watchdog;

/// Somebody who connected.
pub(crate) struct Arrival {
    pub(crate) stream: Plain,
    pub(crate) origin: Origin,
    pub(crate) visit: Visit,
}

/// Serves the connection until it ends, the client is too slow, or `stopping` tells that no further
/// request is wanted.
pub(crate) async fn converse<S, F, B>(
    arrival: Arrival,
    manner: Manner,
    limits: Limits,
    service: S,
    mut stopping: watch::Receiver<bool>,
) where
    S: Fn(Request<Incoming>, Peer) -> F + Unpin,
    F: Future<Output = Response<B>>,
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let Arrival { stream, origin, visit } = arrival;
    let stranger = stranger(&manner, origin).await;
    let introduced = tokio::select! {
        introduced = timeout(limits.header, introduce(stream, &manner, visit.tally())) => introduced,
        _ = stopping.wait_for(|stopping| *stopping) => return,
    };
    let (stream, certificate) = match introduced {
        Ok(Ok(introduced)) => introduced,
        Ok(Err(error)) => {
            tracing::debug!(peer = %origin, %error, "a TLS handshake failed");
            return;
        }
        Err(_) => {
            tracing::debug!(peer = %origin, "a TLS handshake didn't end in time");
            return;
        }
    };
    let peer = Peer { origin, certificate };
    let life = Arc::new(Life::begin());
    let tally = visit.tally().clone();
    let stream = ConnectionStream::new(stream, Arc::clone(&life), limits, visit);

    let (told, refused) = (Arc::clone(&life), tally.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        told.asked();
        let is_connect = *request.method() == Method::CONNECT;
        let answer = match stranger {
            None => Ok(service(request, peer)),
            Some(uid) => {
                refused.refuse();
                Err(refusal::to_stranger(uid))
            }
        };
        let life = Arc::clone(&told);
        async move {
            let response = match answer {
                Ok(answer) => answer.await.map(Content::Service),
                Err(refusal) => refusal.map(Content::Refusal),
            };
            let status = response.status();
            if status == StatusCode::SWITCHING_PROTOCOLS || is_connect && status.is_success() {
                life.upgraded();
            }
            Ok::<_, Infallible>(response.map(|content| Answer::new(content, life)))
        }
    });
    // Its own limit for a head counts the time before the first byte as well, and sets a timer for
    // each request. Its `pipeline_flush` buffers an answer without bound when the client is slow.
    let mut connection = http1::Builder::new()
        .max_buf_size(limits.head_bytes)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();

    let mut watchdog = Watchdog::new(Arc::clone(&life), limits);
    let mut is_stopping = false;
    loop {
        let late = tokio::select! {
            biased;
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!(peer = %origin, %error, "a connection broke");
                }
                return;
            }
            _ = stopping.wait_for(|stopping| *stopping), if !is_stopping => {
                is_stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
                continue;
            }
            late = watchdog.late() => late,
        };
        match late {
            Late::Idle => {
                life.close();
                Pin::new(&mut connection).graceful_shutdown();
            }
            Late::Head => {
                tracing::debug!(peer = %origin, "the head of a request didn't end in time");
                tally.refuse();
                if let Some(parts) = connection.into_parts() {
                    let mut stream = parts.io.into_inner();
                    let _ = timeout(LINGER, async {
                        stream.write_all(&refusal::to_late(limits.header)).await?;
                        stream.shutdown().await
                    })
                    .await;
                }
                return;
            }
            Late::Stuck => {
                tracing::debug!(peer = %origin, "a client takes nothing of its answer");
                return;
            }
            Late::Closing => return,
        }
    }
}

/// The uid of a peer that may not ask. Files are read elsewhere.
async fn stranger(manner: &Manner, origin: Origin) -> Option<u32> {
    let Origin::Unix { uid, gid, .. } = origin else { return None };
    if manner.allowed.is_everybody() {
        return None;
    }
    let allowed = manner.allowed.clone();
    let admitted = tokio::task::spawn_blocking(move || allowed.admits(uid, gid)).await;
    (!admitted.unwrap_or(false)).then_some(uid)
}

/// The stream that HTTP is spoken on, and what the client showed of itself.
async fn introduce(
    stream: Plain,
    manner: &Manner,
    tally: &Tally,
) -> std::io::Result<(Stream, Certificate)> {
    let Some(tls) = &manner.tls else { return Ok((Stream::Plain(stream), Certificate::None)) };
    if speaks_plain_http(&stream).await? {
        tally.refuse();
        let _ = timeout(LINGER, turn_away(stream)).await;
        return Err(std::io::Error::other("the client speaks HTTP without it"));
    }
    let (acceptor, shown) = tls.acceptor().await;
    let stream = acceptor.accept(stream).await?;
    let has_certificate = stream.get_ref().1.peer_certificates().is_some();
    let certificate = if has_certificate { shown } else { Certificate::None };
    Ok((Stream::Tls(Box::new(stream)), certificate))
}

/// Whether the first byte is a method's and not that of a handshake. It stays to be read.
async fn speaks_plain_http(stream: &Plain) -> std::io::Result<bool> {
    let Plain::Tcp(stream) = stream else { return Ok(false) };
    let mut first = [0];
    Ok(stream.peek(&mut first).await? == 1 && first[0].is_ascii_uppercase())
}

/// The alert that the TLS library would send says nothing to a client of HTTP.
async fn turn_away(mut stream: Plain) -> std::io::Result<()> {
    stream.write_all(&refusal::to_plain_http()).await?;
    stream.shutdown().await?;
    // What is unread at the end takes what was said away from the client (RFC 9112, section 9.6).
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop)
}
