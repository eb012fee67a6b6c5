//! The metrics, in Prometheus' text format 0.0.4, made from a report when they are asked for.
//!
//! Names are documented in `docs/status.md`. No metric holds a secret or an accessor.

use std::fmt::{Display, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::status::{
    CacheReport, Counts, IdentityReport, ListenerReport, PluginReport, Report, STATES, SinkReport,
};

/// The media type of [`text`].
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics.
pub(crate) fn text(report: &Report) -> String {
    let mut page = Page(String::new());
    page.family("usher_build_info", Type::Gauge, "The version that runs; always 1.");
    page.sample("usher_build_info", &[("version", &report.version)], 1);
    page.family("usher_ready", Type::Gauge, "Whether every sink of every identity has its token.");
    page.sample("usher_ready", &[], u8::from(report.ready));
    let server = report.server;
    let requests = "usher_server_requests_total";
    page.family(requests, Type::Counter, "Requests to the secrets server.");
    for (result, count) in [
        ("success", server.succeeded),
        ("refused", server.refused),
        ("unavailable", server.passing),
    ] {
        page.sample(requests, &[("result", result)], count);
    }
    page.family(
        "usher_server_in_trouble",
        Type::Gauge,
        "Whether requests are held to one a second until the server answers again.",
    );
    page.sample("usher_server_in_trouble", &[], u8::from(server.in_trouble));

    let identities = &report.identities;
    page.family("usher_identity_state", Type::Gauge, "1 for the state that the identity is in.");
    for identity in identities {
        for state in STATES {
            let labels =
                [("identity", &*identity.name), ("method", &identity.method), ("state", state)];
            page.sample("usher_identity_state", &labels, u8::from(identity.state == state));
        }
    }
    page.of_identities(
        identities,
        "usher_identity_ready",
        "Whether every sink of the identity has its token.",
        |identity| Some(f64::from(u8::from(identity.ready))),
    );
    page.of_identities(
        identities,
        "usher_token_expiry_timestamp_seconds",
        "When the token expires, or did; absent if it never does.",
        |identity| identity.token.as_ref()?.expires_at.map(seconds),
    );
    page.of_identities(
        identities,
        "usher_last_login_timestamp_seconds",
        "When the identity last logged in.",
        |identity| identity.last_login_at.map(seconds),
    );
    page.of_identities(
        identities,
        "usher_failures_in_a_row",
        "Failed logins, renewals and checks since the last success.",
        |identity| {
            let current = identity.last_error.as_ref().filter(|error| error.current);
            #[allow(clippy::cast_precision_loss, reason = "exact up to 2^53 failures")]
            Some(current.map_or(0.0, |error| error.count as f64))
        },
    );
    page.counts(identities, "usher_logins_total", "Logins.", |identity| identity.logins);
    page.counts(identities, "usher_renewals_total", "Renewals of the token.", |identity| {
        identity.renewals
    });
    page.counts(identities, "usher_token_checks_total", "Look-ups of the token.", |identity| {
        identity.checks
    });

    page.family("usher_deliveries_total", Type::Counter, "Deliveries to the sink.");
    for (identity, sink) in sinks(identities) {
        for (result, count) in results(sink.deliveries) {
            let labels = [("identity", &*identity.name), ("sink", &sink.name), ("result", result)];
            page.sample("usher_deliveries_total", &labels, count);
        }
    }
    page.family(
        "usher_sink_pending",
        Type::Gauge,
        "Whether the sink still waits for a good token.",
    );
    for (identity, sink) in sinks(identities) {
        let labels = [("identity", &*identity.name), ("sink", &sink.name)];
        page.sample("usher_sink_pending", &labels, u8::from(sink.pending));
    }
    page.family(
        "usher_sink_last_delivery_timestamp_seconds",
        Type::Gauge,
        "When the sink last got a token.",
    );
    for (identity, sink) in sinks(identities) {
        if let Some(at) = sink.last_delivery_at {
            let labels = [("identity", &*identity.name), ("sink", &sink.name)];
            page.sample("usher_sink_last_delivery_timestamp_seconds", &labels, seconds(at));
        }
    }
    page.plugins(&report.plugins);
    page.listeners(&report.listeners);
    page.process(report);
    page.0
}

#[derive(Clone, Copy)]
enum Type {
    Gauge,
    Counter,
    Histogram,
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: Type, help: &str) {
        let kind = match kind {
            Type::Gauge => "gauge",
            Type::Counter => "counter",
            Type::Histogram => "histogram",
        };
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"");
            for character in text.chars() {
                match character {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    fn of_identities(
        &mut self,
        identities: &[IdentityReport],
        name: &str,
        help: &str,
        value: impl Fn(&IdentityReport) -> Option<f64>,
    ) {
        self.family(name, Type::Gauge, help);
        for identity in identities {
            if let Some(value) = value(identity) {
                self.sample(name, &[("identity", &identity.name)], value);
            }
        }
    }

    fn counts(
        &mut self,
        identities: &[IdentityReport],
        name: &str,
        help: &str,
        counts: impl Fn(&IdentityReport) -> Counts,
    ) {
        self.family(name, Type::Counter, help);
        for identity in identities {
            for (result, count) in results(counts(identity)) {
                self.sample(name, &[("identity", &identity.name), ("result", result)], count);
            }
        }
    }

    fn plugins(&mut self, plugins: &[PluginReport]) {
        const INFO: &str = "usher_plugin_info";
        const LOADS: &str = "usher_plugin_loads_total";
        self.family(INFO, Type::Gauge, "A plug-in that serves its uses; always 1.");
        for plugin in plugins {
            if let (Some(version), Some(sha256)) = (&plugin.version, &plugin.sha256) {
                let labels = [
                    ("plugin", &*plugin.name),
                    ("kind", &plugin.kind),
                    ("version", version),
                    ("sha256", sha256),
                ];
                self.sample(INFO, &labels, 1);
            }
        }
        let name = |plugin: &PluginReport| [plugin.name.clone(), plugin.kind.clone()];
        for (family, help, value) in [
            (
                "usher_plugin_loaded",
                "Whether the plug-in serves its uses; else they wait for it.",
                (|plugin| plugin.loaded) as fn(&PluginReport) -> bool,
            ),
            (
                "usher_plugin_amiss",
                "Whether the plug-in's file can't be used, or is gone.",
                |plugin| plugin.last_error.as_ref().is_some_and(|error| error.current),
            ),
        ] {
            self.family(family, Type::Gauge, help);
            for plugin in plugins {
                let [name, kind] = &name(plugin);
                self.sample(family, &[("plugin", name), ("kind", kind)], u8::from(value(plugin)));
            }
        }
        self.family(
            LOADS,
            Type::Counter,
            "Files that took a plug-in's place while the agent ran, and files that couldn't.",
        );
        for plugin in plugins {
            for (result, count) in results(plugin.loads) {
                let labels =
                    [("plugin", &*plugin.name), ("kind", &plugin.kind), ("result", result)];
                self.sample(LOADS, &labels, count);
            }
        }
    }

    fn listeners(&mut self, listeners: &[ListenerReport]) {
        const REQUESTS: &str = "usher_proxy_requests_total";
        const DURATION: &str = "usher_proxy_request_duration_seconds";
        self.family(
            REQUESTS,
            Type::Counter,
            "Requests to the listener by the class of the server's answer, refused by the agent, or left by their caller.",
        );
        for listener in listeners {
            for (class, count) in &listener.answers {
                self.sample(REQUESTS, &[("listener", place(listener)), ("class", class)], count);
            }
        }
        self.family(
            DURATION,
            Type::Histogram,
            "From the head of a request that went on to the server to the head of its answer.",
        );
        for listener in listeners {
            let (name, durations) = (place(listener), &listener.durations);
            let bucket = format!("{DURATION}_bucket");
            for (longest, count) in &durations.within {
                let longest = longest.to_string();
                self.sample(&bucket, &[("listener", name), ("le", &longest)], count);
            }
            self.sample(&bucket, &[("listener", name), ("le", "+Inf")], durations.count);
            let of_listener = [("listener", name)];
            self.sample(&format!("{DURATION}_sum"), &of_listener, durations.seconds);
            self.sample(&format!("{DURATION}_count"), &of_listener, durations.count);
        }
        self.caches(listeners);
        for (name, kind, help, value) in [
            (
                "usher_proxy_connections",
                Type::Gauge,
                "Connections to the listener that are open.",
                (|listener| listener.connections) as fn(&ListenerReport) -> u64,
            ),
            (
                "usher_proxy_received_bytes_total",
                Type::Counter,
                "Bytes that clients sent to the listener.",
                |listener| listener.received_bytes,
            ),
            (
                "usher_proxy_sent_bytes_total",
                Type::Counter,
                "Bytes that the listener sent to clients.",
                |listener| listener.sent_bytes,
            ),
        ] {
            self.family(name, kind, help);
            for listener in listeners {
                self.sample(name, &[("listener", place(listener))], value(listener));
            }
        }
    }

    fn caches(&mut self, listeners: &[ListenerReport]) {
        const REQUESTS: &str = "usher_proxy_cache_requests_total";
        const EVICTIONS: &str = "usher_proxy_cache_evictions_total";
        let caches = listeners
            .iter()
            .filter_map(|listener| Some((place(listener), listener.cache.as_ref()?)));
        let caches: Vec<(&str, &CacheReport)> = caches.collect();
        if caches.is_empty() {
            return;
        }
        for (name, label, help) in [
            (REQUESTS, "result", "Requests to the listener by what the cache did with them."),
            (EVICTIONS, "cause", "Answers that are kept no longer, by cause."),
        ] {
            self.family(name, Type::Counter, help);
            for (place, cache) in &caches {
                let counts = if name == REQUESTS { &cache.requests } else { &cache.evictions };
                for (value, count) in counts {
                    self.sample(name, &[("listener", place), (label, value)], count);
                }
            }
        }
        for (name, kind, help, value) in [
            (
                "usher_proxy_cache_entries",
                Type::Gauge,
                "Answers that the listener's cache keeps.",
                (|cache| cache.entries as u64) as fn(&CacheReport) -> u64,
            ),
            ("usher_proxy_cache_bytes", Type::Gauge, "Memory that they take.", |cache| {
                cache.bytes as u64
            }),
            (
                "usher_proxy_cache_oldest_seconds",
                Type::Gauge,
                "How long the oldest has been kept; 0 if there is none.",
                |cache| cache.oldest_s.unwrap_or_default(),
            ),
            ("usher_proxy_cache_stored_total", Type::Counter, "Answers that were kept.", |cache| {
                cache.stored
            }),
            (
                "usher_proxy_cache_renewals_total",
                Type::Counter,
                "Renewals of what is kept that succeeded.",
                |cache| cache.renewed,
            ),
        ] {
            self.family(name, kind, help);
            for (place, cache) in &caches {
                self.sample(name, &[("listener", place)], value(cache));
            }
        }
    }

    /// The few of the usual process metrics that cost nothing to get.
    fn process(&mut self, report: &Report) {
        const START: &str = "process_start_time_seconds";
        const CPU: &str = "process_cpu_seconds_total";
        const MEMORY: &str = "process_resident_memory_bytes";
        self.family(START, Type::Gauge, "When the agent started.");
        self.sample(START, &[], seconds(report.started_at));
        let used = clock_gettime(ClockId::ProcessCPUTime);
        self.family(CPU, Type::Counter, "Processor time used, user and system.");
        self.sample(CPU, &[], format_args!("{}.{:09}", used.tv_sec, used.tv_nsec));
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        if let Some(kilobytes) = resident(&status) {
            self.family(MEMORY, Type::Gauge, "Resident memory.");
            self.sample(MEMORY, &[], kilobytes * 1024);
        }
    }
}

fn sinks(identities: &[IdentityReport]) -> impl Iterator<Item = (&IdentityReport, &SinkReport)> {
    identities.iter().flat_map(|identity| identity.sinks.iter().map(move |sink| (identity, sink)))
}

/// The label of a listener: what the configuration says, unless that is any port.
fn place(listener: &ListenerReport) -> &str {
    if listener.place.ends_with(":0") { &listener.bound } else { &listener.place }
}

fn results(counts: Counts) -> [(&'static str, u64); 2] {
    [("success", counts.succeeded), ("failure", counts.failed)]
}

/// `VmRSS` of proc(5)'s `/proc/pid/status`, in kB.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Since the epoch, to the millisecond.
fn seconds(at: SystemTime) -> f64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_secs_f64() * 1000.0).round() / 1000.0
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

    #[test]
    fn the_resident_memory_is_found() {
        assert_eq!(resident("Name:\tusher\nVmRSS:\t   20716 kB\n"), Some(20716));
        assert_eq!(resident(""), None);
    }
}
