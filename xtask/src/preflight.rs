//! What must be there before minutes are spent: tools, disk space, the crates.

use std::path::Path;
use std::process::Command;

use crate::{Result, process};

/// Fails in one sentence if the build can't come to its end.
pub(crate) fn check(gigabytes: u64) -> Result<()> {
    tools()?;
    disk_space(&process::target_directory(), gigabytes)?;
    crates()
}

/// What the build calls besides Rust.
fn tools() -> Result<()> {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let needed = [
        (compiler.as_str(), "a C compiler", "gcc libc6-dev"),
        ("python3", "Python 3", "python3 python3-venv"),
        ("git", "git", "git"),
    ];
    let missing: Vec<_> = needed
        .into_iter()
        .filter(|(program, ..)| !process::succeeds(Command::new(program).arg("--version")))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let join = |part: fn(&(&str, &str, &str)) -> String, by: &str| {
        missing.iter().map(part).collect::<Vec<_>>().join(by)
    };
    Err(format!(
        "missing: {}; on Debian run, as root: apt-get update && apt-get install -y {}",
        join(|(program, what, _)| format!("{what} (`{program}`)"), ", "),
        join(|(.., packages)| (*packages).to_owned(), " "),
    ))
}

/// Cargo says "No space left on device" only after minutes, and in the middle of something else.
fn disk_space(directory: &Path, gigabytes: u64) -> Result<()> {
    if directory.join("release").exists() {
        // What was built before counts, and how much of it is needed again can't be known.
        return Ok(());
    }
    std::fs::create_dir_all(directory)
        .map_err(|error| format!("cannot create {}: {error}", directory.display()))?;
    // POSIX: `df -Pk`, fourth column of the second line, in kibibytes.
    let table = process::output(Command::new("df").arg("-Pk").arg(directory))?;
    let free = table.lines().nth(1).and_then(|line| line.split_whitespace().nth(3));
    let Some(free) = free.and_then(|kibibytes| kibibytes.parse::<u64>().ok()) else {
        return Ok(());
    };
    if free * 1024 >= gigabytes * 1_000_000_000 {
        return Ok(());
    }
    Err(format!(
        "{} has {:.1} GB free and the build needs {gigabytes}; make room, or set CARGO_TARGET_DIR to a \
         directory on another disk",
        directory.display(),
        kibibytes_as_gigabytes(free),
    ))
}

#[expect(clippy::cast_precision_loss, reason = "disks are smaller than 2^52 KiB")]
fn kibibytes_as_gigabytes(kibibytes: u64) -> f64 {
    kibibytes as f64 * 1024.0 / 1e9
}

/// Downloads what isn't there yet, so that a network that doesn't work is found out at once.
fn crates() -> Result<()> {
    let version = process::output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or("rustc doesn't say for which machine it is")?;
    let script = "--manifest-path=plugins/script/Cargo.toml";
    for workspace in [&[][..], &[script, "--target=wasm32-unknown-unknown"]] {
        let mut fetch = process::cargo();
        fetch.args(["fetch", "--quiet", "--locked", "--target", host]).args(workspace);
        process::run(&mut fetch).map_err(|error| {
            format!(
                "the crates can't be downloaded, see above ({error}); check the network, or what \
                 Cargo's configuration says of proxies and registries"
            )
        })?;
    }
    Ok(())
}
