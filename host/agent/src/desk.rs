//! Answers what is asked at the doors: `usher status`, `wait` and `reload` on the admin socket;
//! metrics, `/livez` and `/readyz` on both.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use usher_secret::redactor::redact;

use crate::metrics;
use crate::status::Board;

/// What a door asks the agent's run loop.
pub(crate) enum Request {
    /// Whether it still runs: `/livez`.
    Pulse(oneshot::Sender<()>),
    /// `/agent/v1/quit`, of a proxy `/proxy/v1/quit`.
    Quit,
    /// `usher reload`.
    Reload(oneshot::Sender<ReloadAnswer>),
}

/// What a reload did, or why it did nothing, for people to read.
pub(crate) type ReloadAnswer = Result<String, String>;

/// Who is at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visitor {
    /// Root or the agent's own user, on the socket.
    Operator,
    /// Anyone else on the socket: this uid.
    Stranger(u32),
    /// Anyone on the address.
    Public,
}

/// One request and its answer; whoever reads or writes too slowly is left.
pub(crate) async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    visitor: Visitor,
    desk: Arc<Desk>,
) {
    let answer = service_fn(|request: hyper::Request<Incoming>| {
        let desk = &desk;
        async move { Ok::<_, Infallible>(desk.answer(visitor, &request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .keep_alive(false)
        .max_buf_size(LONGEST_HEADER)
        .max_headers(64)
        .serve_connection(TokioIo::new(stream), answer);
    let limit = if visitor == Visitor::Operator { LONGEST_OPERATION } else { LONGEST_ANSWER };
    // What goes wrong here is the peer's trouble.
    let _ = tokio::time::timeout(limit, connection).await;
}

/// Answers requests.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) board: Board,
    /// Leads to the run loop.
    pub(crate) requests: mpsc::Sender<Request>,
}

impl Desk {
    async fn answer(
        &self,
        visitor: Visitor,
        request: &hyper::Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        let reading = matches!(*request.method(), Method::GET | Method::HEAD);
        match (visitor, request.uri().path()) {
            (Visitor::Stranger(uid), _) => text(
                StatusCode::FORBIDDEN,
                format!(
                    "uid {uid} may not use the admin socket; only root and the agent's own user, uid {}, may\n",
                    rustix::process::geteuid().as_raw()
                ),
            ),
            (_, "/livez" | "/readyz" | "/metrics")
            | (Visitor::Operator, "/v1/status" | "/v1/wait")
                if !reading =>
            {
                not_allowed("GET, HEAD")
            }
            (_, "/livez") => self.alive().await,
            (_, "/readyz") => self.ready(),
            (_, "/metrics") => {
                respond(StatusCode::OK, metrics::CONTENT_TYPE, metrics::text(&self.board.report()))
            }
            (Visitor::Operator, "/v1/status") => self.status(),
            (Visitor::Operator, "/v1/wait") => {
                let mut readiness = self.board.readiness();
                let complete = readiness.wait_for(|readiness| readiness.is_complete());
                let _ = tokio::time::timeout(LONGEST_WAIT, complete).await;
                self.status()
            }
            (Visitor::Operator, "/v1/reload") if request.method() != Method::POST => {
                not_allowed("POST")
            }
            (Visitor::Operator, "/v1/reload") => self.reload().await,
            _ => text(StatusCode::NOT_FOUND, "there is nothing at this path\n".to_owned()),
        }
    }

    fn status(&self) -> Response<Full<Bytes>> {
        match serde_json::to_string_pretty(&self.board.report()) {
            Ok(json) => {
                let json = redact(&json).into_owned() + "\n";
                respond(StatusCode::OK, "application/json", json)
            }
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }

    async fn alive(&self) -> Response<Full<Bytes>> {
        let (pulse, felt) = oneshot::channel();
        let ask = async {
            self.requests.send(Request::Pulse(pulse)).await.ok()?;
            felt.await.ok()
        };
        match tokio::time::timeout(LONGEST_PULSE, ask).await {
            Ok(Some(())) => text(StatusCode::OK, "ok\n".to_owned()),
            Ok(None) => {
                text(StatusCode::SERVICE_UNAVAILABLE, "the agent is shutting down\n".to_owned())
            }
            Err(_) => {
                text(StatusCode::SERVICE_UNAVAILABLE, "the agent doesn't respond\n".to_owned())
            }
        }
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        let report = self.board.report();
        if report.ready {
            return text(StatusCode::OK, "ok\n".to_owned());
        }
        let mut body = String::new();
        if report.identities.is_empty() {
            body.push_str("starting\n");
        }
        for identity in report.identities.iter().filter(|identity| !identity.ready) {
            let pending: Vec<&str> =
                identity.sinks.iter().filter(|sink| sink.pending).map(|sink| &*sink.name).collect();
            let _ = writeln!(
                body,
                "{}: {}, without its token: {}",
                identity.name,
                identity.state,
                pending.join(", ")
            );
        }
        text(StatusCode::SERVICE_UNAVAILABLE, body)
    }

    async fn reload(&self) -> Response<Full<Bytes>> {
        let (answer, answered) = oneshot::channel();
        let asked = self.requests.send(Request::Reload(answer)).await;
        let answer = match asked {
            Ok(()) => answered.await.ok(),
            Err(_) => None,
        };
        let (status, message) = match answer {
            Some(Ok(done)) => (StatusCode::OK, done),
            Some(Err(reason)) => (StatusCode::UNPROCESSABLE_ENTITY, reason),
            None => (StatusCode::SERVICE_UNAVAILABLE, "the agent is shutting down".to_owned()),
        };
        text(status, redact(&message).into_owned())
    }
}

fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", text)
}

fn not_allowed(methods: &'static str) -> Response<Full<Bytes>> {
    let mut response =
        text(StatusCode::METHOD_NOT_ALLOWED, format!("only {methods} can be asked here\n"));
    response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static(methods));
    response
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    response
}

/// In bytes, with the request line.
const LONGEST_HEADER: usize = 16 << 10;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// From the connection to the end of the answer.
const LONGEST_ANSWER: Duration = Duration::from_mins(1);
/// The same for operators: a reload may compile plug-ins.
const LONGEST_OPERATION: Duration = Duration::from_mins(15);
/// `usher wait` asks again after this.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// The prober has a patience of its own; this one only ends the question.
const LONGEST_PULSE: Duration = Duration::from_secs(5);
