//! `cargo xtask bench`: the agent beside `bao agent`, same server, same configuration, same run.

mod calls;
mod delivery;
mod identities;
mod launch;
mod methods;
mod plugins;
mod proxy;
mod site;
mod table;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::measure::{self, Usage};
use crate::openbao::OpenBao;
use crate::process::{self, Running, TemporaryDirectory};
use crate::{Result, setup};
use launch::{command, identity, vault};
use site::Site;
use table::{Limit, Row, Table};

/// Measures the parts that are named, or all; prints the table. `--check` among the arguments makes
/// an error of a figure beyond its limit, which else is only shown.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (flags, names): (Vec<_>, Vec<_>) =
        arguments.iter().partition(|argument| argument.starts_with('-'));
    if let Some(unknown) = flags.iter().find(|flag| **flag != "--check") {
        return Err(format!("there is no {unknown}, only --check"));
    }
    let parts = parts(&names)?;
    let tools = setup::for_bench()?;
    process::run(process::cargo().args([
        "build",
        "--release",
        "--workspace",
        "--bins",
        "--examples",
    ]))?;
    let usher = process::target_directory().join("release/usher");
    process::catch_interrupts();
    let home = TemporaryDirectory::create()?;
    let server_home = home.path().join("server");
    std::fs::create_dir(&server_home).map_err(|error| error.to_string())?;
    let server = OpenBao::start(&tools.bao(), &server_home)?;
    // Long-lived, so that the idle minute holds no scheduled renewal of either agent.
    server.approle(&["token_ttl=1h", "token_max_ttl=24h"])?;

    let site = Site {
        usher,
        bao: tools.bao(),
        setup: tools.directory(),
        server: &server,
        credentials: &server_home,
        home: home.path(),
    };
    let mut table = Table::default();
    for measure in parts {
        measure(&site, &mut table)?;
    }
    let exceeded = table.print();
    if !flags.is_empty() && exceeded > 0 {
        return Err(format!("{exceeded} figures are beyond their limits"));
    }
    Ok(())
}

