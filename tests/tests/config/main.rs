//! What the agent takes for a configuration, and how it tells what it doesn't.

mod configuration;
mod differential;
mod validate;
