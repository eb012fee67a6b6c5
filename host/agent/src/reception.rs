//! Answers what comes to a listener: what is asked of the agent itself, and what goes on to the
//! server.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request as HttpRequest, Response, StatusCode};
use usher_config::Dialect;
use usher_connector::Body;
use usher_proxy::{Gate, Proxy, refuse};

use crate::desk::{Desk, Request};
use crate::metrics;
use crate::traffic::Traffic;

/// How a listener answers. Clones are the same.
#[derive(Clone)]
pub(crate) struct Reception(Arc<Inner>);

struct Inner {
    gate: Gate,
    /// `None`: the metrics are all there is (`role = "metrics_only"`).
    proxy: Option<Proxy>,
    /// `agent_api { enable_quit }`
    may_quit: bool,
    /// Names what is asked of the agent itself.
    dialect: Dialect,
    desk: Desk,
    /// Of the listener, whatever is changed of it.
    traffic: Arc<Traffic>,
}

impl Reception {
    pub(crate) fn new(
        gate: Gate,
        proxy: Option<Proxy>,
        may_quit: bool,
        dialect: Dialect,
        desk: Desk,
        traffic: Arc<Traffic>,
    ) -> Self {
        Self(Arc::new(Inner { gate, proxy, may_quit, dialect, desk, traffic }))
    }

    /// It answers from now on, and what is told of the listener's cache is told of its own.
    pub(crate) fn takes_over(&self) {
        self.0.traffic.set_proxy(self.0.proxy.clone());
    }

    /// Answers one request.
    pub(crate) async fn answer(&self, request: HttpRequest<Incoming>) -> Response<Body> {
        let Inner { gate, proxy, dialect, traffic, .. } = &*self.0;
        let (head, body) = request.into_parts();
        let refusal = gate.refusal(&head);
        let own = match (refusal, Question::of(*dialect, head.uri.path()), proxy) {
            (Some(refusal), ..) => refusal,
            (None, Some(Question::Metrics), _) => self.metrics(&head.method, head.uri.query()),
            (None, _, None) => {
                let path = format!("/{}/v1/metrics", dialect.name());
                let why = format!("this listener has only {path} (role = \"metrics_only\")");
                refuse(StatusCode::NOT_FOUND, &why)
            }
            (None, Some(Question::CacheClear), Some(proxy)) => {
                return clear(proxy, &head.method, body).await;
            }
            (None, Some(Question::Quit), Some(_)) => self.quit(&head.method).await,
            (None, None, Some(proxy)) => {
                let under_way = traffic.begin();
                let response = proxy.answer(HttpRequest::from_parts(head, body)).await;
                under_way.answered(&response);
                return response;
            }
        };
        traffic.answered_here(&own);
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
            // As the incumbents have it, in their words.
            let why = format!("metric response format {format:?} unknown");
            let mut response = refuse(StatusCode::BAD_REQUEST, &why);
            let kind = HeaderValue::from_static("text/plain");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response.headers_mut().remove(CACHE_CONTROL);
            return response.map(|_| Body::from(Bytes::from(why)));
        }
        let text = metrics::text(&self.0.desk.board.report());
        let mut response = Response::new(Body::from(Bytes::from(text)));
        let kind = HeaderValue::from_static(metrics::CONTENT_TYPE);
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }

    async fn quit(&self, method: &Method) -> Response<Body> {
        if !self.0.may_quit {
            let why = format!("{}.enable_quit is not set in this listener", self.0.dialect.api());
            return refuse(StatusCode::NOT_FOUND, &why);
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

/// Follows an order to clear the cache; statuses as the incumbents'.
async fn clear(proxy: &Proxy, method: &Method, body: Incoming) -> Response<Body> {
    let read = Limited::new(body, LONGEST_ORDER).collect();
    let order = match tokio::time::timeout(LONGEST_READING, read).await {
        Ok(Ok(order)) => order.to_bytes(),
        Ok(Err(_)) => {
            let why = format!("the order breaks off or is larger than {LONGEST_ORDER} bytes");
            return refuse(StatusCode::BAD_REQUEST, &why);
        }
        Err(_) => {
            let why = format!("the order didn't come within {} s", LONGEST_READING.as_secs());
            return refuse(StatusCode::REQUEST_TIMEOUT, &why);
        }
    };
    if !matches!(*method, Method::POST | Method::PUT) {
        return Response::new(Body::default());
    }
    match proxy.clear(&order) {
        Ok(()) => Response::new(Body::default()),
        Err(why) => refuse(StatusCode::BAD_REQUEST, &why),
    }
}

/// What is asked of the agent itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Metrics,
    CacheClear,
    Quit,
}

impl Question {
    /// `None`: the server is asked, also under the other dialect's name.
    fn of(dialect: Dialect, path: &str) -> Option<Self> {
        let (name, question) = path.strip_prefix('/')?.split_once('/')?;
        let question = match question {
            "v1/metrics" => Self::Metrics,
            "v1/cache-clear" => Self::CacheClear,
            "v1/quit" => Self::Quit,
            _ => return None,
        };
        (name == dialect.name()).then_some(question)
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

/// Of a body that nobody reads, in bytes.
const LONGEST_ORDER: usize = 64 << 10;
const LONGEST_READING: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_answers_under_its_own_name_alone() {
        use Dialect::{Agent, Proxy};
        for (path, of_agent, of_proxy) in [
            ("/agent/v1/metrics", Some(Question::Metrics), None),
            ("/agent/v1/cache-clear", Some(Question::CacheClear), None),
            ("/agent/v1/quit", Some(Question::Quit), None),
            ("/proxy/v1/metrics", None, Some(Question::Metrics)),
            ("/proxy/v1/cache-clear", None, Some(Question::CacheClear)),
            ("/proxy/v1/quit", None, Some(Question::Quit)),
            ("/proxy/v1/quit/", None, None),
            ("/proxy/v1", None, None),
            ("//proxy/v1/quit", None, None),
            ("/v1/quit", None, None),
            ("*", None, None),
        ] {
            let asked = (Question::of(Agent, path), Question::of(Proxy, path));
            assert_eq!(asked, (of_agent, of_proxy), "{path}");
        }
    }
}
