//! Finds the plug-in behind a type of the configuration, built-in or from the plug-in directory.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use usher_config::{Diagnostic, Location, PluginConfig, Settings};
use usher_engine::{
    Allow, BuiltIn, Engine, Failure, Kind, Limits, LoadError, Origin, Plugin, PluginStore,
    Resolved, Unresolved,
};

use crate::plugin_files::{located, plugin_store};
use crate::reporter::Reporter;

/// Loads each plug-in once, when it is first named.
pub struct Plugins<'a> {
    store: PluginStore,
    settings: &'a Settings,
    patience: Patience,
    loaded: HashMap<(Kind, String), Arc<Plugin>>,
    /// What is wrong with the settings of those that serve.
    found: Vec<Diagnostic>,
}

/// What is done without a plug-in that can be loaded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Its uses wait: the directory is watched.
    Wait,
    /// It is a problem of the configuration.
    Refuse,
}

/// Why there is no plug-in.
pub enum Absence {
    /// The configuration must be corrected.
    Problem(Diagnostic),
    /// It may still come.
    Awaited(Failure),
}

impl<'a> Plugins<'a> {
    /// Finds what `settings` name, for `engine`.
    pub fn new(
        engine: &Engine,
        settings: &'a Settings,
        patience: Patience,
        reporter: Reporter,
    ) -> Self {
        let store = plugin_store(engine, settings, reporter);
        Self { store, settings, patience, loaded: HashMap::new(), found: Vec::new() }
    }

    /// The plug-in for `kind` called `name`; `location` is where the configuration names it.
    pub async fn find(
        &mut self,
        kind: Kind,
        name: &str,
        location: &Location,
    ) -> Result<Arc<Plugin>, Absence> {
        let key = (kind, name.to_owned());
        if let Some(plugin) = self.loaded.get(&key) {
            return Ok(Arc::clone(plugin));
        }
        let plugin = self.load(kind, name, location).await?;
        self.loaded.insert(key, Arc::clone(&plugin));
        Ok(plugin)
    }

    /// Looks for settings that the plug-in's schema doesn't have; [`Self::found`] has them.
    pub fn judge(&mut self, plugin: &Plugin, config: &PluginConfig) {
        self.found.extend(config.unknown_keys(&plugin.name, &plugin.info.config_schema));
    }

    /// What was found in the settings of plug-ins, besides what [`Self::find`] answers.
    pub fn found(&mut self) -> Vec<Diagnostic> {
        std::mem::take(&mut self.found)
    }

    /// Whether a diagnostic may show a value of the plug-in's setting `key`.
    pub(crate) fn shows(&self, kind: Kind, name: &str, key: &str) -> bool {
        let loaded = self.loaded.get(&(kind, name.to_owned()));
        loaded.is_some_and(|plugin| plugin.shows(key))
    }

    async fn load(
        &self,
        kind: Kind,
        name: &str,
        location: &Location,
    ) -> Result<Arc<Plugin>, Absence> {
        let refused = |why: &str| {
            Absence::Problem(unknown(self.store.engine.built_ins(), kind, name, why, location))
        };
        match self.store.resolve(kind, name).await {
            Ok(Resolved::BuiltIn(plugin) | Resolved::InUse(plugin)) => Ok(plugin),
            Ok(Resolved::Loaded(plugin)) => {
                tracing::info!(
                    plugin = name,
                    version = plugin.info.version,
                    sha256 = plugin.digest,
                    "plug-in loaded"
                );
                Ok(plugin)
            }
            Err(Unresolved::NoDirectory) => Err(refused("and there is no plugin_directory")),
            Err(Unresolved::NoFile { directory }) if self.patience == Patience::Wait => {
                Err(Absence::Awaited(missing(name, &directory)))
            }
            Err(Unresolved::NoFile { directory }) => {
                let directory = directory.display();
                Err(refused(&format!("and {directory} has neither {name}.wasm nor {name}.js")))
            }
            Err(Unresolved::Unusable { file, error }) => {
                let plugin =
                    file.map_or_else(|| name.to_owned(), |file| file.display().to_string());
                Err(self.absence(kind, &plugin, &error, location))
            }
        }
    }

    /// What a plug-in that can't be used means: another file may mend it, unless it is the
    /// configuration that is wrong.
    pub(crate) fn absence(
        &self,
        kind: Kind,
        plugin: &str,
        error: &LoadError,
        location: &Location,
    ) -> Absence {
        let of_configuration = matches!(
            error,
            LoadError::Kind { .. }
                | LoadError::Prepare(_)
                | LoadError::Taken { .. }
                | LoadError::Refused(_)
        );
        let is_part_of_this_program = self.store.built_in(kind, plugin).is_some();
        if of_configuration || is_part_of_this_program || self.patience == Patience::Refuse {
            return Absence::Problem(problem(kind, plugin, error, location));
        }
        Absence::Awaited(broken(plugin, error))
    }

