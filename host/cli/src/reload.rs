//! `usher reload`: asks the agent to read its configuration again.

use std::io::Write as _;

use clap::Args;
use hyper::{Method, StatusCode};
use usher_agent::Exit;

use crate::runtime::block_on;
use crate::socket::{SocketArguments, ask, refused};
use crate::stop::failure;

/// Flags of `usher reload`.
#[derive(Args)]
#[command(after_help = format!("Exit status:
  {}  the agent took its configuration; what it changed is printed
  {}  it didn't, and goes on unchanged, or there is no agent; why is printed", Exit::Done, Exit::Failed))]
pub(crate) struct ReloadArguments {
    #[command(flatten)]
    socket: SocketArguments,
}

pub(crate) fn run(arguments: &ReloadArguments) -> Exit {
    let result = block_on(async {
        let socket = arguments.socket.find()?;
        match ask(&socket, Method::POST, "/v1/reload").await {
            Ok((StatusCode::OK, done)) => Ok(done),
            Ok((status, text)) => Err(refused(status, &text)),
            Err(unreachable) => Err(unreachable.into_text()),
        }
    });
    match result {
        Ok(done) => {
            let _ = writeln!(std::io::stdout(), "{}", done.trim_end());
            Exit::Done
        }
        Err(message) => failure(message).tell(),
    }
}
