//! What the board keeps of one sink of an identity, and how a report and the metrics tell it.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use usher_lifecycle::Generation;

use super::attempts::{Counts, ErrorReport, LastError, RESULT};
use super::moment;
use crate::metric::{Kind, Label, Metric, Metrics, seconds};

/// One sink.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SinkReport {
    /// "file" or, with several sinks, "file 2".
    pub name: String,
    /// Its type, such as "file".
    pub kind: String,
    /// Whether it waits for a good token that it doesn't hold yet.
    pub pending: bool,
    /// Which token it holds.
    pub generation: Option<u64>,
    /// None: nothing was delivered yet.
    #[serde(with = "moment::optional")]
    pub last_delivery_at: Option<SystemTime>,
    /// Attempts to deliver.
    pub deliveries: Counts,
    /// Of deliveries.
    pub last_error: Option<ErrorReport>,
}

pub(super) struct SinkEntry {
    name: String,
    kind: String,
    pub(super) pending: bool,
    pub(super) generation: Option<Generation>,
    pub(super) last_delivery_at: Option<SystemTime>,
    pub(super) deliveries: Counts,
    pub(super) last_error: Option<LastError>,
}

impl SinkEntry {
    /// A sink that waits for its first token.
    pub(super) fn new(name: String, kind: String) -> Self {
        Self {
            name,
            kind,
            pending: true,
            generation: None,
            last_delivery_at: None,
            deliveries: Counts::default(),
            last_error: None,
        }
    }

    pub(super) fn report(&self) -> SinkReport {
        SinkReport {
            name: self.name.clone(),
            kind: self.kind.clone(),
            pending: self.pending,
            generation: self.generation.map(Generation::number),
            last_delivery_at: self.last_delivery_at,
            deliveries: self.deliveries,
            last_error: self.last_error.as_ref().map(LastError::report),
        }
    }
}

pub(crate) const METRICS: Metrics<SinkReport, 2> = Metrics {
    labels: [Label::named("identity"), Label::named("sink")],
    each: &[
        Metric {
            name: "usher_deliveries_total",
            kind: Kind::Counter,
            help: "Deliveries to the sink.",
            labels: &[RESULT],
            samples: |sink, samples| sink.deliveries.sample(samples),
        },
        Metric {
            name: "usher_sink_pending",
            kind: Kind::Gauge,
            help: "Whether the sink still waits for a good token.",
            labels: &[],
            samples: |sink, samples| samples.add(&[], u8::from(sink.pending)),
        },
        Metric {
            name: "usher_sink_last_delivery_timestamp_seconds",
            kind: Kind::Gauge,
            help: "When the sink last got a token.",
            labels: &[],
            samples: |sink, samples| {
                if let Some(at) = sink.last_delivery_at {
                    samples.add(&[], seconds(at));
                }
            },
        },
    ],
};
