//! The files of the plug-in directory: which may be loaded, and loading them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use usher_config::Settings;
use usher_engine::{Cache, Compiler, Engine, Failure, Found, Kind, LoadError, Plugin, find};

use crate::lock::Lock;
use crate::reporter::Reporter;

/// The hidden command by which the agent compiles in a child.
pub(crate) const COMPILE: [&str; 2] = ["plugin", "compile"];

/// What the settings say of plug-in files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PluginFiles {
    pub(crate) directory: PathBuf,
    pub(crate) lock: Option<PathBuf>,
    /// Digests by name.
    pins: BTreeMap<String, String>,
}

impl PluginFiles {
    /// None: there is no plug-in directory.
    pub(crate) fn of(settings: &Settings) -> Option<Self> {
        let pins = settings.plugins.iter();
        let pins = pins.filter_map(|(name, block)| Some((name.clone(), block.sha256.clone()?)));
        Some(Self {
            directory: settings.plugin_directory.clone()?,
            lock: settings.plugin_lock.clone(),
            pins: pins.collect(),
        })
    }

    /// The file of `name`, if there is one.
    pub(crate) async fn read(&self, name: &str) -> Result<Option<Found>, LoadError> {
        let (directory, name) = (self.directory.clone(), name.to_owned());
        // Reading and hashing 12 MB takes too long for the thread on which renewals run.
        aside(&self.directory, move || find(&directory, &name)).await
    }

    /// Whether pin and lock let it be loaded.
    pub(crate) async fn admit(&self, found: &Found) -> Result<(), LoadError> {
        if let Some(pinned) = self.pins.get(&found.name)
            && *pinned != found.digest
        {
            return Err(LoadError::Pinned { found: found.digest.clone(), pinned: pinned.clone() });
        }
        let Some(path) = &self.lock else { return Ok(()) };
        let file = path.clone();
        aside(path, move || Lock::read(&file)).await?.admit(path, found)
    }

    /// Whether what is loaded already would be admitted by the pin.
    pub(crate) fn pin_fits(&self, plugin: &Plugin) -> bool {
        self.pins.get(&plugin.name).is_none_or(|pinned| *pinned == plugin.digest)
    }
}

/// Loads a file that is admitted, which must be of this kind.
pub(crate) async fn load(
    engine: &Engine,
    kind: Kind,
    found: &Found,
    reporter: Reporter,
) -> Result<Arc<Plugin>, LoadError> {
    let plugin = engine.load_file(found, &compiler(reporter)).await?;
    if plugin.kind == kind {
        return Ok(plugin);
    }
    Err(LoadError::Kind { found: plugin.kind.with_article(), expected: kind.with_article() })
}

/// Work with files, on a thread where it may take its time.
async fn aside<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(LoadError::Unreadable { path: path.to_owned(), error: std::io::Error::other(error) })
    })
}

/// Where the agent keeps machine code.
pub(crate) fn cache_place() -> Option<PathBuf> {
    Cache::place(&|name| std::env::var(name).ok())
}

/// How the agent starts itself as a compiler, and where it keeps what comes of it.
pub fn compiler(reporter: Reporter) -> Compiler {
    static CACHE: OnceLock<Option<Cache>> = OnceLock::new();
    let cache = CACHE.get_or_init(|| {
        const WITHOUT: &str = "no cache for compiled plug-ins: each start compiles them again";
        let Some(place) = cache_place() else {
            tracing::info!("{WITHOUT}; set CACHE_DIRECTORY or HOME");
            return None;
        };
        let cache = Cache::open(place.clone());
        let complain = |error: &std::io::Error| {
            tracing::info!(cache = %place.display(), "{WITHOUT} ({error})");
        };
        cache.inspect_err(complain).ok()
    });
    Compiler {
        program: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe")),
        arguments: COMPILE.iter().map(Into::into).collect(),
        cache: cache.clone(),
        announce: reporter.compiling,
    }
}

/// Says in the log that a plug-in is being compiled.
pub fn log_compiling(found: &Found) {
    tracing::info!(plugin = found.name, file = %found.path.display(), "compiling the plug-in");
}

/// The file with the line that is at fault, and what is wrong there. A script's failure begins
/// with the name of its file, which would stand there twice.
pub fn located(file: &str, error: &LoadError) -> (String, String) {
    let name = file.rsplit('/').next().unwrap_or(file);
    if let LoadError::Start(failure) = error
        && let Some(rest) = failure.message.strip_prefix(name)
        && let Some(rest) = rest.strip_prefix(':')
    {
        // "3:2: SyntaxError: …"; a whole that is wrong has no line.
        let (line, message) = rest.split_once(' ').unwrap_or(("", rest));
        let failure = Failure { message: message.to_owned(), ..failure.clone() };
        let place = format!("{file}:{line}").trim_end_matches(':').to_owned();
        return (place, LoadError::Start(failure).to_string());
    }
    (file.to_owned(), error.to_string())
}

#[cfg(test)]
mod tests {
    use usher_engine::FailureKind;

    use super::*;

    #[test]
    fn a_file_is_named_once() {
        for (message, place, rest) in [
            ("acme.js:3:2: SyntaxError: line 3", "/plugins/acme.js:3:2", "SyntaxError: line 3"),
            ("acme.js: TypeError: neither", "/plugins/acme.js", "TypeError: neither"),
            ("it trapped", "/plugins/acme.js", "it trapped"),
        ] {
            let failure = Failure::new(FailureKind::Internal, "script.error", message);
            let shown = located("/plugins/acme.js", &LoadError::Start(failure));
            let expected = format!("it doesn't start: {rest} (script.error)");
            assert_eq!(shown, (place.to_owned(), expected));
        }
    }
}
