//! All metrics, made from a report when they are asked for.
//!
//! What is told of one kind of thing stands with it, below `status`; of the agent and its process here.
//! A test writes the table in `docs/status.md`. No metric holds a secret or an accessor.

use std::iter::once;

use rustix::time::{ClockId, clock_gettime};

use crate::metric::{Kind, Label, Metric, Metrics, Page, seconds};
use crate::status::{Report, cache, entry, listeners, plugins, server, sink};

/// The media type of [`text`].
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics.
pub(crate) fn text(report: &Report) -> String {
    let mut page = Page::default();
    page.add(&AGENT, once(([], report)));
    page.add(&server::METRICS, once(([], &report.server)));
    let identities = report.identities.iter();
    page.add(&entry::METRICS, identities.clone().map(|identity| ([&*identity.name], identity)));
    let sinks = identities.flat_map(|identity| {
        identity.sinks.iter().map(move |sink| ([&*identity.name, &*sink.name], sink))
    });
    page.add(&sink::METRICS, sinks);
    let plugins = report.plugins.iter();
    page.add(&plugins::METRICS, plugins.map(|plugin| ([&*plugin.name, &*plugin.kind], plugin)));
    let listeners = report.listeners.iter().map(|listener| ([listener.label()], listener));
    page.add(&listeners::METRICS, listeners.clone());
    let caches =
        listeners.filter_map(|(labels, listener)| Some((labels, listener.cache.as_ref()?)));
    if caches.clone().next().is_some() {
        page.add(&cache::METRICS, caches);
    }
    page.add(&PROCESS, once(([], report)));
    page.into_text()
}

const AGENT: Metrics<Report, 0> = Metrics {
    labels: [],
    each: &[
        Metric {
            name: "usher_build_info",
            kind: Kind::Gauge,
            help: "The version that runs; always 1.",
            labels: &[Label::named("version")],
            samples: |report, samples| samples.add(&[&report.version], 1),
        },
        Metric {
            name: "usher_ready",
            kind: Kind::Gauge,
            help: "Whether every sink of every identity has its token.",
            labels: &[],
            samples: |report, samples| samples.add(&[], u8::from(report.ready)),
        },
    ],
};

/// The few of the usual process metrics that cost nothing to get.
const PROCESS: Metrics<Report, 0> = Metrics {
    labels: [],
    each: &[
        Metric {
            name: "process_start_time_seconds",
            kind: Kind::Gauge,
            help: "When the agent started.",
            labels: &[],
            samples: |report, samples| samples.add(&[], seconds(report.started_at)),
        },
        Metric {
            name: "process_cpu_seconds_total",
            kind: Kind::Counter,
            help: "Processor time used, user and system.",
            labels: &[],
            samples: |_, samples| {
                let used = clock_gettime(ClockId::ProcessCPUTime);
                samples.add(&[], format_args!("{}.{:09}", used.tv_sec, used.tv_nsec));
            },
        },
        Metric {
            name: "process_resident_memory_bytes",
            kind: Kind::Gauge,
            help: "Resident memory.",
            labels: &[],
            samples: |_, samples| {
                let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
                if let Some(kilobytes) = resident(&status) {
                    samples.add(&[], kilobytes * 1024);
                }
            },
        },
    ],
};

