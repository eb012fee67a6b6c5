//! The API proxy beside that of `bao agent`: time on a CPU of the proxy's process for each request,
//! delay, throughput and memory.
//!
//! Whose turn it is changes every second or two, so that noise hits all alike. What a proxy spends
//! on a CPU depends little on what else the machine does; throughput and delay do, and are compared
//! with others of the same rounds.

mod agent;
mod load;
mod memory;

use std::path::Path;
use std::time::Duration;

use super::{Limit, Row, Site, Table, median, pause};
use crate::openbao::OpenBao;
use crate::{Result, measure};
use agent::{Agent, FixedServer, Listener};
use load::{LARGE, Load, SMALL, Wrk};
use memory::Memory;

/// Measures with the real server, and with one that costs nothing.
pub(super) fn measure(site: &Site<'_>, table: &mut Table) -> Result<()> {
    println!("\nThe API proxy, {ROUNDS} rounds …");
    let home = site.home.join("proxy");
    std::fs::create_dir(&home).map_err(|error| error.to_string())?;
    prepare(site.server, &home)?;
    let wrk = Wrk::new(site.setup);
    let fixed = FixedServer::start()?;
    let memory = Memory::begin(site, &fixed.address(), &home, &wrk)?;
    let start = |server: &str, name: &str, listener| -> Result<[Agent; 2]> {
        let start = |program: &Path, whose: &str| {
            let home = home.join(format!("{name}-{whose}"));
            Agent::start(program, server, site.credentials, home, listener)
        };
        Ok([start(&site.bao, "bao")?, start(&site.usher, "usher")?])
    };
    let real = site.server.address();
    with_real_server(&wrk, site.server, &start(real, "real", Listener::Tcp)?, table)?;
    with_fixed_server(&wrk, &start(&fixed.address(), "fixed", Listener::Tcp)?, table)?;
    from_cache(&wrk, &home, &start(real, "cache", Listener::TcpAndCache)?, table)?;
    memory.end(table)
}

/// A secret of a few words, one of 1 MB, and the role's right to read them and to make tokens.
fn prepare(bao: &OpenBao, home: &Path) -> Result<()> {
    let write = |name: &str, content: String| -> Result<String> {
        let file = home.join(name);
        std::fs::write(&file, content).map_err(|error| error.to_string())?;
        Ok(file.display().to_string())
    };
    let rules = r#"
path "secret/data/*" { capabilities = ["read"] }
path "auth/token/create" { capabilities = ["update"] }
"#;
    let policy = write("policy", rules.to_owned())?;
    bao.run(&["policy", "write", "proxy", &policy])?;
    bao.run(&["write", "auth/approle/role/app", "token_policies=proxy"])?;
    for (name, length) in [("small", 64), ("large", 1_000_000)] {
        let value = write(name, "x".repeat(length))?;
        bao.run(&["kv", "put", &format!("secret/{name}"), &format!("value=@{value}")])?;
    }
    Ok(())
}

/// The server shares the machine with the proxy, as it wouldn't in earnest.
fn with_real_server(
    wrk: &Wrk,
    server: &OpenBao,
    agents: &[Agent; 2],
    table: &mut Table,
) -> Result<()> {
    println!("… with the real server …");
    let token = agents[1].token()?;
    let [bao, usher] = agents.each_ref().map(Target::through);
    let direct = Target {
        address: server.address().to_owned(),
        token: Some(&token),
        script: None,
        proxy: None,
    };
    let seconds = 2;

    let targets = [bao, usher, direct];
    let [bao, usher, direct] = rounds(wrk, &targets, SMALL, 1, seconds)?;
    cpu(table, "proxied KV read, 1 connection, CPU (µs)", &bao, &usher, 0.35);
    let added = |figures: &Figures| {
        median(figures.p50.iter().zip(&direct.p50).map(|(p50, direct)| p50 - direct).collect())
    };
    let (bao, usher) = (added(&bao), added(&usher));
    let what = "… added to p50 (µs)";
    table.add(Row { what, bao: Some(bao), usher, limit: Limit::Ratio(0.5) });
    let what = "… the same, by itself (µs)";
    table.add(Row { what, bao: None, usher, limit: Limit::Absolute(100.0) });

    let [bao, usher, direct] = rounds(wrk, &targets, SMALL, 16, seconds)?;
    cpu(table, "proxied KV read, 16 connections, CPU (µs)", &bao, &usher, 0.35);
    throughput(table, "… throughput beside the server (1/s)", &bao, &usher, 1.2);
    let share = |figures: &Figures| figures.per_second() / direct.per_second() * 100.0;
    table.add(Row {
        what: "… of the server's own (%)",
        bao: Some(share(&bao)),
        usher: share(&usher),
        limit: Limit::AtLeast(75.0),
    });

    let [bao, usher, _] = targets;
    let targets = [bao, usher];
    for (connections, path, what, limit) in [
        (64, SMALL, "proxied KV read, 64 connections, CPU (µs)", 0.35),
        (256, SMALL, "proxied KV read, 256 connections, CPU (µs)", 0.35),
        (16, LARGE, "proxied 1 MB, 16 connections, CPU (µs)", 0.30),
    ] {
        let [bao, usher] = rounds(wrk, &targets, path, connections, seconds)?;
        cpu(table, what, &bao, &usher, limit);
    }
    Ok(())
}

