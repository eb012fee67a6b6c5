//! Sends requests to one server, within what the governor allows.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use http::header::{
    AUTHORIZATION, CONNECTION, HOST, HeaderMap, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT,
};
use http::uri::{PathAndQuery, Uri};
use http::{Method, Request, Response, StatusCode, Version, request};
use url::Url;
use usher_address::ServerAddress;
use usher_trust::{Names, tls_error};

use crate::basic::BasicAuth;
use crate::body::Body;
use crate::breaker::Outcome;
use crate::governor::Governor;
use crate::identity::TlsIdentity;
use crate::lane::Lane;
use crate::locator::Locator;
use crate::outbound::Outbound;
use crate::patience::Patience;
use crate::redirect::{self, Leeway, Redirected};
use crate::resolve::Unresolved;
use crate::settings::{self, Checked, Settings, SettingsError};
use crate::transport::{Failed, Transport};
use crate::transports::Transports;
use crate::trouble::{Trouble, TroubleKind, clean, innermost};
use crate::way::NoProxy;

/// The way to one server. Shared by everything that talks to it.
pub struct Connector {
    transports: Arc<Transports>,
    locator: Locator,
    governor: Governor,
    user_agent: HeaderValue,
    /// Of the address.
    user: Option<BasicAuth>,
}

impl Connector {
    /// Checks the settings. Opens no file and no connection; see [`Connector::check_files`].
    pub fn new(settings: Settings, governor: Governor) -> Result<Self, SettingsError> {
        let Checked { user_agent, user, proxy, server_name } = settings::check(&settings)?;
        let locator = Locator::new(&settings.address, settings.srv_lookup);
        let transports = Arc::new(Transports::new(settings, proxy, server_name));
        Ok(Self { transports, locator, governor, user_agent, user })
    }

    /// Reads the certificate and key files that the settings name, for an early complaint. Does
    /// nothing when there are none. Blocks. Returns what is wrong with them and does no harm: the
    /// broken ones among good certificates.
    pub fn check_files(&self) -> Result<Vec<String>, SettingsError> {
        let tls = &self.settings().tls;
        if tls.names_nothing() || !self.transports.use_tls() {
            return Ok(Vec::new());
        }
        let checked = tls.check(TlsIdentity::default().given());
        checked.map_err(|error| SettingsError::TlsFiles(error.to_string()))
    }

    /// Where requests go.
    pub fn address(&self) -> &ServerAddress {
        &self.settings().address
    }

    /// The ceilings and the breaker that all requests obey.
    pub fn governor(&self) -> &Governor {
        &self.governor
    }

    /// Sends a request and gives the answer, whatever its status, as soon as its head is there.
    ///
    /// Of the request's address only path and query count; they go below the server's address byte
    /// for byte. `Host` and, where the settings ask for it, `Connection` are set; a
    /// user agent and the address's user are added where there is none, the first not in
    /// [`Lane::Proxied`]. Bodies are streamed both ways.
    ///
    /// One redirect to the active node is followed, within the settings' limits and if the body is
    /// whole. What isn't followed is an error; in [`Lane::Proxied`] it is the answer.
    ///
    /// Whoever reads the answer tells the governor what it was worth, with [`Governor::record`];
    /// except in [`Lane::Proxied`], where the status alone says how the server is. Connections are
    /// tasks of the runtime that the first request of a lane is sent in.
    pub async fn send(
        &self,
        lane: Lane,
        identity: &TlsIdentity,
        request: Request<Body>,
    ) -> Result<Response<Body>, Trouble> {
        let transport = self.transports.get(lane, identity).await?;
        let result = self.exchange(lane, &transport, request).await;
        if let Err(trouble) = &result {
            match trouble.kind {
                TroubleKind::Tls => {
                    self.transports.forget(identity);
                    self.locator.forget();
                }
                TroubleKind::Connection
                | TroubleKind::Dns
                | TroubleKind::SrvRecord
                | TroubleKind::Timeout => self.locator.forget(),
                _ => {}
            }
            match trouble.kind {
                // None of them says anything of the server.
                TroubleKind::Held | TroubleKind::Request | TroubleKind::RequestBody => {}
                kind if kind.is_passing() => self.governor.record(Outcome::Passing),
                _ => self.governor.record(Outcome::Refused),
            }
        }
        result
    }

