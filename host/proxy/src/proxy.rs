//! One request: whose it is, on to the server, and the answer back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri, request};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use tokio::sync::{Semaphore, watch};
use usher_address::Namespace;
use usher_connector::{Body, Connector, Lane, TlsIdentity, Trouble};
use usher_server::Client;

use crate::admission::{Bearer, TokenUse, admit, strip};
use crate::answer::{put_off, refuse, unanswered};
use crate::cache::{Ask, StaticSettings, own_token};
use crate::cache_driver::{CacheDriver, CacheReport, Flight, Lookup, is_in_trouble};
use crate::feed::{Feed, Given, Outcome};
use crate::headers::{
    NAMESPACE, NamespaceRule, TOKEN, WRAP_TTL, drop_connections, rewrite, upgrade,
};
use crate::mount::MountQuestion;
use crate::path::{asks_for_a_status, may_show_token, needs_no_token};
use crate::redaction::redact;
use crate::renewing;
use crate::retry::{Attempts, reads};
use crate::tunnel;

/// How requests go on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// When they get the agent's token.
    pub token_use: TokenUse,
    /// For those that name no namespace.
    pub namespace: Namespace,
    /// It stands before the one that they name, too.
    pub prepend_namespace: bool,
    /// How often one that reads is made again where that can help.
    pub retries: u32,
    /// From the first attempt to the last.
    pub patience: Duration,
    /// What the server grants is kept for the next one who asks.
    pub cache: bool,
    /// With a cache: static secrets are kept, too, and for how long.
    pub static_secrets: Option<StaticSettings>,
}

/// Sends the requests of others to the server. Clones are cheap.
#[derive(Clone)]
pub struct Proxy(Arc<Inner>);

struct Inner {
    connector: Arc<Connector>,
    /// For whoever brings a token of his own.
    plain: TlsIdentity,
    settings: Settings,
    namespace: NamespaceRule,
    feed: Option<Feed>,
    cache: Option<Arc<CacheDriver>>,
    /// What is read though nobody waits for it, all at a time.
    reading_ahead: Semaphore,
    /// False ends what goes on after its answer.
    open: watch::Sender<bool>,
}

impl Proxy {
    /// Without `feed` there is no token of the agent's.
    pub fn new(client: &Client, settings: Settings, feed: Option<Feed>) -> Self {
        let namespace = NamespaceRule {
            default: settings.namespace.clone(),
            prepend: settings.prepend_namespace,
        };
        let connector = Arc::clone(client.connector());
        let keep =
            || CacheDriver::new(Arc::clone(&connector), feed.clone(), settings.static_secrets);
        let cache = settings.cache.then(keep);
        Self(Arc::new(Inner {
            connector,
            plain: TlsIdentity::default(),
            settings,
            namespace,
            feed,
            cache,
            reading_ahead: Semaphore::new(READING_AHEAD),
            open: watch::Sender::new(true),
        }))
    }

    /// Renews what the cache holds, until the proxy is closed or dropped. Without a cache there is
    /// nothing to do.
    pub fn keep(&self) -> impl Future<Output = ()> + Send + use<> {
        let cache = self.0.cache.clone();
        let open = self.0.open.subscribe();
        async move {
            if let Some(cache) = cache {
                cache.run(open).await;
            }
        }
    }

    /// How the cache does; `None`: there is none.
    pub fn cache_report(&self) -> Option<CacheReport> {
        self.0.cache.as_ref().map(|cache| cache.report())
    }

    /// Takes out of the cache what this order names, in the incumbents' form (`cache-clear`):
    /// `{"type": …, "value": …, "namespace": …}`. Without a cache it is always done.
    ///
    /// # Errors
    /// What is wrong with the order.
    pub fn clear(&self, order: &[u8]) -> Result<(), String> {
        match &self.0.cache {
            Some(cache) => cache.clear(order).map_err(|disorder| disorder.to_string()),
            None => Ok(()),
        }
    }

    /// Ends the connections whose protocol was changed, which know no end of their own.
    pub fn close(&self) {
        self.0.open.send_replace(false);
    }

    /// Answers one request. Whatever goes wrong, there is an answer.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        match self.0.forward(request).await {
            Ok(response) | Err(Refusal(response)) => response,
        }
    }
}

/// An answer of the agent's own, which ends a request.
struct Refusal(Response<Body>);

