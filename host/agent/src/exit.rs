//! How the program ends: the one table of exit statuses, which help texts repeat.

use std::fmt;
use std::process::{ExitCode, Termination};

use usher_lifecycle::Class;

/// How a command ends. Displayed as the number that it exits with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what it was asked, or was told to end.
    Done,
    /// It failed at run time.
    Failed,
    /// The command line or the configuration is wrong.
    Configuration,
    /// The server or a plug-in refused the login.
    Refused,
    /// A sink didn't take its token.
    Sink,
}

impl Exit {
    /// Every status, by its number.
    pub const ALL: [Self; 5] =
        [Self::Done, Self::Failed, Self::Configuration, Self::Refused, Self::Sink];

    /// What the process exits with.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Configuration => 2,
            Self::Refused => 3,
            Self::Sink => 4,
        }
    }

    /// When `usher agent` ends so.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "success, or a clean shutdown on SIGTERM, SIGINT, SIGQUIT or SIGPWR",
            Self::Failed => "failure at run time; the server was unreachable",
            Self::Configuration => "wrong usage or configuration",
            Self::Refused => {
                "authentication refused (with exit_on_err, or with exit_after_auth when --timeout is over)"
            }
            Self::Sink => "a sink failed (with exit_after_auth, when --timeout is over)",
        }
    }
}

impl From<Class> for Exit {
    /// After a failure of this class.
    fn from(class: Class) -> Self {
        match class {
            Class::Passing => Self::Failed,
            Class::Refused => Self::Refused,
            Class::Configuration => Self::Configuration,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.code().fmt(formatter)
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}
