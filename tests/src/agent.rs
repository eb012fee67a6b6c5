//! The real agent as a child process.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::fs::chown;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::eventually::eventually_true;
use crate::plugins::code_directory;
use crate::process::{self, Process};

/// How to start `usher`: arguments, environment, umask, mounts.
pub struct Launch {
    home: TempDir,
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
    umask: String,
    preparation: Option<String>,
    user: Option<u32>,
}

/// A running `usher`; killed with this value. Its log is shown if the test fails.
pub struct Agent {
    // Dropped in this order: the process ends before its files go.
    process: Process,
    log: Output,
    results: Output,
    home: TempDir,
}

/// An `usher` that ended by itself.
#[derive(Debug)]
pub struct Ended {
    /// Exit status; 128 and the number if a signal ended it.
    pub status: i32,
    /// Standard error.
    pub log: String,
    /// Standard output.
    pub results: String,
}

impl Ended {
    /// Panics unless it ended with this status and printed all of these parts.
    #[track_caller]
    pub fn says(&self, status: i32, parts: &[&str]) {
        assert_eq!(self.status, status, "{self:?}");
        for part in parts {
            assert!(self.results.contains(part), "{part:?}: {self:?}");
        }
    }
}

impl Launch {
    /// `usher` with these arguments.
    pub fn command(arguments: &[&str]) -> Self {
        Self {
            home: tempfile::tempdir().expect("a temporary directory"),
            program: binary(),
            arguments: arguments.iter().map(OsString::from).collect(),
            environment: Vec::new(),
            umask: "022".into(),
            preparation: None,
            user: None,
        }
    }

    /// `usher agent` on this configuration, with a log at debug level.
    pub fn agent(configuration: &str) -> Self {
        Self::agent_at(configuration, "debug")
    }

    /// `usher agent` on this configuration, with a log at that level.
    pub fn agent_at(configuration: &str, level: &str) -> Self {
        Self::on_configuration("agent", configuration, level)
    }

    /// `usher proxy` on this configuration, with a log at debug level.
    pub fn proxy(configuration: &str) -> Self {
        Self::on_configuration("proxy", configuration, "debug")
    }

    /// `usher explain` on this configuration.
    pub fn explain(configuration: &str) -> Self {
        Self::command(&["explain"]).configured(configuration)
    }

    fn on_configuration(command: &str, configuration: &str, level: &str) -> Self {
        Self::command(&[command, "--log-level", level]).configured(configuration)
    }

    fn configured(self, configuration: &str) -> Self {
        let file = self.home.path().join("usher.hcl");
        std::fs::write(&file, configuration).expect("the configuration");
        self.argument("--config").argument(file)
    }

    /// Another build of `usher`.
    #[must_use]
    pub fn program(mut self, program: PathBuf) -> Self {
        self.program = program;
        self
    }

