//! One HTTP exchange: sent within what the governor allows, redirected once at most, read in full.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::{
    AUTHORIZATION, CONNECTION, HOST, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER,
};
use url::Url;
use usher_secret::redactor;
use usher_trust::{Names, tls_error};
use zeroize::{Zeroize, Zeroizing};

use crate::answer::{self, Unusable};
use crate::client::against_the_rules;
use crate::error::{Class, Error, Reason, retry_after};
use crate::explain::{causes_of, refusal};
use crate::governor::{Governor, Outcome};
use crate::request::{Operation, Request, headers};
use crate::tls::{Connections, Tls, innermost};

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
        let result = async {
            let url = self.connections.locator().locate(url).await?;
            self.exchange(request.operation, &http, url, headers, body).await
        }
        .await;
        if let Err(error) = &result {
            self.record(error);
            match error.reason {
                Reason::Tls => {
                    self.connections.forget(request.identity);
                    self.connections.locator().forget();
                }
                Reason::Connection | Reason::Dns | Reason::Timeout => {
                    self.connections.locator().forget();
                }
                _ => {}
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

    /// Of the address as it is written.
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
        let mut headers = headers;
        let user = self.connections.user().filter(|_| !headers.contains_key(AUTHORIZATION));
        if let Some(user) = user {
            headers.insert(AUTHORIZATION, user.header().clone());
        }
        let mut redirected = false;
        loop {
            self.governor.permit().await;
            let under_way = self.governor.watch();
            let response = self.once(operation, http, &url, &headers, body.as_ref()).await;
            let response = match response {
                Ok(response) => response,
                Err(error) => {
                    under_way.ended();
                    return Err(error);
                }
            };
            let status = response.status();
            if matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                let settings = self.connections.settings();
                let leeway = if settings.disable_redirects {
                    Leeway::None
                } else if self.connections.address().socket.is_some()
                    || settings.tls.server_name.is_some()
                {
                    // A socket, or a name that isn't the address's, leads nowhere else.
                    Leeway::Origin
                } else {
                    Leeway::ActiveNode
                };
                let next = redirect(operation, &url, &response, redirected, leeway)?;
                // What stands before this server may not stand before that one.
                if user.is_some() && next.origin() != url.origin() {
                    headers.remove(AUTHORIZATION);
                }
                (url, redirected) = (next, true);
                continue;
            }
            let retry_after = response
                .headers()
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok())
                .and_then(|value| retry_after(value, time::OffsetDateTime::now_utc()));
            let body = read(operation, response).await;
            under_way.ended();
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
        if self.connections.settings().disable_keep_alives {
            builder = builder.header(CONNECTION, HeaderValue::from_static("close"));
        }
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
        result.map_err(|error| self.unreachable(operation, url, &error))
    }

    /// No answer: why, in plain words.
    fn unreachable(&self, operation: Operation<'_>, url: &Url, error: &reqwest::Error) -> Error {
        let address = self.connections.address();
        let settings = self.connections.settings();
        let mut way = address.shown.clone();
        if url.origin() != address.base.origin() {
            let _ = write!(way, ", now {}", url.origin().ascii_serialization());
        }
        if let Some(proxy) = self.connections.proxy() {
            let _ = write!(way, ", through {}", proxy.shown());
        }
        let failed = |reason, why: &str, remedy: &str| {
            let message = format_args!("{operation}: {why} ({way})");
            Error::new(Class::Passing, reason, message, remedy)
        };
        let causes = || causes_of(error);
        if let Some(tls) = causes().find_map(tls_error) {
            let trouble = usher_trust::handshake(tls, names(&settings.tls));
            return failed(Reason::Tls, &answer::clean(&trouble.what), &trouble.remedy);
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
            let remedy = match (&address.socket, self.connections.proxy()) {
                (Some(_), _) => {
                    "check that the server listens on this socket and that the agent may open it"
                }
                (None, Some(_)) if REFUSED_BY_PROXY.iter().any(|words| why.contains(words)) => {
                    "the proxy wants a user and a password: write them in its URL"
                }
                (None, Some(_)) => {
                    "check the proxy (BAO_HTTP_PROXY, BAO_PROXY_ADDR or HTTPS_PROXY) and vault.address"
                }
                (None, None) => "check vault.address and that the server is up",
            };
            return failed(Reason::Connection, &format!("no connection: {why}"), remedy);
        }
        failed(Reason::Connection, &format!("the connection broke: {why}"), "")
    }
}

