//! `cargo xtask test`: set up, then every test of the workspace against the release build.

use crate::{Result, process, setup};

/// Runs `cargo test --release --workspace` with the extra arguments.
pub(crate) fn run(extra: &[String]) -> Result<()> {
    let tools = setup::run()?;
    process::run(
        process::cargo()
            .args(["test", "--release", "--workspace"])
            .args(extra)
            .env("USHER_TEST_SETUP", tools.directory()),
    )
}
