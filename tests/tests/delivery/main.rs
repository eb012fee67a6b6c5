//! How a token gets to whoever needs it: sinks, wrapped, encrypted.

mod envelope;
mod example_sinks;
mod file_sink;
mod sinks;
mod wrapping;
