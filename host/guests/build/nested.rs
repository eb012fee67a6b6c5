//! A cargo within the build.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// This build's own cargo with this build's own compiler, without the settings of this build.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = of(root, env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.env("RUSTC", compiler());
    command
}

/// The compiler of this build, by its path below the sysroot: what `rustc` names may be rustup's
/// proxy, which asks for another toolchain in the directory of each crate that has a
/// `rust-toolchain.toml`.
fn compiler() -> PathBuf {
    let named = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = print(&["sysroot"]).unwrap_or_default();
    let own = sysroot.join("bin/rustc");
    if own.exists() { own } else { named.into() }
}

/// A path that the compiler of this build says.
pub(crate) fn print(what: &[&str]) -> Option<PathBuf> {
    let named = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(named).arg("--print").args(what).output().ok()?;
    let text = output.status.success().then_some(output.stdout)?;
    Some(PathBuf::from(String::from_utf8(text).ok()?.trim()))
}

/// Another cargo, likewise.
pub(crate) fn of(root: &Path, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        if !passes(&name) {
            command.env_remove(name);
        }
    }
    command.current_dir(root);
    command
}

/// Whether the nested cargo may see a variable of this build script.
fn passes(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let own = [
        "OUT_DIR",
        "TARGET",
        "HOST",
        "NUM_JOBS",
        "OPT_LEVEL",
        "DEBUG",
        "PROFILE",
        "RUSTFLAGS",
        "RUSTDOCFLAGS",
        "LD_LIBRARY_PATH",
    ];
    if own.contains(&name.as_ref()) || name.starts_with("RUSTC") || name.starts_with("DEP_") {
        return false;
    }
    !name.starts_with("CARGO_")
        || ["CARGO_HOME", "CARGO_MAKEFLAGS"].contains(&name.as_ref())
        || ["CARGO_REGISTR", "CARGO_SOURCE_", "CARGO_NET_", "CARGO_HTTP_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}