    /// The answer didn't end in time: where the server is, is looked up again.
    pub fn answer_was_late(&self) {
        self.locator.forget();
    }

    fn settings(&self) -> &Settings {
        self.transports.settings()
    }

    /// Sends, and follows one redirect.
    async fn exchange(
        &self,
        lane: Lane,
        transport: &Transport,
        request: Request<Body>,
    ) -> Result<Response<Body>, Trouble> {
        let (mut head, mut body) = request.into_parts();
        // It asks for a tunnel, and the HTTP library would send it without its path.
        if head.method == Method::CONNECT {
            return Err(not_http());
        }
        let adds_user = self.user.is_some() && !head.headers.contains_key(AUTHORIZATION);
        self.complete(lane, &mut head.headers);
        let base = self.locator.locate().await?;
        head.uri = below(&base, head.uri.path_and_query()).ok_or_else(not_http)?;
        head.version = Version::HTTP_11;
        let mut redirected = Redirected::Never;
        loop {
            if let Err(wait) = self.governor.permit(lane).await {
                return Err(self.held(wait));
            }
            let watched = lane != Lane::Proxied;
            let under_way = watched.then(|| self.governor.watch());
            let again = body.again();
            let response = self.once(lane, transport, &head, body).await;
            let response = match response {
                Ok(response) => response,
                Err(trouble) => {
                    if let Some(under_way) = under_way {
                        under_way.ended();
                    }
                    return Err(trouble);
                }
            };
            let status = response.status();
            if lane == Lane::Proxied {
                self.governor.record(health(head.uri.path(), status));
            }
            if !redirect::is_redirect(status) {
                return Ok(response.map(|body| body.watched(under_way)));
            }
            if let Some(under_way) = under_way {
                under_way.ended();
            }
            let (headers, leeway) = (response.headers(), Leeway::of(self.settings()));
            let next = redirect::follow(&base, &head.uri, status, headers, redirected, leeway);
            let next = match (next, again) {
                (Ok(next), Some(again)) => {
                    body = again;
                    next
                }
                // Whoever made the request may know what to do with it.
                _ if lane == Lane::Proxied => return Ok(response),
                (Err(trouble), _) => return Err(trouble),
                (Ok(_), None) => {
                    let what = "the server redirects a request that is sent only once";
                    let remedy = "write the address of the active node in vault.address";
                    return Err(Trouble::new(TroubleKind::Redirect, what, remedy));
                }
            };
            // What stands before this server may not stand before that one.
            if adds_user && next.origin() != base.origin() {
                head.headers.remove(AUTHORIZATION);
            }
            head.uri = next.as_str().parse().map_err(|_| not_http())?;
            redirected = Redirected::Once;
        }
    }

