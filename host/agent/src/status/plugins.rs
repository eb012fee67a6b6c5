//! What the board says of plug-ins: which serve, which are awaited, and what went wrong with their
//! files.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use usher_engine::{Engine, InUse, Kind, Origin};
use usher_secret::redactor::redact;

use super::report::{Counts, PluginErrorReport, PluginReport};

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
