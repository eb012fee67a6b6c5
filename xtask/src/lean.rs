//! `cargo xtask lean`: builds the lean flavour, tests it, and says how large it is.

use crate::{Result, process, setup};

/// Megabytes (10^6 bytes) that the program may have. It had 19.4 with nine built-in methods, when the
/// limit was 25; each one more, with the machine code of its component, adds 0.8.
const LARGEST: f64 = 28.0;

/// Fails if the flavour doesn't build, a test fails, or the program is too large.
pub(crate) fn run() -> Result<()> {
    let tools = setup::for_components()?;
    process::run(process::cargo().args([
        "build",
        "--profile",
        "lean",
        "--package",
        "usher",
        "--no-default-features",
    ]))?;
    let program = process::target_directory().join("lean/usher");
    let bytes = std::fs::metadata(&program)
        .map_err(|error| format!("{}: {error}", program.display()))?
        .len();
    #[allow(clippy::cast_precision_loss, reason = "a program has fewer than 2^52 bytes")]
    let megabytes = bytes as f64 / 1e6;
    println!("{}: {megabytes:.1} MB (limit {LARGEST})", program.display());
    process::run(process::cargo().args(["build", "--release", "--workspace", "--bins"]))?;
    process::run(
        process::cargo()
            .args([
                "test",
                "--release",
                "--workspace",
                "--test",
                "plugins",
                "lean::",
                "--",
                "--ignored",
            ])
            .env("USHER_TEST_SETUP", tools.directory())
            .env("USHER_LEAN", &program),
    )?;
    if megabytes > LARGEST { Err("the lean flavour is too large".to_owned()) } else { Ok(()) }
}
