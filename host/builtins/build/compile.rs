//! With a compiler: makes components of the guests and compiles them.
//!
//! `wit-component` makes components of the modules, and the engine's own functions compile them for
//! the baseline processor of the target. The script component starts with the memory that it has
//! once its JavaScript engine is made.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use usher_engine::{Digest, Kind, compatibility, compile, inspect, preinitialize};
use usher_guests::{BUILT_INS, SCRIPT};
use wit_component::ComponentEncoder;

/// Components that serve under further names.
const ALSO: [(&str, &[&str]); 2] = [("cf", &["pcf"]), ("userpass", &["ldap", "radius"])];

pub(crate) fn build(out: &Path, native: &str) -> Result<(), String> {
    // Side by side: the script component takes as long as all others.
    let ((codes, entries), script) = std::thread::scope(|scope| {
        let script = scope.spawn(|| script(out, native));
        let others = others(out, native)?;
        let script =
            script.join().map_err(|_| "compiling plugins/script broke off".to_owned())??;
        Ok::<_, String>((others, script))
    })?;
    let table = format!(
        "{codes}\n/// Every built-in component, by name.\n\
         #[allow(clippy::unreadable_literal)]\n\
         pub static ALL: &[BuiltIn] = &[\n{}];\n\n\
         /// Runs scripts. It is of both kinds, and no type of the configuration.\n\
         pub static SCRIPT: Precompiled = embedded!({script:?});\n",
        entries.concat()
    );
    fs::write(out.join("table.rs"), table).map_err(|error| error.to_string())
}

/// Makes the script component. Returns the file with its code.
fn script(out: &Path, native: &str) -> Result<String, String> {
    let component = component(SCRIPT.name, &preinitialized(out, native)?)?;
    embed(SCRIPT.name, &component, out, native)
}

/// Makes the methods and sinks. Returns where their code is, and their rows of the table, in order,
/// both as Rust.
fn others(out: &Path, native: &str) -> Result<(String, Vec<String>), String> {
    let mut codes = String::new();
    let mut entries = Vec::new();
    for guest in BUILT_INS {
        let name = guest.name;
        let component = component(name, guest.module)?;
        let file = embed(name, &component, out, native)?;
        let kind =
            match inspect(&component).map_err(|error| format!("plugins/{name}: {error}"))?.kind {
                Kind::AuthMethod => "AuthMethod",
                Kind::Sink => "Sink",
            };
        let code = format!("CODE_OF_{}", name.to_uppercase());
        let _ = writeln!(codes, "static {code}: Precompiled = embedded!({file:?});");
        let also = ALSO.iter().find(|(first, _)| *first == name).map_or(&[][..], |(_, also)| also);
        for name in std::iter::once(name).chain(also.iter().copied()) {
            entries.push(format!(
                "    BuiltIn {{ name: {name:?}, kind: Kind::{kind}, digest: {:?}, size: {}, \
                 code: &{code} }},\n",
                Digest::of(&component).to_string(),
                component.len(),
            ));
        }
    }
    entries.sort();
    Ok((codes, entries))
}

/// The script component's module with its JavaScript engine made.
fn preinitialized(out: &Path, native: &str) -> Result<Vec<u8>, String> {
    let name = SCRIPT.name;
    let how = Digest::of(include_bytes!("../../engine/src/preinitialize.rs"));
    let made_of = format!("{} {} {how}", Digest::of(SCRIPT.module), compatibility(native)?);
    let file = made(&out.join(format!("{name}.module.wasm")), &made_of, || {
        preinitialize(SCRIPT.module)
            .map_err(|error| format!("plugins/{name} can't be initialized: {error}"))
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
    let made_of = format!("{} {}", Digest::of(component), compatibility(native)?);
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
