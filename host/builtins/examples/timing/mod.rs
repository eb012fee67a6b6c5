//! How long calls of a method take, for the examples that report it.

use std::time::Instant;

use usher_engine::{Allow, AuthMethod, Call, Limits, Reason, Use};

/// A use by the benchmark, with the method mounted here: "auth/approle".
pub(crate) fn usage(mount_path: String, config: String) -> Use {
    Use {
        name: "bench/method".into(),
        identity: "bench".into(),
        server_address: "http://127.0.0.1:8200".into(),
        namespace: String::new(),
        mount_path,
        config,
        allow: Allow::default(),
        limits: Limits::default(),
        unwrapper: None,
        state_keeper: None,
    }
}

/// The median of so many logins, in microseconds.
pub(crate) async fn authenticate(
    method: &dyn AuthMethod,
    calls: usize,
) -> Result<f64, Box<dyn std::error::Error>> {
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls {
        let started = Instant::now();
        method.authenticate(Call { reason: Reason::Login, previous_failure: None }).await?;
        times.push(started.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(times))
}

/// The one in the middle.
pub(crate) fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
