//! One HTTP request, one response, as far as granted. Redirects are returned, not followed.

use crate::{Failure, backend, json};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::time::Duration;

/// A request. Build it and [`send`](Request::send) it.
#[derive(Clone)]
pub struct Request {
    /// `GET`, `PUT`, …
    pub method: String,
    /// Absolute.
    pub url: String,
    /// Names and values in order.
    pub headers: Vec<(String, String)>,
    /// At most 1 MiB.
    pub body: Vec<u8>,
    /// For the whole exchange. None, or more than the host allows: the host's (10 s).
    pub timeout: Option<Duration>,
    /// None: the system's roots and no client certificate.
    pub tls: Option<Tls>,
}

/// How to speak TLS with this server.
#[derive(Clone, Default)]
pub struct Tls {
    /// Trusted instead of the system's roots. PEM.
    pub ca_pem: Option<String>,
    /// Client certificate chain, PEM; only with `key_pem`.
    pub certificate_pem: Option<String>,
    /// Its key, PEM; only with `certificate_pem`.
    pub key_pem: Option<String>,
}

/// A response of any status.
#[derive(Clone)]
pub struct Response {
    /// 200, 404, …
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// At most 1 MiB.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without body.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: None,
            tls: None,
        }
    }

    /// A `GET`.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A `POST` of these bytes.
    pub fn post(url: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::new("POST", url) }
    }

    /// A `POST` of JSON.
    pub fn post_json(url: impl Into<String>, body: &impl Serialize) -> Result<Self, Failure> {
        let body = serde_json::to_vec(body)?;
        Ok(Self::post(url, body).header("content-type", "application/json"))
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Limits the whole exchange.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets roots or a client certificate.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sends it. Any status is a success; a failure means that there was no answer.
    pub fn send(self) -> Result<Response, Failure> {
        backend::send(self)
    }
}

impl Response {
    /// A response without headers, mostly for tests.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON. What can't be read is `unavailable`, `http.body`: an error page of
    /// something in between, mostly.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        json::read(&self.body).map_err(|error| {
            let message = format!("the answer is not as expected: {}", error.describe("answer"));
            Failure::unavailable("http.body", message).detail("status", self.status.to_string())
        })
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        formatter
            .debug_struct("Request")
            .field("method", &self.method)
            .field("url", &self.url)
            .field("headers", &headers)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        formatter
            .debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &headers)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn an_error_page_is_unavailable_and_not_repeated() {
        let failure = Response::new(502, "<html>hunter2").json::<Vec<u8>>().unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (Kind::Unavailable, "http.body"));
        assert!(!format!("{failure:?}").contains("hunter2"));
    }

    #[test]
    fn a_header_is_found_in_any_case() {
        let mut response = Response::new(200, "");
        response.headers.push(("metadata-flavor".into(), "Google".into()));
        assert_eq!(response.header("Metadata-Flavor"), Some("Google"));
    }
}
