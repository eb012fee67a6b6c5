//! What becomes of the requests that a listener gets, counted as they pass.
//!
//! A request costs a few additions and two looks at the clock, no lock and no memory. Only what goes
//! wrong is written down besides, for `usher status`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hyper::{Response, StatusCode};
use usher_proxy::{CacheReport, Proxy, Refused};

/// The counts of one listener, from the moment it was bound.
#[derive(Default)]
pub(crate) struct Traffic {
    /// By [`Outcome::index`].
    requests: [AtomicU64; OUTCOMES.len()],
    /// In each bucket those that fit in none before it; in the last one all others.
    durations: [AtomicU64; BUCKETS.len() + 1],
    /// The sum of all durations, in nanoseconds.
    spent: AtomicU64,
    last_error: Mutex<Option<Mishap>>,
    /// What requests go through now.
    proxy: Mutex<Option<Proxy>>,
}

/// What last went wrong.
#[derive(Clone, Debug)]
pub(crate) struct Mishap {
    /// For people, without live secrets.
    pub(crate) message: String,
    /// What the caller was answered, if anything.
    pub(crate) status: Option<StatusCode>,
    pub(crate) at: SystemTime,
}

/// How long requests took that went on to the server, to the head of their answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Durations {
    /// How many took no longer than this, each time.
    pub(crate) within: [(Duration, u64); BUCKETS.len()],
    /// All of them.
    pub(crate) count: u64,
    pub(crate) sum: Duration,
}

/// The names of what may become of a request.
pub(crate) const OUTCOMES: [&str; 7] = ["1xx", "2xx", "3xx", "4xx", "5xx", "refused", "gone"];

/// The outcomes that nobody wants.
pub(crate) const ERRORS: [&str; 3] = ["5xx", "refused", "gone"];

/// What became of a request.
#[derive(Clone, Copy)]
enum Outcome {
    /// The server's answer.
    Answered(StatusCode),
    /// The agent's own answer is no.
    Refused,
    /// Its caller left before there was an answer.
    Gone,
}

/// A request that went on to the server. If it is dropped without an answer, its caller has gone.
pub(crate) struct UnderWay<'a> {
    traffic: &'a Traffic,
    began: Instant,
    is_answered: bool,
}

impl Traffic {
    /// A request goes on to the server.
    pub(crate) fn begin(&self) -> UnderWay<'_> {
        UnderWay { traffic: self, began: Instant::now(), is_answered: false }
    }

    /// The agent itself answers a request. That counts if it is a refusal: metrics and the like are
    /// no business of the proxy's.
    pub(crate) fn answered_here<B>(&self, response: &Response<B>) {
        if let Some(refused) = response.extensions().get() {
            self.refused(response.status(), refused);
        }
    }

    /// How many requests met with each of [`OUTCOMES`].
    pub(crate) fn requests(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.requests.iter().map(|count| count.load(Ordering::Relaxed));
        OUTCOMES.into_iter().zip(counts)
    }

    pub(crate) fn durations(&self) -> Durations {
        let counts = self.durations.each_ref().map(|count| count.load(Ordering::Relaxed));
        let mut so_far = 0_u64;
        let mut counts_up_to = counts.iter().map(|count| {
            so_far += *count;
            so_far
        });
        let within = BUCKETS.map(|longest| (longest, counts_up_to.next().unwrap_or_default()));
        Durations {
            within,
            count: counts.iter().sum(),
            sum: Duration::from_nanos(self.spent.load(Ordering::Relaxed)),
        }
    }

    /// Requests go through this from now on.
    pub(crate) fn set_proxy(&self, proxy: Option<Proxy>) {
        *self.proxy.lock().unwrap_or_else(PoisonError::into_inner) = proxy;
    }

    /// How its cache does, if there is one.
    pub(crate) fn cache(&self) -> Option<CacheReport> {
        let proxy = self.proxy.lock().unwrap_or_else(PoisonError::into_inner).clone();
        proxy?.cache_report()
    }

    pub(crate) fn last_error(&self) -> Option<Mishap> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, outcome: Outcome) {
        self.requests[outcome.index()].fetch_add(1, Ordering::Relaxed);
    }

    fn refused(&self, status: StatusCode, refused: &Refused) {
        self.count(Outcome::Refused);
        self.note(refused.why.clone(), Some(status));
    }

    fn took(&self, duration: Duration) {
        let bucket = BUCKETS.iter().position(|longest| duration <= *longest);
        self.durations[bucket.unwrap_or(BUCKETS.len())].fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.spent.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    fn note(&self, message: String, status: Option<StatusCode>) {
        let mishap = Mishap { message, status, at: SystemTime::now() };
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(mishap);
    }
}

