//! The harness of the black-box tests: a real server, faults in front of it, the real agent.
//!
//! A test makes a [`Site`](site::Site), starts an [`Agent`](agent::Agent) on a configuration and
//! waits for effects: the token file, the server's view of the token, the requests that passed
//! the [`Proxy`](proxy::Proxy). Everything that was started ends with the values that stand for
//! it, also when the test panics.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a harness fails by panicking and explains itself on standard error"
)]

pub mod agent;
pub mod api_client;
pub mod authority;
pub mod aws;
pub mod aws_login;
pub mod azure;
pub mod components;
pub mod eventually;
pub mod forward;
pub mod google;
pub mod guide;
pub mod incumbent;
pub mod issuer;
pub mod kerberos;
pub mod leaks;
pub mod listeners;
pub mod methods;
pub mod metrics;
pub mod openbao;
pub mod operator;
pub mod oracle;
pub mod plugins;
pub mod postgres;
pub mod proxy;
pub mod site;
pub mod stand_in;
pub mod token_review;
pub mod upstream;
pub mod user_servers;

mod http;
mod http_server;
mod process;
