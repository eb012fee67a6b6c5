//! What the parts of an agent have in common.

use tokio::sync::mpsc;
use usher_engine::{BuiltIns, Kind};
use usher_watch::Watcher;

use crate::desk::Desk;
use crate::driver::Report;
use crate::feeds::Feeds;
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
    /// What is part of the program.
    pub(crate) built_ins: BuiltIns,
    pub(crate) reporter: Reporter,
}