impl UnderWay<'_> {
    /// There is an answer, be it the server's or the agent's own.
    pub(crate) fn answered<B>(mut self, response: &Response<B>) {
        self.is_answered = true;
        let (traffic, status) = (self.traffic, response.status());
        traffic.took(self.began.elapsed());
        if let Some(refused) = response.extensions().get() {
            traffic.refused(status, refused);
            return;
        }
        traffic.count(Outcome::Answered(status));
        if status.is_server_error() {
            traffic.note(format!("the server answered {status}"), Some(status));
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let waited = self.began.elapsed();
        self.traffic.took(waited);
        self.traffic.count(Outcome::Gone);
        let message =
            format!("a caller left after {:.1} s, without an answer", waited.as_secs_f64());
        self.traffic.note(message, None);
    }
}

impl Outcome {
    /// Of its name among [`OUTCOMES`].
    fn index(self) -> usize {
        match self {
            // What HTTP doesn't know is no success.
            Self::Answered(status) => usize::from(status.as_u16() / 100).clamp(1, 5) - 1,
            Self::Refused => 5,
            Self::Gone => 6,
        }
    }
}

/// From a read that the server has in memory to one that somebody complains of.
const BUCKETS: [Duration; 7] = [
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(25),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_millis(2500),
    Duration::from_secs(10),
];

#[cfg(test)]
mod tests {
    use usher_proxy::refuse;

    use super::*;

    fn answer(status: u16) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response
    }

    fn counts(traffic: &Traffic) -> [u64; OUTCOMES.len()] {
        let mut counts = traffic.requests().map(|(_, count)| count);
        OUTCOMES.map(|_| counts.next().unwrap())
    }

    #[test]
    fn each_answer_counts_once_in_its_class_and_only_errors_are_written_down() {
        let traffic = Traffic::default();
        for status in [101, 200, 204, 307, 403, 404] {
            traffic.begin().answered(&answer(status));
        }
        assert!(traffic.last_error().is_none());
        traffic.begin().answered(&answer(503));
        assert_eq!(counts(&traffic), [1, 2, 1, 2, 1, 0, 0]);
        let error = traffic.last_error().unwrap();
        assert_eq!(error.message, "the server answered 503 Service Unavailable");
        assert_eq!(error.status, Some(StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!(traffic.durations().count, 7);
    }

    #[test]
    fn a_refusal_of_the_agents_own_is_no_answer_of_the_server() {
        let traffic = Traffic::default();
        traffic.begin().answered(&refuse(StatusCode::GATEWAY_TIMEOUT, "no answer in time"));
        traffic.answered_here(&refuse(StatusCode::FORBIDDEN, "a web page"));
        // Metrics, say.
        traffic.answered_here(&answer(200));
        assert_eq!(counts(&traffic), [0, 0, 0, 0, 0, 2, 0]);
        assert_eq!(traffic.last_error().unwrap().message, "a web page");
        assert_eq!(traffic.durations().count, 1, "only what went on took time");
    }

    #[test]
    fn a_caller_who_leaves_is_seen() {
        let traffic = Traffic::default();
        drop(traffic.begin());
        assert_eq!(counts(&traffic), [0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(traffic.last_error().unwrap().status, None);
        assert_eq!(traffic.durations().count, 1);
    }

    #[test]
    fn a_duration_counts_in_each_bucket_that_is_long_enough() {
        let traffic = Traffic::default();
        for milliseconds in [0, 1, 2, 100, 101, 60_000] {
            traffic.took(Duration::from_millis(milliseconds));
        }
        let Durations { within, count, sum } = traffic.durations();
        assert_eq!(within.map(|(_, count)| count), [2, 3, 3, 4, 5, 5, 5]);
        assert_eq!((count, sum), (6, Duration::from_millis(60_204)));
    }
}
