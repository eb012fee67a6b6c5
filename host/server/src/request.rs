//! What is asked of the server, and the headers that carry it.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use usher_connector::{TlsIdentity, clean};
use usher_secret::Secret;
use zeroize::Zeroizing;

use crate::error::{Class, Error, Reason};
use crate::operation::Operation;
use crate::scope::Scope;

/// One request, before it becomes HTTP.
pub(crate) struct Request<'a> {
    pub(crate) operation: Operation<'a>,
    scope: &'a Scope,
    pub(crate) identity: &'a TlsIdentity,
    pub(crate) token: Option<&'a Secret<String>>,
    pub(crate) body: Option<Zeroizing<Vec<u8>>>,
    pub(crate) wrap_ttl: Option<Duration>,
    /// As an auth method gave them: not yet checked.
    pub(crate) method_headers: &'a [(String, String)],
}

impl<'a> Request<'a> {
    pub(crate) fn new(
        operation: Operation<'a>,
        scope: &'a Scope,
        identity: &'a TlsIdentity,
    ) -> Self {
        Self {
            operation,
            scope,
            identity,
            token: None,
            body: None,
            wrap_ttl: None,
            method_headers: &[],
        }
    }

    pub(crate) fn token(mut self, token: &'a Secret<String>) -> Self {
        self.token = Some(token);
        self
    }

    pub(crate) fn body(mut self, body: Zeroizing<Vec<u8>>) -> Self {
        self.body = Some(body);
        self
    }

    pub(crate) fn wrap_ttl(mut self, ttl: Duration) -> Self {
        self.wrap_ttl = Some(ttl);
        self
    }
}

/// All headers of a request, checked.
pub(crate) fn headers(request: &Request<'_>) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    if request.body.is_some() {
        headers.insert("content-type", HeaderValue::from_static("application/json"));
    }
    for (name, value) in request.method_headers {
        let shown = clean(name);
        let lower = name.to_ascii_lowercase();
        if lower.starts_with("x-vault-") || OWN_HEADERS.contains(&lower.as_str()) {
            return Err(Error::against_the_rules(
                format!("the auth method may not set the header \"{shown}\""),
                "correct the method: the agent sets this header itself",
            ));
        }
        let (Ok(name), Some(value)) = (HeaderName::try_from(lower), header(value)) else {
            return Err(Error::against_the_rules(
                format!("the auth method's header \"{shown}\" isn't one that HTTP can carry"),
                "correct the method: no control characters, no spaces in names",
            ));
        };
        headers.append(name, value);
    }
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    headers.insert("x-vault-request", HeaderValue::from_static("true"));
    if let Some(token) = request.token {
        let token = header(token.expose()).filter(|token| !token.is_empty()).ok_or_else(|| {
            Error::new(
                Class::Refused,
                Reason::Request,
                format_args!(
                    "{}: the token is empty or holds control characters",
                    request.operation
                ),
                "check where the token comes from",
            )
        })?;
        headers.insert("x-vault-token", token);
    }
    let namespace = request.scope.namespace();
    if !namespace.is_root() {
        let namespace = HeaderValue::from_str(namespace.as_str()).map_err(|_| {
            Error::against_the_rules(
                String::from("the namespace can't be sent"),
                "write it without control characters and umlauts",
            )
        })?;
        headers.insert("x-vault-namespace", namespace);
    }
    if let Some(ttl) = request.wrap_ttl {
        let ttl = format!("{}s", ttl.as_secs().max(1));
        if let Ok(ttl) = HeaderValue::from_str(&ttl) {
            headers.insert("x-vault-wrap-ttl", ttl);
        }
    }
    Ok(headers)
}

/// A header value whose memory is wiped when it is dropped, and that no `Debug` shows.
pub(crate) fn header(value: &str) -> Option<HeaderValue> {
    let bytes = Bytes::from_owner(Zeroizing::new(value.as_bytes().to_vec()));
    let mut header = HeaderValue::from_maybe_shared(bytes).ok()?;
    // Go, which the servers are written in, refuses anything but visible ASCII and blanks.
    header.to_str().ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// Headers that belong to the connection (RFC 9110, §7.6.1) or to the agent.
const OWN_HEADERS: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];