/// Measures one part.
type Measure = fn(&Site<'_>, &mut Table) -> Result<()>;

/// Those of these names; all if there is none.
fn parts(names: &[&String]) -> Result<Vec<Measure>> {
    if names.is_empty() {
        return Ok(PARTS.iter().map(|(_, part)| *part).collect());
    }
    let part = |name: &&String| {
        let found = PARTS.iter().find(|(known, _)| known == name);
        found.map(|(_, part)| *part).ok_or_else(|| {
            let known: Vec<&str> = PARTS.iter().map(|(known, _)| *known).collect();
            format!("nothing of the name {name} is measured; there are {}", known.join(", "))
        })
    };
    names.iter().map(part).collect()
}

/// One agent with one identity, and its program.
fn agent(site: &Site<'_>, table: &mut Table) -> Result<()> {
    let agents = [
        Agent { program: site.bao.clone(), home: site.home.join("bao") },
        Agent { program: site.usher.clone(), home: site.home.join("usher") },
    ];
    for agent in &agents {
        agent.prepare(site)?;
    }
    for agent in &agents {
        forget_cached(&agent.program)?;
    }
    one_shot(&agents, table)?;
    idle(&agents, table)?;
    table.add(Row {
        what: "stripped binary (MB)",
        bao: Some(megabytes(&site.bao)?),
        usher: stripped_megabytes(&site.usher, site.home)?,
        limit: Limit::Absolute(60.0),
    });
    Ok(())
}

/// Log in, write the token, exit: interleaved runs of both, so that noise hits both alike.
fn one_shot(agents: &[Agent; 2], table: &mut Table) -> Result<()> {
    println!("One-shot login, {RUNS} runs each …");
    let mut runs = [Vec::new(), Vec::new()];
    for round in 0..=RUNS {
        for (agent, runs) in agents.iter().zip(&mut runs) {
            let _ = std::fs::remove_file(agent.token());
            let run = measure::run(&mut agent.command("once.hcl"))?;
            if std::fs::read(agent.token()).map_or(0, |token| token.len()) == 0 {
                return Err(format!("{} wrote no token", agent.program.display()));
            }
            // The first run of each fills the page cache.
            if round > 0 {
                runs.push(run);
            }
        }
    }
    let [bao, usher] = runs;
    let mut row = |what, limit, figure: fn(&measure::Run) -> f64| {
        let of = |runs: &[measure::Run]| median(runs.iter().map(figure).collect());
        table.add(Row { what, bao: Some(of(&bao)), usher: of(&usher), limit });
    };
    row("one-shot login, wall (ms)", Limit::Ratio(0.12), |run| milliseconds(run.wall));
    row("one-shot login, CPU (ms)", Limit::Ratio(0.12), |run| milliseconds(run.cpu));
    row("one-shot login, peak memory (MiB)", Limit::Ratio(0.25), |run| mebibytes(run.peak_kib));
    Ok(())
}

/// Both agents side by side for a minute after one login.
fn idle(agents: &[Agent; 2], table: &mut Table) -> Result<()> {
    println!("Idle for {} s …", IDLE.as_secs());
    let mut running = Vec::new();
    for agent in agents {
        let _ = std::fs::remove_file(agent.token());
        running.push(Running::start(
            agent.command("stay.hcl").stdout(Stdio::null()).stderr(Stdio::null()),
        )?);
        process::wait_until("the token", Duration::from_secs(20), || {
            agent.token().exists().then_some(())
        })?;
    }
    pause(SETTLE)?;
    let look =
        || running.iter().map(|agent| measure::usage(agent.id())).collect::<Result<Vec<Usage>>>();
    let before = look()?;
    pause(IDLE)?;
    let after = look()?;
    let mut row = |what, limit, figure: &dyn Fn(Usage, Usage) -> f64| {
        let of = |index: usize| figure(before[index], after[index]);
        table.add(Row { what, bao: Some(of(0)), usher: of(1), limit });
    };
    row("idle, mapped memory (MiB)", Limit::Ratio(0.25), &|_, after| mebibytes(after.resident_kib));
    row("idle, private memory (MiB)", Limit::Ratio(0.30), &|_, after| mebibytes(after.private_kib));
    row("idle, CPU in 60 s (ms)", Limit::Absolute(10.0), &|before, after| {
        milliseconds(after.cpu.saturating_sub(before.cpu))
    });
    #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
    row("idle, voluntary switches in 60 s", Limit::Absolute(20.0), &|before, after| {
        after.voluntary_switches.saturating_sub(before.voluntary_switches) as f64
    });
    Ok(())
}

/// One of the two programs, with its files.
struct Agent {
    program: PathBuf,
    home: PathBuf,
}

impl Agent {
    /// The same two configuration files for both agents: log in once, and stay.
    fn prepare(&self, site: &Site<'_>) -> Result<()> {
        std::fs::create_dir(&self.home).map_err(|error| error.to_string())?;
        let told = vault(site.server.address())
            + &identity("auto_auth", "approle", "", site.credentials, &[self.token()]);
        for (name, exit_after_auth) in [("once.hcl", true), ("stay.hcl", false)] {
            let text = format!("exit_after_auth = {exit_after_auth}\n{told}");
            std::fs::write(self.home.join(name), text).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn command(&self, configuration: &str) -> Command {
        command(&self.program, &self.home, &self.home.join(configuration))
    }

    fn token(&self) -> PathBuf {
        self.home.join("token")
    }
}

/// Waits, but not through an interrupt.
fn pause(time: Duration) -> Result<()> {
    let end = std::time::Instant::now() + time;
    process::wait_until("the clock", time * 2, || (std::time::Instant::now() >= end).then_some(()))
}

/// Has the kernel read a program from its file, as after a boot. What it holds of one that was just
/// written comes in larger pieces, of which a process maps up to 2.5 MiB more than it uses.
fn forget_cached(program: &Path) -> Result<()> {
    process::run(Command::new("sync").arg(program))?;
    let mut file = OsString::from("if=");
    file.push(program);
    process::run(Command::new("dd").arg(file).args(["iflag=nocache", "count=0", "status=none"]))
}

fn stripped_megabytes(binary: &Path, scratch: &Path) -> Result<f64> {
    let copy = scratch.join("stripped");
    std::fs::copy(binary, &copy).map_err(|error| error.to_string())?;
    process::output(Command::new("strip").arg(&copy))?;
    megabytes(&copy)
}

#[expect(clippy::cast_precision_loss, reason = "file sizes are far below 2^52")]
fn megabytes(file: &Path) -> Result<f64> {
    let size =
        std::fs::metadata(file).map_err(|error| format!("{}: {error}", file.display()))?.len();
    Ok(size as f64 / 1e6)
}

#[expect(clippy::cast_precision_loss, reason = "memory sizes are far below 2^52")]
fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// In the order in which they are measured.
const PARTS: [(&str, Measure); 7] = [
    ("agent", agent),
    ("identities", identities::measure),
    ("delivery", delivery::measure),
    ("plugins", plugins::measure),
    ("methods", methods::measure),
    ("calls", calls::measure),
    ("proxy", proxy::measure),
];
const RUNS: usize = 15;
const IDLE: Duration = Duration::from_mins(1);
/// After the login, until start-up work is over in both.
const SETTLE: Duration = Duration::from_secs(5);
