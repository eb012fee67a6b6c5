//! The rules one by one, then any schedule against an independent account, then what it takes.

mod leaving;
mod memory;
mod model;
mod rules;
mod schedule;
mod world;
