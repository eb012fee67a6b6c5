//! One HTTP exchange: what is sent, what is followed, and what an answer is worth.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Method, Response};
use url::Url;
use usher_secret::{Secret, redactor};
use zeroize::{Zeroize, Zeroizing};

use crate::answer::{self, Unusable};
use crate::client::{Scope, against_the_rules};
use crate::error::{Class, Error, Reason, retry_after};
use crate::explain::{causes_of, refusal, tls_error, tls_trouble};
use crate::governor::{Governor, Outcome};
use crate::tls::{Connections, TlsIdentity, innermost};

/// What is asked of the server. Shown as people would say it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation<'a> {
    Login { path: &'a str },
    Renew,
    Lookup,
    Wrap,
    WrappingLookup,
    Unwrap,
    Revoke,
}

impl<'a> Operation<'a> {
    fn path(self) -> &'a str {
        match self {
            Self::Login { path } => path,
            Self::Renew => "auth/token/renew-self",
            Self::Lookup => "auth/token/lookup-self",
            Self::Wrap => "sys/wrapping/wrap",
            Self::WrappingLookup => "sys/wrapping/lookup",
            Self::Unwrap => "sys/wrapping/unwrap",
            Self::Revoke => "auth/token/revoke-self",
        }
    }

    fn method(self) -> Method {
        if self == Self::Lookup { Method::GET } else { Method::PUT }
    }

    /// Whether it concerns a wrapping token.
    pub(crate) fn opens_a_wrapping(self) -> bool {
        matches!(self, Self::WrappingLookup | Self::Unwrap)
    }
}

impl fmt::Display for Operation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Login { path } => write!(f, "login at {path}"),
            Self::Renew => f.write_str("renewal of the token"),
            Self::Lookup => f.write_str("look-up of the token"),
            Self::Wrap => f.write_str("wrapping of the token"),
            Self::WrappingLookup => f.write_str("look-up of the wrapping token"),
            Self::Unwrap => f.write_str("unwrapping"),
            Self::Revoke => f.write_str("revocation of the token"),
        }
    }
}

/// One request, before it becomes HTTP.
pub(crate) struct Request<'a> {
    operation: Operation<'a>,
    scope: &'a Scope,
    identity: &'a Arc<TlsIdentity>,
    token: Option<&'a Secret<String>>,
    body: Option<Zeroizing<Vec<u8>>>,
    pub(crate) wrap_ttl: Option<Duration>,
    /// As an auth method gave them: not yet checked.
    pub(crate) method_headers: &'a [(String, String)],
}

