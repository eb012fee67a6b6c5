//! YAML 1.1 as the incumbents' library (yaml.v2) has it: what a plain scalar means, and how values
//! are written.

mod input;
mod output;
mod resolve;

pub(crate) use input::parse;
pub(crate) use output::write;
