//! With a compiler: builds the built-in components and compiles them.
//!
//! A nested cargo builds every crate below `plugins/` for `wasm32-unknown-unknown` in a target
//! directory of its own, `wit-component` makes components of the modules, and the engine's own
//! functions compile them for the baseline processor of the target. The script component starts
//! with the memory that it has once its JavaScript engine is made.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use usher_engine::{Kind, compatibility, compile, digest, inspect, preinitialize};
use wit_component::ComponentEncoder;

use crate::nested::cargo;

const TARGET: &str = "wasm32-unknown-unknown";

/// Runs scripts; a workspace of its own, as its manifest says.
const SCRIPT: &str = "script";

/// Components that serve under further names.
const ALSO: [(&str, &[&str]); 2] = [("cf", &["pcf"]), ("userpass", &["ldap", "radius"])];

pub(crate) fn build(root: &Path, out: &Path, native: &str) -> Result<(), String> {
    let plugins = plugins(&root.join("plugins"))?;
    // <target>/<profile>/build/<package>/out; all profiles share the components.
    let modules =
        out.ancestors().nth(4).ok_or("no target directory above OUT_DIR")?.join("plugins");
    let toolchain = Toolchain::find()?;
    let packages = plugins.iter().map(|name| format!("--package=usher-plugin-{name}")).collect();
    let script = vec![format!("--manifest-path=plugins/{SCRIPT}/Cargo.toml")];
    // Side by side: most of the script component's build keeps one processor busy.
    std::thread::scope(|scope| {
        let others = scope.spawn(|| toolchain.build(root, &modules, packages));
        let built = toolchain.build(root, &modules.join(SCRIPT), script);
        others.join().map_err(|_| "building the components broke off".to_owned())?.and(built)
    })?;
    let mut codes = String::new();
    let mut entries = Vec::new();
    for name in &plugins {
        let component = component(name, &module(name, &modules)?)?;
        let file = embed(name, &component, out, native)?;
        let kind =
            match inspect(&component).map_err(|error| format!("plugins/{name}: {error}"))?.kind {
                Kind::AuthMethod => "AuthMethod",
                Kind::Sink => "Sink",
            };
        let code = format!("CODE_OF_{}", name.to_uppercase());
        let _ = writeln!(codes, "static {code}: Precompiled = embedded!({file:?});");
        let also = ALSO.iter().find(|(first, _)| first == name).map_or(&[][..], |(_, also)| also);
        for name in std::iter::once(name.as_str()).chain(also.iter().copied()) {
            entries.push(format!(
                "    BuiltIn {{ name: {name:?}, kind: Kind::{kind}, digest: {:?}, size: {}, \
                 code: &{code} }},\n",
                digest(&component),
                component.len(),
            ));
        }
    }
    entries.sort();
    let script = module(SCRIPT, &modules.join(SCRIPT))?;
    let script = component(SCRIPT, &preinitialized(&script, out, native)?)?;
    let file = embed(SCRIPT, &script, out, native)?;
    let table = format!(
        "{codes}\n/// Every built-in component, by name.\n\
         #[allow(clippy::unreadable_literal)]\n\
         pub static ALL: &[BuiltIn] = &[\n{}];\n\n\
         /// Runs scripts. It is of both kinds, and no type of the configuration.\n\
         pub static SCRIPT: Precompiled = embedded!({file:?});\n",
        entries.concat()
    );
    fs::write(out.join("table.rs"), table).map_err(|error| error.to_string())
}

/// A module that the nested cargo has built.
fn module(name: &str, modules: &Path) -> Result<Vec<u8>, String> {
    let file = modules.join(TARGET).join("plugin").join(format!("usher_plugin_{name}.wasm"));
    fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))
}

/// The script component's module with its JavaScript engine made.
fn preinitialized(module: &[u8], out: &Path, native: &str) -> Result<Vec<u8>, String> {
    let how = digest(include_bytes!("../../engine/src/preinitialize.rs"));
    let made_of = format!("{} {} {how}", digest(module), compatibility(native)?);
    let file = made(&out.join(format!("{SCRIPT}.module.wasm")), &made_of, || {
        preinitialize(module)
            .map_err(|error| format!("plugins/{SCRIPT} can't be initialized: {error}"))
    })?;
    fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))
}

fn component(name: &str, module: &[u8]) -> Result<Vec<u8>, String> {
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| format!("plugins/{name} is no component: {error:#}"))
}

