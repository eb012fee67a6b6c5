//! The rules one by one, then the machine in simulated worlds, then properties over random ones.

#![allow(clippy::unchecked_time_subtraction)]

mod delivering;
mod driver;
mod keeping;
mod login;
