//! Why a command ends without having done its work.

use usher_agent::Exit;

use crate::terminal::complain;

/// An exit status and what to say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    pub(crate) exit: Exit,
    /// What happened and what to do, without "error: ".
    pub(crate) said: String,
}

/// The command line or the configuration is wrong.
pub(crate) fn usage(said: impl ToString) -> Stop {
    Stop { exit: Exit::Configuration, said: said.to_string() }
}

/// It failed at run time.
pub(crate) fn failure(said: impl ToString) -> Stop {
    Stop { exit: Exit::Failed, said: said.to_string() }
}

impl Stop {
    /// Says it; the exit status.
    pub(crate) fn tell(&self) -> Exit {
        complain(&format!("error: {}", self.said));
        self.exit
    }
}
