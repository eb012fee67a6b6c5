//! What the agent knows of its own process: where relative names and variables lead.

use std::path::PathBuf;

use usher_grant::Surroundings;

/// What the agent knows of its own process.
pub(crate) struct Process {
    working_directory: PathBuf,
    home: Option<PathBuf>,
}

impl Process {
    pub(crate) fn new() -> Self {
        Self {
            working_directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            home: std::env::home_dir(),
        }
    }

    pub(crate) fn surroundings<T>(&self, run: impl FnOnce(&Surroundings<'_>) -> T) -> T {
        run(&Surroundings {
            working_directory: &self.working_directory,
            home: self.home.as_deref(),
            environment: &|name| std::env::var(name).ok(),
        })
    }
}
