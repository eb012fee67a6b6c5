//! One guarded call into a guest: time-out, epoch ticks, and errors made typed failures.

use std::future::Future;
use std::time::Duration;

use wasmtime::Trap;
use wasmtime_wasi::I32Exit;

use crate::failure::{Failure, FailureKind};
use crate::limits::OverLimit;
use crate::runtime::Runtime;
use crate::stdio::Output;
use crate::text;

/// Runs `call` for at most `timeout`. A trap, an exit, a time-out or running out of memory is one
/// `internal` failure with the last lines of its `output`, and nothing else; the caller drops the
/// store.
pub(crate) async fn guarded<T>(
    runtime: &Runtime,
    timeout: Duration,
    output: &Output,
    call: impl Future<Output = wasmtime::Result<T>>,
) -> Result<T, Failure> {
    let _running = runtime.running();
    let failure = match tokio::time::timeout(timeout, call).await {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => explain(&error),
        Err(_) => Failure::new(
            FailureKind::Internal,
            "plugin.timeout",
            format!(
                "the plug-in didn't answer within {} s; raise limits.timeout if it really needs longer",
                timeout.as_secs_f32()
            ),
        ),
    };
    Err(with_output(failure, output))
}

/// A defect says what the plug-in wrote last, where it broke off and where it answered with an
/// `internal` failure, as a script's error is. Other failures are the plug-in's own words.
pub(crate) fn with_output(failure: Failure, output: &Output) -> Failure {
    match failure.kind {
        FailureKind::Internal => Failure { last_lines: output.last_lines().into(), ..failure },
        _ => failure,
    }
}

fn explain(error: &wasmtime::Error) -> Failure {
    let internal = |code: &str, message: String| Failure::new(FailureKind::Internal, code, message);
    // A script that failed where the contract has no failure to return.
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.clone();
    }
    if let Some(over) = error.downcast_ref::<OverLimit>() {
        return match over {
            // Others hold it: no defect of this one.
            OverLimit::Busy => {
                Failure::new(FailureKind::Unavailable, "limit.busy", over.to_string())
            }
            OverLimit::Memory | OverLimit::Table => Failure::exceeded(over.to_string()),
        };
    }
    let root = error.root_cause().to_string();
    if root.contains("fuel allocated for hostcalls") {
        return Failure::exceeded("the plug-in passed more than 4 MiB in one call");
    }
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return internal("plugin.exit", format!("the plug-in ended itself with status {}", exit.0));
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => internal(
            "plugin.trap",
            "the plug-in recursed too deeply and its stack overflowed".to_owned(),
        ),
        Some(Trap::UnreachableCodeReached) => {
            internal("plugin.trap", "the plug-in aborted".to_owned())
        }
        Some(trap) => internal("plugin.trap", format!("the plug-in trapped: {trap}")),
        None => internal("plugin.trap", text::line(&root)),
    }
}
