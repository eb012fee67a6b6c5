//! What is told of the secrets server: how the requests to it ended, and whether it is in trouble.

use serde::{Deserialize, Serialize};
use usher_server::Governor;

use crate::metric::{Kind, Label, Metric, Metrics};

/// Requests to the secrets server, since the agent got to know it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct ServerReport {
    /// Held to one request a second until the server answers again.
    pub in_trouble: bool,
    /// With an answer that does what was asked.
    pub succeeded: u64,
    /// With an answer that says no.
    pub refused: u64,
    /// Without an answer, or with one that says that the server is in trouble.
    pub passing: u64,
}

impl ServerReport {
    pub(super) fn of(governor: &Governor) -> Self {
        let requests = governor.requests();
        Self {
            in_trouble: governor.is_open(),
            succeeded: requests.succeeded,
            refused: requests.refused,
            passing: requests.passing,
        }
    }
}

pub(crate) const METRICS: Metrics<ServerReport, 0> = Metrics {
    labels: [],
    each: &[
        Metric {
            name: "usher_server_requests_total",
            kind: Kind::Counter,
            help: "Requests to the secrets server.",
            labels: &[Label {
                name: "result",
                values: "`success`, `refused` (the server said no) or `unavailable` (no answer, or one that says that it is in trouble)",
            }],
            samples: |server, samples| {
                samples.add(&["success"], server.succeeded);
                samples.add(&["refused"], server.refused);
                samples.add(&["unavailable"], server.passing);
            },
        },
        Metric {
            name: "usher_server_in_trouble",
            kind: Kind::Gauge,
            help: "Whether requests are held to one a second until the server answers again.",
            labels: &[],
            samples: |server, samples| samples.add(&[], u8::from(server.in_trouble)),
        },
    ],
};
