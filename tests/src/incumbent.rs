//! The real OpenBao Agent and OpenBao Proxy, to compare with.

use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use crate::plugins::setup_directory;
use crate::process::{self, Process};

/// A running `bao agent` or `bao proxy`; killed with this value. Its log is shown if the test fails.
pub struct Incumbent {
    process: Process,
    home: tempfile::TempDir,
}

impl Incumbent {
    /// Starts it on this configuration and with these environment variables.
    pub fn start(configuration: &str, environment: &[(&str, &str)]) -> Self {
        Self::launch("bao", "agent", configuration, environment)
    }

    /// Starts `bao proxy`.
    pub fn start_proxy(configuration: &str) -> Self {
        Self::launch("bao", "proxy", configuration, &[])
    }

    /// Starts the last version whose agent has `kerberos` built in.
    pub fn start_2_6(configuration: &str) -> Self {
        Self::launch("bao-2.6", "agent", configuration, &[])
    }

    fn launch(
        program: &str,
        dialect: &str,
        configuration: &str,
        environment: &[(&str, &str)],
    ) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let file = home.path().join("agent.hcl");
        std::fs::write(&file, configuration).expect("the configuration");
        let log = File::create(home.path().join("agent.log")).expect("the agent's log");
        let program = setup_directory().join(program);
        let mut command = process::command(program.as_os_str(), home.path(), &[]);
        command
            .arg(dialect)
            .arg(format!("-config={}", file.display()))
            .envs(environment.iter().copied())
            .stdout(Stdio::from(log.try_clone().expect("a second handle")))
            .stderr(Stdio::from(log));
        Self { process: Process::start(command), home }
    }

    /// Waits until it ends by itself, and well.
    #[track_caller]
    pub fn succeeds(mut self, limit: Duration) {
        let status = self.process.wait(limit);
        assert_eq!(status, Some(0), "bao agent (none: still running after {limit:?})");
    }

    /// Waits until it ends by itself: its status, and what it has logged.
    pub fn ended(mut self, limit: Duration) -> (Option<i32>, String) {
        (self.process.wait(limit), self.log())
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("agent.log")).unwrap_or_default()
    }
}

impl Drop for Incumbent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of bao agent ---\n{}---", self.log());
        }
    }
}
