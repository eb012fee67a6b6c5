//! The runtime of a command: one thread, for as long as the command takes.

use tokio::runtime::{Builder, Runtime};

/// A runtime for one command.
///
/// # Errors
/// Why there is none, for people to read.
pub(crate) fn runtime() -> Result<Runtime, String> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime can't be started: {error}"))
}

/// Runs what a command does on a runtime of its own.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    runtime()?.block_on(work)
}
