//! `usher`: introduces a workload to a secrets server.

#![forbid(unsafe_code)]

mod agent;
mod arguments;
mod config;
mod exchange;
mod explain;
mod flags;
mod go_style;
mod plugin;
mod reload;
mod runtime;
mod socket;
mod status;
mod stop;
mod terminal;
mod token;
mod validate;
mod wait;

fn main() -> usher_agent::Exit {
    arguments::run()
}