/// Nothing to wait for: the proxy by itself.
fn with_fixed_server(wrk: &Wrk, agents: &[Agent; 2], table: &mut Table) -> Result<()> {
    println!("… with fixed answers …");
    let targets = agents.each_ref().map(Target::through);
    for (connections, what, throughput_limit) in [
        // What one connection gets is a matter of delay.
        (1, "proxied fixed answer, 1 connection, CPU (µs)", None),
        (16, "proxied fixed answer, 16 connections, CPU (µs)", Some(3.0)),
        (64, "proxied fixed answer, 64 connections, CPU (µs)", Some(3.0)),
        (256, "proxied fixed answer, 256 connections, CPU (µs)", Some(3.0)),
    ] {
        let [bao, usher] = rounds(wrk, &targets, SMALL, connections, 1)?;
        cpu(table, what, &bao, &usher, 0.25);
        if let Some(limit) = throughput_limit {
            throughput(table, "… throughput (1/s)", &bao, &usher, limit);
        }
    }
    Ok(())
}

/// A token that was made once, as both agents keep it.
fn from_cache(wrk: &Wrk, home: &Path, agents: &[Agent; 2], table: &mut Table) -> Result<()> {
    const PATH: &str = "/v1/auth/token/create";
    const BODY: &str = r#"{"ttl":"1h"}"#;
    println!("… from the cache …");
    let script = home.join("create-token.lua");
    let text = format!(
        "wrk.method = \"POST\"\nwrk.body = '{BODY}'\n\
         wrk.headers[\"Content-Type\"] = \"application/json\"\n"
    );
    std::fs::write(&script, text).map_err(|error| error.to_string())?;
    for agent in agents {
        if !agent.answers_from_cache(PATH, BODY)? {
            return Err(format!("{} keeps no token", agent.address()));
        }
    }
    let targets =
        agents.each_ref().map(|agent| Target { script: Some(&script), ..Target::through(agent) });
    for (connections, what) in [
        (1, "from the cache, 1 connection, CPU (µs)"),
        (16, "from the cache, 16 connections, CPU (µs)"),
        (64, "from the cache, 64 connections, CPU (µs)"),
    ] {
        let [bao, usher] = rounds(wrk, &targets, PATH, connections, 1)?;
        cpu(table, what, &bao, &usher, 0.35);
    }
    Ok(())
}

fn cpu(table: &mut Table, what: &'static str, bao: &Figures, usher: &Figures, limit: f64) {
    let [bao, usher] = [bao, usher].map(|figures| median(figures.cpu.clone()));
    table.add(Row { what, bao: Some(bao), usher, limit: Limit::Ratio(limit) });
}

fn throughput(table: &mut Table, what: &'static str, bao: &Figures, usher: &Figures, limit: f64) {
    let [bao, usher] = [bao, usher].map(Figures::per_second);
    table.add(Row { what, bao: Some(bao), usher, limit: Limit::RatioAtLeast(limit) });
}

/// Who is asked.
struct Target<'a> {
    address: String,
    token: Option<&'a str>,
    script: Option<&'a Path>,
    /// The proxy's process.
    proxy: Option<u32>,
}

impl Target<'_> {
    fn through(agent: &Agent) -> Self {
        Self { address: agent.address(), token: None, script: None, proxy: Some(agent.id()) }
    }
}

/// Of one target, one for each round.
#[derive(Default)]
struct Figures {
    /// Time on a CPU for each request, in microseconds.
    cpu: Vec<f64>,
    per_second: Vec<f64>,
    /// In microseconds.
    p50: Vec<f64>,
}

impl Figures {
    fn per_second(&self) -> f64 {
        median(self.per_second.clone())
    }
}

/// Loads one target after the other, round after round.
fn rounds<const COUNT: usize>(
    wrk: &Wrk,
    targets: &[Target<'_>; COUNT],
    path: &str,
    connections: u32,
    seconds: u32,
) -> Result<[Figures; COUNT]> {
    let mut figures = std::array::from_fn(|_| Figures::default());
    for round in 0..ROUNDS {
        for position in 0..COUNT {
            // Nobody is always the first.
            let index = (position + round) % COUNT;
            let (target, figures) = (&targets[index], &mut figures[index]);
            let url = format!("{}{path}", target.address);
            let Target { token, script, .. } = *target;
            let load = Load { url, token, script, connections, seconds };
            let spent = || target.proxy.map_or(Ok(Duration::ZERO), measure::cpu);
            let before = spent()?;
            let report = wrk.run(&load, || ())?;
            let spent = spent()?.saturating_sub(before);
            figures.cpu.push(spent.as_secs_f64() * 1e6 / report.requests);
            figures.per_second.push(report.per_second);
            figures.p50.push(report.p50);
            // What was asked last is still under way.
            pause(Duration::from_millis(100))?;
        }
    }
    Ok(figures)
}

const ROUNDS: usize = 5;
