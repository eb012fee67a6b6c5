//! What one call of a plug-in costs that isn't built in, a fresh instance each time.
//!
//! Without arguments it is a script, its text read anew, and a trivial `authenticate`. With a file
//! `NAME.wasm` and a configuration it is that component and its `prepare`. Prints one number: the
//! median in microseconds.

#![allow(clippy::print_stdout, reason = "the number is what it is for")]

mod timing;

use std::path::PathBuf;
use std::time::Instant;

use usher_engine::{Compiler, Engine, Found, Limits, Protected};

const CALLS: usize = 1000;
/// An interpreter's instance takes milliseconds.
const CALLS_OF_COMPONENT: usize = 100;

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

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut arguments = std::env::args().skip(1);
    let microseconds = match (arguments.next(), arguments.next()) {
        (Some(file), Some(config)) => runtime.block_on(component(PathBuf::from(file), &config))?,
        _ => runtime.block_on(script())?,
    };
    println!("{microseconds:.1}");
    Ok(())
}

async fn component(file: PathBuf, config: &str) -> Result<f64> {
    let engine = Engine::new(Protected::default())?;
    let bytes = std::fs::read(&file)?;
    let digest = usher_engine::Digest::of(&bytes);
    let found = Found { name: "component".into(), path: file, bytes, digest };
    let usher = std::env::current_exe()?;
    let usher = usher.ancestors().nth(2).ok_or("no directory above")?.join("usher");
    let arguments = vec!["plugin".into(), "compile".into()];
    let compiler = Compiler { program: usher, arguments, cache: None, announce: |_| {} };
    let plugin = engine.load_file(&found, &compiler).await?;
    let mut times = Vec::new();
    for _ in 0..CALLS_OF_COMPONENT {
        let started = Instant::now();
        plugin.prepare(config, &Limits::default()).await?;
        times.push(started.elapsed().as_secs_f64() * 1e6);
    }
    Ok(timing::median(times))
}

async fn script() -> Result<f64> {
    let engine = Engine::new(Protected::default())?.with_built_ins(usher_builtins::built_ins());
    let found = Found {
        name: "trivial".into(),
        path: "/trivial.js".into(),
        bytes: SCRIPT.into(),
        digest: usher_engine::Digest::of(SCRIPT.as_bytes()),
    };
    let compiler = Compiler {
        program: "/bin/false".into(),
        arguments: Vec::new(),
        cache: None,
        announce: |_| {},
    };
    let plugin = engine.load_file(&found, &compiler).await?;
    let usage = timing::usage("auth/trivial".into(), "{}".into());
    let method = engine.auth_method(&plugin, usage).await?;
    timing::authenticate(&*method, CALLS).await
}
