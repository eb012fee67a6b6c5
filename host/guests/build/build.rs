//! Builds every crate below `plugins/` to a WebAssembly module.

mod nested;
mod toolchain;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::exit;

use toolchain::{TARGET, Toolchain};

/// Runs scripts; a workspace of its own, as its manifest says.
const SCRIPT: &str = "script";

#[allow(clippy::print_stderr, reason = "how a build script tells why it failed")]
fn main() {
    if let Err(message) = build() {
        // One message, without the noise of a panic.
        eprintln!("error: {message}");
        exit(1);
    }
}

fn build() -> Result<(), String> {
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    let root = manifest
        .ancestors()
        .nth(2)
        .ok_or("the crate isn't below the workspace's host directory")?;
    for input in ["host/guests/build", "wit", "sdk/rust", "plugins", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    // Both choose the toolchain.
    println!("cargo::rerun-if-env-changed=RUSTC");
    println!("cargo::rerun-if-env-changed=RUSTUP_TOOLCHAIN");
    let names = built_ins(&root.join("plugins"))?;
    // <target>/<profile>/build/<package>/out; all profiles share the modules.
    let modules =
        out.ancestors().nth(4).ok_or("no target directory above OUT_DIR")?.join("plugins");
    let script_modules = modules.join(SCRIPT);
    let toolchain = Toolchain::find()?;
    let packages: Vec<_> =
        names.iter().map(|name| format!("--package=usher-plugin-{name}")).collect();
    let script = [format!("--manifest-path=plugins/{SCRIPT}/Cargo.toml")];
    // Side by side: most of the script component's build keeps one processor busy.
    std::thread::scope(|scope| {
        let others = scope.spawn(|| toolchain.build(root, &modules, &packages));
        let built = toolchain.build(root, &script_modules, &script);
        others.join().map_err(|_| "building the built-in plug-ins broke off".to_owned())?.and(built)
    })?;
    let mut table =
        "/// Every method and sink, by name.\npub static BUILT_INS: &[Guest] = &[\n".to_owned();
    for name in &names {
        let module = copy(name, &modules, &out)?;
        let _ =
            writeln!(table, "    Guest {{ name: {name:?}, module: include_bytes!({module}) }},");
    }
    let module = copy(SCRIPT, &script_modules, &out)?;
    let _ = write!(
        table,
        "];\n\n/// Runs scripts. It is of both kinds, and no type of the configuration.\n\
         pub static SCRIPT: Guest = Guest {{ name: {SCRIPT:?}, module: include_bytes!({module}) }};\n"
    );
    fs::write(out.join("guests.rs"), table).map_err(|error| error.to_string())
}

/// The crates below `plugins/`, but for `lib`, which is what they share, and the script component.
fn built_ins(directory: &Path) -> Result<Vec<String>, String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .map_err(|error| format!("{}: {error}", directory.display()))?
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("Cargo.toml").exists())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name != "lib" && name != SCRIPT)
        .collect();
    names.sort();
    Ok(names)
}

/// Takes a module that the nested cargo has built: its place is shared with other checkouts.
/// Returns its path as it is written in Rust.
fn copy(name: &str, modules: &Path, out: &Path) -> Result<String, String> {
    let built = modules.join(TARGET).join("plugin").join(format!("usher_plugin_{name}.wasm"));
    let module = out.join(format!("{name}.wasm"));
    fs::copy(&built, &module).map_err(|error| format!("{}: {error}", built.display()))?;
    Ok(format!("{:?}", module.display().to_string()))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("cargo didn't set {name}"))
}
