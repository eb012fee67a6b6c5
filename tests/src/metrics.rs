//! Reads what the agent serves at `metrics_address`, as Prometheus and probes do.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use crate::agent::Agent;
use crate::eventually::eventually;
use crate::http::{self, Message};

/// A page of metrics, checked as it is read.
pub struct Metrics {
    /// As it came.
    pub text: String,
    samples: BTreeMap<String, f64>,
}

impl Metrics {
    /// The value of a sample: `name{label="value"}`.
    pub fn value(&self, sample: &str) -> Option<f64> {
        self.samples.get(sample).copied()
    }

    /// The one state of the identity "default".
    #[track_caller]
    pub fn state(&self) -> String {
        let prefix = "usher_identity_state{identity=\"default\",method=\"approle\",state=\"";
        let states: Vec<&str> = self
            .samples
            .iter()
            .filter(|(_, value)| **value > 0.5)
            .filter_map(|(sample, _)| sample.strip_prefix(prefix)?.strip_suffix("\"}"))
            .collect();
        assert_eq!(states.len(), 1, "{}", self.text);
        states[0].to_owned()
    }
}

/// Reads the metrics.
#[track_caller]
pub fn scrape(address: &str) -> Metrics {
    let (status, kind, text) = get(address, "/metrics").expect("an answer");
    assert_eq!(status, 200, "{text}");
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    let samples = parse(&text);
    Metrics { text, samples }
}

/// Reads the text format 0.0.4 strictly: each family has one HELP and one TYPE before its
/// samples, which stand together; no sample comes twice; names, labels and values are as they
/// must be; the buckets of a histogram grow up to its count.
fn parse(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with('\n'));
    let mut samples = BTreeMap::new();
    let mut families = BTreeSet::new();
    let (mut helped, mut family, mut is_histogram) = ("", "", false);
    let mut last_bucket = 0.0;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a name and a text");
            assert!(!help.is_empty() && !help.contains('\\'), "{line}");
            assert!(families.insert(name), "{name} twice");
            helped = name;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a type");
            assert_eq!(name, helped, "{line}");
            assert!(["gauge", "counter", "histogram"].contains(&kind), "{line}");
            is_histogram = kind == "histogram";
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            family = name;
        } else {
            let (sample, value) = line.rsplit_once(' ').expect("a sample and a value");
            let value: f64 = value.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
            let name = match sample.split_once('{') {
                Some((name, labels)) => {
                    check_labels(labels.strip_suffix('}').expect("a closing brace"));
                    name
                }
                None => sample,
            };
            if is_histogram {
                let part = name.strip_prefix(family).unwrap_or_else(|| panic!("{line}"));
                match part {
                    "_bucket" => {
                        assert!(value >= last_bucket, "{line}");
                        last_bucket = if sample.contains("le=\"+Inf\"") { 0.0 } else { value };
                    }
                    "_sum" | "_count" => {}
                    _ => panic!("{line}"),
                }
            } else {
                assert_eq!(name, family, "{line}");
            }
            assert!(is_name(name), "{line}");
            assert!(samples.insert(sample.to_owned(), value).is_none(), "{line} twice");
        }
    }
    samples
}

fn check_labels(labels: &str) {
    let mut rest = labels;
    loop {
        let (name, after) = rest.split_once("=\"").expect("a label");
        assert!(is_name(name), "{labels}");
        let mut escaped = false;
        let end = after
            .find(|character| {
                let ends = character == '"' && !escaped;
                escaped = character == '\\' && !escaped;
                ends
            })
            .expect("a closing quote");
        let after = &after[end + 1..];
        let Some(next) = after.strip_prefix(',') else {
            assert_eq!(after, "", "{labels}");
            return;
        };
        rest = next;
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|other| other.is_ascii_alphanumeric() || other == '_')
}

/// The address that an agent with `metrics_address = "127.0.0.1:0"` says in its log.
#[track_caller]
pub fn metrics_address(agent: &Agent) -> String {
    eventually("the metrics address in the log", LIMIT, || {
        let log = agent.log();
        let (_, rest) = log.split_once("metrics_address=")?;
        rest.split_whitespace().next().map(str::to_owned)
    })
}

/// Status, content type and body of a GET.
pub fn get(authority: &str, path: &str) -> io::Result<(u16, String, String)> {
    let request = Message {
        first_line: format!("GET {path} HTTP/1.1"),
        headers: vec![("host".into(), authority.into())],
        body: Vec::new(),
    };
    let answer = http::exchange(authority, &request)?;
    let status = answer.first_line.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((
        status.unwrap_or_default(),
        answer.header("content-type").unwrap_or_default().to_owned(),
        String::from_utf8_lossy(&answer.body).into_owned(),
    ))
}

const LIMIT: Duration = Duration::from_secs(30);
