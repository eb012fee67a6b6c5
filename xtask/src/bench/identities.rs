//! One agent with many identities: how long until all have a token, and what each one costs.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::launch::{command, identity, vault};
use super::{Limit, Row, Site, Table, mebibytes, pause};
use crate::Result;
use crate::measure::{self, Usage};
use crate::process::{self, Running};

const COUNTS: [usize; 4] = [1, 10, 100, 1000];
/// The agent's own ceiling on requests: so many at once, then so many a second.
const BURST: f64 = 100.0;
const PER_SECOND: f64 = 20.0;
const IDLE: Duration = Duration::from_secs(30);

/// Measures each count after the other.
pub(super) fn measure(site: &Site<'_>, table: &mut Table) -> Result<()> {
    println!("Many identities …");
    println!(
        "\n| identities | all delivered (s) | mapped (MiB) | private (MiB) | for each (KiB) | idle CPU (%) |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut one = 0;
    for count in COUNTS {
        let measured = measure_one(site, count)?;
        if count == 1 {
            one = measured.usage.resident_kib;
        }
        let each = measured.usage.resident_kib.saturating_sub(one) / count as u64;
        let idle = measured.idle.as_secs_f64() / IDLE.as_secs_f64() * 100.0;
        println!(
            "| {count} | {:.1} | {:.1} | {:.1} | {each} | {idle:.2} |",
            measured.delivered.as_secs_f64(),
            mebibytes(measured.usage.resident_kib),
            mebibytes(measured.usage.private_kib),
        );
        if count == COUNTS[COUNTS.len() - 1] {
            table.add(Row {
                what: "1,000 identities, mapped memory (MiB)",
                bao: None,
                usher: mebibytes(measured.usage.resident_kib),
                limit: Limit::Absolute(60.0),
            });
            table.add(Row {
                what: "1,000 identities, idle CPU (% of a core)",
                bao: None,
                usher: idle,
                limit: Limit::Absolute(1.0),
            });
            // One login and one first look-up each, and a little for the start.
            #[expect(clippy::cast_precision_loss, reason = "a thousand")]
            let ceiling = (2.0 * count as f64 - BURST) / PER_SECOND + 5.0;
            table.add(Row {
                what: "1,000 identities, all delivered (s)",
                bao: None,
                usher: measured.delivered.as_secs_f64(),
                limit: Limit::Absolute(ceiling),
            });
        }
    }
    Ok(())
}

struct Measured {
    delivered: Duration,
    usage: Usage,
    /// Time on a CPU while nothing had to be done but to keep the tokens.
    idle: Duration,
}

fn measure_one(site: &Site<'_>, count: usize) -> Result<Measured> {
    let home = site.home.join(count.to_string());
    std::fs::create_dir_all(&home).map_err(|error| error.to_string())?;
    let token = |number: usize| home.join(format!("token-{number}"));
    let mut text = vault(site.server.address());
    for number in 0..count {
        let block = format!("identity \"workload-{number}\"");
        text += &identity(&block, "approle", "", site.credentials, &[token(number)]);
    }
    let file = home.join("agent.hcl");
    std::fs::write(&file, text).map_err(|error| error.to_string())?;
    let mut command = command(&site.usher, &home, &file);
    let started = Instant::now();
    let agent = Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()))?;
    let mut missing: Vec<usize> = (0..count).collect();
    process::wait_until("every token", Duration::from_mins(4), || {
        missing.retain(|number| !token(*number).exists());
        missing.is_empty().then_some(())
    })?;
    let delivered = started.elapsed();
    // The look-ups after the logins are under the ceiling too.
    #[expect(clippy::cast_precision_loss, reason = "a thousand")]
    pause(Duration::from_secs_f64(2.0 + count as f64 / PER_SECOND))?;
    let before = measure::usage(agent.id())?;
    pause(IDLE)?;
    let usage = measure::usage(agent.id())?;
    Ok(Measured { delivered, usage, idle: usage.cpu.saturating_sub(before.cpu) })
}
