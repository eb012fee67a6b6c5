//! The command line: what each command takes, and which function it calls.

use clap::{Parser, Subcommand};
use usher_agent::Exit;
use usher_config::Dialect;

use crate::{agent, config, explain, go_style, plugin, reload, status, token, validate, wait};

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
    #[command(after_help = agent::after_help(Dialect::Agent))]
    Agent(Box<agent::AgentArguments>),
    /// Run it with the configuration of Vault Proxy or OpenBao Proxy.
    #[command(after_help = agent::after_help(Dialect::Proxy))]
    Proxy(Box<agent::AgentArguments>),
    /// Say what is wrong with a configuration, without running it.
    Validate(Box<validate::ValidateArguments>),
    /// What a configuration may hold.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Log in once, or make one request through a listener, step by step, and say what is wrong.
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
pub(crate) fn run() -> Exit {
    let arguments = go_style::normalize(std::env::args_os());
    match Arguments::parse_from(arguments).command {
        Command::Agent(arguments) => agent::run(*arguments, Dialect::Agent),
        Command::Proxy(arguments) => agent::run(*arguments, Dialect::Proxy),
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
