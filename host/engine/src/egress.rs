//! The one door through which all HTTP of all plug-ins leaves.
//!
//! A request is judged three times: by its origin against the grant, by each address its name
//! resolves to (in the resolver itself, so there is no second look-up), and by its address when
//! the URL has an IP literal, which resolvers never see. Redirects are returned, not followed;
//! there is no proxy and no connection is shared between requests.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use thiserror::Error;
use url::{Host, Url};
use usher_connector::{
    BasicAuth, Body, Failed, Interrupted, Patience, Resolve, Resolving, Transport, Unread,
    innermost,
};
use usher_grant::{Capability, Grant, Named, Need, reachable};
use usher_secret::redactor::without_userinfo;
use usher_trust::{
    Authorities, ClientCertificate, Names, Trust, client_config, handshake, tls_error,
};
use zeroize::Zeroizing;

use crate::failure::{Failure, FailureKind, missing};
use crate::text;

/// Bytes of a body, either way.
const LARGEST_BODY: usize = 1 << 20;
/// Bytes of all header names and values of a request.
const MOST_HEADER_BYTES: usize = 64 << 10;
/// A whole exchange takes at most this long.
const LONGEST_EXCHANGE: Duration = Duration::from_secs(10);
/// Time to connect, TLS included.
const LONGEST_CONNECT: Duration = Duration::from_secs(5);

/// Sends what plug-ins may send. Cheap to share; transports are made when first needed.
#[derive(Default)]
pub struct Egress {
    /// Those that trust the platform's roots (https) or none (http), by how the host is named.
    transports: Mutex<Vec<((bool, bool), Transport)>>,
    /// What the platform trusts, read when first needed: it takes 50 ms.
    platform: OnceLock<Authorities>,
}

pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Zeroizing<Vec<u8>>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) tls: Option<Tls>,
}

pub(crate) struct Tls {
    pub(crate) ca_pem: Option<String>,
    pub(crate) certificate_pem: Option<String>,
    pub(crate) key_pem: Option<Zeroizing<String>>,
}

pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Egress {
    /// One request, one response, for the plug-in that holds `grant`.
    pub(crate) async fn send(
        &self,
        plugin: &str,
        grant: &Grant,
        request: Request,
    ) -> Result<Response, Failure> {
        let url = Url::parse(&request.url).map_err(|_| {
            config(
                "http.url",
                format!(
                    "{:?} is no URL; write \"https://host/path\"",
                    cut(&without_userinfo(&request.url))
                ),
            )
        })?;
        let named = grant.permits_connect(&url).ok_or_else(|| refused(plugin, &url))?;
        if let Some(address) = literal(&url)
            && !reachable(address, &named)
        {
            return Err(prohibited(&url));
        }
        if request.body.len() > LARGEST_BODY {
            return Err(config(
                "http.too-large",
                "the request body is larger than 1 MiB".to_owned(),
            ));
        }
        let method = Method::from_bytes(request.method.as_bytes()).map_err(|_| {
            config("http.method", format!("{:?} is no HTTP method", cut(&request.method)))
        })?;
        let transport = self.transport(plugin, &url, named == Named::Localhost, request.tls)?;
        let timeout = request.timeout.unwrap_or(LONGEST_EXCHANGE).min(LONGEST_EXCHANGE);
        let mut headers = HeaderMap::new();
        let mut header_bytes = 0;
        for (name, value) in request.headers {
            header_bytes += name.len() + value.len();
            if header_bytes > MOST_HEADER_BYTES {
                return Err(config(
                    "http.too-large",
                    "the request headers are larger than 64 KiB".to_owned(),
                ));
            }
            match name.to_ascii_lowercase().as_str() {
                // Both follow from the request itself.
                "host" | "content-length" => {}
                "connection" | "keep-alive" | "te" | "trailer" | "transfer-encoding"
                | "upgrade" => {
                    return Err(config(
                        "http.header",
                        format!(
                            "the header {name:?} belongs to the connection, not to the plug-in"
                        ),
                    ));
                }
                lower if lower.starts_with("proxy-") => {
                    return Err(config(
                        "http.header",
                        format!(
                            "the header {name:?} belongs to the connection, not to the plug-in"
                        ),
                    ));
                }
                _ => {
                    let name = HeaderName::try_from(name).map_err(|_| malformed(&url))?;
                    let value = HeaderValue::try_from(value).map_err(|_| malformed(&url))?;
                    headers.append(name, value);
                }
            }
        }
        let user = BasicAuth::of(url.username(), url.password().unwrap_or_default());
        if let Some(user) = &user {
            headers.entry(AUTHORIZATION).or_insert_with(|| user.header().clone());
        }
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(OWN_NAME));
        let mut sent = http::Request::new(Body::from(Bytes::from_owner(request.body)));
        *sent.method_mut() = method;
        *sent.uri_mut() = uri(&url).ok_or_else(|| malformed(&url))?;
        *sent.headers_mut() = headers;
        let response = transport.send(sent, Patience::Whole(timeout)).await;
        let response = response.map_err(|failed| explain(&failed, &url))?;
        let status = response.status().as_u16();
        tracing::debug!(
            plugin,
            host = url.host_str(),
            port = url.port_or_known_default(),
            status,
            "plug-in request"
        );
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let body = response.into_body().read(LARGEST_BODY).await;
        let mut body = body.map_err(|unread| unreadable(&unread, &url))?;
        Ok(Response { status, headers, body: std::mem::take(&mut *body) })
    }

    fn transport(
        &self,
        plugin: &str,
        url: &Url,
        localhost: bool,
        tls: Option<Tls>,
    ) -> Result<Transport, Failure> {
        let secure = url.scheme() == "https";
        if let (true, Some(tls)) = (secure, tls) {
            return self.build(localhost, Roots::from_tls(plugin, tls)?);
        }
        let mut transports = self.transports.lock().unwrap_or_else(PoisonError::into_inner);
        let known = transports.iter().find(|(key, _)| *key == (secure, localhost));
        if let Some((_, transport)) = known {
            return Ok(transport.clone());
        }
        let transport =
            self.build(localhost, if secure { Roots::Platform } else { Roots::None })?;
        transports.push(((secure, localhost), transport.clone()));
        Ok(transport)
    }

    fn build(&self, localhost: bool, roots: Roots) -> Result<Transport, Failure> {
        let named = if localhost { Named::Localhost } else { Named::Name };
        let resolver = Arc::new(Resolver { named });
        let failed = |why: String| {
            let message = format!("TLS can't be set up: {why}");
            Failure::new(FailureKind::Unavailable, "http.tls", message)
        };
        let (trusted, certificate) = match roots {
            Roots::None => return Ok(Transport::direct(resolver, None, LONGEST_CONNECT)),
            Roots::Platform => (None, None),
            Roots::Given { authorities, certificate } => (authorities, certificate),
        };
        let given = certificate.is_some();
        let platform = || self.platform.get_or_init(Authorities::of_platform).clone();
        let trust = Trust::Authorities(trusted.unwrap_or_else(platform));
        let tls = client_config(trust, certificate).map_err(|why| {
            if given {
                config("http.tls", format!("the client certificate can't be used: {why}"))
            } else {
                failed(why)
            }
        })?;
        Ok(Transport::direct(resolver, Some(tls), LONGEST_CONNECT))
    }
}

enum Roots {
    /// Plain HTTP: no roots are loaded.
    None,
    Platform,
    Given {
        authorities: Option<Authorities>,
        certificate: Option<ClientCertificate>,
    },
}

impl Roots {
    fn from_tls(plugin: &str, tls: Tls) -> Result<Self, Failure> {
        let authorities = tls.ca_pem.map(|pem| authorities(plugin, &pem)).transpose()?;
        let certificate = match (tls.certificate_pem, tls.key_pem) {
            (Some(certificate), Some(key)) => {
                let pair = ClientCertificate::from_pem(certificate.as_bytes(), key.as_bytes());
                Some(pair.map_err(|why| {
                    config("http.tls", format!("the client certificate can't be used: {why}"))
                })?)
            }
            (None, None) => None,
            _ => {
                return Err(config(
                    "http.tls",
                    "a client certificate needs its key, and a key its certificate".to_owned(),
                ));
            }
        };
        Ok(Self::Given { authorities, certificate })
    }
}

/// Of what a plug-in was given; never none.
fn authorities(plugin: &str, pem: &str) -> Result<Authorities, Failure> {
    let mut authorities = Authorities::default();
    authorities.add_pem("the CA certificate", pem.as_bytes());
    for broken in authorities.broken() {
        tracing::warn!(plugin, "a certificate of an authority is passed over: {broken}");
    }
    if authorities.is_empty() {
        let why = authorities.broken().first().map_or_else(
            || "the CA file holds no certificate in PEM form".to_owned(),
            |broken| format!("the CA file holds no certificate that can be used: {broken}"),
        );
        return Err(config("http.tls", why));
    }
    Ok(authorities)
}

