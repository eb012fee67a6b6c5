//! What it costs to replace a plug-in that serves, a thousand times, with ten calls in between.
//!
//! Prints a name and a number a line: `prepare` (a fresh instance and a trivial call, median in
//! microseconds), `replace` (from the cache, median in milliseconds), `memory` (growth over the
//! second half in KiB), and `descriptors`, `threads` and `mappings` (the same, counted).

#![allow(clippy::print_stdout, reason = "the numbers are what it is for")]

use std::time::Instant;

use usher_engine::{
    Allow, Cache, Call, Capability, Compiler, Digest, Engine, Found, Limits, Protected, Reason, Use,
};

const COMPONENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/approle.wasm"));
const RELOADS: usize = 1000;
const CALLS_EACH: usize = 10;
/// How many samples of memory make up the first and the last look at the second half.
const SAMPLES: usize = 100;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure())
}

async fn measure() -> Result<()> {
    let home = tempfile::tempdir()?;
    let role_id = home.path().join("role-id");
    std::fs::write(&role_id, "59d6d1ca-47bb-4e7e-a40b-8be3bc5a0ba8")?;
    let usher = std::env::current_exe()?;
    let usher = usher.ancestors().nth(2).ok_or("no directory above")?.join("usher");
    let compiler = Compiler {
        program: usher,
        arguments: vec!["plugin".into(), "compile".into()],
        cache: Some(Cache::open(home.path().join("cache"))?),
        announce: |_| {},
    };
    let engine = Engine::new(Protected::default())?;
    let versions = [version(1), version(2)];
    let mut allow = Allow::default();
    allow.0.insert(Capability::Read, vec!["/*".to_owned()]);
    allow.0.insert(Capability::Watch, vec!["/*".to_owned()]);
    allow.0.insert(Capability::Remove, vec!["/*".to_owned()]);
    let usage = Use {
        name: "bench/method".into(),
        identity: "bench".into(),
        server_address: "http://127.0.0.1:8200".into(),
        namespace: String::new(),
        mount_path: "auth/approle".into(),
        config: format!(r#"{{"role_id_file_path": {:?}}}"#, role_id.display().to_string()),
        allow,
        limits: Limits::default(),
        unwrapper: None,
        state_keeper: None,
    };
    // Both are compiled before the clock starts.
    engine.load_file(&versions[1], &compiler).await?;
    let plugin = engine.load_file(&versions[0], &compiler).await?;
    let mut prepared = Vec::new();
    for _ in 0..RELOADS {
        let started = Instant::now();
        plugin.prepare(&usage.config, &usage.limits).await?;
        prepared.push(started.elapsed().as_secs_f64() * 1e6);
    }
    let method = engine.auth_method(&plugin, usage).await?;
    drop(plugin);

    let mut replaced = Vec::new();
    let mut memory = Vec::new();
    let mut counts = Vec::new();
    for reload in 1..=RELOADS {
        let started = Instant::now();
        let plugin = engine.load_file(&versions[reload % 2], &compiler).await?;
        engine.replace(&plugin).await?;
        replaced.push(started.elapsed().as_secs_f64() * 1e3);
        for _ in 0..CALLS_EACH {
            method.authenticate(Call { reason: Reason::Login, previous_failure: None }).await?;
        }
        if reload >= RELOADS / 2 {
            memory.push(resident_kibibytes()?);
        }
        if reload == RELOADS / 2 || reload == RELOADS {
            counts.push([
                std::fs::read_dir("/proc/self/fd")?.count(),
                std::fs::read_dir("/proc/self/task")?.count(),
                std::fs::read_to_string("/proc/self/maps")?.lines().count(),
            ]);
        }
    }
    println!("prepare {:.1}", median(&mut prepared));
    println!("replace {:.2}", median(&mut replaced));
    let last = memory.len() - SAMPLES;
    println!(
        "memory {:.0}",
        median(&mut memory[last..].to_vec()) - median(&mut memory[..SAMPLES].to_vec())
    );
    for (index, name) in ["descriptors", "threads", "mappings"].iter().enumerate() {
        println!("{name} {}", counts[1][index].abs_diff(counts[0][index]));
    }
    Ok(())
}

/// The same component with another digest: a custom section that says nothing.
fn version(number: u8) -> Found {
    let mut bytes = COMPONENT.to_vec();
    // Section 0, three bytes: a name of one byte, and the number.
    bytes.extend([0, 3, 1, b'v', number]);
    Found { name: "acme".into(), path: "acme.wasm".into(), digest: Digest::of(&bytes), bytes }
}

fn resident_kibibytes() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
