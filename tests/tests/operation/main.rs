//! What an operator sees and does: status, metrics, logs, commands, and no secret in any of it.

mod canary;
mod explain;
mod log_file;
mod metrics;
mod status;
mod systemd;
mod token_commands;
