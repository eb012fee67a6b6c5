//! A child process that is killed with its value, and by the kernel if the test process dies.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts the command, whose standard streams are set by now.
    pub(crate) fn start(mut command: Command) -> Self {
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self { child }
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.status().is_none() {
            kill_process(Pid::from_child(&self.child), signal).expect("the child is ours");
        }
    }

    /// Waits for the end: the exit status, or 128 and the number of the signal that ended it.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<i32> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.status() {
                let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
                return Some(code.expect("an ended process has a status"));
            }
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command in a clean environment: no server settings of the caller's, at home in `home`.
/// The kernel ends it with the thread that starts it, so that a killed test leaves nothing.
pub(crate) fn command(program: &OsStr, home: &std::path::Path, wrapper: &[OsString]) -> Command {
    let mut words: Vec<OsString> = wrapper.to_vec();
    words.extend(["setpriv", "--pdeathsig", "KILL"].map(OsString::from));
    words.push(program.to_owned());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).current_dir(home).env_clear().env("HOME", home);
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}
