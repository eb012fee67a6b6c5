//! What the settings say of plug-ins' files, and the agent as the compiler of these.

use std::path::PathBuf;
use std::sync::OnceLock;

use usher_config::Settings;
use usher_engine::{Cache, Compiler, Engine, Failure, Found, LoadError, PluginFiles, PluginStore};

use crate::reporter::Reporter;

/// The hidden command by which the agent compiles in a child.
pub(crate) const COMPILE: [&str; 2] = ["plugin", "compile"];

/// What the settings say of plug-in files. None: there is no plug-in directory.
fn plugin_files(settings: &Settings) -> Option<PluginFiles> {
    let pins = settings.plugins.iter();
    let pins = pins.filter_map(|(name, block)| Some((name.clone(), block.sha256.clone()?)));
    Some(PluginFiles {
        directory: settings.plugin_directory.clone()?,
        lock: settings.plugin_lock.clone(),
        pins: pins.collect(),
    })
}

/// Where plug-ins are found by these settings.
pub(crate) fn plugin_store(
    engine: &Engine,
    settings: &Settings,
    reporter: Reporter,
) -> PluginStore {
    let overridden = settings.plugins.iter().filter(|(_, block)| block.overrides);
    PluginStore {
        engine: engine.clone(),
        overridden: overridden.map(|(name, _)| name.clone()).collect(),
        files: plugin_files(settings),
        compiler: compiler(reporter),
    }
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