impl Inner {
    async fn forward(
        self: &Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Refusal> {
        let (mut head, body) = request.into_parts();
        let bearer = admit(&head.headers, self.settings.token_use);
        let mut given = match bearer {
            Bearer::Caller => None,
            Bearer::Agent => self.token(&head).await?,
        };
        if bearer == Bearer::Agent {
            strip(&mut head.headers);
        }
        let protocol = upgrade(&head.headers);
        let changing = head.extensions.remove::<OnUpgrade>().filter(|_| protocol.is_some());
        drop_connections(&mut head.headers, protocol.as_ref());
        rewrite(&mut head.headers, &self.namespace);
        let shows_token = given.is_some() && may_show_token(head.uri.path());
        if shows_token {
            if head.headers.contains_key(WRAP_TTL) {
                let why = "an answer about the agent's own token is not to be had wrapped, since unwrapping it would show the token: leave X-Vault-Wrap-TTL out";
                return Err(Refusal(refuse(StatusCode::FORBIDDEN, why)));
            }
            // It is looked into.
            head.headers.remove(ACCEPT_ENCODING);
        }
        let mut outgoing = Outgoing::new(head, body).await?;
        let lookup = self.look_up(&outgoing, given.as_deref()).await;
        let (ask, flight) = match lookup {
            Some((ask, Lookup::Kept(response, ahead))) => {
                if let Some(flight) = ahead {
                    tokio::spawn(Arc::clone(self).read_ahead(outgoing, given, ask, flight));
                }
                return Ok(*response);
            }
            Some((ask, Lookup::GoesOn(flight))) => (Some(ask), flight),
            None => (None, None),
        };
        if flight.is_some() {
            // It is looked into, too.
            outgoing.headers.remove(ACCEPT_ENCODING);
        }
        let writing = ask.as_ref().and_then(|ask| self.cache.as_ref()?.writing(ask));
        let response = loop {
            let sent = Instant::now();
            let response = self.send(&mut outgoing, given.as_deref(), ask.as_ref()).await;
            let response = match response {
                Ok(response) if !is_in_trouble(response.status()) => response,
                answer => {
                    let status = answer.as_ref().ok().map(Response::status);
                    self.tell(ask.as_ref(), status, false);
                    let stale = ask.as_ref().and_then(|ask| self.cache.as_ref()?.stale(ask));
                    if let Some(flight) = flight {
                        flight.failed();
                    }
                    let answer = stale.map_or(answer, Ok)?;
                    return Ok(self.relay(answer, changing));
                }
            };
            let refused = response.status() == StatusCode::FORBIDDEN;
            let feed = self.feed.as_ref().filter(|_| refused).zip(given.as_ref());
            let (response, invalid_token) = match &ask {
                _ if feed.is_some() => says_invalid_token(response).await,
                Some(ask) if refused && ask.asker().is_some() => says_invalid_token(response).await,
                _ => (response, false),
            };
            self.tell(ask.as_ref(), Some(response.status()), invalid_token);
            let Some((feed, token)) = feed else { break response };
            feed.doubt(token, invalid_token);
            if !outgoing.may_be_made_again() {
                break response;
            }
            match feed.outcome(token, sent, LONGEST_LOGIN).await {
                Outcome::Replaced(next) => given = Some(next),
                Outcome::Stands => break response,
            }
            outgoing.was_made_again = true;
        };
        let response = match flight {
            Some(flight) => {
                flight.land(response, || mount_question(&outgoing, given.as_ref())).await
            }
            None => response,
        };
        let response = match &given {
            Some(given) if shows_token => without_token(response, given).await,
            _ => response,
        };
        // Whoever gets the answer finds nothing older.
        drop(writing);
        Ok(self.relay(response, changing))
    }

    /// Makes a request whose answer nobody waits for, so that the cache has it.
    async fn read_ahead(
        self: Arc<Self>,
        mut outgoing: Outgoing,
        given: Option<Arc<Given>>,
        ask: Ask,
        flight: Flight,
    ) {
        let Some(_permit) = self.reading_ahead.try_acquire().ok() else { return };
        outgoing.headers.remove(ACCEPT_ENCODING);
        let response = match self.send(&mut outgoing, given.as_deref(), Some(&ask)).await {
            Ok(response) if !is_in_trouble(response.status()) => response,
            answer => {
                self.tell(Some(&ask), answer.as_ref().ok().map(Response::status), false);
                return flight.failed();
            }
        };
        let refused = response.status() == StatusCode::FORBIDDEN;
        let (response, invalid_token) =
            if refused { says_invalid_token(response).await } else { (response, false) };
        self.tell(Some(&ask), Some(response.status()), invalid_token);
        if let (true, Some(feed), Some(given)) = (refused, &self.feed, &given) {
            feed.doubt(given, invalid_token);
        }
        flight.land(response, || mount_question(&outgoing, given.as_ref())).await;
    }

    /// Looks a request up in the cache, if there is one.
    async fn look_up(&self, outgoing: &Outgoing, given: Option<&Given>) -> Option<(Ask, Lookup)> {
        let (cache, path) = (self.cache.as_ref()?, outgoing.path.as_ref()?);
        let body = match &outgoing.body {
            Source::Whole(body) => Some(&body[..]),
            Source::Stream(_) => None,
        };
        let ask = cache.ask(&outgoing.method, path, &outgoing.headers, given, body);
        let lookup = cache.look_up(&ask).await;
        Some((ask, lookup))
    }

    /// Tells the cache what the server said, or that it said nothing.
    fn tell(&self, ask: Option<&Ask>, status: Option<StatusCode>, invalid_token: bool) {
        if let (Some(cache), Some(ask)) = (&self.cache, ask) {
            cache.answered(ask, status, invalid_token);
        }
    }

    /// The agent's token, waited for if the first login is still to come.
    async fn token(&self, head: &request::Parts) -> Result<Option<Arc<Given>>, Refusal> {
        let Some(feed) = &self.feed else { return Ok(None) };
        if let Some(given) = feed.current(&self.connector) {
            return Ok(Some(given));
        }
        if needs_no_token(&head.method, head.uri.path()) {
            return Ok(None);
        }
        match feed.first(&self.connector, LONGEST_FIRST_LOGIN).await {
            Some(given) => Ok(Some(given)),
            None => Err(Refusal(put_off(
                "the agent has no token yet; its log and `usher status` say why",
                1,
            ))),
        }
    }

    /// Sends it, again where that can help, until there is an answer that counts. One that is kept
    /// for such a case is given at once.
    async fn send(
        &self,
        outgoing: &mut Outgoing,
        given: Option<&Given>,
        ask: Option<&Ask>,
    ) -> Result<Response<Body>, Refusal> {
        let Settings { retries, patience, .. } = self.settings;
        let kept = self.cache.as_ref().zip(ask).is_some_and(|(cache, ask)| cache.has_stale(ask));
        let retries = if kept { 0 } else { retries };
        let mut attempts = Attempts::new(&outgoing.method, retries, patience);
        let identity = given.map_or(&self.plain, |given| given.session().tls());
        loop {
            let Some(request) = outgoing.request(given) else {
                let why = "what is asked for is no path, and can't be sent on: write one such as /v1/secret/data/app";
                return Err(Refusal(refuse(StatusCode::BAD_REQUEST, why)));
            };
            let sent = self.connector.send(Lane::Proxied, identity, request).await;
            let wait = match &sent {
                Ok(_) if outgoing.asks_for_a_status() => None,
                Ok(response) => attempts.after_answer(response.status(), response.headers()),
                Err(trouble) => attempts.after_trouble(trouble),
            };
            match wait.filter(|_| outgoing.is_repeatable()) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return sent.map_err(|trouble| refused(&trouble)),
            }
        }
    }

