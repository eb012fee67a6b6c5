//! `usher reload`: asks the agent to read its configuration again.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use hyper::{Method, StatusCode};

use crate::cli::socket::{SocketArguments, ask, refused};
use crate::cli::{block_on, complain};

/// Flags of `usher reload`.
#[derive(Args)]
#[command(after_help = "Exit status:
  0  the agent took its configuration; what it changed is printed
  1  it didn't, and goes on unchanged, or there is no agent; why is printed")]
pub(crate) struct ReloadArguments {
    #[command(flatten)]
    socket: SocketArguments,
}

pub(crate) fn run(arguments: &ReloadArguments) -> ExitCode {
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
            ExitCode::SUCCESS
        }
        Err(message) => {
            complain(&format!("error: {message}"));
            ExitCode::FAILURE
        }
    }
}
