//! A cargo within the build.

use std::env;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// This build's own cargo, or another program, without the settings of this build.
pub(crate) fn cargo(root: &Path, program: Option<&str>) -> Command {
    let own = || env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program.map_or_else(own, Into::into));
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
        "CARGO_MANIFEST_LINKS",
    ];
    if own.contains(&name.as_ref()) || name.starts_with("RUSTC") || name.starts_with("DEP_") {
        return false;
    }
    if [
        "RUSTFLAGS",
        "RUSTDOCFLAGS",
        "RUSTUP_TOOLCHAIN",
        "LD_LIBRARY_PATH",
        "CARGO_ENCODED_RUSTFLAGS",
    ]
    .contains(&name.as_ref())
    {
        return false;
    }
    !name.starts_with("CARGO_")
        || ["CARGO_HOME", "CARGO_MAKEFLAGS"].contains(&name.as_ref())
        || ["CARGO_REGISTR", "CARGO_SOURCE_", "CARGO_NET_", "CARGO_HTTP_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}
