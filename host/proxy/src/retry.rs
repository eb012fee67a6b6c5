//! When a request is made again: as `vault.retry` of the incumbents has it, and only where making it
//! twice does nothing twice.

use std::time::{Duration, Instant};

use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, StatusCode};
use rand::Rng as _;
use usher_connector::{Trouble, TroubleKind};

/// The attempts that a request still has.
pub(crate) struct Attempts {
    left: u32,
    end: Instant,
}

impl Attempts {
    /// `retries` beyond the first attempt, all within `patience`.
    pub(crate) fn new(method: &Method, retries: u32, patience: Duration) -> Self {
        let left = if reads(method) { retries } else { 0 };
        Self { left, end: Instant::now() + patience }
    }

    /// How long to wait for the next attempt after this answer; `None`: it is the last.
    pub(crate) fn after_answer(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Option<Duration> {
        let again = match status.as_u16() {
            412 | 429 => true,
            501 => false,
            code => code >= 500,
        };
        let asked = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        self.wait(again, asked.map(Duration::from_secs))
    }

    /// The same where there was no answer.
    pub(crate) fn after_trouble(&mut self, trouble: &Trouble) -> Option<Duration> {
        let again = matches!(
            trouble.kind,
            TroubleKind::Connection | TroubleKind::Dns | TroubleKind::SrvRecord
        );
        self.wait(again, trouble.retry_after)
    }

    fn wait(&mut self, again: bool, asked: Option<Duration>) -> Option<Duration> {
        if !again {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        let wait = asked.unwrap_or(SHORTEST).max(SHORTEST);
        let wait = wait.saturating_add(SHORTEST.mul_f64(rand::rng().random_range(0.0..0.5)));
        let left = self.end.saturating_duration_since(Instant::now());
        (wait < left).then_some(wait)
    }
}

/// Whether asking twice does no more than asking once. LIST is the servers' own method.
pub(crate) fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD) || method.as_str() == "LIST"
}

/// The incumbents wait 1 to 1.5 s.
const SHORTEST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts(method: &str, retries: u32, patience: u64) -> Attempts {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        Attempts::new(&method, retries, Duration::from_secs(patience))
    }

    fn after(attempts: &mut Attempts, status: u16, asked: Option<u64>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        if let Some(asked) = asked {
            headers.insert(RETRY_AFTER, asked.into());
        }
        attempts.after_answer(StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn reading_is_repeated_after_what_may_pass_and_as_often_as_configured() {
        for (method, status, repeated) in [
            ("GET", 503, true),
            ("LIST", 500, true),
            ("HEAD", 412, true),
            ("GET", 429, true),
            ("GET", 501, false),
            ("GET", 404, false),
            ("GET", 403, false),
            ("POST", 503, false),
            ("PUT", 412, false),
            ("DELETE", 502, false),
        ] {
            let wait = after(&mut attempts(method, 2, 60), status, None);
            assert_eq!(wait.is_some(), repeated, "{method} {status}");
        }
        let mut two = attempts("GET", 2, 60);
        let waits = [(); 4].map(|()| after(&mut two, 503, None).is_some());
        assert_eq!(waits, [true, true, false, false]);
    }

    #[test]
    fn the_server_says_when_but_not_past_the_patience() {
        let wait = after(&mut attempts("GET", 2, 60), 503, Some(7)).unwrap();
        assert!((7.0..7.5).contains(&wait.as_secs_f64()), "{wait:?}");
        assert_eq!(after(&mut attempts("GET", 2, 60), 503, Some(3600)), None);
        assert_eq!(after(&mut attempts("GET", 2, 60), 503, Some(u64::MAX)), None);
        assert_eq!(after(&mut attempts("GET", 2, 0), 503, None), None);
    }
}
