//! The cache at work: its lock, those who wait for each other, and what keeps its leases alive.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{AGE, CONTENT_LENGTH, HeaderName, HeaderValue, SET_COOKIE, WARNING};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Response, StatusCode};
use rand::Rng as _;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinSet;
use usher_connector::{Body, Connector};
use usher_secret::Secret;
use zeroize::Zeroizing;

use crate::cache::{
    Action, AgentToken, Answer, Ask, Cache, Counts, Denial, Disorder, Event, Facts, FlightId, Head,
    Hit, Keyring, Nature, Outcome, Reply, Settings, StaticSettings, Uses, Woken, Writing, facts,
    may_have_facts, order,
};
use crate::feed::{Feed, Given};
use crate::mount::MountQuestion;
use crate::path::is_login;
use crate::read_ahead::ReadAhead;
use crate::renewing;

/// A cache that others use, too.
pub(crate) struct CacheDriver {
    connector: Arc<Connector>,
    feed: Option<Feed>,
    keyring: Arc<Keyring>,
    keeps_static_secrets: bool,
    /// One mount is asked for at a time.
    asking: tokio::sync::Mutex<()>,
    inner: Mutex<Inner>,
    /// Something may be to do.
    changed: Notify,
}

struct Inner {
    cache: Cache,
    waiting: HashMap<FlightId, Vec<oneshot::Sender<Woken>>>,
    /// The agent's token, as the cache knows it.
    agent: Option<Arc<Given>>,
    /// It was said that the server can't be reached, since it last was.
    said_stale: bool,
}

/// How a cache does, since it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheReport {
    /// How many answers are kept.
    pub entries: usize,
    /// What they take, in bytes.
    pub bytes: usize,
    /// How old the oldest is; `None`: there is none.
    pub oldest: Option<Duration>,
    /// What it has done.
    pub counts: Counts,
}

/// What becomes of a request that is looked up.
pub(crate) enum Lookup {
    /// That is its answer. With a flight, the request is made besides, ahead of its end.
    Kept(Box<Response<Body>>, Option<Flight>),
    /// It goes on; with a flight, its answer is shown to the cache as well.
    GoesOn(Option<Flight>),
}

impl CacheDriver {
    /// `static_secrets`: `None` if none are kept.
    pub(crate) fn new(
        connector: Arc<Connector>,
        feed: Option<Feed>,
        static_secrets: Option<StaticSettings>,
    ) -> Arc<Self> {
        let mut random = [0; 64];
        rand::rng().fill(&mut random[..]);
        let keyring = Arc::new(Keyring::new(Secret::new(random)));
        let settings = Settings { static_secrets, ..Settings::default() };
        let cache = Cache::new(settings, Arc::clone(&keyring), rand::random());
        let inner = Inner { cache, waiting: HashMap::new(), agent: None, said_stale: false };
        Arc::new(Self {
            connector,
            feed,
            keyring,
            keeps_static_secrets: static_secrets.is_some(),
            asking: tokio::sync::Mutex::default(),
            inner: Mutex::new(inner),
            changed: Notify::new(),
        })
    }

    /// A request as the cache sees it. `body`: `None` if it isn't here as a whole.
    pub(crate) fn ask(
        &self,
        method: &Method,
        path: &PathAndQuery,
        headers: &HeaderMap,
        given: Option<&Given>,
        body: Option<&[u8]>,
    ) -> Ask {
        let given = given.map(|given| given.session().token());
        let head = Head { method, path, headers, given };
        let mut ask = Ask::new(&self.keyring, head, body);
        if self.keeps_static_secrets {
            ask = ask.among_secrets(&self.keyring, head, body);
        }
        // A login that is given again is worth no more than what it was made with.
        match body.filter(|_| is_login(path.path())).and_then(end_of_jwt) {
            Some(end) => ask.ending_by(end),
            None => ask,
        }
    }