    /// One more argument.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(OsString::from));
        self
    }

    /// One more environment variable. Of the caller's only `PATH` is passed on.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Keeps compiled plug-ins for other tests and other runs: one of JavaScript or Python takes half
    /// a minute.
    #[must_use]
    pub fn keep_code(self) -> Self {
        let directory = code_directory();
        let cache = directory.parent().expect("a directory above").display().to_string();
        self.environment("CACHE_DIRECTORY", &cache)
    }

    /// Starts with this umask, "077", instead of "022".
    #[must_use]
    pub fn umask(mut self, umask: &str) -> Self {
        self.umask = umask.into();
        self
    }

    /// Starts as this user without any groups (needs root, see [`is_root`]).
    #[must_use]
    pub fn user(mut self, uid: u32) -> Self {
        self.user = Some(uid);
        self
    }

    /// Starts in a mount namespace of its own (needs root, see [`is_root`]), after this shell
    /// command has made the mounts. [`Agent::path`] leads to what the agent sees there.
    #[must_use]
    pub fn mounts(mut self, command: &str) -> Self {
        self.preparation = Some(command.into());
        self
    }

    /// Starts the agent and leaves it running.
    pub fn start(self) -> Agent {
        let mut wrapper: Vec<OsString> = Vec::new();
        if self.preparation.is_some() {
            wrapper.extend(["unshare", "--mount", "--propagation", "private"].map(OsString::from));
        }
        let script = format!(
            "set -e; umask {}; {}; exec \"$@\"",
            self.umask,
            self.preparation.as_deref().unwrap_or(":")
        );
        wrapper.extend(["sh", "-c", &script, "sh"].map(OsString::from));
        let mut program = self.program;
        if let Some(uid) = self.user {
            // The user must get at the program, wherever the build is.
            let copy = self.home.path().join("usher");
            std::fs::copy(&program, &copy).expect("a copy of usher");
            program = copy;
            chown(self.home.path(), Some(uid), None).expect("the home is given away");
            wrapper.extend(["setpriv", "--clear-groups", "--reuid"].map(OsString::from));
            wrapper.push(uid.to_string().into());
        }
        let mut command = process::command(program.as_os_str(), self.home.path(), &wrapper);
        command
            .args(&self.arguments)
            // The compiled plug-ins of each test are its own.
            .env("CACHE_DIRECTORY", self.home.path().join("cache"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = Process::start(command);
        let log = Output::collect(process.child().stderr.take().expect("a pipe"));
        let results = Output::collect(process.child().stdout.take().expect("a pipe"));
        Agent { process, log, results, home: self.home }
    }

    /// Starts the agent, which must end by itself within `limit`.
    #[track_caller]
    pub fn run(self, limit: Duration) -> Ended {
        self.start().ended(limit)
    }
}

impl Agent {
    /// Starts `usher agent` on this configuration, with a log at debug level.
    pub fn start(configuration: &str) -> Self {
        Launch::agent(configuration).start()
    }

    /// The log so far: standard error.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Standard output so far.
    pub fn results(&self) -> String {
        self.results.text()
    }

    /// Whether it is alive.
    pub fn is_running(&mut self) -> bool {
        self.process.status().is_none()
    }

    /// Waits until the log contains `text`, in any case.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        let text = text.to_lowercase();
        eventually_true(&format!("{text:?} in the log"), Duration::from_secs(30), || {
            self.log().to_lowercase().contains(&text)
        });
    }

    /// A path as the agent sees it in its mount namespace.
    pub fn path(&self, path: &Path) -> PathBuf {
        let path = path.strip_prefix("/").expect("an absolute path");
        PathBuf::from(format!("/proc/{}/root", self.process.id())).join(path)
    }

    /// Runs a shell command in the agent's mount namespace (needs root).
    #[track_caller]
    pub fn in_its_mounts(&self, command: &str) {
        let status = std::process::Command::new("nsenter")
            .arg(format!("--mount=/proc/{}/ns/mnt", self.process.id()))
            .args(["sh", "-c", command])
            .status()
            .expect("nsenter can be started");
        assert!(status.success(), "{command}: {status}");
    }

    /// The arguments of the agent and of every process that it has started.
    pub fn arguments(&self) -> String {
        let mut arguments = String::new();
        let mut pending = vec![self.process.id()];
        while let Some(id) = pending.pop() {
            // A child may end between the two reads.
            let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            arguments += &String::from_utf8_lossy(&line).replace('\0', " ");
            arguments.push('\n');
            for task in
                std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten()
            {
                let children = std::fs::read_to_string(task.path().join("children"));
                pending.extend(
                    children
                        .unwrap_or_default()
                        .split_whitespace()
                        .filter_map(|id| id.parse::<u32>().ok()),
                );
            }
        }
        arguments
    }

    /// How often its threads were given the processor so far.
    pub fn context_switches(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id()));
        tasks
            .expect("the agent's threads")
            .flatten()
            .flat_map(|task| {
                let status = std::fs::read_to_string(task.path().join("status"));
                let status = status.unwrap_or_default();
                let counts = status.lines().filter_map(|line| line.split_once("_ctxt_switches:"));
                counts.map(|(_, count)| count.trim().parse().unwrap_or(0)).collect::<Vec<u64>>()
            })
            .sum()
    }

    /// Bytes of memory that it had at most so far.
    pub fn most_memory(&self) -> u64 {
        memory(self.process.id(), "VmHWM:")
    }

    /// The most that it has more, at any moment while something is done, than it had before.
    pub fn memory_grows<T>(&self, done: impl FnOnce() -> T) -> (u64, T) {
        let id = self.process.id();
        let before = memory(id, "VmRSS:");
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watching = scope.spawn(|| {
                let mut most = before;
                while !is_done.load(Ordering::SeqCst) {
                    most = most.max(memory(id, "VmRSS:"));
                    std::thread::sleep(Duration::from_millis(5));
                }
                most
            });
            // The watch ends also if this fails.
            let done = catch_unwind(AssertUnwindSafe(done));
            is_done.store(true, Ordering::SeqCst);
            let most = watching.join().expect("the memory is read");
            (most - before, done.unwrap_or_else(|failure| resume_unwind(failure)))
        })
    }

    /// Sends SIGTERM.
    pub fn terminate(&mut self) {
        self.process.signal(Signal::TERM);
    }

    /// Replaces the configuration that the agent was started with, and sends SIGHUP.
    pub fn reload(&mut self, configuration: &str) {
        std::fs::write(self.home.path().join("usher.hcl"), configuration)
            .expect("the configuration");
        self.process.signal(Signal::HUP);
    }

    /// Sends SIGINT.
    pub fn interrupt(&mut self) {
        self.process.signal(Signal::INT);
    }

    /// Sends SIGHUP.
    pub fn hang_up(&mut self) {
        self.process.signal(Signal::HUP);
    }

    /// Sends this signal.
    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits until this signal has a handler.
    #[track_caller]
    pub fn wait_until_it_catches(&self, signal: Signal) {
        let file = format!("/proc/{}/status", self.process.id());
        eventually_true("a handler", Duration::from_secs(30), || {
            let status = std::fs::read_to_string(&file).unwrap_or_default();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
            caught.unwrap_or_default() >> (signal.as_raw() - 1) & 1 == 1
        });
    }

    /// Waits until it ends by itself, at most `limit`.
    #[track_caller]
    pub fn ended(mut self, limit: Duration) -> Ended {
        let Some(status) = self.process.wait(limit) else {
            panic!("usher is still running after {limit:?}")
        };
        self.log.finish();
        self.results.finish();
        Ended { status, log: self.log(), results: self.results() }
    }

    /// Sends SIGTERM and expects a clean end, with status 0, within five seconds.
    #[track_caller]
    pub fn stop(mut self) -> Ended {
        self.terminate();
        let ended = self.ended(Duration::from_secs(5));
        assert_eq!(ended.status, 0, "{ended:?}");
        ended
    }

    /// The agent's own directory: its home and working directory.
    pub fn home(&self) -> &Path {
        self.home.path()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of usher ---\n{}{}---", self.results(), self.log());
        }
    }
}

/// Whether the tests run as root, which some faults (a full or read-only file system) need.
/// Says so where they don't, since such a test then checks nothing.
pub fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("not checked: this test needs root");
    }
    root
}

/// `usher` of the same build as this test: `cargo test --workspace` has put it beside us.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
    let binary = profile.join("usher");
    assert!(
        binary.is_file(),
        "{} isn't there; run `cargo xtask test`, or `cargo build --release --workspace` first",
        binary.display()
    );
    binary
}

/// A process's memory in bytes, by this line of its status.
fn memory(id: u32, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("its status");
    let amount = status.lines().find_map(|candidate| candidate.strip_prefix(line));
    let kilobytes = amount.and_then(|amount| amount.trim().strip_suffix(" kB"));
    kilobytes.and_then(|number| number.parse::<u64>().ok()).expect("a number") << 10
}

/// What comes out of a pipe, collected as it comes.
struct Output {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Output {
    fn collect(mut pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                shared
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend_from_slice(&buffer[..length]);
            }
        });
        Self { text, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap_or_else(PoisonError::into_inner))
            .into_owned()
    }

    /// Waits for the end of the pipe, after the process has ended.
    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reading thread ends");
        }
    }
}
