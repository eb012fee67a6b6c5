//! The compiler child: components of the plug-in directory become machine code in a process of
//! their own.
//!
//! Compiling 12 MB takes 370 MB of memory and seconds, and a hostile component may hang or blow
//! up the compiler. Neither may happen to the agent, so it runs itself as a child for that.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::MemfdFlags;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::cache::CodeName;
use crate::compatibility::Compatibility;
use crate::compiler::Compiler;
use crate::confine::{LARGEST_CODE, MOST_MEMORY, MOST_SECONDS};
use crate::error::LoadError;
use crate::found::Found;
use crate::precompiled::Precompiled;
use crate::text;

/// A compilation that takes longer is given up. Much more than its processor time: the child gets
/// what others leave.
const LONGEST_COMPILATION: Duration = Duration::from_mins(10);

impl Compiler {
    /// Compiles in a child, into the cache if there is one.
    pub(crate) async fn compile(
        &self,
        found: &Found,
        engine: &wasmtime::Engine,
    ) -> Result<Precompiled, LoadError> {
        (self.announce)(found);
        let component = &found.bytes;
        let Some(cache) = &self.cache else { return self.compile_to_memory(component).await };
        let unfinished = match cache.begin() {
            Ok(unfinished) => unfinished,
            Err(error) => {
                tracing::info!("the cache can't be written, compiling without it: {error}");
                return self.compile_to_memory(component).await;
            }
        };
        self.run(component, unfinished.output()?).await?;
        let name = CodeName { plugin: found.digest, compiler: Compatibility::of(engine) };
        unfinished.finish(name).map(Precompiled::from_cache).map_err(|error| {
            LoadError::Compile(format!("its code can't be put into the cache: {error}"))
        })
    }

    async fn compile_to_memory(&self, component: &[u8]) -> Result<Precompiled, LoadError> {
        let code = rustix::fs::memfd_create(c"usher-code", MemfdFlags::CLOEXEC)
            .map(File::from)
            .map_err(|error| LoadError::Compile(format!("no memory file for its code: {error}")))?;
        let output = code
            .try_clone()
            .map_err(|error| LoadError::Compile(format!("no file handle: {error}")))?;
        self.run(component, output).await?;
        Ok(Precompiled::from_child(code))
    }

    /// Compiles in a child that inherits no environment and confines itself.
    async fn run(&self, component: &[u8], output: File) -> Result<(), LoadError> {
        let failed = |what: String| LoadError::Compile(what);
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .current_dir("/")
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
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(failed(explain(status, &errors))),
            Err(error) => Err(failed(format!("the compiler can't be awaited: {error}"))),
        }
    }
}

/// Why the child failed, from its status and what it printed.
fn explain(status: ExitStatus, errors: &str) -> String {
    let signal = |signal: Signal| status.signal() == Some(signal.as_raw());
    // Rust's own words for an allocation that failed, and the kernel's.
    let no_memory = ["memory allocation of", "Cannot allocate memory", "os error 12"];
    if no_memory.iter().any(|words| errors.contains(words)) {
        return format!(
            "the compiler needs more than {} MiB of memory for it; make the component smaller",
            MOST_MEMORY >> 20
        );
    }
    if signal(Signal::XCPU) {
        return format!(
            "the compiler needs more than {MOST_SECONDS} s of processor time for it; make the component smaller"
        );
    }
    if signal(Signal::XFSZ) {
        return format!(
            "its code is larger than {} MiB; make the component smaller",
            LARGEST_CODE >> 20
        );
    }
    if signal(Signal::KILL) {
        return "the compiler was killed, most likely because the machine or the container has no memory left; give it more".to_owned();
    }
    if errors.is_empty() { format!("the compiler ended with {status}") } else { text::line(errors) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_its_limits_ended_is_explained() {
        let ended = |signal: Signal| ExitStatus::from_raw(signal.as_raw());
        for (status, errors, part) in [
            (ended(Signal::XCPU), "", "120 s of processor time"),
            (ended(Signal::KILL), "", "no memory left"),
            (ended(Signal::XFSZ), "", "larger than 512 MiB"),
            (ended(Signal::ABORT), "memory allocation of 99 bytes failed", "2048 MiB of memory"),
            (ended(Signal::SEGV), "", "signal: 11"),
            (ExitStatus::from_raw(1 << 8), "no component", "no component"),
            (ExitStatus::from_raw(1 << 8), "", "exit status: 1"),
        ] {
            let text = explain(status, errors);
            assert!(text.contains(part), "{text}");
        }
    }
}
