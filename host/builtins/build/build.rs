//! Makes the table of the built-in components, compiled, so that one `cargo build` makes it all.

#[cfg(feature = "compile")]
mod compile;
#[cfg(not(feature = "compile"))]
#[path = "../../guests/build/nested.rs"]
mod nested;
#[cfg(not(feature = "compile"))]
mod take_over;

use std::env;
use std::path::PathBuf;
use std::process::exit;

#[allow(clippy::print_stderr, reason = "how a build script tells why it failed")]
fn main() {
    if let Err(message) = build() {
        // One message, without the noise of a panic.
        eprintln!("error: {message}");
        exit(1);
    }
}

fn build() -> Result<(), String> {
    println!("cargo::rerun-if-changed=build");
    let out = PathBuf::from(variable("OUT_DIR")?);
    let target = variable("TARGET")?;
    #[cfg(feature = "compile")]
    compile::build(&out, &target)?;
    #[cfg(not(feature = "compile"))]
    {
        let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
        let root = manifest
            .ancestors()
            .nth(2)
            .ok_or("the crate isn't below the workspace's host directory")?;
        take_over::build(root, &out, &target, &variable("HOST")?)?;
    }
    Ok(())
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("cargo didn't set {name}"))
}
