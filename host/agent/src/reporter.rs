//! How the agent speaks to whoever started it, before and beside the log.

use usher_engine::Found;

/// Where what isn't for the log goes. The program decides: a terminal, or a test's list.
#[derive(Clone, Copy, Debug)]
pub struct Reporter {
    /// Takes what is wrong with a configuration, and what keeps the agent from starting: whole
    /// messages, without the last line's end. They may hold secrets that the redactor knows.
    pub complain: fn(&str),
    /// Takes a plug-in that is about to be compiled, which may take seconds.
    pub compiling: fn(&Found),
}
