//! What the board says of listeners, in reports and metrics: whose token they lend, and what comes to
//! them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use usher_listen::Tally;

use super::cache::CacheReport;
use super::moment;
use crate::metric::{Kind, Label, Metric, Metrics};
use crate::traffic::{ERRORS, Traffic};

/// A listener, with counts from the moment it was bound.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListenerReport {
    /// An address or the path of a socket, as in the configuration.
    pub place: String,
    /// Where that is: without template, and with the port that it got.
    pub bound: String,
    /// "off", "on", or "mutual": every client shows a certificate.
    pub tls: String,
    /// "default" or "`metrics_only`".
    pub role: String,
    /// Whose token its requests get. None: nobody's, each caller brings one of his own.
    pub identity: Option<String>,
    /// When they get it: "never", "`when_absent`" or "always".
    pub token_use: String,
    /// All of `answers`.
    pub requests: u64,
    /// Those of them that nobody wants: "5xx", "refused" and "gone".
    pub errors: u64,
    /// How many requests met with what: the server's answer, "1xx" to "5xx"; "refused" by the agent;
    /// "gone", the caller left before there was an answer.
    pub answers: BTreeMap<String, u64>,
    /// Open now.
    pub connections: u64,
    /// From clients.
    pub received_bytes: u64,
    /// To clients.
    pub sent_bytes: u64,
    /// Only for the metrics.
    #[serde(skip)]
    pub durations: DurationsReport,
    /// None: there is no cache.
    #[serde(default)]
    pub cache: Option<CacheReport>,
    /// None: nothing went wrong yet.
    pub last_error: Option<ListenerErrorReport>,
}

/// How long requests took that went on to the server, to the head of their answer.
#[derive(Clone, Debug, Default)]
pub struct DurationsReport {
    /// Seconds, and how many took no longer.
    pub within: Vec<(f64, u64)>,
    /// All of them.
    pub count: u64,
    /// The sum of them all.
    pub seconds: f64,
}

/// The last error at a listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListenerErrorReport {
    /// For people, redacted.
    pub message: String,
    /// What the caller was answered. None: he had left.
    pub status: Option<u16>,
    /// When.
    #[serde(with = "moment")]
    pub at: SystemTime,
}

/// The listeners in force.
#[derive(Default)]
pub(super) struct Listeners(Mutex<Vec<ListenerEntry>>);

/// A listener in force, as the configuration has it, and where it is counted what comes to it.
pub(crate) struct ListenerEntry {
    pub(crate) place: String,
    pub(crate) bound: String,
    pub(crate) tls: &'static str,
    pub(crate) role: &'static str,
    /// None: nobody's token is lent.
    pub(crate) identity: Option<String>,
    pub(crate) token_use: &'static str,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) tally: Tally,
}

impl Listeners {
    pub(super) fn set(&self, entries: Vec<ListenerEntry>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = entries;
    }

    pub(super) fn report(&self) -> Vec<ListenerReport> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().map(ListenerEntry::report).collect()
    }
}

impl ListenerEntry {
    fn report(&self) -> ListenerReport {
        let Self { traffic, tally, .. } = self;
        let answers = traffic.requests().map(|(outcome, count)| {
            // Those that the traffic hasn't seen were refused as well.
            let unseen = if outcome == "refused" { tally.refused() } else { 0 };
            (outcome.to_owned(), count + unseen)
        });
        let answers: BTreeMap<_, _> = answers.collect();
        let durations = traffic.durations();
        ListenerReport {
            place: self.place.clone(),
            bound: self.bound.clone(),
            tls: self.tls.to_owned(),
            role: self.role.to_owned(),
            identity: self.identity.clone(),
            token_use: self.token_use.to_owned(),
            requests: answers.values().sum(),
            errors: ERRORS.iter().filter_map(|outcome| answers.get(*outcome)).sum(),
            answers,
            connections: tally.connections(),
            received_bytes: tally.received(),
            sent_bytes: tally.sent(),
            durations: DurationsReport {
                within: durations
                    .within
                    .iter()
                    .map(|(longest, count)| (longest.as_secs_f64(), *count))
                    .collect(),
                count: durations.count,
                seconds: durations.sum.as_secs_f64(),
            },
            cache: traffic.cache().map(CacheReport::from),
            last_error: traffic.last_error().map(|mishap| ListenerErrorReport {
                message: mishap.message,
                status: mishap.status.map(|status| status.as_u16()),
                at: mishap.at,
            }),
        }
    }
}

impl ListenerReport {
    /// Its label: what the configuration says, unless that is any port.
    pub(crate) fn label(&self) -> &str {
        if self.place.ends_with(":0") { &self.bound } else { &self.place }
    }
}

pub(crate) const METRICS: Metrics<ListenerReport, 1> = Metrics {
    labels: [Label::named("listener")],
    each: &[
        Metric {
            name: "usher_proxy_requests_total",
            kind: Kind::Counter,
            help: "Requests to the listener by the class of the server's answer, refused by the agent, or left by their caller.",
            labels: &[Label { name: "class", values: "`1xx` to `5xx`, `refused` or `gone`" }],
            samples: |listener, samples| {
                for (class, count) in &listener.answers {
                    samples.add(&[class], count);
                }
            },
        },
        Metric {
            name: "usher_proxy_request_duration_seconds",
            kind: Kind::Histogram,
            help: "From the head of a request that went on to the server to the head of its answer.",
            labels: &[],
            samples: |listener, samples| {
                let DurationsReport { within, count, seconds } = &listener.durations;
                samples.add_histogram(within, *count, *seconds);
            },
        },
        Metric {
            name: "usher_proxy_connections",
            kind: Kind::Gauge,
            help: "Connections to the listener that are open.",
            labels: &[],
            samples: |listener, samples| samples.add(&[], listener.connections),
        },
        Metric {
            name: "usher_proxy_received_bytes_total",
            kind: Kind::Counter,
            help: "Bytes that clients sent to the listener.",
            labels: &[],
            samples: |listener, samples| samples.add(&[], listener.received_bytes),
        },
        Metric {
            name: "usher_proxy_sent_bytes_total",
            kind: Kind::Counter,
            help: "Bytes that the listener sent to clients.",
            labels: &[],
            samples: |listener, samples| samples.add(&[], listener.sent_bytes),
        },
    ],
};

#[cfg(test)]
mod tests {
    use hyper::{Response, StatusCode};

    use super::*;

    fn entry(traffic: &Arc<Traffic>) -> ListenerEntry {
        ListenerEntry {
            place: "127.0.0.1:8200".to_owned(),
            bound: "127.0.0.1:8200".to_owned(),
            tls: "off",
            role: "default",
            identity: Some("default".to_owned()),
            token_use: "when_absent",
            traffic: Arc::clone(traffic),
            tally: Tally::default(),
        }
    }

    #[test]
    fn what_goes_wrong_is_added_up_and_an_unchanged_listener_keeps_its_counts() {
        let traffic = Arc::new(Traffic::default());
        let listeners = Listeners::default();
        listeners.set(vec![entry(&traffic)]);
        for status in [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::BAD_GATEWAY] {
            let mut response = Response::new(());
            *response.status_mut() = status;
            traffic.begin().answered(&response);
        }
        drop(traffic.begin());
        for _ in 0..2 {
            let report = &listeners.report()[0];
            assert_eq!((report.requests, report.errors), (4, 2));
            assert_eq!(report.answers["4xx"], 1);
            assert_eq!(report.durations.count, 4);
            // A reload makes the entries anew.
            listeners.set(vec![entry(&traffic)]);
        }
    }
}
