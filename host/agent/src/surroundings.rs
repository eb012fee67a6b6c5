//! What the parts of an agent have in common.

use tokio::sync::mpsc;
use usher_engine::{BuiltIns, Kind};
use usher_watch::Watcher;

use crate::desk::{Desk, Request};
use crate::driver::Report;
use crate::feeds::Feeds;
use crate::persistence::Persistence;
use crate::reporter::Reporter;
use crate::status::Board;

/// A plug-in that took its place: its kind and its name.
pub(crate) type Taken = (Kind, String);

/// What parts are made with, whatever the configuration says. Clones are the same.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) board: Board,
    pub(crate) watcher: Watcher,
    /// What identities tell the run loop.
    pub(crate) reports: mpsc::UnboundedSender<Report>,
    /// Plug-ins that took their place.
    pub(crate) taken: mpsc::UnboundedSender<Taken>,
    /// Answers at the doors.
    pub(crate) desk: Desk,
    /// Where the identities' tokens go that requests are made with.
    pub(crate) feeds: Feeds,
    /// What of the identities outlives the process.
    pub(crate) persistence: Persistence,
    /// What is part of the program.
    pub(crate) built_ins: BuiltIns,
    pub(crate) reporter: Reporter,
}

/// What comes from there to the run loop.
pub(crate) struct Inbox {
    pub(crate) reports: mpsc::UnboundedReceiver<Report>,
    pub(crate) taken: mpsc::UnboundedReceiver<Taken>,
    /// Of operators.
    pub(crate) requests: mpsc::Receiver<Request>,
}

impl Surroundings {
    pub(crate) fn new(
        board: Board,
        persistence: Persistence,
        built_ins: BuiltIns,
        reporter: Reporter,
    ) -> (Self, Inbox) {
        let (reports, reported) = mpsc::unbounded_channel();
        let (taking, taken) = mpsc::unbounded_channel();
        let (requests, requested) = mpsc::channel(REQUESTS);
        let surroundings = Self {
            board: board.clone(),
            watcher: Watcher::default(),
            reports,
            taken: taking,
            desk: Desk { board, requests },
            feeds: Feeds::default(),
            persistence,
            built_ins,
            reporter,
        };
        (surroundings, Inbox { reports: reported, taken, requests: requested })
    }

    /// Those of a test, in which nobody is told what is wrong.
    #[cfg(test)]
    pub(crate) fn of_test() -> (Self, Inbox) {
        let reporter = Reporter { complain: |_| {}, compiling: |_| {} };
        let persistence = Persistence::default();
        Self::new(Board::new(), persistence, usher_builtins::built_ins(), reporter)
    }
}

/// How many requests of operators may wait for the run loop.
const REQUESTS: usize = 8;
