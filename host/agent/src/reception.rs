//! Answers what comes to a listener: what is asked of the agent itself, and what goes on to the
//! server.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request as HttpRequest, Response, StatusCode};
use usher_connector::Body;
use usher_proxy::{Gate, Proxy, refuse};

use crate::desk::{Desk, Request};
use crate::metrics;

/// How a listener answers. Clones are the same.
#[derive(Clone)]
pub(crate) struct Reception(Arc<Inner>);

struct Inner {
    gate: Gate,
    /// `None`: the metrics are all there is (`role = "metrics_only"`).
    proxy: Option<Proxy>,
    /// `agent_api { enable_quit }`
    may_quit: bool,
    desk: Desk,
}

impl Reception {
    pub(crate) fn new(gate: Gate, proxy: Option<Proxy>, may_quit: bool, desk: Desk) -> Self {
        Self(Arc::new(Inner { gate, proxy, may_quit, desk }))
    }

    /// Answers one request.
    pub(crate) async fn answer(&self, request: HttpRequest<Incoming>) -> Response<Body> {
        let Inner { gate, proxy, .. } = &*self.0;
        let (head, body) = request.into_parts();
        let refusal = gate.refusal(&head);
        let own = match (refusal, head.uri.path(), proxy) {
            (Some(refusal), ..) => refusal,
            (None, METRICS, _) => self.metrics(&head.method, head.uri.query()),
            (None, _, None) => refuse(StatusCode::NOT_FOUND, "only metrics are served here"),
            // There is no cache, which is as empty as one can be; the incumbents say so, too.
            (None, CACHE_CLEAR, Some(_)) => Response::new(Body::default()),
            (None, QUIT, Some(_)) => self.quit(&head.method).await,
            (None, _, Some(proxy)) => {
                return proxy.answer(HttpRequest::from_parts(head, body)).await;
            }
        };
        discard(body).await;
        own
    }

    /// Ends what goes on after its answer.
    pub(crate) fn close(&self) {
        if let Some(proxy) = &self.0.proxy {
            proxy.close();
        }
    }

    /// Prometheus' text, whether it is asked for or not: the incumbents' JSON has other metrics.
    fn metrics(&self, method: &Method, query: Option<&str>) -> Response<Body> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return only("GET");
        }
        let mut pairs = query.unwrap_or_default().split('&');
        let format = pairs.find_map(|pair| pair.strip_prefix("format=")).unwrap_or_default();
        if !matches!(format, "" | "prometheus") {
            // In the incumbents' words.
            let why = format!("metric response format {format:?} unknown");
            let mut response = Response::new(Body::from(Bytes::from(why)));
            *response.status_mut() = StatusCode::BAD_REQUEST;
            let kind = HeaderValue::from_static("text/plain");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            return response;
        }
        let text = metrics::text(&self.0.desk.board.report());
        let mut response = Response::new(Body::from(Bytes::from(text)));
        let kind = HeaderValue::from_static(metrics::CONTENT_TYPE);
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }

    async fn quit(&self, method: &Method) -> Response<Body> {
        if !self.0.may_quit {
            return refuse(StatusCode::NOT_FOUND, "agent_api.enable_quit is not set");
        }
        if *method != Method::POST {
            return only("POST");
        }
        match self.0.desk.requests.send(Request::Quit).await {
            Ok(()) => Response::new(Body::default()),
            Err(_) => refuse(StatusCode::SERVICE_UNAVAILABLE, "the agent is shutting down"),
        }
    }
}

/// Reads what nobody wants to know, if it isn't much, so that the client sees the answer and the
/// connection can go on.
async fn discard(body: Incoming) {
    let read = Limited::new(body, LONGEST_ORDER).collect();
    let _ = tokio::time::timeout(LONGEST_READING, read).await;
}

fn only(method: &'static str) -> Response<Body> {
    let mut response =
        refuse(StatusCode::METHOD_NOT_ALLOWED, &format!("only {method} can be asked here"));
    response.headers_mut().insert(hyper::header::ALLOW, HeaderValue::from_static(method));
    response
}

const METRICS: &str = "/agent/v1/metrics";
const CACHE_CLEAR: &str = "/agent/v1/cache-clear";
const QUIT: &str = "/agent/v1/quit";
/// Of a body that nobody reads, in bytes.
const LONGEST_ORDER: usize = 64 << 10;
const LONGEST_READING: Duration = Duration::from_secs(1);
