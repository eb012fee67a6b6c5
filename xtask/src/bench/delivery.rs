//! From a new token to the files of ten sinks: on a RAM disk and on the disk.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::launch::{command, identity, vault};
use super::{Limit, Row, Site, Table, pause};
use crate::Result;
use crate::process::{self, Running, TemporaryDirectory};

const SINKS: usize = 10;
const CHANGES: usize = 200;

/// Measures both places; only the RAM disk has a limit, for a disk's sync takes what it takes.
pub(super) fn measure(site: &Site<'_>, table: &mut Table) -> Result<()> {
    println!("\n{CHANGES} token changes to {SINKS} sinks, twice …");
    let memory = TemporaryDirectory::create_in(Path::new("/dev/shm"))?;
    for (what, place, limit) in [
        ("token change to 10 files on tmpfs, p99 (ms)", memory.path(), 5.0),
        ("token change to 10 files on disk, p99 (ms)", site.home, f64::INFINITY),
    ] {
        let mut times = changes(site, &place.join("sinks"))?;
        times.sort_by(f64::total_cmp);
        let p99 = times[(times.len() * 99).div_ceil(100) - 1];
        table.add(Row { what, bao: None, usher: p99, limit: Limit::Absolute(limit) });
    }
    Ok(())
}

/// Milliseconds of each change: from the answer to the login until the last file is in place, by
/// the agent's own log, whose times are in microseconds.
fn changes(site: &Site<'_>, place: &Path) -> Result<Vec<f64>> {
    let (server, home) = (site.server, site.home.join("delivery"));
    for directory in [&*home, place] {
        std::fs::create_dir_all(directory).map_err(|error| error.to_string())?;
    }
    let role_id = server.run(&["read", "-field=role_id", "auth/approle/role/app/role-id"])?;
    std::fs::write(home.join("role-id"), role_id).map_err(|error| error.to_string())?;
    let secret_id = || -> Result<()> {
        let secret_id =
            server.run(&["write", "-f", "-field=secret_id", "auth/approle/role/app/secret-id"])?;
        std::fs::write(home.join("secret-id"), secret_id).map_err(|error| error.to_string())
    };
    secret_id()?;
    let tokens: Vec<PathBuf> =
        (0..SINKS).map(|number| place.join(format!("token-{number}"))).collect();
    let text = "log_format = \"json\"\n".to_owned()
        + &vault(server.address())
        + &identity("auto_auth", "approle", "min_backoff = \"50ms\"", &home, &tokens);
    let configuration = home.join("agent.hcl");
    std::fs::write(&configuration, text).map_err(|error| error.to_string())?;
    // Apart from the credentials: in their directory each line would be a change that the agent
    // looks into.
    let log = home.with_extension("log");
    let file = std::fs::File::create(&log).map_err(|error| error.to_string())?;
    let mut command = command(&site.usher, &home, &configuration);
    let mut agent = Running::start(command.stdout(Stdio::null()).stderr(Stdio::from(file)))?;
    let written = || {
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        log.matches("\"token written\"").count()
    };
    for change in 1..=CHANGES {
        let started = Instant::now();
        process::wait_until("the tokens", Duration::from_secs(20), || {
            (written() >= change * SINKS).then_some(())
        })?;
        // The agent obeys `min_backoff` between looks at the credential.
        pause(Duration::from_millis(60).saturating_sub(started.elapsed()))?;
        if change < CHANGES {
            secret_id()?;
        }
    }
    agent.stop()?;
    let log = std::fs::read_to_string(&log).map_err(|error| error.to_string())?;
    times(&log)
}

fn times(log: &str) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    let (mut login, mut written) = (0.0, 0);
    for line in log.lines() {
        if line.contains("authentication successful") {
            (login, written) = (milliseconds_of_day(line)?, 0);
        } else if line.contains("\"token written\"") {
            written += 1;
            if written == SINKS {
                // Midnight may lie between.
                times.push((milliseconds_of_day(line)? - login).rem_euclid(86_400_000.0));
            }
        }
    }
    if times.len() < CHANGES {
        return Err(format!("only {} of {CHANGES} changes in the log", times.len()));
    }
    Ok(times)
}

/// Of `"@timestamp":"2026-11-22T01:02:03.456789Z"`.
pub(super) fn milliseconds_of_day(line: &str) -> Result<f64> {
    let parse = || {
        let time = line.split("\"@timestamp\":\"").nth(1)?.split('T').nth(1)?;
        let mut parts = time.split(['Z', '+', '"']).next()?.split(':');
        let mut next = || parts.next()?.parse::<f64>().ok();
        Some(((next()? * 60.0 + next()?) * 60.0 + next()?) * 1e3)
    };
    parse().ok_or_else(|| format!("no time in {line}"))
}
