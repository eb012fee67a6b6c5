//! `usher wait`: returns once the agent is ready, for scripts and for units that come after it.

use std::path::Path;
use std::time::Duration;

use clap::{Args, ValueEnum};
use hyper::{Method, StatusCode};
use tokio::time::{Instant, sleep, timeout_at};
use usher_agent::Exit;

use crate::agent::duration;
use crate::runtime::block_on;
use crate::socket::{SocketArguments, Unreachable, ask, refused};
use crate::status::{parse, problems};
use crate::stop::failure;

/// Flags of `usher wait`.
#[derive(Args)]
#[command(after_help = format!("Exit status:
  {}  ready
  {}  not ready in time, or no agent; why is printed", Exit::Done, Exit::Failed))]
pub(crate) struct WaitArguments {
    #[command(flatten)]
    socket: SocketArguments,
    /// What to wait for. ready: every sink of every identity holds its current token.
    #[arg(long = "for", value_name = "WHAT", default_value = "ready")]
    what: What,
    /// Give up after this time, such as 30s or 2m. Without it: wait for ever.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    Ready,
}

pub(crate) fn run(arguments: &WaitArguments) -> Exit {
    let What::Ready = arguments.what;
    let result = block_on(async {
        let socket = arguments.socket.find()?;
        let timeout = arguments.timeout.unwrap_or(FOR_EVER).min(FOR_EVER);
        let deadline = Instant::now() + timeout;
        let mut last = None;
        match timeout_at(deadline, ready(&socket, &mut last)).await {
            Ok(result) => result,
            Err(_) => Err(too_late(&socket, timeout, last).await),
        }
    });
    match result {
        Ok(()) => Exit::Done,
        Err(message) => failure(message).tell(),
    }
}

/// Returns once the agent is ready. `last` is why it can't be asked.
async fn ready(socket: &Path, last: &mut Option<String>) -> Result<(), String> {
    loop {
        match ask(socket, Method::GET, "/v1/wait").await {
            Ok((StatusCode::OK, text)) => {
                *last = None;
                if parse(&text)?.ready {
                    return Ok(());
                }
            }
            Ok((status, text)) => return Err(refused(status, &text)),
            // It may not have started yet, or starts again.
            Err(Unreachable::Absent(text)) => {
                *last = Some(text);
                sleep(RETRY).await;
            }
            Err(Unreachable::Broken(text)) if last.is_none() => {
                // It may have ended under way: then the next attempt finds nobody.
                *last = Some(text);
                sleep(RETRY).await;
            }
            Err(Unreachable::Broken(text)) => return Err(text),
        }
    }
}

/// Why it took too long.
async fn too_late(socket: &Path, timeout: Duration, last: Option<String>) -> String {
    let mut text = format!("not ready after {} s: ", timeout.as_secs_f64());
    let deadline = Instant::now() + LAST_QUESTION;
    let asked = match last {
        Some(unreachable) => Err(unreachable),
        None => match timeout_at(deadline, ask(socket, Method::GET, "/v1/status")).await {
            Ok(Ok((StatusCode::OK, text))) => parse(&text),
            Ok(Ok((status, text))) => Err(refused(status, &text)),
            Ok(Err(unreachable)) => Err(unreachable.into_text()),
            Err(_) => Err(format!("the agent at {} doesn't respond", socket.display())),
        },
    };
    match asked {
        Ok(report) => text += &problems(&report),
        Err(reason) => text += &reason,
    }
    text.trim_end().to_owned()
}

/// Between attempts to find the agent.
const RETRY: Duration = Duration::from_millis(100);
const LAST_QUESTION: Duration = Duration::from_secs(2);
/// A hundred years.
const FOR_EVER: Duration = Duration::from_hours(24 * 36_525);
