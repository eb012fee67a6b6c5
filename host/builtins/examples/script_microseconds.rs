//! What a script costs: a fresh instance, its text read anew, and a trivial `authenticate`.
//!
//! Prints one number: the median in microseconds.

#![allow(clippy::print_stdout, reason = "the number is what it is for")]

use std::time::Instant;

use usher_engine::{Allow, Call, Compiler, Engine, Found, Limits, Protected, Reason, Use};

const CALLS: usize = 1000;

const SCRIPT: &str = r#"
import { identity } from "usher:plugin/context@0.1.0";

export const plugin = {
  describe: () => ({ name: "trivial", version: "1.0.0", summary: "", configSchema: "", attributes: [] }),
  prepare: () => [],
};

export const authMethod = {
  authenticate: () => ({
    credential: { tag: "login", val: { path: "login", body: JSON.stringify({ role: identity() }), headers: [] } },
    revision: "",
  }),
  authenticated() {},
};
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("{:.1}", runtime.block_on(median())?);
    Ok(())
}

async fn median() -> Result<f64, Box<dyn std::error::Error>> {
    let engine = Engine::new(Protected::default())?.with_scripts(&usher_builtins::SCRIPT);
    let found = Found {
        name: "trivial".into(),
        path: "/trivial.js".into(),
        bytes: SCRIPT.into(),
        digest: usher_engine::digest(SCRIPT.as_bytes()),
    };
    let compiler = Compiler { program: "/bin/false".into(), arguments: Vec::new(), cache: None };
    let plugin = engine.load_file(&found, &compiler).await?;
    let usage = Use {
        name: "bench/method".into(),
        identity: "bench".into(),
        server_address: "http://127.0.0.1:8200".into(),
        namespace: String::new(),
        mount_path: "auth/trivial".into(),
        config: "{}".into(),
        allow: Allow::default(),
        limits: Limits::default(),
        unwrapper: None,
    };
    let method = engine.auth_method(&plugin, usage).await?;
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let started = Instant::now();
        method.authenticate(Call { reason: Reason::Login, previous_failure: None }).await?;
        times.push(started.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[CALLS / 2])
}