impl<'a> Request<'a> {
    pub(crate) fn new(
        operation: Operation<'a>,
        scope: &'a Scope,
        identity: &'a Arc<TlsIdentity>,
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

/// Sends requests within what the governor allows, and tells it how they ended.
pub(crate) struct Sender {
    connections: Arc<Connections>,
    governor: Governor,
}

impl Sender {
    pub(crate) fn new(connections: Arc<Connections>, governor: Governor) -> Self {
        Self { connections, governor }
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }

    pub(crate) fn governor(&self) -> &Governor {
        &self.governor
    }

    /// The body of a successful answer. Whoever reads it says with [`Sender::usable`] or
    /// [`Sender::succeeded`] whether it was any good.
    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Zeroizing<Vec<u8>>, Error> {
        let _live = request.token.map(redactor::keep_out_of_logs);
        let headers = headers(&request)?;
        let url = self.url(request.operation)?;
        let body = request.body.map(Bytes::from_owner);
        let http = self.connections.get(request.identity).await?;
        let result = self.exchange(request.operation, &http, url, headers, body).await;
        if let Err(error) = &result {
            self.record(error);
            if error.reason == Reason::Tls {
                self.connections.forget(request.identity);
            }
        }
        result
    }

    /// What was made of an answer.
    pub(crate) fn usable<T>(
        &self,
        operation: Operation<'_>,
        made: Result<T, Unusable>,
    ) -> Result<T, Error> {
        let error = match made {
            Ok(made) => {
                self.succeeded();
                return Ok(made);
            }
            Err(Unusable::Unreadable(why)) => unreadable(operation, &why),
            Err(Unusable::SecondFactor) => Error::new(
                Class::Refused,
                Reason::SecondFactor,
                format_args!("{operation}: the server asks for a second factor"),
                "exempt this login from MFA: an agent has nobody to ask",
            ),
        };
        self.record(&error);
        Err(error)
    }

    /// The answer was good.
    pub(crate) fn succeeded(&self) {
        self.governor.record(Outcome::Success);
    }

    fn record(&self, error: &Error) {
        self.governor.record(match error.class {
            Class::Passing => Outcome::Passing,
            Class::Refused | Class::Configuration => Outcome::Refused,
        });
    }

    fn url(&self, operation: Operation<'_>) -> Result<Url, Error> {
        let path = operation.path();
        let base = &self.connections.address().base;
        let whole = format!("{}v1/{path}", base.path());
        let mut url = base.clone();
        url.set_path(&whole);
        // The parser resolves dot segments, in any spelling, and escapes what a path can't hold.
        if path.is_empty() || path.starts_with('/') || path.contains("//") || url.path() != whole {
            return Err(against_the_rules(
                format!("the login path \"{}\" can't be sent", answer::clean(path)),
                "a path is segments joined by single slashes, percent-encoded, without dot segments",
            ));
        }
        Ok(url)
    }

    /// Sends, follows one redirect, reads the answer.
    async fn exchange(
        &self,
        operation: Operation<'_>,
        http: &reqwest::Client,
        url: Url,
        headers: HeaderMap,
        body: Option<Bytes>,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut url = url;
        let mut redirected = false;
        loop {
            let response = self.once(operation, http, &url, &headers, body.as_ref()).await?;
            let status = response.status();
            if matches!(status.as_u16(), 301 | 302 | 307 | 308) {
                let settings = self.connections.settings();
                // A socket, or a name that isn't the address's, leads nowhere else.
                let bound =
                    settings.address.starts_with("unix:") || settings.tls.server_name.is_some();
                let next = redirect(operation, &url, &response, redirected, bound)?;
                (url, redirected) = (next, true);
                continue;
            }
            let retry_after = response
                .headers()
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok())
                .and_then(|value| retry_after(value, time::OffsetDateTime::now_utc()));
            let body = read(operation, response).await;
            if status.is_success() {
                return body;
            }
            // The status says enough, should the explanation be lost.
            let body = body.unwrap_or_default();
            let error = refusal(operation, status, &body, self.connections.address().uses_tls());
            return Err(Error { retry_after, ..error });
        }
    }

    async fn once(
        &self,
        operation: Operation<'_>,
        http: &reqwest::Client,
        url: &Url,
        headers: &HeaderMap,
        body: Option<&Bytes>,
    ) -> Result<Response, Error> {
        self.governor.permit().await;
        let started = Instant::now();
        let mut sent = url.clone();
        let mut headers = headers.clone();
        if let Some(name) = &self.connections.settings().tls.server_name
            && url.scheme() == "https"
        {
            // The connection goes to the address all the same: see `ResolveAs`.
            if let Ok(host) = HeaderValue::from_str(url.authority()) {
                headers.insert(HOST, host);
            }
            let _ = sent.set_host(Some(name));
        }
        let mut builder = http.request(operation.method(), sent).headers(headers);
        if let Some(body) = body {
            builder = builder.body(body.clone());
        }
        let result = builder.send().await;
        tracing::debug!(
            method = %operation.method(),
            path = url.path(),
            status = result.as_ref().ok().map(|response| response.status().as_u16()),
            duration_ms = started.elapsed().as_millis(),
            "request"
        );
        result.map_err(|error| self.unreachable(operation, &error))
    }

    /// No answer: why, in plain words.
    fn unreachable(&self, operation: Operation<'_>, error: &reqwest::Error) -> Error {
        let address = self.connections.address();
        let settings = self.connections.settings();
        let failed = |reason, why: &str, remedy: &str| {
            let message = format_args!("{operation}: {why} ({})", address.shown);
            Error::new(Class::Passing, reason, message, remedy)
        };
        let causes = || causes_of(error);
        if let Some(tls) = causes().find_map(tls_error) {
            let (why, remedy) = tls_trouble(tls, settings.tls.server_name.is_some());
            return failed(Reason::Tls, &why, remedy);
        }
        if error.is_timeout() {
            let why =
                if error.is_connect() { "no connection in time" } else { "no answer in time" };
            return failed(Reason::Timeout, why, "check the address, and how busy the server is");
        }
        if causes().any(|cause| cause.to_string() == "dns error") {
            let why = format!("the server's name doesn't resolve: {}", innermost(error));
            return failed(Reason::Dns, &why, "check vault.address and the resolver");
        }
        let why = innermost(error);
        if error.is_connect() {
            let remedy = match (&address.socket, &settings.proxy) {
                (Some(_), _) => {
                    "check that the server listens on this socket and that the agent may open it"
                }
                (None, Some(_)) => "check vault.proxy and vault.address",
                (None, None) => "check vault.address and that the server is up",
            };
            return failed(Reason::Connection, &format!("no connection: {why}"), remedy);
        }
        failed(Reason::Connection, &format!("the connection broke: {why}"), "")
    }
}

fn headers(request: &Request<'_>) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    if request.body.is_some() {
        headers.insert("content-type", HeaderValue::from_static("application/json"));
    }
    for (name, value) in request.method_headers {
        let shown = answer::clean(name);
        let lower = name.to_ascii_lowercase();
        if lower.starts_with("x-vault-") || OWN_HEADERS.contains(&lower.as_str()) {
            return Err(against_the_rules(
                format!("the auth method may not set the header \"{shown}\""),
                "correct the method: the agent sets this header itself",
            ));
        }
        let (Ok(name), Some(value)) = (HeaderName::try_from(lower), header(value)) else {
            return Err(against_the_rules(
                format!("the auth method's header \"{shown}\" isn't one that HTTP can carry"),
                "correct the method: no control characters, no spaces in names",
            ));
        };
        headers.append(name, value);
    }
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
    if !namespace.is_empty() {
        let namespace = HeaderValue::from_str(namespace).map_err(|_| {
            against_the_rules(
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
fn header(value: &str) -> Option<HeaderValue> {
    let bytes = Bytes::from_owner(Zeroizing::new(value.as_bytes().to_vec()));
    let mut header = HeaderValue::from_maybe_shared(bytes).ok()?;
    // Go, which the servers are written in, refuses anything but visible ASCII and blanks.
    header.to_str().ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// Where a redirect leads, if it is followed: within the origin, and to another one, as a standby
/// names the active node, unless that gives up TLS or the client is `bound` to its address.
fn redirect(
    operation: Operation<'_>,
    url: &Url,
    response: &Response,
    redirected: bool,
    bound: bool,
) -> Result<Url, Error> {
    let status = response.status().as_u16();
    let failed = |class, why: String, remedy: &str| {
        let message = format_args!("{operation}: {why}");
        Err(Error { status: Some(status), ..Error::new(class, Reason::Redirect, message, remedy) })
    };
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let Some(next) = location.and_then(|location| url.join(location).ok()) else {
        return failed(Class::Passing, "the server redirects to nowhere".into(), "");
    };
    let origin = answer::clean(&next.origin().ascii_serialization());
    if redirected {
        return failed(
            Class::Passing,
            format!("the server redirects again, to {origin}"),
            "check vault.address, and what stands between the agent and the server",
        );
    }
    let insecure = url.scheme() == "https" && next.scheme() != "https";
    let elsewhere = next.origin() != url.origin();
    let other_request = !next.scheme().starts_with("http") || next.path() != url.path();
    if elsewhere && (bound || insecure || other_request) {
        let (why, remedy) = if insecure {
            ("without TLS", "check what stands between the agent and the server")
        } else {
            ("elsewhere", "if that is your server, write it in vault.address")
        };
        return failed(
            Class::Refused,
            format!("the server redirects {why}, to {origin}; credentials are not sent there"),
            remedy,
        );
    }
    Ok(next)
}

/// The body, at most [`LARGEST`] bytes.
async fn read(
    operation: Operation<'_>,
    mut response: Response,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let status = Some(response.status().as_u16());
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    if announced.is_some_and(|length| length > LARGEST) {
        return Err(Error { status, ..unreadable(operation, "it is larger than 1 MiB") });
    }
    let mut body = Zeroizing::new(Vec::with_capacity(announced.unwrap_or(8 * 1024)));
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > LARGEST => {
                return Err(Error { status, ..unreadable(operation, "it is larger than 1 MiB") });
            }
            Ok(Some(chunk)) => append(&mut body, &chunk),
            Ok(None) => return Ok(body),
            Err(error) if error.is_timeout() => {
                let message = format_args!("{operation}: the answer didn't end in time");
                let remedy = "check how busy the server is";
                let error = Error::new(Class::Passing, Reason::Timeout, message, remedy);
                return Err(Error { status, ..error });
            }
            Err(error) => {
                let why = format!("it is cut short: {}", innermost(&error));
                return Err(Error { status, ..unreadable(operation, &why) });
            }
        }
    }
}

/// Appends, and wipes what a growing vector would leave behind.
fn append(body: &mut Zeroizing<Vec<u8>>, chunk: &[u8]) {
    if body.capacity() - body.len() < chunk.len() {
        let mut larger = Vec::with_capacity((body.len() + chunk.len()) * 2);
        larger.extend_from_slice(body);
        body.zeroize();
        **body = larger;
    }
    body.extend_from_slice(chunk);
}

fn unreadable(operation: Operation<'_>, why: &str) -> Error {
    Error::new(
        Class::Passing,
        Reason::Unreadable,
        format_args!("{operation}: the answer can't be read: {why}"),
        "check vault.address, and what stands between the agent and the server",
    )
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

/// Of an answer, in bytes.
const LARGEST: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(from: &str, to: &str, bound: bool) -> Result<Url, Error> {
        let mut response = http::Response::new(Vec::new());
        *response.status_mut() = http::StatusCode::TEMPORARY_REDIRECT;
        response.headers_mut().insert(LOCATION, to.parse().unwrap());
        let from = from.parse().unwrap();
        redirect(Operation::Renew, &from, &Response::from(response), false, bound)
    }

    #[test]
    fn a_redirect_never_gives_up_tls_or_leaves_http() {
        assert!(follow("https://a.example/v1/x", "https://b.example/v1/x", false).is_ok());
        assert!(follow("http://a.example/v1/x", "http://b.example/v1/x", false).is_ok());
        for (from, to, bound) in [
            ("https://a.example/v1/x", "http://a.example/v1/x", false),
            ("https://a.example/v1/x", "http://b.example/v1/x", false),
            ("http://a.example/v1/x", "ftp://b.example/v1/x", false),
            ("https://a.example/v1/x", "https://b.example/v1/x", true),
            ("https://a.example/v1/x", "https://b.example/v1/y", false),
        ] {
            let refused = follow(from, to, bound).unwrap_err();
            assert_eq!((refused.class, refused.reason), (Class::Refused, Reason::Redirect), "{to}");
        }
    }
}
