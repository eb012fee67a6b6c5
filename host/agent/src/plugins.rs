//! Finds the plug-in behind a type of the configuration, built-in or from the plug-in directory.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use usher_config::{Diagnostic, Location, Settings};
use usher_engine::{Allow, Capability, Compiler, Engine, Kind, Limits, LoadError, Origin, Plugin};

/// The hidden command by which the agent compiles in a child.
pub(crate) const COMPILE: [&str; 2] = ["plugin", "compile"];

/// Methods that the incumbents have and Usher hasn't built yet.
const COMING: [&str; 15] = [
    "alicloud",
    "aws",
    "azure",
    "cert",
    "cf",
    "gcp",
    "jwt",
    "kerberos",
    "kubernetes",
    "ldap",
    "oci",
    "pcf",
    "radius",
    "token_file",
    "userpass",
];

/// Loads each plug-in once, when it is first named.
pub(crate) struct Plugins<'a> {
    engine: &'a Engine,
    settings: &'a Settings,
    compiler: Compiler,
    loaded: HashMap<(bool, String), Arc<Plugin>>,
}

impl<'a> Plugins<'a> {
    pub(crate) fn new(engine: &'a Engine, settings: &'a Settings) -> Self {
        Self { engine, settings, compiler: compiler(), loaded: HashMap::new() }
    }

    /// The plug-in for `kind` called `name`; `location` is where the configuration names it.
    pub(crate) async fn find(
        &mut self,
        kind: Kind,
        name: &str,
        location: &Location,
    ) -> Result<Arc<Plugin>, Diagnostic> {
        let key = (kind == Kind::Sink, name.to_owned());
        if let Some(plugin) = self.loaded.get(&key) {
            return Ok(Arc::clone(plugin));
        }
        let plugin = self.load(kind, name, location).await?;
        self.loaded.insert(key, Arc::clone(&plugin));
        Ok(plugin)
    }

    async fn load(
        &self,
        kind: Kind,
        name: &str,
        location: &Location,
    ) -> Result<Arc<Plugin>, Diagnostic> {
        let built_in = usher_builtins::find(kind, name);
        let operator = self.settings.plugins.get(name);
        if let Some(built_in) = built_in.filter(|_| !operator.is_some_and(|own| own.overrides)) {
            return self
                .engine
                .load_built_in(
                    built_in.name,
                    built_in.kind,
                    &built_in.code,
                    built_in.digest,
                    built_in.size,
                )
                .await
                .map_err(|error| problem(kind, name, &error, location));
        }
        let Some(directory) = &self.settings.plugin_directory else {
            return Err(unknown(kind, name, "and there is no plugin_directory", location));
        };
        let found = usher_engine::find(directory, name)
            .map_err(|error| problem(kind, name, &error, location))?;
        let Some(found) = found else {
            let why = format!("and {} has no {name}.wasm", directory.display());
            return Err(unknown(kind, name, &why, location));
        };
        let file = found.path.display().to_string();
        if let Some(pinned) = operator.and_then(|own| own.sha256.as_ref())
            && *pinned != found.digest
        {
            let error = LoadError::Pinned { found: found.digest, pinned: pinned.clone() };
            return Err(problem(kind, &file, &error, location));
        }
        tracing::info!(plugin = name, file, "compiling the plug-in");
        let plugin = self
            .engine
            .load_file(&found, &self.compiler)
            .await
            .map_err(|error| problem(kind, &file, &error, location))?;
        tracing::info!(
            plugin = name,
            version = plugin.info.version,
            sha256 = plugin.digest,
            "plug-in loaded"
        );
        Ok(plugin)
    }

    /// A warning for each `plugin` block that no plug-in in use obeys.
    pub(crate) fn without_effect(&self) -> Vec<Diagnostic> {
        let in_use = |name: &str| self.loaded.values().find(|plugin| plugin.name == name);
        let mut warnings = Vec::new();
        for (name, block) in &self.settings.plugins {
            let why = match in_use(name) {
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
pub(crate) fn permissions(settings: &Settings, name: &str) -> (Allow, Limits) {
    let mut allow = Allow::default();
    let mut limits = Limits::default();
    if let Some(plugin) = settings.plugins.get(name) {
        let list = &plugin.allow;
        for (capability, targets) in [
            (Capability::Connect, &list.connect),
            (Capability::Read, &list.read),
            (Capability::Watch, &list.watch),
            (Capability::Write, &list.write),
            (Capability::Remove, &list.remove),
            (Capability::Env, &list.env),
            (Capability::Server, &list.server),
            (Capability::Kdc, &list.kdc),
        ] {
            allow.0.insert(capability, targets.clone());
        }
        if let Some(memory) = plugin.limits.memory {
            limits.memory = memory;
        }
        if let Some(timeout) = plugin.limits.timeout {
            limits.method_timeout = timeout;
            limits.sink_timeout = timeout;
        }
    }
    (allow, limits)
}

/// How the agent starts itself as a compiler.
pub(crate) fn compiler() -> Compiler {
    Compiler {
        program: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe")),
        arguments: COMPILE.iter().map(Into::into).collect(),
    }
}

/// A located problem with a plug-in, called by its name or its file.
pub(crate) fn problem(
    kind: Kind,
    plugin: &str,
    error: &LoadError,
    location: &Location,
) -> Diagnostic {
    Diagnostic::new_error(
        "plugin",
        format!("the {} plug-in {plugin} can't be used: {error}", kind.name()),
        "",
        Some(location),
    )
}

/// What is said of a type that there isn't.
pub(crate) fn unknown(kind: Kind, name: &str, why: &str, location: &Location) -> Diagnostic {
    let known: Vec<&str> = usher_builtins::ALL
        .iter()
        .filter(|built_in| built_in.kind == kind)
        .map(|built_in| built_in.name)
        .collect();
    let what = match kind {
        Kind::AuthMethod => "auth method",
        Kind::Sink => "sink",
    };
    if kind == Kind::AuthMethod && COMING.contains(&name) {
        return Diagnostic::new_error(
            "unsupported",
            format!("the {what} {name:?} isn't built yet"),
            format!(
                "this version has {}; any other can be a component in plugin_directory",
                known.join(", ")
            ),
            Some(location),
        );
    }
    // A method that is yet to come is a name one may have meant too.
    let candidates = known.iter().chain(COMING.iter().filter(|_| kind == Kind::AuthMethod));
    let nearest = candidates
        .map(|candidate| (strsim::damerau_levenshtein(candidate, &name.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min();
    let help = match nearest {
        Some((_, meant)) => format!("did you mean {meant:?}?"),
        None => {
            format!(
                "write one of {}, or put {name}.wasm into the plug-in directory",
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
