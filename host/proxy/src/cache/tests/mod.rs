//! The rules one by one, then any schedule against an independent account, then what it takes.

mod leaving;
mod memory;
mod model;
mod rules;
mod schedule;
mod static_model;
mod static_rules;
mod static_schedule;
mod world;
