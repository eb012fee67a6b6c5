//! The rules one by one, then the machine in simulated worlds, then properties over random ones.

#![allow(clippy::unchecked_time_subtraction, reason = "tests subtract times they have ordered")]

mod delivering;
mod driver;
mod fleet;
mod held;
mod inheriting;
mod keeping;
mod lease;
mod leases;
mod login;
mod many;
mod model;
mod pace;
mod patience;
mod properties;
mod secret_model;
mod secrets;
mod simulation;
mod watch;
mod worlds;