/// What the remedies of a failed handshake call what a plug-in is given.
const NAMES: Names = Names {
    authorities: "the plug-in's CA certificate",
    server_name: "the URL",
    address: "the URL",
    client_certificate: "the plug-in's client certificate and key",
};

/// Resolves a name and lets only reachable addresses through.
struct Resolver {
    named: Named,
}

#[derive(Debug, Error)]
enum ResolveError {
    #[error("the name can't be resolved: {0}")]
    Failed(io::Error),
    #[error(
        "the name leads only to addresses that the grant doesn't name (loopback, link-local or metadata)"
    )]
    Prohibited,
}

impl Resolve for Resolver {
    fn resolve(&self, host: String) -> Resolving {
        let named = self.named.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await.map_err(ResolveError::Failed)?;
            let permitted: Vec<SocketAddr> =
                found.filter(|address| reachable(address.ip(), &named)).collect();
            if permitted.is_empty() {
                return Err(ResolveError::Prohibited.into());
            }
            Ok(permitted)
        })
    }
}

/// As it is sent: without user and password, and without what follows a "#".
fn uri(url: &Url) -> Option<http::Uri> {
    let mut url = url.clone();
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    url.set_fragment(None);
    url.as_str().parse().ok()
}

fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

fn refused(plugin: &str, url: &Url) -> Failure {
    let need = Need { capability: Capability::Connect, target: origin(url) };
    missing(plugin, &format!("a connection to {}", origin(url)), need)
}

fn prohibited(url: &Url) -> Failure {
    config(
        "grant.missing",
        format!(
            "{} leads to a loopback, link-local or metadata address, which only a grant that names this address permits",
            origin(url)
        ),
    )
}

/// Scheme, host and port, which are never secret; a path or a query may be.
fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn config(code: &str, message: String) -> Failure {
    Failure::new(FailureKind::Config, code, message)
}

/// Redacted before it is cut: half a secret would not be found any more.
fn cut(text: &str) -> String {
    text::line(text).chars().take(80).collect()
}

fn malformed(url: &Url) -> Failure {
    config(
        "http.header",
        format!("the request to {} can't be made: a header or the URL is malformed", origin(url)),
    )
}

fn unavailable(code: &str, message: String) -> Failure {
    Failure::new(FailureKind::Unavailable, code, message)
}

/// Of the causes only the innermost is shown: the others may hold the URL, which may hold secrets.
fn explain(failed: &Failed, url: &Url) -> Failure {
    let origin = origin(url);
    for cause in failed.causes() {
        if let Some(resolving) = cause.downcast_ref::<ResolveError>() {
            return match resolving {
                ResolveError::Failed(_) => {
                    unavailable("http.dns", format!("{origin}: {resolving}"))
                }
                ResolveError::Prohibited => prohibited(url),
            };
        }
        if let Some(of_tls) = tls_error(cause) {
            let trouble = handshake(of_tls, &NAMES);
            let mut message = format!("TLS with {origin} failed: {}", trouble.what);
            if !trouble.remedy.is_empty() {
                message = format!("{message}; {}", trouble.remedy);
            }
            return unavailable("http.tls", message);
        }
    }
    match failed {
        Failed::ConnectTimeout | Failed::Timeout => late(url),
        Failed::Connect(_) => {
            unavailable("http.connect", format!("{origin} can't be reached: {}", innermost(failed)))
        }
        Failed::Body(_) | Failed::Broken(_) => broken(url, &innermost(failed)),
    }
}

fn unreadable(unread: &Unread, url: &Url) -> Failure {
    match unread {
        Unread::TooLarge => unavailable(
            "http.too-large",
            format!("the answer of {} is larger than 1 MiB", origin(url)),
        ),
        Unread::Interrupted(Interrupted::Timeout) => late(url),
        Unread::Interrupted(Interrupted::Broken(_)) => broken(url, &innermost(unread)),
    }
}

fn late(url: &Url) -> Failure {
    unavailable("http.timeout", format!("{} didn't answer in time", origin(url)))
}

fn broken(url: &Url, why: &str) -> Failure {
    unavailable("http.connect", format!("the exchange with {} broke off: {why}", origin(url)))
}

/// Sent as `User-Agent` where a plug-in sends none.
const OWN_NAME: &str = concat!("Usher/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests;