    /// The headers that belong to the connection or come from the settings.
    fn complete(&self, lane: Lane, headers: &mut HeaderMap) {
        // Follows from the address.
        headers.remove(HOST);
        if let Some(user) = &self.user {
            headers.entry(AUTHORIZATION).or_insert_with(|| user.header().clone());
        }
        if lane != Lane::Proxied {
            headers.entry(USER_AGENT).or_insert_with(|| self.user_agent.clone());
        }
        if self.settings().disable_keep_alives {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }

    async fn once(
        &self,
        lane: Lane,
        transport: &Transport,
        head: &request::Parts,
        body: Body,
    ) -> Result<Response<Body>, Trouble> {
        let started = Instant::now();
        let mut request = Request::new(body);
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = head.uri.clone();
        *request.headers_mut() = head.headers.clone();
        // Of a tunnel the proxy takes it out of the CONNECT alone.
        let forwarded = head.uri.scheme_str() == Some("http");
        let proxy = self.transports.proxy().filter(|_| forwarded);
        if let Some(authorization) = proxy.and_then(Outbound::authorization) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        let timeout = self.settings().timeout;
        let patience = match lane {
            Lane::Tokens | Lane::Secrets => Patience::Whole(timeout),
            Lane::Proxied => Patience::EachPiece(timeout),
        };
        let result = transport.send(request, patience).await;
        tracing::debug!(
            method = %head.method,
            path = head.uri.path(),
            status = result.as_ref().ok().map(|response| response.status().as_u16()),
            duration_ms = started.elapsed().as_millis(),
            "request"
        );
        result.map_err(|failed| self.unreachable(&head.uri, &failed))
    }

    /// No answer: why, in plain words.
    fn unreachable(&self, uri: &Uri, failed: &Failed) -> Trouble {
        let Settings { address, tls, .. } = self.settings();
        let proxy = self.settings().proxy.as_ref().filter(|_| self.transports.proxy().is_some());
        let mut way = address.to_string();
        if let Ok(url) = Url::parse(&uri.to_string())
            && url.origin() != address.base().origin()
        {
            let _ = write!(way, ", now {}", url.origin().ascii_serialization());
        }
        if let Some(proxy) = proxy {
            let _ = write!(way, ", through {proxy}");
        }
        let trouble = |kind, why: &str, remedy: &str| {
            Trouble::new(kind, format_args!("{why} ({way})"), remedy)
        };
        let innermost = clean(&innermost(failed));
        // First: a sender may have come over TLS, too.
        if let Failed::Body(_) = failed {
            let why = format!("the request's body broke off: {innermost}");
            return Trouble::new(TroubleKind::RequestBody, why, "");
        }
        let at_proxy = failed.causes().any(<dyn std::error::Error>::is::<NoProxy>);
        if let Some(error) = failed.causes().find_map(tls_error) {
            let names = match &tls.server_name {
                _ if at_proxy => &NAMES_OF_PROXY,
                Some(_) => &NAMES_WITH_SERVER_NAME,
                None => &NAMES,
            };
            let found = usher_trust::handshake(error, names);
            let with = if at_proxy { "no TLS with the proxy: " } else { "" };
            let why = format!("{with}{}", clean(&found.what));
            return trouble(TroubleKind::Tls, &why, &found.remedy);
        }
        let connection = |why: String, remedy| trouble(TroubleKind::Connection, &why, remedy);
        match failed {
            Failed::ConnectTimeout | Failed::Timeout => {
                let remedy = "check the address, and how busy the server is";
                trouble(TroubleKind::Timeout, &failed.to_string(), remedy)
            }
            Failed::Connect(_)
                if failed.causes().any(<dyn std::error::Error>::is::<Unresolved>) =>
            {
                let (whose, remedy) = if at_proxy {
                    ("proxy", "check the proxy (BAO_HTTP_PROXY, BAO_PROXY_ADDR or HTTPS_PROXY)")
                } else {
                    ("server", "check vault.address and the resolver")
                };
                let why = format!("the {whose}'s name doesn't resolve: {innermost}");
                trouble(TroubleKind::Dns, &why, remedy)
            }
            Failed::Connect(_) => {
                let remedy = match (address.socket(), proxy) {
                    (Some(_), _) => {
                        "check that the server listens on this socket and that the agent may open it"
                    }
                    (None, Some(_))
                        if REFUSED_BY_PROXY.iter().any(|words| innermost.contains(words)) =>
                    {
                        "the proxy wants a user and a password: write them in its URL"
                    }
                    (None, Some(_)) => {
                        "check the proxy (BAO_HTTP_PROXY, BAO_PROXY_ADDR or HTTPS_PROXY) and vault.address"
                    }
                    (None, None) => "check vault.address and that the server is up",
                };
                let to = if at_proxy { " to the proxy" } else { "" };
                connection(format!("no connection{to}: {innermost}"), remedy)
            }
            Failed::Broken(_) if failed.causes().any(is_no_http) => {
                let remedy = "check vault.address: https:// or http://, and the port";
                connection(format!("what answers doesn't speak HTTP: {innermost}"), remedy)
            }
            Failed::Body(_) | Failed::Broken(_) => {
                connection(format!("the connection broke: {innermost}"), "")
            }
        }
    }

    fn held(&self, wait: std::time::Duration) -> Trouble {
        let what = format_args!(
            "the server is in trouble, and only one request a second is let through ({})",
            self.address()
        );
        let held = Trouble::new(TroubleKind::Held, what, "try again later");
        Trouble { retry_after: Some(wait), ..held }
    }
}

/// A path and query at the server's address, byte for byte. `None`: the request is for no path, and
/// what it is for ("*", a host and a port) would become a part of the server's name.
fn below(base: &Url, path: Option<&PathAndQuery>) -> Option<Uri> {
    let origin = &base[..url::Position::BeforePath];
    let prefix = base.path().trim_end_matches('/');
    let path = path.map(PathAndQuery::as_str).filter(|path| path.starts_with('/'))?;
    format!("{origin}{prefix}{path}").parse().ok()
}

/// What came couldn't be read, as an alert of TLS can't be.
fn is_no_http(cause: &(dyn std::error::Error + 'static)) -> bool {
    let error = cause.downcast_ref::<hyper::Error>();
    error.is_some_and(|error| error.is_parse() && !error.is_parse_too_large())
}

fn not_http() -> Trouble {
    Trouble::new(TroubleKind::Request, "the request isn't for a path that can be sent", "")
}

/// What an answer to somebody else's request says of the server. A single engine's failure (500), a
/// quota (429) or a replica that lags (412) says nothing of the next request. Whoever redirects is
/// there but serves nothing: a standby, whose active node may be down, or the page of a portal. What
/// has not been modified (304) is served. `sys/health` answers with whatever status it is asked for.
fn health(path: &str, status: StatusCode) -> Outcome {
    if redirect::is_redirect(status) || path.ends_with("/v1/sys/health") && !status.is_success() {
        return Outcome::Refused;
    }
    match status.as_u16() {
        100..400 => Outcome::Success,
        502..=504 => Outcome::Passing,
        _ => Outcome::Refused,
    }
}

/// What the HTTP library says when an HTTP or a SOCKS proxy lets nobody through.
const REFUSED_BY_PROXY: [&str; 2] = ["proxy authorization required", "credentials not accepted"];

/// What the remedies of a failed handshake call the settings.
const NAMES: Names = Names {
    authorities: "vault.ca_cert",
    server_name: "vault.address or vault.tls_server_name",
    address: "vault.address",
    client_certificate: "vault.client_cert and vault.client_key",
};

const NAMES_OF_PROXY: Names =
    Names { server_name: "the proxy's URL", address: "the proxy's URL", ..NAMES };

const NAMES_WITH_SERVER_NAME: Names = Names { server_name: "vault.tls_server_name", ..NAMES };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_somebody_else_says_how_the_server_is_unless_its_status_was_asked_for() {
        let health = |path, status| health(path, StatusCode::from_u16(status).unwrap());
        for (status, outcome) in [
            (200, Outcome::Success),
            (304, Outcome::Success),
            (307, Outcome::Refused),
            (403, Outcome::Refused),
            (429, Outcome::Refused),
            (500, Outcome::Refused),
            (502, Outcome::Passing),
            (503, Outcome::Passing),
        ] {
            assert_eq!(health("/v1/secret/data/app", status), outcome, "{status}");
        }
        assert_eq!(health("/v1/sys/health", 299), Outcome::Success);
        assert_eq!(health("/v1/sys/health", 503), Outcome::Refused);
        assert_eq!(health("/behind/it/v1/sys/health", 502), Outcome::Refused);
    }
}