    /// Looks a request up. One like it that is on its way is waited for.
    pub(crate) async fn look_up(self: &Arc<Self>, ask: &Ask) -> Lookup {
        let mut woken = Woken::Again;
        loop {
            let waiting = {
                let mut inner = self.lock();
                let now = Instant::now();
                self.take_token(&mut inner, now);
                let reply = match woken {
                    Woken::Again => inner.cache.request(now, ask),
                    Woken::Apart => inner.cache.apart(now, ask),
                };
                match reply {
                    Reply::Hit(hit) => {
                        let ahead = inner.cache.refresh(now, ask);
                        let ahead = ahead.map(|id| Flight::new(Arc::clone(self), id));
                        let kept = Box::new(answer(&hit, Freshness::Fresh));
                        return Lookup::Kept(kept, ahead);
                    }
                    Reply::Miss(id) => {
                        return Lookup::GoesOn(Some(Flight::new(Arc::clone(self), id)));
                    }
                    Reply::Pass => return Lookup::GoesOn(None),
                    Reply::Join(flight) => {
                        let (wake, waiting) = oneshot::channel();
                        inner.waiting.entry(flight).or_default().push(wake);
                        waiting
                    }
                }
            };
            woken = waiting.await.unwrap_or(Woken::Apart);
        }
    }

    /// The server has answered a request, or may have done what it asks; `None`: there is no answer.
    pub(crate) fn answered(&self, ask: &Ask, status: Option<StatusCode>, invalid_token: bool) {
        let now = Instant::now();
        let denied = ask.asker().filter(|_| status == Some(StatusCode::FORBIDDEN));
        let done = status.is_none_or(|status| status.is_success());
        let revocation = ask.revocation().filter(|_| done);
        let reached = status.is_some_and(|status| !is_in_trouble(status));
        if denied.is_none() && revocation.is_none() && !(reached && self.keeps_static_secrets) {
            return;
        }
        let mut inner = self.lock();
        if reached {
            inner.cache.reached(now);
            inner.said_stale = false;
        }
        if let Some(asker) = denied {
            inner.cache.refused(now, ask);
            let denial = if invalid_token { Denial::InvalidToken } else { Denial::Unsaid };
            inner.cache.denied(now, asker, denial);
        }
        if let Some(revocation) = revocation {
            inner.cache.revoked(now, revocation);
        }
        drop(inner);
        self.changed.notify_one();
    }

    /// A request that may change static secrets is on its way. Until the answer is there, or nobody
    /// waits for it any more: drop it then.
    pub(crate) fn writing(self: &Arc<Self>, ask: &Ask) -> Option<Write> {
        Some(Write::new(Arc::clone(self), ask.writing()?.clone()))
    }

    /// Whether there is an answer to this even if the server can't be reached.
    pub(crate) fn has_stale(&self, ask: &Ask) -> bool {
        self.keeps_static_secrets && self.lock().cache.has_stale(Instant::now(), ask)
    }

    /// The answer while the server can't be reached.
    pub(crate) fn stale(&self, ask: &Ask) -> Option<Response<Body>> {
        if !self.keeps_static_secrets {
            return None;
        }
        let mut inner = self.lock();
        let hit = inner.cache.stale(Instant::now(), ask)?;
        if !std::mem::replace(&mut inner.said_stale, true) {
            tracing::warn!(
                age = hit.age.as_secs(),
                "the server can't be reached; static secrets are given that may be out of date"
            );
        }
        Some(answer(&hit, Freshness::Stale))
    }

    /// Forgets what an order of the incumbents' `cache-clear` names.
    pub(crate) fn clear(&self, body: &[u8]) -> Result<(), Disorder> {
        let selection = order(&self.keyring, body)?;
        self.lock().cache.clear(Instant::now(), &selection);
        self.changed.notify_one();
        Ok(())
    }

    /// What there is to say of the cache.
    pub(crate) fn report(&self) -> CacheReport {
        let inner = self.lock();
        CacheReport {
            entries: inner.cache.len(),
            bytes: inner.cache.weight(),
            oldest: inner.cache.oldest_age(Instant::now()),
            counts: *inner.cache.counts(),
        }
    }

    /// Keeps what the cache holds alive, until `open` is false.
    pub(crate) async fn run(self: Arc<Self>, mut open: watch::Receiver<bool>) {
        let mut renewals = JoinSet::new();
        let mut given = self.feed.as_ref().map(Feed::given);
        let mut recoveries = self.connector.governor().recoveries();
        loop {
            let timeout = {
                let mut inner = self.lock();
                let now = Instant::now();
                self.take_token(&mut inner, now);
                while let Some(action) = inner.cache.poll_action(now) {
                    match action {
                        Action::Wake { flight, how } => {
                            for waiting in inner.waiting.remove(&flight).unwrap_or_default() {
                                // Who left needs no waking.
                                let _ = waiting.send(how);
                            }
                        }
                        Action::Renew(renewal) => {
                            let agent = inner.agent.clone();
                            let connector = Arc::clone(&self.connector);
                            renewals.spawn(async move {
                                renewing::renew(&connector, agent.as_deref(), renewal).await
                            });
                        }
                    }
                }
                inner.cache.next_timeout()
            };
            let event = tokio::select! {
                () = self.changed.notified() => None,
                () = until(timeout) => None,
                () = given_changes(&mut given) => None,
                Some(renewed) = renewals.join_next(), if !renewals.is_empty() => renewed.ok(),
                Ok(()) = recoveries.changed() => Some(Event::ServerReached),
                _ = open.wait_for(|open| !open) => return,
            };
            if let Some(event) = event {
                self.lock().cache.handle(Instant::now(), event);
            }
        }
    }

