//! The command line: what each command takes, and which function it calls.

mod agent;
mod config;
mod explain;
mod flags;
mod go_style;
mod plugin;
mod reload;
mod socket;
mod status;
mod token;
mod validate;
mod wait;

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The command line.
#[derive(Parser)]
#[command(
    name = "usher",
    version,
    about = "Introduces a workload to HashiCorp Vault or OpenBao: gets its first token, keeps it alive and hands it over",
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the agent with the configuration of Vault Agent or OpenBao Agent.
    Agent(Box<agent::AgentArguments>),
    /// Say what is wrong with a configuration, without running it.
    Validate(Box<validate::ValidateArguments>),
    /// What a configuration may hold.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Log in once, step by step, and say what is wrong.
    Explain(Box<explain::ExplainArguments>),
    /// Show what a running agent does.
    Status(status::StatusArguments),
    /// Wait until a running agent is ready.
    Wait(wait::WaitArguments),
    /// Have a running agent read its configuration again.
    Reload(reload::ReloadArguments),
    /// Look at plug-ins.
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Make the keys for an encrypted sink; read a token that a sink delivered.
    #[command(subcommand)]
    Token(token::TokenCommand),
}

/// Runs what the command line asks for.
pub(crate) fn run() -> ExitCode {
    let arguments = go_style::normalize(std::env::args_os());
    match Arguments::parse_from(arguments).command {
        Command::Agent(arguments) => agent::run(*arguments),
        Command::Validate(arguments) => validate::run(*arguments),
        Command::Config(command) => config::run(command),
        Command::Explain(arguments) => explain::run(*arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Wait(arguments) => wait::run(&arguments),
        Command::Reload(arguments) => reload::run(&arguments),
        Command::Plugin(command) => plugin::run(command),
        Command::Token(command) => token::run(command),
    }
}

/// Prints a message of the command line itself, not of the running agent.
#[allow(clippy::print_stderr, reason = "what a command says when it fails")]
pub(crate) fn complain(message: &str) {
    eprintln!("{}", usher_secret::redactor::redact(message));
}

/// Runs what a command does on a runtime of its own.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime can't be started: {error}"))?
        .block_on(work)
}

/// Rows below each other, their cells aligned.
pub(crate) fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    });
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}
