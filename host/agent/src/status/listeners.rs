//! What the board says of listeners: whose token they lend, and what comes to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use usher_listen::Tally;

use super::report::{CacheReport, DurationsReport, ListenerErrorReport, ListenerReport};
use crate::traffic::{ERRORS, Traffic};

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
        let answers = traffic.requests().map(|(fate, count)| {
            // Those that the traffic hasn't seen were refused as well.
            let unseen = if fate == "refused" { tally.refused() } else { 0 };
            (fate.to_owned(), count + unseen)
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
            errors: ERRORS.iter().filter_map(|fate| answers.get(*fate)).sum(),
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
            cache: traffic.cache().map(cache_report),
            last_error: traffic.last_error().map(|mishap| ListenerErrorReport {
                message: mishap.message,
                status: mishap.status.map(|status| status.as_u16()),
                at: mishap.at,
            }),
        }
    }
}

fn cache_report(cache: usher_proxy::CacheReport) -> CacheReport {
    let usher_proxy::CacheReport { hits, misses, joined, passed, stored, renewed, .. } = cache;
    let requests = [("hit", hits), ("miss", misses), ("joined", joined), ("passed", passed)];
    let named = |(name, count): (&str, u64)| (name.to_owned(), count);
    CacheReport {
        entries: cache.entries,
        bytes: cache.bytes,
        oldest_s: cache.oldest.map(|age| age.as_secs()),
        requests: requests.into_iter().map(named).collect(),
        stored,
        renewed,
        evictions: cache.evictions.into_iter().map(named).collect(),
    }
}

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
