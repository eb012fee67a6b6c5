//! What the board says of plug-ins, in reports and metrics: which serve, which are awaited, and what
//! went wrong with their files.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use usher_engine::{Engine, InUse, Kind, Origin};
use usher_secret::redactor::redact;

use super::attempts::{Counts, RESULT};
use super::moment;
use crate::metric::{self, Label, Metric, Metrics};

/// A plug-in in use.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PluginReport {
    /// As in the configuration.
    pub name: String,
    /// "auth-method" or "sink".
    pub kind: String,
    /// Whether it serves its uses; else they wait for it.
    pub loaded: bool,
    /// "built-in", or the path of the file. Of one that is loaded, as the next two.
    pub origin: Option<String>,
    /// As the plug-in says.
    pub version: Option<String>,
    /// Of the file, in hexadecimal digits.
    pub sha256: Option<String>,
    /// When a file took its place while the agent ran.
    #[serde(with = "moment::optional")]
    pub last_load_at: Option<SystemTime>,
    /// Files that took their place while the agent ran, and files that couldn't.
    pub loads: Counts,
    /// What was last wrong with its file.
    pub last_error: Option<PluginErrorReport>,
}

/// What was wrong with a plug-in's file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PluginErrorReport {
    /// For people, redacted.
    pub message: String,
    /// When.
    #[serde(with = "moment")]
    pub at: SystemTime,
    /// Whether it is still so.
    pub current: bool,
}

/// The plug-ins in use; what the engine doesn't know of them is kept here.
#[derive(Default)]
pub(super) struct Plugins(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// None until there is one.
    engine: Option<Engine>,
    records: BTreeMap<(&'static str, String), Record>,
}

/// What became of a plug-in's file while the agent runs.
#[derive(Default)]
struct Record {
    loads: Counts,
    last_load_at: Option<SystemTime>,
    last_error: Option<PluginErrorReport>,
}

impl Plugins {
    pub(super) fn set_engine(&self, engine: &Engine) {
        for InUse { kind, name, plugin } in engine.all_in_use() {
            if let Err(why) = plugin {
                self.is_amiss(kind, &name, &why.message);
            }
        }
        self.with(|inner| inner.engine = Some(engine.clone()));
    }

    pub(super) fn is_taken(&self, kind: Kind, name: &str) {
        self.record(kind, name, |record| {
            record.loads.succeeded += 1;
            record.last_load_at = Some(SystemTime::now());
            record.is_well();
        });
    }

    pub(super) fn is_amiss(&self, kind: Kind, name: &str, message: &str) {
        self.record(kind, name, |record| {
            record.last_error = Some(PluginErrorReport {
                message: redact(message).into_owned(),
                at: SystemTime::now(),
                current: true,
            });
        });
    }

    pub(super) fn is_refused(&self, kind: Kind, name: &str, message: &str) {
        self.is_amiss(kind, name, message);
        self.record(kind, name, |record| record.loads.failed += 1);
    }

    pub(super) fn is_well(&self, kind: Kind, name: &str) {
        self.record(kind, name, Record::is_well);
    }

    pub(super) fn report(&self) -> Vec<PluginReport> {
        self.with(|inner| {
            let in_use = inner.engine.as_ref().map(Engine::all_in_use).unwrap_or_default();
            let report = in_use.iter().map(|used| {
                report(used, inner.records.get(&(used.kind.name(), used.name.clone())))
            });
            report.collect()
        })
    }

    fn record(&self, kind: Kind, name: &str, change: impl FnOnce(&mut Record)) {
        self.with(|inner| {
            change(inner.records.entry((kind.name(), name.to_owned())).or_default());
        });
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Record {
    fn is_well(&mut self) {
        if let Some(error) = &mut self.last_error {
            error.current = false;
        }
    }
}

fn report(used: &InUse, record: Option<&Record>) -> PluginReport {
    let mut report = PluginReport {
        name: used.name.clone(),
        kind: used.kind.name().to_owned(),
        loaded: used.plugin.is_ok(),
        origin: None,
        version: None,
        sha256: None,
        last_load_at: record.and_then(|record| record.last_load_at),
        loads: record.map(|record| record.loads).unwrap_or_default(),
        last_error: record.and_then(|record| record.last_error.clone()),
    };
    if let Ok(plugin) = &used.plugin {
        report.origin = Some(match &plugin.origin {
            Origin::BuiltIn => "built-in".to_owned(),
            Origin::File(path) => path.display().to_string(),
        });
        report.version = Some(plugin.info.version.clone());
        report.sha256 = Some(plugin.digest.clone());
    }
    report
}

pub(crate) const METRICS: Metrics<PluginReport, 2> = Metrics {
    labels: [Label::named("plugin"), Label::named("kind")],
    each: &[
        Metric {
            name: "usher_plugin_info",
            kind: metric::Kind::Gauge,
            help: "A plug-in that serves its uses; always 1.",
            labels: &[Label::named("version"), Label::named("sha256")],
            samples: |plugin, samples| {
                if let (Some(version), Some(sha256)) = (&plugin.version, &plugin.sha256) {
                    samples.add(&[version, sha256], 1);
                }
            },
        },
        Metric {
            name: "usher_plugin_loaded",
            kind: metric::Kind::Gauge,
            help: "Whether the plug-in serves its uses; else they wait for it.",
            labels: &[],
            samples: |plugin, samples| samples.add(&[], u8::from(plugin.loaded)),
        },
        Metric {
            name: "usher_plugin_amiss",
            kind: metric::Kind::Gauge,
            help: "Whether the plug-in's file can't be used, or is gone.",
            labels: &[],
            samples: |plugin, samples| {
                let is_amiss = plugin.last_error.as_ref().is_some_and(|error| error.current);
                samples.add(&[], u8::from(is_amiss));
            },
        },
        Metric {
            name: "usher_plugin_loads_total",
            kind: metric::Kind::Counter,
            help: "Files that took a plug-in's place while the agent ran, and files that couldn't.",
            labels: &[RESULT],
            samples: |plugin, samples| plugin.loads.sample(samples),
        },
    ],
};
