//! What a metric is: how Prometheus' text format 0.0.4 has it, and how `docs/status.md` tells it.
//!
//! The metrics themselves stand with what they tell of, so that one more is one more entry there.

use std::fmt::{Display, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

/// The metrics of one kind of thing, such as listeners.
pub(crate) struct Metrics<T: 'static, const N: usize> {
    /// What tells one thing from another.
    pub(crate) labels: [Label; N],
    pub(crate) each: &'static [Metric<T>],
}

/// All that is said of one metric.
pub(crate) struct Metric<T> {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) help: &'static str,
    /// Those beside the labels that tell one thing from another.
    pub(crate) labels: &'static [Label],
    /// Adds the samples of one thing, if there are any.
    pub(crate) samples: fn(&T, &mut Samples<'_>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Gauge,
    Counter,
    Histogram,
}

/// A label.
#[derive(Clone, Copy)]
pub(crate) struct Label {
    pub(crate) name: &'static str,
    /// What it may be, as the documentation has it; empty: that goes without saying.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test writes the documentation"))]
    pub(crate) values: &'static str,
}

impl Label {
    /// Its values go without saying.
    pub(crate) const fn named(name: &'static str) -> Self {
        Self { name, values: "" }
    }
}

/// The page of all metrics.
#[derive(Default)]
pub(crate) struct Page(String);

impl Page {
    /// Adds the metrics of some things, of which each comes after the values of its labels.
    pub(crate) fn add<'a, T: 'static, const N: usize>(
        &mut self,
        metrics: &Metrics<T, N>,
        things: impl Iterator<Item = ([&'a str; N], &'a T)> + Clone,
    ) {
        for metric in metrics.each {
            self.announce(metric.name, metric.kind, metric.help);
            for (values, thing) in things.clone() {
                let labels = metrics.labels.iter().map(|label| label.name).zip(values).collect();
                let own = metric.labels;
                let mut samples = Samples { page: &mut self.0, name: metric.name, labels, own };
                (metric.samples)(thing, &mut samples);
            }
        }
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }

    fn announce(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
        };
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }
}

/// Takes the samples of one metric of one thing.
pub(crate) struct Samples<'a> {
    page: &'a mut String,
    name: &'static str,
    labels: Vec<(&'static str, &'a str)>,
    own: &'static [Label],
}

impl Samples<'_> {
    /// A sample, with the values of the metric's own labels.
    pub(crate) fn add(&mut self, values: &[&str], value: impl Display) {
        let own = self.own.iter().map(|label| label.name).zip(values.iter().copied());
        let labels = self.labels.iter().copied().chain(own);
        self.page.push_str(self.name);
        write(self.page, labels, value);
    }

    /// A histogram: how many were within each of `buckets`, how many there are, and their sum.
    pub(crate) fn add_histogram(&mut self, buckets: &[(f64, u64)], count: u64, sum: f64) {
        let buckets = buckets.iter().map(|(longest, count)| (longest.to_string(), *count));
        for (longest, count) in buckets.chain([("+Inf".to_owned(), count)]) {
            let labels = self.labels.iter().copied().chain([("le", &*longest)]);
            let _ = write!(self.page, "{}_bucket", self.name);
            write(self.page, labels, count);
        }
        let _ = write!(self.page, "{}_sum", self.name);
        write(self.page, self.labels.iter().copied(), sum);
        let _ = write!(self.page, "{}_count", self.name);
        write(self.page, self.labels.iter().copied(), count);
    }
}

/// The rest of a sample's line, after its name.
fn write<'a>(
    page: &mut String,
    labels: impl Iterator<Item = (&'static str, &'a str)>,
    value: impl Display,
) {
    let mut between = '{';
    for (label, text) in labels {
        page.push(between);
        between = ',';
        let _ = write!(page, "{label}=\"");
        for character in text.chars() {
            match character {
                '\\' => page.push_str("\\\\"),
                '"' => page.push_str("\\\""),
                '\n' => page.push_str("\\n"),
                other => page.push(other),
            }
        }
        page.push('"');
    }
    if between == ',' {
        page.push('}');
    }
    let _ = writeln!(page, " {value}");
}

/// Since the epoch, to the millisecond.
pub(crate) fn seconds(at: SystemTime) -> f64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
impl<T: 'static, const N: usize> Metrics<T, N> {
    /// A row of the documentation for each.
    pub(crate) fn rows(&self) -> String {
        let row = |metric: &Metric<T>| {
            let labels = self.labels.iter().chain(metric.labels).map(|label| match label.values {
                "" => format!(" `{}`", label.name),
                values => format!(" `{}`: {values}", label.name),
            });
            let labels = labels.collect::<Vec<_>>().join(";");
            format!("| `{}` |{labels} | {} |\n", metric.name, metric.help)
        };
        self.each.iter().map(row).collect()
    }
}
