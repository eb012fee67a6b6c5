//! `usher agent`: flags, configuration, and the runtime it all runs on.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use usher_config::{Diagnostic, Overrides, load};

use crate::cli::complain;
use crate::{agent, logging, process};

/// Exit status of a wrong command line or configuration.
const USAGE: u8 = 2;

/// Flags of `usher agent`. They win over the environment (`BAO_…`, then `VAULT_…`), which wins
/// over the files.
#[derive(Args)]
#[command(
    args_override_self = true,
    after_help = "Each flag may be written with one dash or two.

Exit status:
  0  success, or a clean shutdown on SIGTERM or SIGINT
  1  failure at run time; the server was unreachable
  2  wrong usage or configuration
  3  authentication refused (with exit_on_err, or with exit_after_auth when --timeout is over)
  4  a sink failed (with exit_after_auth, when --timeout is over)"
)]
pub(crate) struct AgentArguments {
    /// Configuration file or directory, HCL or JSON; may be given several times.
    #[arg(long, value_name = "PATH")]
    config: Vec<PathBuf>,
    /// Address of the server: https://, http:// or unix://.
    #[arg(long, value_name = "URL")]
    address: Option<String>,
    /// File with the certificate authorities to trust, PEM.
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<String>,
    /// Directory with the certificate authorities to trust.
    #[arg(long, value_name = "DIRECTORY")]
    ca_path: Option<String>,
    /// Client certificate, PEM.
    #[arg(long, value_name = "FILE")]
    client_cert: Option<String>,
    /// Key of the client certificate, PEM.
    #[arg(long, value_name = "FILE")]
    client_key: Option<String>,
    /// Name to expect in the server's certificate.
    #[arg(long, value_name = "NAME")]
    tls_server_name: Option<String>,
    /// Don't verify the server's certificate.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = go_bool)]
    tls_skip_verify: Option<bool>,
    /// Namespace (also --ns).
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// trace, debug, info, warn or error.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// standard or json.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Log to a file too; with a slash at its end a directory.
    #[arg(long, value_name = "FILE")]
    log_file: Option<String>,
    /// End once every sink has its token.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = go_bool)]
    exit_after_auth: Option<bool>,
    /// With `exit_after_auth`: give up after this time, such as 30s.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// Take unknown keys and other warnings of the configuration for errors.
    #[arg(long)]
    strict: bool,
    /// Rotate a log file larger than this.
    #[arg(long, value_name = "BYTES")]
    log_rotate_bytes: Option<String>,
    /// Rotate a log file older than this; 24h by default.
    #[arg(long, value_name = "DURATION")]
    log_rotate_duration: Option<String>,
    /// Keep so many rotated log files; 0: all, -1: none.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    log_rotate_max_files: Option<String>,
    /// Harmless flags of the incumbents, ignored with a warning.
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = go_bool)]
    non_interactive: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = go_bool)]
    disable_redirects: Option<bool>,
    #[arg(long, hide = true)]
    agent_address: Option<String>,
    /// Ignored, as the incumbents do.
    #[arg(hide = true)]
    rest: Vec<String>,
}

/// Runs the agent to its end.
pub(crate) fn run(arguments: AgentArguments) -> ExitCode {
    process::forbid_core_dumps();
    let overrides = Overrides {
        address: arguments.address,
        ca_cert: arguments.ca_cert,
        ca_path: arguments.ca_path,
        client_cert: arguments.client_cert,
        client_key: arguments.client_key,
        tls_server_name: arguments.tls_server_name,
        tls_skip_verify: arguments.tls_skip_verify,
        namespace: arguments.namespace,
        log_level: arguments.log_level,
        log_format: arguments.log_format,
        log_file: arguments.log_file,
        log_rotate_bytes: arguments.log_rotate_bytes,
        log_rotate_duration: arguments.log_rotate_duration,
        log_rotate_max_files: arguments.log_rotate_max_files,
        exit_after_auth: arguments.exit_after_auth,
    };
    let (paths, strict) = (arguments.config, arguments.strict);
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
        return ExitCode::from(USAGE);
    };
    if let Err(problem) = logging::start(&settings.log) {
        complain(&format!("error: {problem}"));
        return ExitCode::from(USAGE);
    }
    for (flag, given) in [
        ("non-interactive", arguments.non_interactive.is_some()),
        ("disable-redirects", arguments.disable_redirects.is_some()),
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
    // One thread: guests yield at each tick, files are read on the blocking pool, and an agent
    // spends its life waiting.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("error: the runtime can't be started: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let status = runtime.block_on(agent::run(settings, arguments.timeout, load));
    // A file system that hangs must not keep the process.
    runtime.shutdown_background();
    ExitCode::from(status)
}

/// A duration in any of the incumbents' spellings.
fn duration(text: &str) -> Result<Duration, String> {
    usher_config::duration(text).ok_or_else(|| "write a duration such as 30s or 2m".to_owned())
}

/// Go's `strconv.ParseBool`, which the incumbents use for flags.
pub(super) fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("write true or false".to_owned()),
    }
}
