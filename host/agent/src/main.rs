//! `usher`: introduces a workload to a secrets server.

#![forbid(unsafe_code)]

mod admin;
mod agent;
mod bind;
mod cli;
mod driver;
mod identity;
mod inheritance;
mod live;
mod lock;
mod log_file;
mod logging;
mod metrics;
mod notify;
mod payload;
mod plugin_files;
mod plugins;
mod process;
mod reload;
mod signals;
mod status;
mod trouble;
mod unwrapper;

fn main() -> std::process::ExitCode {
    cli::run()
}
