//! The project's tasks: `cargo xtask setup | demo | test | bench | lean | lint`.
//!
//! Has no dependencies, so that it builds in seconds on a machine that has nothing yet.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks to people"
)]

mod bench;
mod circles;
mod demo;
mod lean;
mod lint;
mod measure;
mod openbao;
mod preflight;
mod process;
mod setup;
mod test;

use std::process::ExitCode;

/// A failure as one message for people: what happened, why, what to do.
type Result<T> = std::result::Result<T, String>;

const USAGE: &str = "\
usage: cargo xtask TASK [ARGUMENTS]

  setup            install what the other tasks need, below Cargo's target directory
  demo             watch a token being delivered, renewed and replaced (under a minute)
  test [ARG…]      all tests; arguments go to `cargo test`
  bench [PART…]    the agent beside `bao agent`; --check fails when a limit is exceeded
  lean             the flavour without a compiler: build, tests, size
  lint             format, clippy, circles of files, documentation, dependency policy";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let outcome = match (task.as_str(), rest.as_slice()) {
        ("setup", []) => setup::for_tests().map(|_| ()),
        ("demo", []) => demo::run(),
        ("test", extra) => test::run(extra),
        ("bench", arguments) => bench::run(arguments),
        ("lean", []) => lean::run(),
        ("lint", []) => lint::run(),
        ("help" | "--help" | "-h", _) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask {task}: {message}");
            ExitCode::FAILURE
        }
    }
}