    /// Tells the cache whose the agent's token is now.
    fn take_token(&self, inner: &mut Inner, now: Instant) {
        let current = self.feed.as_ref().and_then(|feed| feed.current(&self.connector));
        let same = match (&inner.agent, &current) {
            (Some(known), Some(current)) => Arc::ptr_eq(known, current),
            (None, None) => true,
            _ => false,
        };
        if !same {
            let token = current.as_ref().map(|given| AgentToken {
                generation: given.generation(),
                token: self.keyring.token(given.session().token().expose().as_bytes()),
                accessor: None,
                uses: if given.is_use_limited() { Uses::Limited } else { Uses::Unlimited },
            });
            inner.cache.token_replaced(now, token);
            inner.agent = current;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an answer may be out of date.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Freshness {
    Fresh,
    Stale,
}

/// Whether a status says only that the server is in trouble, or asks for patience.
pub(crate) fn is_in_trouble(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// A request on its way whose answer the cache waits for. Dropped, it is given up.
pub(crate) struct Flight {
    driver: Arc<CacheDriver>,
    /// `None`: it has ended.
    id: Option<FlightId>,
}

impl Flight {
    fn new(driver: Arc<CacheDriver>, id: FlightId) -> Self {
        Self { driver, id: Some(id) }
    }

    /// Shows the answer to the cache, and gives it back. A large one goes on unread. `question` asks
    /// where a static secret lies, if that isn't known.
    pub(crate) async fn land(
        self,
        response: Response<Body>,
        question: impl FnOnce() -> Option<MountQuestion>,
    ) -> Response<Body> {
        use http_body::Body as _;
        let (mut head, mut body) = response.into_parts();
        if head.status.is_success() {
            head.headers.insert(X_CACHE, HeaderValue::from_static("MISS"));
        }
        let announced = body.size_hint().lower() > LARGEST as u64;
        if !head.status.is_success() || !may_have_facts(&head.headers) || announced {
            self.end(outcome_of(head.status));
            return Response::from_parts(head, body);
        }
        match ReadAhead::read(&mut body, LARGEST).await {
            Ok(ReadAhead::Whole(whole)) => {
                let mut kept = head.headers.clone();
                kept.remove(X_CACHE);
                match facts(head.status, &kept, &whole) {
                    Some(Facts::Data) => {
                        // What a server or what stands before it says to one client alone.
                        kept.remove(SET_COOKIE);
                        self.settle(|| Answer::new(head.status, &kept, &whole), question);
                    }
                    Some(facts) => {
                        let answer = Answer::new(head.status, &kept, &whole);
                        self.end(Outcome::Granted(facts, answer));
                    }
                    None => self.end(Outcome::Nothing),
                }
                Response::from_parts(head, Body::from(Bytes::from_owner(whole)))
            }
            Ok(ReadAhead::Beginning(first)) => {
                self.end(Outcome::Nothing);
                Response::from_parts(head, ReadAhead::before(first, body))
            }
            Err(broken) => {
                self.end(Outcome::Unreachable);
                Response::from_parts(head, ReadAhead::broken(broken))
            }
        }
    }

    /// Keeps data without a lease if it is a static secret, which may have to be found out first. Who
    /// asked for it doesn't wait for that.
    fn settle(
        self,
        answer: impl FnOnce() -> Answer,
        question: impl FnOnce() -> Option<MountQuestion>,
    ) {
        match self.nature() {
            Some(Nature::Kv(_)) => self.read(answer()),
            Some(Nature::Other) => self.end(Outcome::Nothing),
            None => {
                let answer = answer();
                let Some(question) = question() else { return self.end(Outcome::Nothing) };
                tokio::spawn(async move {
                    let driver = Arc::clone(&self.driver);
                    let asking = driver.asking.lock().await;
                    if self.nature().is_none()
                        && let Some(id) = self.id
                    {
                        let found = question.ask(&driver.connector).await;
                        driver.lock().cache.mount_found(Instant::now(), id, found);
                    }
                    drop(asking);
                    self.read(answer);
                });
            }
        }
    }

    fn nature(&self) -> Option<Nature> {
        match self.id {
            Some(id) => self.driver.lock().cache.nature(Instant::now(), id),
            None => Some(Nature::Other),
        }
    }

    fn read(mut self, answer: Answer) {
        if let Some(id) = self.id.take() {
            let _ = self.driver.lock().cache.read(Instant::now(), id, answer);
            self.driver.changed.notify_one();
        }
    }

    /// There is no answer.
    pub(crate) fn failed(self) {
        self.end(Outcome::Unreachable);
    }

    fn end(mut self, outcome: Outcome) {
        if let Some(id) = self.id.take() {
            // Why one isn't kept is in the counts.
            let _ = self.driver.lock().cache.answered(Instant::now(), id, outcome);
            self.driver.changed.notify_one();
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.driver.lock().cache.gave_up(id);
            self.driver.changed.notify_one();
        }
    }
}

/// A request on its way that may change static secrets.
pub(crate) struct Write {
    driver: Arc<CacheDriver>,
    writing: Writing,
}

impl Write {
    fn new(driver: Arc<CacheDriver>, writing: Writing) -> Self {
        Self { driver, writing }
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        self.driver.lock().cache.written(Instant::now(), &self.writing);
        self.driver.changed.notify_one();
    }
}

/// Of an answer that isn't looked into.
fn outcome_of(status: StatusCode) -> Outcome {
    match status {
        status if status.is_success() => Outcome::Nothing,
        StatusCode::NOT_FOUND => Outcome::Missing,
        status if is_in_trouble(status) => Outcome::Unreachable,
        _ => Outcome::Failure,
    }
}

/// Of an answer that is kept, in bytes.
const LARGEST: usize = 1 << 20;

fn answer(hit: &Hit, freshness: Freshness) -> Response<Body> {
    let body = hit.answer.body();
    let mut headers = hit.answer.headers();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(AGE, HeaderValue::from(hit.age.as_secs()));
    let said = match freshness {
        Freshness::Fresh => "HIT",
        Freshness::Stale => {
            // RFC 7234, §5.5.1; RFC 9111 has no other mark.
            let warning = HeaderValue::from_static("110 usher \"Response is Stale\"");
            headers.insert(WARNING, warning);
            "STALE"
        }
    };
    headers.insert(X_CACHE, HeaderValue::from_static(said));
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = hit.answer.status();
    *response.headers_mut() = headers;
    response
}

/// When the JWT ends that a login shows (RFC 7519, §4.1.4).
fn end_of_jwt(body: &[u8]) -> Option<Instant> {
    #[derive(serde::Deserialize)]
    struct Login<'a> {
        #[serde(borrow)]
        jwt: &'a str,
    }
    #[derive(serde::Deserialize)]
    struct Claims {
        exp: f64,
    }
    let Login { jwt } = serde_json::from_slice(body).ok()?;
    let claims = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1)?).map(Zeroizing::new).ok()?;
    let Claims { exp } = serde_json::from_slice(&claims).ok()?;
    let end = SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(exp).ok()?)?;
    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
    Instant::now().checked_add(left)
}

async fn until(timeout: Option<Instant>) {
    match timeout {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

async fn given_changes(given: &mut Option<watch::Receiver<Option<Arc<Given>>>>) {
    let changed = match given {
        Some(given) => given.changed().await.is_ok(),
        None => false,
    };
    if !changed {
        std::future::pending::<()>().await;
    }
}

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jwt_says_when_it_ends() {
        let login = |claims: &str| {
            let jwt = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
            serde_json::json!({ "role": "app", "jwt": jwt }).to_string()
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let left = |claims: &str| {
            let end = end_of_jwt(login(claims).as_bytes())?;
            Some(end.saturating_duration_since(Instant::now()).as_secs())
        };
        let hour = left(&format!(r#"{{"exp":{}}}"#, now + 3600)).unwrap();
        assert!((3590..=3600).contains(&hour), "{hour}");
        assert_eq!(left(r#"{"exp":1}"#), Some(0), "it has ended");
        for claims in ["{}", r#"{"exp":"soon"}"#, r#"{"exp":-1}"#, r#"{"exp":1e300}"#, "["] {
            assert_eq!(left(claims), None, "{claims}");
        }
        assert!(end_of_jwt(br#"{"role_id":"a"}"#).is_none());
    }
}
