//! Component to machine code: in the build for built-ins, in a child process for everything else.
//!
//! Compiling 12 MB takes 370 MB of memory and seconds, and a hostile component may hang or blow
//! up the compiler. Neither may happen to the agent, so it runs itself as a child for that.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::MemfdFlags;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::configuration::{configuration, shipped};
use crate::error::LoadError;
use crate::precompiled::Precompiled;
use crate::text;

/// The largest component, in bytes.
pub(crate) const LARGEST_COMPONENT: u64 = 64 << 20;

/// A compilation that takes longer is given up.
const LONGEST_COMPILATION: Duration = Duration::from_mins(2);

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

/// What the compiler child does: a component on `input`, its machine code on `output`.
///
/// # Errors
/// What the child prints before it fails.
pub fn compile_stream(input: impl Read, mut output: impl Write) -> Result<(), String> {
    let mut component = Vec::new();
    input
        .take(LARGEST_COMPONENT)
        .read_to_end(&mut component)
        .map_err(|error| format!("the component can't be read: {error}"))?;
    let code = compile(&component, None)?;
    output.write_all(&code).map_err(|error| format!("the code can't be written: {error}"))
}

/// How to start the compiler child: the agent's own program with the arguments that make it call
/// [`compile_stream`].
#[derive(Clone, Debug)]
pub struct Compiler {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl Compiler {
    /// Compiles in a child that inherits no environment.
    pub(crate) async fn run(&self, component: &[u8]) -> Result<Precompiled, LoadError> {
        let failed = |what: String| LoadError::Compile(what);
        let code = rustix::fs::memfd_create(c"usher-code", MemfdFlags::CLOEXEC)
            .map(File::from)
            .map_err(|error| failed(format!("no memory file for its code: {error}")))?;
        let output =
            code.try_clone().map_err(|error| failed(format!("no file handle: {error}")))?;
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                failed(format!("the compiler {} can't be started: {error}", self.program.display()))
            })?;
        let (input, errors) = (child.stdin.take(), child.stderr.take());
        let compilation = async {
            let write = async {
                if let Some(mut input) = input {
                    // A child that fails early closes its end; its own message says why.
                    let _ = input.write_all(component).await;
                }
            };
            let read = async {
                let mut text = Vec::new();
                if let Some(errors) = errors {
                    let _ = errors.take(16 << 10).read_to_end(&mut text).await;
                }
                String::from_utf8_lossy(&text).trim().to_owned()
            };
            let ((), text) = tokio::join!(write, read);
            (child.wait().await, text)
        };
        let (status, errors) =
            tokio::time::timeout(LONGEST_COMPILATION, compilation).await.map_err(|_| {
                failed(format!("it took longer than {} s", LONGEST_COMPILATION.as_secs()))
            })?;
        match status {
            Ok(status) if status.success() => Ok(Precompiled::from_child(code)),
            Ok(status) => Err(failed(if errors.is_empty() {
                format!("the compiler ended with {status}")
            } else {
                text::line(&errors)
            })),
            Err(error) => Err(failed(format!("the compiler can't be awaited: {error}"))),
        }
    }
}