/// `VmRSS` of proc(5)'s `/proc/pid/status`, in kB.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hyper::Response;
    use usher_listen::Tally;

    use super::*;
    use crate::status::{Board, ListenerEntry};
    use crate::traffic::Traffic;

    fn listener(place: &str, traffic: &Arc<Traffic>) -> ListenerEntry {
        ListenerEntry {
            place: place.to_owned(),
            bound: "127.0.0.1:34567".to_owned(),
            tls: "off",
            role: "default",
            identity: None,
            token_use: "never",
            traffic: Arc::clone(traffic),
            tally: Tally::default(),
        }
    }

    #[test]
    fn a_name_cannot_break_out_of_its_label() {
        let board = Board::new();
        let _handle = board.identity("a\"b\\c\nd", "approle", []);
        let text = text(&board.report());
        assert!(text.contains(r#"usher_identity_ready{identity="a\"b\\c\nd"} 0"#), "{text}");
    }

    #[test]
    fn each_family_is_announced_once_and_before_its_samples() {
        let board = Board::new();
        let sinks = || [("file".to_owned(), "file".to_owned())];
        let _handles =
            [board.identity("one", "approle", sinks()), board.identity("two", "approle", sinks())];
        let traffic = Arc::new(Traffic::default());
        let listeners = ["/run/usher/api.sock", "127.0.0.1:8200"];
        board.set_listeners(listeners.map(|place| listener(place, &traffic)).into());
        let text = text(&board.report());
        let mut announced = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let name = rest.split(' ').next().unwrap();
                assert!(!announced.contains(&name), "{name} twice");
                announced.push(name);
            } else if !line.starts_with('#') {
                let name = line.split(['{', ' ']).next().unwrap();
                let family = ["_bucket", "_sum", "_count"]
                    .into_iter()
                    .filter_map(|part| name.strip_suffix(part))
                    .find(|family| family.ends_with("_duration_seconds"));
                assert_eq!(announced.last(), Some(&family.unwrap_or(name)), "{line}");
            }
        }
    }

    #[test]
    fn a_listener_is_named_as_the_configuration_names_it_and_its_buckets_add_up() {
        let (board, traffic) = (Board::new(), Arc::new(Traffic::default()));
        board.set_listeners(vec![listener("/run/usher/api.sock", &traffic)]);
        traffic.begin().answered(&Response::new(()));
        drop(traffic.begin());
        let page = text(&board.report());
        let duration = "usher_proxy_request_duration_seconds";
        let of = "listener=\"/run/usher/api.sock\"";
        for sample in [
            format!("usher_proxy_requests_total{{{of},class=\"2xx\"}} 1"),
            format!("usher_proxy_requests_total{{{of},class=\"5xx\"}} 0"),
            format!("usher_proxy_requests_total{{{of},class=\"gone\"}} 1"),
            format!("{duration}_bucket{{{of},le=\"0.001\"}}"),
            format!("{duration}_bucket{{{of},le=\"2.5\"}} 2"),
            format!("{duration}_bucket{{{of},le=\"+Inf\"}} 2"),
            format!("{duration}_count{{{of}}} 2"),
            format!("usher_proxy_connections{{{of}}} 0"),
        ] {
            assert!(page.contains(&sample), "{sample}: {page}");
        }
        // Any port that is free.
        board.set_listeners(vec![listener("127.0.0.1:0", &traffic)]);
        let page = text(&board.report());
        assert!(page.contains("usher_proxy_connections{listener=\"127.0.0.1:34567\"} 0"), "{page}");
    }

    /// What `docs/status.md` says before its table of metrics.
    const HEAD: &str = "\n| metric | labels | what it tells |\n| --- | --- | --- |\n";
    const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/status.md");

    #[test]
    fn the_documentation_has_the_table_of_all_metrics() {
        let table = [
            AGENT.rows(),
            server::METRICS.rows(),
            entry::METRICS.rows(),
            sink::METRICS.rows(),
            plugins::METRICS.rows(),
            listeners::METRICS.rows(),
            cache::METRICS.rows(),
            PROCESS.rows(),
        ];
        let table = table.concat();
        let document = std::fs::read_to_string(DOCUMENT).unwrap();
        let (before, rest) = document.split_once(HEAD).unwrap();
        let (written, after) = rest.split_once("\n\n").unwrap();
        if std::env::var_os("USHER_WRITE_DOCS").is_some() {
            std::fs::write(DOCUMENT, format!("{before}{HEAD}{table}\n{after}")).unwrap();
            return;
        }
        assert!(
            table.trim_end() == written,
            "docs/status.md is out of date; USHER_WRITE_DOCS=1 cargo test -p usher-agent documentation writes it"
        );
    }

    #[test]
    fn the_architecture_names_where_each_metric_is_defined() {
        let architecture = include_str!("../../../ARCHITECTURE.md");
        let row = architecture.lines().find(|line| line.starts_with("| a metric |")).unwrap();
        for file in ["entry", "sink", "plugins", "listeners", "cache", "server"] {
            assert!(row.contains(&format!("`{file}.rs`")), "{file} in {row}");
        }
    }

    #[test]
    fn the_resident_memory_is_found() {
        assert_eq!(resident("Name:\tusher\nVmRSS:\t   20716 kB\n"), Some(20716));
        assert_eq!(resident(""), None);
    }
}
