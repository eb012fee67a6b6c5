//! Requests on their way whose end the cache wants to know.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{HeaderValue, SET_COOKIE};
use http::{Response, StatusCode};
use usher_connector::Body;

use super::{CacheDriver, X_CACHE, is_in_trouble};
use crate::cache::{Answer, Facts, FlightId, Nature, Outcome, Writing, facts, may_have_facts};
use crate::mount::MountQuestion;
use crate::read_ahead::ReadAhead;

/// A request on its way whose answer the cache waits for. Dropped, it is given up.
pub(crate) struct Flight {
    driver: Arc<CacheDriver>,
    /// `None`: it has ended.
    id: Option<FlightId>,
}

impl Flight {
    pub(super) fn new(driver: Arc<CacheDriver>, id: FlightId) -> Self {
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
    pub(super) fn new(driver: Arc<CacheDriver>, writing: Writing) -> Self {
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
