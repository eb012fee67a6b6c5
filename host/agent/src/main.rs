//! `usher`: introduces a workload to a secrets server.

#![forbid(unsafe_code)]

mod agent;
mod bind;
mod cli;
mod driver;
mod identity;
mod log_file;
mod logging;
mod payload;
mod plugins;
mod process;
mod trouble;
mod unwrapper;

fn main() -> std::process::ExitCode {
    cli::run()
}
