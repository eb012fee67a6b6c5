//! Lines for the agent's log. The host adds plug-in, identity and call, and redacts live
//! secrets; keep secrets out all the same.

use crate::backend;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something will fail, or was not as asked.
    Warn,
    /// What an operator wants to see once.
    Info,
    /// For a plug-in's author.
    Debug,
    /// Every step.
    Trace,
}

/// Writes one line.
pub fn write(level: Level, message: &str, fields: &[(&str, &str)]) {
    backend::log(level, message, fields);
}

/// Something failed.
pub fn error(message: &str, fields: &[(&str, &str)]) {
    write(Level::Error, message, fields);
}

/// Something will fail, or was not as asked.
pub fn warn(message: &str, fields: &[(&str, &str)]) {
    write(Level::Warn, message, fields);
}

/// What an operator wants to see once.
pub fn info(message: &str, fields: &[(&str, &str)]) {
    write(Level::Info, message, fields);
}

/// For a plug-in's author.
pub fn debug(message: &str, fields: &[(&str, &str)]) {
    write(Level::Debug, message, fields);
}

/// Every step.
pub fn trace(message: &str, fields: &[(&str, &str)]) {
    write(Level::Trace, message, fields);
}
