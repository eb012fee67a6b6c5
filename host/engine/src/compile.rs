//! Component to machine code: what the build of the built-ins and the compiler child do.
//!
//! The lean flavour has none of this, and no compiler.

use std::io::{Read, Write};
use std::os::fd::AsFd;

use crate::compatibility::Compatibility;
use crate::configuration::{configuration, shipped};
use crate::confine::confine;
use crate::found::LARGEST_COMPONENT;

/// Compiles a component for the baseline processor of `target` (a triple), or for this machine.
///
/// # Errors
/// The compiler's own words, when the bytes are no valid component.
pub fn compile(component: &[u8], target: Option<&str>) -> Result<Vec<u8>, String> {
    let config = match target {
        Some(target) => shipped(target).map_err(|error| format!("{error:#}"))?,
        None => configuration(),
    };
    let engine = wasmtime::Engine::new(&config).map_err(|error| format!("{error:#}"))?;
    engine.precompile_component(component).map_err(|error| format!("{error:#}"))
}

/// Tells compiled code that fits from code that doesn't: names wasmtime's version and the settings
/// for `target`.
///
/// # Errors
/// When the compiler doesn't know the target.
pub fn compatibility(target: &str) -> Result<String, String> {
    let config = shipped(target).map_err(|error| format!("{error:#}"))?;
    let engine = wasmtime::Engine::new(&config).map_err(|error| format!("{error:#}"))?;
    Ok(Compatibility::of(&engine).to_string())
}

/// What the compiler child does and nothing else: confines itself, then turns a component on
/// `input` into machine code on `output`.
///
/// # Errors
/// What the child prints before it fails.
pub fn compile_stream(input: impl Read, mut output: impl Write + AsFd) -> Result<(), String> {
    confine()?;
    let mut component = Vec::new();
    input
        .take(LARGEST_COMPONENT)
        .read_to_end(&mut component)
        .map_err(|error| format!("the component can't be read: {error}"))?;
    let code = compile(&component, None)?;
    output
        .write_all(&code)
        .and_then(|()| output.flush())
        .map_err(|error| format!("the code can't be written: {error}"))?;
    // What is in the cache must be whole after a power failure; a pipe can't be synced.
    let _ = rustix::fs::fsync(output);
    Ok(())
}