    /// A warning for each `plugin` block that no plug-in in use obeys.
    pub fn without_effect(&self) -> Vec<Diagnostic> {
        let in_use = |name: &str| self.loaded.values().find(|plugin| plugin.name == name);
        // Of what can't be loaded that is said, and its block waits for it.
        let wanted: HashSet<&str> = self
            .settings
            .identities
            .iter()
            .flat_map(|identity| {
                let sinks = identity.sinks.iter().map(|sink| sink.kind.as_str());
                sinks.chain([identity.method.kind.as_str()])
            })
            .collect();
        let mut warnings = Vec::new();
        for (name, block) in &self.settings.plugins {
            let why = match in_use(name) {
                None if wanted.contains(name.as_str()) => continue,
                None => format!("no method or sink in use is called {name:?}"),
                Some(plugin) if plugin.origin == Origin::BuiltIn => format!(
                    "{name:?} is built in and allowed what it asks; with override = true a file of this name takes its place"
                ),
                Some(_) => continue,
            };
            warnings.push(Diagnostic::new_warning(
                "plugin.no-effect",
                format!("this `plugin` block has no effect: {why}"),
                "correct its name, or take it out",
                Some(&block.location),
            ));
        }
        warnings
    }

    /// What the operator allows a plug-in, and its limits.
    pub(crate) fn permissions(&self, name: &str) -> (Allow, Limits) {
        permissions(self.settings, name)
    }
}

/// What `settings` allow the plug-in `name`, and its limits.
pub fn permissions(settings: &Settings, name: &str) -> (Allow, Limits) {
    let block = settings.plugins.get(name);
    block.map(|block| (block.allow.clone(), block.limits)).unwrap_or_default()
}

/// What each call of a use answers whose plug-in isn't there.
pub(crate) fn missing(name: &str, directory: &Path) -> Failure {
    let message = format!(
        "no built-in is called {name:?}, and {} has neither {name}.wasm nor {name}.js; it is used as soon as it is there",
        directory.display()
    );
    Failure::awaited(message)
}

/// What each call of a use answers whose plug-in can't be used.
pub(crate) fn broken(plugin: &str, error: &LoadError) -> Failure {
    let (plugin, error) = located(plugin, error);
    Failure::awaited(format!("the plug-in {plugin} can't be used: {error}"))
}

/// A located problem with a plug-in, called by its name or its file.
pub(crate) fn problem(
    kind: Kind,
    plugin: &str,
    error: &LoadError,
    location: &Location,
) -> Diagnostic {
    let (plugin, error) = located(plugin, error);
    Diagnostic::new_error(
        "plugin",
        format!("the {} plug-in {plugin} can't be used: {error}", kind.name()),
        "",
        Some(location),
    )
}

/// What is said of a type that there isn't.
fn unknown(
    built_ins: &[BuiltIn],
    kind: Kind,
    name: &str,
    why: &str,
    location: &Location,
) -> Diagnostic {
    let known: Vec<&str> = built_ins
        .iter()
        .filter(|built_in| built_in.kind == kind)
        .map(|built_in| built_in.name)
        .collect();
    let what = match kind {
        Kind::AuthMethod => "auth method",
        Kind::Sink => "sink",
    };
    let nearest = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(candidate, &name.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min();
    let help = match nearest {
        Some((_, meant)) => format!("did you mean {meant:?}?"),
        None => {
            format!(
                "write one of {}, or put {name}.wasm or {name}.js into the plug-in directory",
                known.join(", ")
            )
        }
    };
    Diagnostic::new_error(
        "plugin.unknown",
        format!("no built-in {what} is called {name:?}, {why}"),
        help,
        Some(location),
    )
}

#[cfg(test)]
mod tests {
    use usher_engine::LARGEST_MEMORY;

    use super::*;

    #[test]
    fn the_documented_limits_are_those_of_the_engine() {
        let document = include_str!("../../../docs/configuration.md");
        let row = |key: &str| {
            let start = format!("| `{key}` |");
            document.lines().find(|line| line.starts_with(&start)).unwrap_or_default()
        };
        let limits = Limits::default();
        let (most, default) = (LARGEST_MEMORY >> 20, limits.memory >> 20);
        let memory = format!("at most {most}MiB. Default {default}MiB.");
        assert!(row("memory").contains(&memory), "{memory}");
        let (method, sink) = (limits.method_timeout.as_secs(), limits.sink_timeout.as_secs());
        let timeout = format!("Default {method}s for a method, {sink}s for a sink.");
        assert!(row("timeout").contains(&timeout), "{timeout}");
        let memory = format!("`limits.memory` ({default} MiB)");
        assert!(include_str!("../../../docs/plugins.md").contains(&memory), "{memory}");
    }
}
