//! What a listener costs in memory: while nobody asks, while many do, and a minute later.

use std::path::Path;
use std::time::{Duration, Instant};

use super::agent::{Agent, Listener};
use super::load::{LARGE, Load, SMALL, Wrk};
use crate::bench::{Limit, Row, Site, Table, forget_cached, mebibytes, pause};
use crate::{Result, measure};

/// The agents that were busy, and what they held.
pub(super) struct Memory {
    /// What the listener adds while nobody asks, in kibibytes.
    listener: u64,
    /// Of `bao` and of Usher.
    agents: [Burdened; 2],
}

/// An agent after its load. Memory is in kibibytes.
struct Burdened {
    agent: Agent,
    idle: u64,
    small: u64,
    large: u64,
    ended: Instant,
}

impl Memory {
    /// Measures all but the last figure, for which time has to pass. The server should be the one
    /// that costs nothing, so that as much as can be is under way. No other Usher may run, whose
    /// pages would count as this one's: see [`forget_cached`].
    pub(super) fn begin(site: &Site<'_>, server: &str, home: &Path, wrk: &Wrk) -> Result<Self> {
        println!("Memory of {CONNECTIONS} busy connections …");
        let start = |program: &Path, name: &str, listener| -> Result<(Agent, u64)> {
            // Each finds the program's pages as after a boot.
            forget_cached(program)?;
            let agent = Agent::start(program, server, site.credentials, home.join(name), listener)?;
            pause(SETTLE)?;
            let resident = measure::resident_kib(agent.id())?;
            Ok((agent, resident))
        };
        let (agent, without) = start(&site.usher, "usher-alone", Listener::No)?;
        drop(agent);
        let (agent, with) = start(&site.usher, "usher-busy", Listener::Tcp)?;
        let usher = Burdened::load(agent, with, wrk)?;
        let (agent, idle) = start(&site.bao, "bao-busy", Listener::Tcp)?;
        let bao = Burdened::load(agent, idle, wrk)?;
        Ok(Self { listener: with.saturating_sub(without), agents: [bao, usher] })
    }

    /// Waits until a minute has passed, and adds the rows.
    pub(super) fn end(self, table: &mut Table) -> Result<()> {
        let [bao, usher] = &self.agents;
        let (bao_later, usher_later) = (bao.later()?, usher.later()?);
        let mut row = |what, bao: Option<u64>, usher, limit| {
            let (bao, usher) = (bao.map(mebibytes), mebibytes(usher));
            table.add(Row { what, bao, usher, limit: Limit::Absolute(limit) });
        };
        row("a listener, idle: more mapped memory (MiB)", None, self.listener, 1.0);
        row("256 busy, small answers: … (MiB)", Some(bao.small), usher.small, 16.0);
        row("256 busy, answers of 1 MB: … (MiB)", Some(bao.large), usher.large, 48.0);
        row("a minute later: … (MiB)", Some(bao_later), usher_later, 8.0);
        Ok(())
    }
}

impl Burdened {
    fn load(agent: Agent, idle: u64, wrk: &Wrk) -> Result<Self> {
        let most = |path: &str, seconds| -> Result<u64> {
            let load = Load {
                url: format!("{}{path}", agent.address()),
                token: None,
                script: None,
                connections: CONNECTIONS,
                seconds,
            };
            let mut peak = idle;
            wrk.run(&load, || {
                peak = peak.max(measure::resident_kib(agent.id()).unwrap_or(0));
            })?;
            Ok(peak - idle)
        };
        let small = most(SMALL, 2)?;
        let large = most(LARGE, 3)?;
        Ok(Self { agent, idle, small, large, ended: Instant::now() })
    }

    /// What it holds a minute after its load.
    fn later(&self) -> Result<u64> {
        pause(LATER.saturating_sub(self.ended.elapsed()))?;
        Ok(measure::resident_kib(self.agent.id())?.saturating_sub(self.idle))
    }
}

const CONNECTIONS: u32 = 256;
/// After the login, until start-up work is over.
const SETTLE: Duration = Duration::from_secs(3);
const LATER: Duration = Duration::from_mins(1);
