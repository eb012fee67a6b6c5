//! What is said to a client whose request doesn't reach the service, in the form that clients of a
//! secrets server expect: `{"errors":["…"]}`. `Proxy-Status` (RFC 9209) tells who says it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use crate::limits::Limits;

/// The answer to somebody who may not ask.
pub(crate) fn to_stranger(uid: u32) -> Response<Full<Bytes>> {
    let body = json(&format!(
        "uid {uid} may not use this socket: its listener lets in those of allow_users and allow_groups"
    ));
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = StatusCode::FORBIDDEN;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert("proxy-status", HeaderValue::from_static(SPEAKER));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The whole answer to half a head.
pub(crate) fn to_late(limit: Duration) -> Vec<u8> {
    let body =
        json(&format!("the head of the request wasn't complete {limit:?} after its first byte"));
    whole("408 Request Timeout", &body)
}

/// The whole answer to somebody who speaks HTTP where TLS is spoken.
pub(crate) fn to_plain_http() -> Vec<u8> {
    let body = json("this listener speaks TLS: write https:// in the address");
    whole("400 Bad Request", &body)
}

fn whole(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {JSON}\r\nproxy-status: {SPEAKER}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The answer that the HTTP library gives of itself to what it can't read has no body. This is the
/// same one with a body that says why. `None`: `written` is something else.
pub(crate) fn with_words(written: &[u8], limits: &Limits) -> Option<Vec<u8>> {
    let head = std::str::from_utf8(written).ok()?.strip_suffix("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ").or_else(|| head.strip_prefix("HTTP/1.0 "))?;
    let (before, after) = head.split_once(EMPTY)?;
    if head.contains("\r\n\r\n") {
        return None;
    }
    let body = json(&match status.get(..3)? {
        "400" => {
            "the request can't be read: this listener speaks HTTP/1.1, without TLS or after it"
                .to_owned()
        }
        "414" => "the path of the request is too long: 65534 bytes are possible".to_owned(),
        "431" => format!(
            "the head of the request is too large: {} bytes and 100 headers are possible",
            limits.head_bytes
        ),
        _ => return None,
    });
    let length = body.len();
    Some(
        format!(
            "{before}content-type: {JSON}\r\nproxy-status: {SPEAKER}\r\ncontent-length: {length}{after}\r\n\r\n{body}"
        )
        .into_bytes(),
    )
}

/// `text` holds no quotation marks, backslashes or control characters.
fn json(text: &str) -> String {
    format!("{{\"errors\":[\"{text}\"]}}\n")
}

const JSON: &str = "application/json";
const SPEAKER: &str = "usher";
const EMPTY: &str = "content-length: 0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_refusal_gets_words() {
        let limits = Limits::default();
        let written = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: Tue, 01 Dec 2026 02:51:00 GMT\r\n\r\n";
        let told = String::from_utf8(with_words(written, &limits).unwrap()).unwrap();
        let (head, body) = told.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-type: application/json\r\n"), "{head}");
        assert!(
            head.ends_with("GMT")
                && head.contains(&format!("\r\ncontent-length: {}\r\n", body.len()))
        );
        assert!(body.starts_with("{\"errors\":[\"the head") && body.contains("65536"), "{body}");
        for other in [
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 5\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\nHTTP/1.1 400 Bad Request\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n",
            "400",
            "",
        ] {
            assert_eq!(with_words(other.as_bytes(), &limits), None, "{other}");
        }
    }
}
