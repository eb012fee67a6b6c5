//! Without a compiler of its own: another cargo builds this crate with one, in a target directory
//! of its own, and what came of it is taken over.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::nested::cargo;

pub(crate) fn build(root: &Path, out: &Path, target: &str, host: &str) -> Result<(), String> {
    let host_crates = ["host/builtins", "host/guests", "host/engine", "host/secret"];
    let of_guests = ["wit", "sdk/rust", "plugins", "Cargo.toml", "Cargo.lock"];
    for input in host_crates.iter().chain(&of_guests) {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    // <target>/<profile>/build/<package>/out
    let directory =
        out.ancestors().nth(4).ok_or("no target directory above OUT_DIR")?.join("compile");
    let mut command = cargo(root);
    command
        .args([
            "build",
            "--quiet",
            "--release",
            "--package=usher-builtins",
            "--lib",
            "--features=compile",
        ])
        .args(["--message-format=json-render-diagnostics", "--target-dir"])
        .arg(directory)
        .stdout(Stdio::piped());
    if target != host {
        command.args(["--target", target]);
    }
    let output = command
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .map_err(|error| format!("the nested cargo can't be started: {error}"))?;
    if !output.status.success() {
        return Err("the built-in components can't be compiled; see above".to_owned());
    }
    let table = built(&String::from_utf8_lossy(&output.stdout))
        .ok_or("the nested cargo doesn't say where the built-in components are")?
        .join("table.rs");
    let table =
        fs::read_to_string(&table).map_err(|error| format!("{}: {error}", table.display()))?;
    fs::write(out.join("table.rs"), pack_script(&table, out)?).map_err(|error| error.to_string())
}

/// The table with the script component deflated: it would be half of the program.
fn pack_script(table: &str, out: &Path) -> Result<String, String> {
    const BEFORE: &str = "pub static SCRIPT: Precompiled = embedded!(\"";
    let unknown = "table.rs has no script component where it should be";
    let (before, rest) = table.split_once(BEFORE).ok_or(unknown)?;
    let (code, after) = rest.split_once("\")").ok_or(unknown)?;
    let code = fs::read(code).map_err(|error| format!("{code}: {error}"))?;
    let packed = out.join("script.packed");
    fs::write(&packed, miniz_oxide::deflate::compress_to_vec(&code, 9))
        .map_err(|error| format!("{}: {error}", packed.display()))?;
    let script = format!("pub static SCRIPT: Precompiled = packed!({packed:?})");
    Ok(format!("{before}{script}{after}"))
}

/// The output directory of this crate's build script, from cargo's messages (The Cargo Book,
/// "External Tools", build script output).
fn built(messages: &str) -> Option<PathBuf> {
    let message = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok();
    let mut messages = messages.lines().filter_map(message);
    let executed = messages.find(|message| {
        message["reason"] == "build-script-executed"
            && message["package_id"].as_str().is_some_and(|id| id.contains("builtins"))
    })?;
    Some(PathBuf::from(executed["out_dir"].as_str()?))
}
