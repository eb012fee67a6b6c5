//! `cargo xtask lint`: everything that is checked without running the program.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, circles, process, setup};

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
    check(same_features());
    check(circles::check());
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

/// That the program alone is compiled of the same crates, with the same features, as the workspace:
/// otherwise whoever builds one after the other waits for wasmtime twice.
fn same_features() -> Result<()> {
    let crates = |packages: &[&str]| -> Result<BTreeSet<String>> {
        let mut tree = process::cargo();
        tree.args(["tree", "--prefix=none", "--edges=normal,build,dev", "--format={p} {f}"]);
        let lines = process::output(tree.args(packages))?;
        let of_others = |line: &&str| !line.is_empty() && !line.starts_with("usher");
        Ok(lines
            .lines()
            .filter(of_others)
            .map(|line| line.trim_end_matches(" (*)").to_owned())
            .collect())
    };
    let program = crates(&["--package=usher"])?;
    let workspace = crates(&["--workspace"])?;
    let alone: Vec<_> = program.difference(&workspace).map(String::as_str).collect();
    if alone.is_empty() {
        return Ok(());
    }
    Err(format!(
        "with the whole workspace these have more features than with the program alone; add them to \
         host/cli/Cargo.toml: {}",
        alone.join(", ")
    ))
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