    /// The server's answer, for the connection that the request came from.
    fn relay(&self, mut response: Response<Body>, changing: Option<OnUpgrade>) -> Response<Body> {
        let protocol = upgrade(response.headers());
        let changed = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let server = response.extensions_mut().remove::<OnUpgrade>();
        drop_connections(response.headers_mut(), protocol.as_ref().filter(|_| changed));
        if !changed {
            return response;
        }
        match (changing, server) {
            (Some(client), Some(server)) => {
                tunnel::join(client, server, self.open.subscribe());
                response.map(|_| Body::default())
            }
            _ => refuse(StatusCode::BAD_GATEWAY, "the server changes the protocol unasked"),
        }
    }
}

fn refused(trouble: &Trouble) -> Refusal {
    tracing::debug!("no answer to a proxied request: {trouble}");
    Refusal(unanswered(trouble))
}

/// A request on its way to the server.
struct Outgoing {
    method: Method,
    path: Option<PathAndQuery>,
    headers: HeaderMap,
    body: Source,
    /// Once more, with another token.
    was_made_again: bool,
}

/// Where a request's body comes from.
enum Source {
    /// It is here.
    Whole(Bytes),
    /// It comes while it is sent. `None`: it is gone.
    Stream(Option<Incoming>),
}

impl Outgoing {
    /// Reads a small body, so that the request can be made more than once.
    async fn new(head: request::Parts, body: Incoming) -> Result<Self, Refusal> {
        let request::Parts { method, uri, headers, .. } = head;
        let body = if body.is_end_stream() {
            Source::Whole(Bytes::new())
        } else if body.size_hint().upper().is_some_and(|most| most <= SMALL) {
            Source::Whole(small(body).await?)
        } else {
            Source::Stream(Some(body))
        };
        let path = uri.path_and_query().filter(|path| path.as_str().starts_with('/')).cloned();
        Ok(Self { method, path, headers, body, was_made_again: false })
    }

