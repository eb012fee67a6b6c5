//! What one login costs inside: a fresh instance of `approle` and its `authenticate`.
//!
//! Prints one number: the median in microseconds beyond the file reads. The method reads one file
//! or two, so the difference is what a file read costs, and is taken off.

#![allow(clippy::print_stdout, reason = "the number is what it is for")]

use std::path::Path;
use std::time::Instant;

use usher_engine::{Allow, Call, Engine, Kind, Limits, Protected, Reason, Use};

const CALLS: usize = 2000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let home = tempfile::tempdir()?;
    std::fs::write(home.path().join("role-id"), "59d6d1ca-47bb-4e7e-a40b-8be3bc5a0ba8")?;
    std::fs::write(home.path().join("secret-id"), "84896a0c-1347-aa90-a4f6-aca8b7558780")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (one, two) = runtime.block_on(async {
        let one = median(home.path(), false).await?;
        let two = median(home.path(), true).await?;
        Ok::<_, Box<dyn std::error::Error>>((one, two))
    })?;
    let read = (two - one).max(0.0);
    println!("{:.1}", one - read);
    Ok(())
}

/// The median of a call, in microseconds.
async fn median(home: &Path, with_secret_id: bool) -> Result<f64, Box<dyn std::error::Error>> {
    let engine = Engine::new(Protected::default())?;
    let built_in = usher_builtins::find(Kind::AuthMethod, "approle").ok_or("no approle")?;
    let plugin = engine
        .load_built_in(built_in.name, built_in.kind, built_in.code, built_in.digest, built_in.size)
        .await?;
    let role_id = home.join("role-id");
    let secret_id =
        if with_secret_id { home.join("secret-id").display().to_string() } else { String::new() };
    let config = format!(
        r#"{{"role_id_file_path": {:?}, "secret_id_file_path": {secret_id:?}, "remove_secret_id_file_after_reading": false}}"#,
        role_id.display().to_string()
    );
    let usage = Use {
        name: "bench/method".into(),
        identity: "bench".into(),
        server_address: "http://127.0.0.1:8200".into(),
        namespace: String::new(),
        mount_path: "auth/approle".into(),
        config,
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