/// What the HTTP library says when an HTTP or a SOCKS proxy lets nobody through.
const REFUSED_BY_PROXY: [&str; 2] = ["proxy authorization required", "credentials not accepted"];

/// What the remedies of a failed handshake call the settings.
fn names(tls: &Tls) -> &'static Names {
    if tls.server_name.is_some() { &NAMES_WITH_SERVER_NAME } else { &NAMES }
}

const NAMES: Names = Names {
    authorities: "vault.ca_cert",
    server_name: "vault.address or vault.tls_server_name",
    address: "vault.address",
    client_certificate: "vault.client_cert and vault.client_key",
};

const NAMES_WITH_SERVER_NAME: Names = Names { server_name: "vault.tls_server_name", ..NAMES };

/// How far a redirect may lead.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leeway {
    /// Nowhere: the operator wants none followed.
    None,
    /// Within the origin.
    Origin,
    /// To another origin too, as a standby names the active node, unless that gives up TLS.
    ActiveNode,
}

/// Where a redirect leads, if it is followed.
fn redirect(
    operation: Operation<'_>,
    url: &Url,
    response: &Response,
    redirected: bool,
    leeway: Leeway,
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
    // Another request than was made: no server of secrets asks for that, but a portal does.
    if status == 303 {
        return failed(
            Class::Passing,
            format!("the answer is to look at a page of {origin} (303 See Other)"),
            "a secrets server doesn't answer this: check vault.address, and whether a portal or proxy that wants a login stands between the agent and the server",
        );
    }
    if leeway == Leeway::None {
        return failed(
            Class::Refused,
            format!("the server redirects to {origin}, and redirects are disabled"),
            "write the address of the active node in vault.address, or unset BAO_DISABLE_REDIRECTS",
        );
    }
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
    if elsewhere && (leeway == Leeway::Origin || insecure || other_request) {
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

/// Of an answer, in bytes.
const LARGEST: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(from: &str, to: &str, leeway: Leeway) -> Result<Url, Error> {
        let mut response = http::Response::new(Vec::new());
        *response.status_mut() = http::StatusCode::TEMPORARY_REDIRECT;
        response.headers_mut().insert(LOCATION, to.parse().unwrap());
        let from = from.parse().unwrap();
        redirect(Operation::Renew, &from, &Response::from(response), false, leeway)
    }

    #[test]
    fn a_redirect_never_gives_up_tls_or_leaves_http() {
        assert!(
            follow("https://a.example/v1/x", "https://b.example/v1/x", Leeway::ActiveNode).is_ok()
        );
        assert!(
            follow("http://a.example/v1/x", "http://b.example/v1/x", Leeway::ActiveNode).is_ok()
        );
        let within = follow("http://a.example/v1/x", "http://a.example/v1/y", Leeway::Origin);
        assert!(within.is_ok());
        for (from, to, leeway) in [
            ("http://a.example/v1/x", "http://a.example/v1/y", Leeway::None),
            ("https://a.example/v1/x", "http://a.example/v1/x", Leeway::ActiveNode),
            ("https://a.example/v1/x", "http://b.example/v1/x", Leeway::ActiveNode),
            ("http://a.example/v1/x", "ftp://b.example/v1/x", Leeway::ActiveNode),
            ("https://a.example/v1/x", "https://b.example/v1/x", Leeway::Origin),
            ("https://a.example/v1/x", "https://b.example/v1/y", Leeway::ActiveNode),
        ] {
            let refused = follow(from, to, leeway).unwrap_err();
            assert_eq!((refused.class, refused.reason), (Class::Refused, Reason::Redirect), "{to}");
        }
    }
}
