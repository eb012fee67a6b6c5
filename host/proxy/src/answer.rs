//! The answers that are the agent's own, in the form that the servers' errors have. `Proxy-Status`
//! (RFC 9209) tells a caller who speaks.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use usher_connector::{Body, Trouble, TroubleKind};
use usher_secret::redactor;

/// Why the agent refuses a request. Each answer of [`refuse`] has it among its extensions, and no
/// answer of the server.
#[derive(Clone, Debug)]
pub struct Refused {
    /// As the caller is told; without any live secret.
    pub why: String,
}

/// Refuses a request: `{"errors": […]}`, as the servers do, without any live secret.
pub fn refuse(status: StatusCode, why: &str) -> Response<Body> {
    let why = redactor::redact(why);
    let body = serde_json::json!({ "errors": [why] }).to_string() + "\n";
    let mut response = Response::new(Body::from(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("proxy-status", HeaderValue::from_static("usher"));
    response.extensions_mut().insert(Refused { why: why.into_owned() });
    response
}

/// Refuses a request that may be made again in so many seconds.
pub(crate) fn put_off(why: &str, seconds: u64) -> Response<Body> {
    let mut response = refuse(StatusCode::SERVICE_UNAVAILABLE, why);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// There is no answer of the server. The incumbents say 500 where they didn't reach it.
pub(crate) fn unanswered(trouble: &Trouble) -> Response<Body> {
    match (trouble.kind, trouble.retry_after) {
        (TroubleKind::Held, wait) => {
            let seconds = wait.unwrap_or_default().as_secs_f64().ceil().max(1.0);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
            put_off(&trouble.to_string(), seconds as u64)
        }
        (TroubleKind::Request | TroubleKind::RequestBody, _) => {
            refuse(StatusCode::BAD_REQUEST, &trouble.to_string())
        }
        (TroubleKind::Timeout, _) => refuse(StatusCode::GATEWAY_TIMEOUT, &trouble.to_string()),
        _ => refuse(StatusCode::INTERNAL_SERVER_ERROR, &trouble.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_says_whose_affair_it_is_that_there_is_no_answer() {
        for (kind, status) in [
            (TroubleKind::Request, 400),
            (TroubleKind::RequestBody, 400),
            (TroubleKind::Connection, 500),
            (TroubleKind::Tls, 500),
            (TroubleKind::Timeout, 504),
            (TroubleKind::Held, 503),
        ] {
            let (what, remedy) = ("what happened".to_owned(), String::new());
            let trouble = Trouble { kind, what, remedy, status: None, retry_after: None };
            assert_eq!(unanswered(&trouble).status(), status, "{kind:?}");
        }
    }
}
