//! The one wasmtime configuration, shared by the agent, its compiler child and the build of the
//! built-ins: artefacts load only where these settings are the same.

use usher_grant::LARGEST_MEMORY;
use wasmtime::Config;

/// Settings for running and compiling on this machine.
pub(crate) fn configuration() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .concurrency_support(false)
        // Address space that fits in containers and under `ulimit -v`; a memory never moves.
        .memory_reservation(LARGEST_MEMORY)
        .memory_reservation_for_growth(0)
        .memory_may_move(false)
        .memory_guard_size(64 << 10)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        // A trap is explained by its kind alone; what would tell the place is a fifth of the code.
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false)
        .native_unwind_info(false);
    config
}

/// The same for compiling what is shipped: for the baseline processor of `target`, a target
/// triple, so that no feature of the build machine leaks in.
///
/// # Errors
/// When the compiler doesn't know the target.
pub(crate) fn shipped(target: &str) -> wasmtime::Result<Config> {
    let mut config = configuration();
    config.target(target)?;
    Ok(config)
}
