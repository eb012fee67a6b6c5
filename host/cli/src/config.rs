//! `usher config`: what a configuration may hold.

use std::io::Write as _;

use clap::Subcommand;
use usher_agent::Exit;

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print a JSON Schema (draft 2020-12) of the configuration's JSON form, for editors.
    Schema,
}

pub(crate) fn run(command: ConfigCommand) -> Exit {
    let ConfigCommand::Schema = command;
    // A closed pipe (`| head`) is no failure worth a message.
    let _ = writeln!(std::io::stdout(), "{:#}", usher_config::json_schema());
    Exit::Done
}
