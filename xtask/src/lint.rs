//! `cargo xtask lint`: everything that is checked without running the program.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, process, setup};

/// Runs every check, also after one has failed, and fails if any did.
pub(crate) fn run() -> Result<()> {
    setup::rust_components()?;
    setup::webassembly_target()?;
    // Meanwhile: clippy's build has minutes that keep one processor busy.
    let cargo_deny = std::thread::spawn(cargo_deny);
    let mut failures = Vec::new();
    let mut check = |outcome: Result<()>| {
        if let Err(message) = outcome {
            eprintln!("error: {message}");
            failures.push(message);
        }
    };
    check(process::run(process::cargo().args(["fmt", "--all", "--check"])));
    check(process::run(process::cargo().args([
        "clippy",
        "--release",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ])));
    // A workspace of its own; its manifest says why.
    let script = "--manifest-path=plugins/script/Cargo.toml";
    check(process::run(process::cargo().args(["fmt", script, "--check"])));
    check(process::run(process::cargo().args([
        "clippy",
        "--release",
        script,
        "--",
        "-D",
        "warnings",
    ])));
    check(process::run(
        process::cargo()
            .args(["doc", "--release", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    ));
    let cargo_deny = cargo_deny.join().unwrap_or_else(|_| Err("cargo-deny: broke off".to_owned()));
    check(cargo_deny.and_then(|program| dependency_policy(&program)));
    if failures.is_empty() { Ok(()) } else { Err(format!("{} checks failed", failures.len())) }
}

/// The rules of `deny.toml`. Advisories need a database from outside: they are checked where
/// it can be had, and their absence is said.
fn dependency_policy(cargo_deny: &Path) -> Result<()> {
    let deny = |arguments: &[&str]| {
        let mut command = Command::new(cargo_deny);
        command.current_dir(process::workspace()).args(arguments);
        command
    };
    let advisories = process::succeeds(&mut deny(&["fetch", "db"]));
    for manifest in ["Cargo.toml", "plugins/script/Cargo.toml"] {
        let manifest = ["--manifest-path", manifest];
        let policy = ["check", "--hide-inclusion-graph", "bans", "licenses", "sources"];
        process::run(deny(&manifest).args(policy))?;
        if advisories {
            process::run(deny(&manifest).args(["check", "--disable-fetch", "advisories"]))?;
        }
    }
    if advisories {
        Ok(())
    } else {
        println!("advisories: not checked, the advisory database can't be reached from here");
        Ok(())
    }
}

/// The `cargo-deny` on the path, else one built once (minutes) into the set-up directory.
fn cargo_deny() -> Result<PathBuf> {
    let installed = PathBuf::from("cargo-deny");
    if process::succeeds(Command::new(&installed).arg("--version")) {
        return Ok(installed);
    }
    let root = setup::directory().join(format!("cargo-deny-{CARGO_DENY}"));
    let program = root.join("bin/cargo-deny");
    if !program.exists() {
        println!("Building cargo-deny {CARGO_DENY}, once …");
        process::run(
            process::cargo()
                // It runs for seconds: optimizing it would take longer than it saves.
                .args([
                    "install",
                    "--quiet",
                    "--debug",
                    "--locked",
                    "--version",
                    CARGO_DENY,
                    "--root",
                ])
                .arg(&root)
                .arg("cargo-deny")
                .env("CARGO_TARGET_DIR", setup::directory().join("cargo-deny-build")),
        )?;
        let _ = std::fs::remove_dir_all(setup::directory().join("cargo-deny-build"));
    }
    Ok(program)
}

const CARGO_DENY: &str = "0.20.2";