/// Compiles a component. Returns the file with its code.
fn embed(name: &str, component: &[u8], out: &Path, native: &str) -> Result<String, String> {
    let made_of = format!("{} {}", digest(component), compatibility(native)?);
    let file = made(&out.join(format!("{name}.cwasm")), &made_of, || {
        fs::write(out.join(format!("{name}.wasm")), component)
            .map_err(|error| error.to_string())?;
        compile(component, Some(native))
            .map_err(|error| format!("plugins/{name} can't be compiled: {error}"))
    })?;
    Ok(file.display().to_string())
}

/// Makes a file, unless that has been done of the same: for the script component it takes half a
/// minute.
fn made(
    file: &Path,
    made_of: &str,
    make: impl FnOnce() -> Result<Vec<u8>, String>,
) -> Result<PathBuf, String> {
    let note = file.with_added_extension("made-of");
    if !file.exists() || fs::read_to_string(&note).unwrap_or_default() != made_of {
        let bytes = make()?;
        fs::write(file, bytes)
            .and_then(|()| fs::write(&note, made_of))
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(file.to_owned())
}

/// The crates below `plugins/`, but for `lib`, which is what they share, and the script component.
fn plugins(directory: &Path) -> Result<Vec<String>, String> {
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

/// What compiles Rust to WebAssembly.
enum Toolchain {
    /// The toolchain of this build, with the target installed.
    Installed,
    /// Debian's own toolchain, which builds the standard library from source.
    Debian { linker: PathBuf },
}

impl Toolchain {
    fn find() -> Result<Self, String> {
        println!("cargo::rerun-if-env-changed=RUSTC");
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let library = Command::new(rustc)
            .args(["--print", "target-libdir", "--target", TARGET])
            .output()
            .ok()
            .filter(|output| output.status.success())
            .and_then(|output| String::from_utf8(output.stdout).ok());
        if library.is_some_and(|path| Path::new(path.trim()).exists()) {
            return Ok(Self::Installed);
        }
        let linker = (20..40)
            .rev()
            .map(|version| PathBuf::from(format!("/usr/lib/llvm-{version}/bin/wasm-ld")))
            .find(|linker| linker.exists());
        let source = Path::new("/usr/lib/rustlib/src/rust/library/std").exists()
            || fs::read_dir("/usr/src").is_ok_and(|entries| {
                entries.filter_map(Result::ok).any(|entry| {
                    entry.file_name().to_string_lossy().starts_with("rustc-")
                        && entry.path().join("library/std").exists()
                })
            });
        match linker {
            Some(linker) if source && Path::new("/usr/bin/cargo").exists() => {
                Ok(Self::Debian { linker })
            }
            _ => Err(format!(
                "no standard library for {TARGET}; run: rustup target add {TARGET}\n\
                 (without rustup, on Debian: apt-get install -y --no-install-recommends rustc-web cargo-web rust-web-src lld-22)"
            )),
        }
    }

    fn build(&self, root: &Path, target_directory: &Path, what: Vec<String>) -> Result<(), String> {
        let mut command = match self {
            Self::Installed => cargo(root, None),
            Self::Debian { .. } => cargo(root, Some("/usr/bin/cargo")),
        };
        command
            .args(["build", "--quiet", "--profile", "plugin", "--target", TARGET, "--target-dir"])
            .arg(target_directory);
        // Panic messages name source files: by the same name wherever they are built. Those of a
        // workspace are relative anyway; naming its place here would compile all of it anew for
        // each checkout that shares a target directory.
        let cargo_home = env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
        // The script component takes its randomness from the host.
        let mut flags = "--cfg=getrandom_backend=\"custom\"".to_owned();
        if let Some(cargo_home) = cargo_home {
            let _ = write!(flags, " --remap-path-prefix={}=cargo", cargo_home.display());
        }
        command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags).args(what);
        if let Self::Debian { linker } = self {
            // The rustup proxies would win over Debian's programs otherwise.
            let path = env::var_os("PATH").unwrap_or_default();
            let path = env::join_paths(
                std::iter::once(PathBuf::from("/usr/bin")).chain(env::split_paths(&path)),
            )
            .map_err(|error| error.to_string())?;
            command
                .arg("-Zbuild-std=std,panic_abort")
                .env("PATH", path)
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
        let status = command
            .status()
            .map_err(|error| format!("the nested cargo can't be started: {error}"))?;
        if status.success() {
            Ok(())
        } else {
            Err("the built-in components can't be built; see above".to_owned())
        }
    }
}