    fn is_repeatable(&self) -> bool {
        matches!(self.body, Source::Whole(_))
    }

    fn asks_for_a_status(&self) -> bool {
        self.path.as_ref().is_some_and(|path| asks_for_a_status(path.path()))
    }

    fn may_be_made_again(&self) -> bool {
        reads(&self.method) && self.is_repeatable() && !self.was_made_again
    }

    /// `None`: it can't be made.
    fn request(&mut self, given: Option<&Given>) -> Option<Request<Body>> {
        let body = match &mut self.body {
            Source::Whole(bytes) if bytes.is_empty() => Body::default(),
            Source::Whole(bytes) => Body::from(bytes.clone()),
            Source::Stream(stream) => Body::stream(stream.take()?),
        };
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = Uri::from(self.path.clone()?);
        request.headers_mut().clone_from(&self.headers);
        if let Some(given) = given {
            request.headers_mut().insert(TOKEN, given.header().clone());
        }
        Some(request)
    }
}

/// Asks where what was read lies, with the token that has read it.
fn mount_question(outgoing: &Outgoing, given: Option<&Arc<Given>>) -> Option<MountQuestion> {
    let own = || HeaderValue::from_bytes(own_token(&outgoing.headers)?).ok();
    let mut token = given.map(|given| given.header().clone()).or_else(own)?;
    token.set_sensitive(true);
    Some(MountQuestion {
        uri: MountQuestion::uri(outgoing.path.as_ref()?.path())?,
        token,
        given: given.cloned(),
        namespace: outgoing.headers.get(NAMESPACE).cloned(),
    })
}

async fn small(body: Incoming) -> Result<Bytes, Refusal> {
    let read = Body::stream(body).read(usize::try_from(SMALL).unwrap_or(usize::MAX));
    match tokio::time::timeout(LONGEST_SMALL, read).await {
        Ok(Ok(read)) => Ok(Bytes::from_owner(read)),
        Ok(Err(unread)) => {
            let why = format!("the request's body can't be read: {unread}");
            Err(Refusal(refuse(StatusCode::BAD_REQUEST, &why)))
        }
        Err(_) => {
            let why = "the request's body didn't come in time";
            Err(Refusal(refuse(StatusCode::REQUEST_TIMEOUT, why)))
        }
    }
}

/// Whether a refusal says that the token is no good, as the servers do since they tell that from a
/// policy that is missing.
async fn says_invalid_token(response: Response<Body>) -> (Response<Body>, bool) {
    let (head, body) = response.into_parts();
    if body.size_hint().upper().is_none_or(|most| most > SMALL) {
        return (Response::from_parts(head, body), false);
    }
    match body.read(usize::try_from(SMALL).unwrap_or(usize::MAX)).await {
        Ok(read) => {
            let says = renewing::says_invalid_token(&read);
            (Response::from_parts(head, Body::from(Bytes::from_owner(read))), says)
        }
        Err(unread) => {
            let why = format!("the server's answer can't be read: {unread}");
            (refuse(StatusCode::BAD_GATEWAY, &why), false)
        }
    }
}

/// An answer in which the agent's token may stand, without it.
async fn without_token(response: Response<Body>, given: &Given) -> Response<Body> {
    if response.status() != StatusCode::OK {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let read = match body.read(LARGEST_WITH_TOKEN).await {
        Ok(read) => read,
        Err(unread) => {
            let why = format!("the server's answer can't be read: {unread}");
            return refuse(StatusCode::BAD_GATEWAY, &why);
        }
    };
    let read = redact(&read, given.session().token()).unwrap_or(read);
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(read.len()));
    Response::from_parts(head, Body::from(Bytes::from_owner(read)))
}

/// Of a body that is kept until there is an answer, in bytes.
const SMALL: u64 = 64 << 10;
/// As long as the incumbents wait for a whole request.
const LONGEST_SMALL: Duration = Duration::from_secs(30);
const LARGEST_WITH_TOKEN: usize = 1 << 20;
/// How long a request waits for the first login.
const LONGEST_FIRST_LOGIN: Duration = Duration::from_secs(5);
/// How long one that was refused waits for the next.
const LONGEST_LOGIN: Duration = Duration::from_secs(10);
/// How much is read at a time that nobody waits for.
const READING_AHEAD: usize = 8;
