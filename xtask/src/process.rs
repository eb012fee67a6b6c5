//! Running other programs: commands that must succeed, children that never outlive the task,
//! and temporary directories that vanish.
#![allow(unsafe_code, reason = "signals and the death signal of children need three C calls")]

use std::ffi::{c_int, c_ulong};
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::Result;

/// The workspace: the directory of `Cargo.toml`, `wit/` and this crate's parent.
pub(crate) fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// Cargo's target directory: `CARGO_TARGET_DIR` if set, else `target` in the workspace.
pub(crate) fn target_directory() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        // What is relative is so to where cargo was called, which is where this program runs.
        Some(directory) if !directory.is_empty() => {
            std::path::absolute(&directory).unwrap_or_else(|_| directory.into())
        }
        _ => workspace().join("target"),
    }
}

/// `cargo`, the one that runs this task, in the workspace.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Cargo sets these for this crate; another crate's build must not see them.
    command.current_dir(workspace()).env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_PKG_NAME");
    command
}

/// Runs a command with its output shown; a failure names the command.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", line_of(command))) }
}

/// Runs a command and returns its standard output, trimmed; a failure shows what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| cannot_start(command, &error))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        Err(format!(
            "{}: {}\n{}{}",
            line_of(command),
            output.status,
            stdout.trim_end(),
            stderr.trim_end()
        ))
    }
}

/// Whether the program can be started and succeeds, with its output thrown away.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// A command as a person would type it.
pub(crate) fn line_of(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

/// A child that is stopped when this value goes, and by the kernel if this program is killed.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Starts the command. Call it from the main thread: the kernel ends the child with the
    /// thread that started it.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        // SAFETY: the closure runs in the forked child and makes one system call, which is
        // async-signal-safe; it touches no memory of the parent.
        unsafe {
            command.pre_exec(|| {
                if prctl(PR_SET_PDEATHSIG, SIGKILL as c_ulong, 0, 0, 0) == 0 {
                    Ok(())
                } else {
                    Err(std::io::Error::last_os_error())
                }
            });
        }
        let child =
            command.stdin(Stdio::null()).spawn().map_err(|error| cannot_start(command, &error))?;
        Ok(Self { child })
    }

    /// Process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child itself, to take its pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Asks the child to end and waits; ends it by force after five seconds.
    pub(crate) fn stop(&mut self) -> Result<std::process::ExitStatus> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Ok(status);
        }
        if let Ok(id) = c_int::try_from(self.child.id()) {
            // SAFETY: the child has not been waited for, so the id is still its own.
            unsafe { kill(id, SIGTERM) };
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        self.child.wait().map_err(|error| error.to_string())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// A private directory that is removed with this value.
pub(crate) struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    /// Makes one in the system's directory for such.
    pub(crate) fn create() -> Result<Self> {
        Self::create_in(&std::env::temp_dir())
    }

    /// Makes one in `directory`.
    pub(crate) fn create_in(directory: &Path) -> Result<Self> {
        let path = directory.join(format!("usher-{}", random_hex()?));
        std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
            .create(&path)
            .map_err(|error| format!("cannot create {}: {error}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// 32 hexadecimal digits from the kernel.
pub(crate) fn random_hex() -> Result<String> {
    let mut bytes = [0_u8; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(|error| format!("/dev/urandom: {error}"))?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}

/// A port of loopback where nobody listens yet.
pub(crate) fn free_address() -> Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map_err(|error| format!("no free loopback port: {error}"))
}

/// Makes Ctrl-C and SIGTERM end the task in order, so that children and files are cleared away.
pub(crate) fn catch_interrupts() {
    // SAFETY: the handler only stores to an atomic, which is async-signal-safe.
    unsafe {
        signal(SIGINT, on_interrupt);
        signal(SIGTERM, on_interrupt);
    }
}

/// Waits until `condition` gives a value; fails on an interrupt or after `limit`.
pub(crate) fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if INTERRUPTED.load(Ordering::Relaxed) {
            return Err("interrupted; everything has been stopped".into());
        }
        if let Some(value) = condition() {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            return Err(format!("waited {} s in vain for {what}", limit.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn cannot_start(command: &Command, error: &std::io::Error) -> String {
    format!("cannot start {}: {error}", command.get_program().to_string_lossy())
}

extern "C" fn on_interrupt(_signal: c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

const SIGINT: c_int = 2;
const SIGKILL: c_int = 9;
const SIGTERM: c_int = 15;
const PR_SET_PDEATHSIG: c_int = 1;

unsafe extern "C" {
    fn kill(process: c_int, signal: c_int) -> c_int;
    fn prctl(option: c_int, a: c_ulong, b: c_ulong, c: c_ulong, d: c_ulong) -> c_int;
    fn signal(signal: c_int, handler: extern "C" fn(c_int)) -> usize;
}
