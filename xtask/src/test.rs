//! `cargo xtask test`: set up, then every test of the workspace against the release build.

use crate::{Result, preflight, process, setup};

/// Runs `cargo test --release --workspace` with the extra arguments.
pub(crate) fn run(extra: &[String]) -> Result<()> {
    preflight::check(BUILD_GIGABYTES)?;
    let tools = setup::for_tests()?;
    // `cargo test` builds a program only for the tests of its own package, and the black-box tests
    // are another: without this they would run whatever was built last, or nothing.
    process::run(process::cargo().args(["build", "--release", "--workspace", "--bins"]))?;
    process::run(
        process::cargo()
            .args(["test", "--release", "--workspace"])
            .args(extra)
            .env("USHER_TEST_SETUP", tools.directory()),
    )
}

/// What programs and tests leave in an empty target directory, and something to spare.
const BUILD_GIGABYTES: u64 = 12;
