//! What is told of a listener's cache, in reports and metrics.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::metric::{Kind, Label, Metric, Metrics};

/// A listener's cache, with counts since it began.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CacheReport {
    /// How many answers are kept.
    pub entries: usize,
    /// What they take.
    pub bytes: usize,
    /// How long the oldest has been kept, in seconds.
    pub oldest_s: Option<u64>,
    /// Requests by what became of them: "hit", "miss", "joined" (waited for another like it), "stale"
    /// (out of date, since the server couldn't be reached), "passed" (none of the cache's business).
    pub requests: BTreeMap<String, u64>,
    /// Answers that were kept.
    pub stored: u64,
    /// Renewals that succeeded.
    pub renewed: u64,
    /// What went, by cause.
    pub evictions: BTreeMap<String, u64>,
}

impl From<usher_proxy::CacheReport> for CacheReport {
    fn from(cache: usher_proxy::CacheReport) -> Self {
        let usher_proxy::CacheReport { entries, bytes, oldest, counts } = cache;
        let requests = [
            ("hit", counts.hits),
            ("miss", counts.misses),
            ("joined", counts.joined),
            ("stale", counts.stale),
            ("passed", counts.passed),
        ];
        let named = |(name, count): (&str, u64)| (name.to_owned(), count);
        Self {
            entries,
            bytes,
            oldest_s: oldest.map(|age| age.as_secs()),
            requests: requests.into_iter().map(named).collect(),
            stored: counts.stored,
            renewed: counts.renewed,
            evictions: counts.evictions_by_cause().map(named).collect(),
        }
    }
}

/// The label is that of its listener.
pub(crate) const METRICS: Metrics<CacheReport, 1> = Metrics {
    labels: [Label::named("listener")],
    each: &[
        Metric {
            name: "usher_proxy_cache_requests_total",
            kind: Kind::Counter,
            help: "Requests to the listener by what the cache did with them.",
            labels: &[Label {
                name: "result",
                values: "`hit`, `miss`, `joined`, `stale` or `passed`",
            }],
            samples: |cache, samples| {
                for (result, count) in &cache.requests {
                    samples.add(&[result], count);
                }
            },
        },
        Metric {
            name: "usher_proxy_cache_evictions_total",
            kind: Kind::Counter,
            help: "Answers that are kept no longer, by cause.",
            labels: &[Label {
                name: "cause",
                values: "`ended`, `renewal_refused`, `revoked`, `token_died`, `token_replaced`, `bounds`, `cleared`, `written`, `gone` or `refused`",
            }],
            samples: |cache, samples| {
                for (cause, count) in &cache.evictions {
                    samples.add(&[cause], count);
                }
            },
        },
        Metric {
            name: "usher_proxy_cache_entries",
            kind: Kind::Gauge,
            help: "Answers that the listener's cache keeps.",
            labels: &[],
            samples: |cache, samples| samples.add(&[], cache.entries),
        },
        Metric {
            name: "usher_proxy_cache_bytes",
            kind: Kind::Gauge,
            help: "Memory that they take.",
            labels: &[],
            samples: |cache, samples| samples.add(&[], cache.bytes),
        },
        Metric {
            name: "usher_proxy_cache_oldest_seconds",
            kind: Kind::Gauge,
            help: "How long the oldest has been kept; 0 if there is none.",
            labels: &[],
            samples: |cache, samples| samples.add(&[], cache.oldest_s.unwrap_or_default()),
        },
        Metric {
            name: "usher_proxy_cache_stored_total",
            kind: Kind::Counter,
            help: "Answers that were kept.",
            labels: &[],
            samples: |cache, samples| samples.add(&[], cache.stored),
        },
        Metric {
            name: "usher_proxy_cache_renewals_total",
            kind: Kind::Counter,
            help: "Renewals of what is kept that succeeded.",
            labels: &[],
            samples: |cache, samples| samples.add(&[], cache.renewed),
        },
    ],
};
