//! Load by `wrk`, and what it reports of it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Result;
use crate::process::{self, Running};

/// The program, as set-up unpacked it.
pub(super) struct Wrk {
    program: PathBuf,
    libraries: PathBuf,
}

/// So many connections that ask for one address without a rest.
pub(super) struct Load<'a> {
    pub(super) url: String,
    /// For whoever has none to add.
    pub(super) token: Option<&'a str>,
    /// What is asked, in wrk's words; else its path is read.
    pub(super) script: Option<&'a Path>,
    pub(super) connections: u32,
    pub(super) seconds: u32,
}

/// What came of it.
#[derive(Debug, PartialEq)]
pub(super) struct Report {
    pub(super) requests: f64,
    pub(super) per_second: f64,
    /// Half of the answers took no longer, in microseconds.
    pub(super) p50: f64,
}

impl Wrk {
    pub(super) fn new(setup: &Path) -> Self {
        let unpacked = setup.join("debian");
        let architecture = std::env::consts::ARCH;
        Self {
            program: unpacked.join("usr/bin/wrk"),
            libraries: unpacked.join(format!("usr/lib/{architecture}-linux-gnu")),
        }
    }

    /// Loads, and calls `meanwhile` again and again. Every request must be answered, and well.
    pub(super) fn run(&self, load: &Load<'_>, mut meanwhile: impl FnMut()) -> Result<Report> {
        let mut command = Command::new(&self.program);
        command
            .env("LD_LIBRARY_PATH", &self.libraries)
            .args(["--threads=1", "--latency", "--timeout=30s"])
            .arg(format!("--connections={}", load.connections))
            .arg(format!("--duration={}s", load.seconds));
        if let Some(token) = load.token {
            command.arg(format!("--header=X-Vault-Token: {token}"));
        }
        if let Some(script) = load.script {
            command.arg("--script").arg(script);
        }
        let mut wrk = Running::start(command.arg(&load.url).stdout(Stdio::piped()))?;
        let limit = Duration::from_secs(u64::from(load.seconds) + 30);
        // Its report is far smaller than what a pipe holds.
        let status = process::wait_until("wrk", limit, || {
            meanwhile();
            wrk.child().try_wait().transpose()
        })?;
        let status = status.map_err(|error| error.to_string())?;
        let mut report = String::new();
        if let Some(mut stdout) = wrk.child().stdout.take() {
            stdout.read_to_string(&mut report).map_err(|error| error.to_string())?;
        }
        let ended_well = status.success() && !FAILURES.iter().any(|what| report.contains(what));
        parse(&report)
            .filter(|_| ended_well)
            .ok_or_else(|| format!("{}: {status}\n{report}", process::line_of(&command)))
    }
}

fn parse(report: &str) -> Option<Report> {
    let report_line = |start: &str| report.lines().find_map(|line| line.trim().strip_prefix(start));
    let (requests, _) = report.lines().find_map(|line| line.split_once(" requests in "))?;
    Some(Report {
        requests: requests.trim().parse::<f64>().ok().filter(|requests| *requests > 0.0)?,
        per_second: report_line("Requests/sec:")?.trim().parse().ok()?,
        p50: microseconds(report_line("50%")?.trim())?,
    })
}

/// Of "1.18ms".
fn microseconds(time: &str) -> Option<f64> {
    [("us", 1.0), ("ms", 1e3), ("s", 1e6)].into_iter().find_map(|(unit, microseconds)| {
        let number: f64 = time.strip_suffix(unit)?.parse().ok()?;
        Some(number * microseconds)
    })
}

/// Where there is a secret of a few words, the same of both servers.
pub(super) const SMALL: &str = "/v1/secret/data/small";
/// One of 1 MB.
pub(super) const LARGE: &str = "/v1/secret/data/large";

/// What stands in a report only if something went wrong.
const FAILURES: [&str; 2] = ["Socket errors:", "Non-2xx or 3xx responses:"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_wrk_4_1_is_understood() {
        let report = "\
Running 2s test @ http://127.0.0.1:34915/v1/secret/data/app
  1 threads and 1 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.23ms    2.11ms  16.36ms   86.46%
    Req/Sec   556.35    123.58     0.99k    85.00%
  Latency Distribution
     50%    1.18ms
     75%    2.88ms
     90%    5.01ms
     99%   10.29ms
  1113 requests in 2.01s, 640.19KB read
Requests/sec:    553.74
Transfer/sec:    318.51KB
";
        let expected = Report { requests: 1113.0, per_second: 553.74, p50: 1180.0 };
        assert_eq!(parse(report), Some(expected));
    }

    #[test]
    fn a_time_of_wrk_has_one_of_three_units() {
        let times = ["571.00us", "1.50ms", "1.63s", "1.63", ""].map(microseconds);
        assert_eq!(times, [Some(571.0), Some(1500.0), Some(1_630_000.0), None, None]);
    }
}
