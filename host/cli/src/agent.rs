//! `usher agent` and `usher proxy`: flags, configuration, and the runtime it all runs on.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use usher_agent::{Exit, Reporter, Signals, forbid_core_dumps, logging, plugin_files};
use usher_config::{Diagnostic, Dialect, load};

use crate::flags::{Flags, go_bool};
use crate::runtime::runtime;
use crate::status;
use crate::stop::failure;
use crate::terminal::complain;

/// Flags of `usher agent` and `usher proxy`. They win over the environment (`BAO_…`, then
/// `VAULT_…`), which wins over the files.
#[derive(Args)]
#[command(args_override_self = true)]
pub(crate) struct AgentArguments {
    #[command(flatten)]
    flags: Flags,
    /// With `exit_after_auth`: give up after this time, such as 30s.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// Take unknown keys and other warnings of the configuration for errors.
    #[arg(long)]
    strict: bool,
    /// Harmless flags of the incumbents, ignored with a warning.
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = go_bool)]
    non_interactive: Option<bool>,
    #[arg(long, hide = true)]
    agent_address: Option<String>,
    /// Ignored, as the incumbents do.
    #[arg(hide = true)]
    rest: Vec<String>,
}

/// What the help says below the flags.
pub(crate) fn after_help(dialect: Dialect) -> String {
    let differs = match dialect {
        Dialect::Agent => "",
        Dialect::Proxy => {
            "It is usher agent under other names: a listener has proxy_api for agent_api and answers
/proxy/v1/metrics, /cache-clear and /quit itself; BAO_PROXY_CONFIG_PATH, or VAULT_…, names the
configuration where --config doesn't. template, env_template and exec have no effect.

"
        }
    };
    format!(
        "{differs}Each flag may be written with one dash or two.

Exit status:
{}
SIGHUP reads the configuration again, SIGUSR1 writes the status to the log (what usher status
shows), SIGUSR2 and its like do nothing. docs/status.md tells every signal.",
        statuses()
    )
}

/// Runs the agent to its end.
pub(crate) fn run(arguments: AgentArguments, dialect: Dialect) -> Exit {
    forbid_core_dumps();
    // One thread: guests yield at each tick, files are read on the blocking pool, and an agent
    // spends its life waiting.
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failure(error).tell(),
    };
    // Before anything that takes its time: a signal that asks for no end must not be one.
    let signals = match runtime.block_on(async { Signals::new() }) {
        Ok(signals) => signals,
        Err(error) => return failure(format!("signals can't be handled: {error}")).tell(),
    };
    let (paths, mut overrides) = arguments.flags.into_parts();
    let strict = arguments.strict;
    overrides.strict = strict;
    overrides.dialect = dialect;
    let load = move || {
        let mut loaded = load(&paths, &overrides, &|name| std::env::var(name).ok());
        if strict && !loaded.diagnostics.is_empty() {
            loaded.settings = None;
        }
        loaded
    };
    let loaded = load();
    for problem in &loaded.diagnostics {
        complain(&problem.to_string());
    }
    let Some(settings) = loaded.settings else {
        if strict && !loaded.diagnostics.iter().any(Diagnostic::is_error) {
            complain("error: --strict takes these warnings for errors");
        }
        return Exit::Configuration;
    };
    if let Err(problem) = logging::start(&settings.log) {
        complain(&format!("error: {problem}"));
        return Exit::Configuration;
    }
    for (flag, given) in [
        ("non-interactive", arguments.non_interactive.is_some()),
        ("agent-address", arguments.agent_address.is_some()),
    ] {
        if given {
            tracing::warn!(flag, "this flag has no effect");
        }
    }
    if !arguments.rest.is_empty() {
        tracing::warn!(
            arguments = arguments.rest.join(" "),
            "arguments that are no flags are ignored"
        );
    }
    let exit = runtime.block_on(usher_agent::run(
        settings,
        arguments.timeout,
        load,
        signals,
        status::for_people,
        REPORTER,
        usher_builtins::built_ins(),
    ));
    // A file system that hangs must not keep the process.
    runtime.shutdown_background();
    exit
}

/// What the exit statuses mean, a line each.
fn statuses() -> String {
    Exit::ALL.iter().fold(String::new(), |mut text, exit| {
        let _ = writeln!(text, "  {exit}  {}", exit.meaning());
        text
    })
}

/// What the library says of an agent that has a log.
const REPORTER: Reporter = Reporter { complain, compiling: plugin_files::log_compiling };

/// A duration in any of the incumbents' spellings.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    usher_config::duration(text).ok_or_else(|| "write a duration such as 30s or 2m".to_owned())
}
