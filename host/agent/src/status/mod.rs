//! The board: what the agent knows of its identities and listeners, for whoever asks.
//!
//! Each identity's driver writes to its own entry through a `Handle`; `usher status`, the
//! metrics, the probes and systemd read. Nothing here runs by itself, so an agent that nobody
//! asks stays asleep.

mod attempts;
pub(crate) mod cache;
pub(crate) mod entry;
pub(crate) mod listeners;
pub mod moment;
pub(crate) mod plugins;
mod report;
pub(crate) mod server;
pub(crate) mod sink;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use usher_engine::{Engine, Kind};
use usher_lifecycle::{Generation, Lifecycle, NextStep, State};
use usher_server::{Client, Governor};

pub use self::attempts::{Counts, ErrorReport};
pub use self::cache::CacheReport;
pub use self::entry::{ActionReport, IdentityReport, TokenReport};
pub use self::listeners::{DurationsReport, ListenerErrorReport, ListenerReport};
pub use self::plugins::{PluginErrorReport, PluginReport};
pub use self::report::Report;
pub use self::server::ServerReport;
pub use self::sink::SinkReport;

pub(crate) use self::attempts::Attempt;
pub(crate) use self::listeners::ListenerEntry;

use self::entry::{Clocks, Entry};
use self::listeners::Listeners;
use self::plugins::Plugins;
use self::sink::SinkEntry;
use crate::trouble::Trouble;

/// What all identities look like. Clones are the same board.
#[derive(Clone)]
pub(crate) struct Board(Arc<Shared>);

/// How many identities there are, and how many of them have delivered a good token to every sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readiness {
    pub(crate) identities: usize,
    pub(crate) ready: usize,
    /// There are none, and none are wanted: the listeners are all there is.
    pub(crate) wants_none: bool,
}

/// One identity's place on the board. Dropping it takes the identity off, unless a panic does:
/// then it stays, failed.
pub(crate) struct Handle {
    board: Board,
    id: u64,
}

struct Shared {
    started_at: SystemTime,
    entries: Mutex<Entries>,
    readiness: watch::Sender<Readiness>,
    /// Of the server in force; None until there is one.
    governor: Mutex<Option<Governor>>,
    plugins: Plugins,
    listeners: Listeners,
}

#[derive(Default)]
struct Entries {
    last_id: u64,
    by_id: BTreeMap<u64, Entry>,
}

impl Board {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            started_at: SystemTime::now(),
            entries: Mutex::default(),
            readiness: watch::Sender::default(),
            governor: Mutex::default(),
            plugins: Plugins::default(),
            listeners: Listeners::default(),
        }))
    }

    /// The plug-ins that are told of are those that this engine's uses have.
    pub(crate) fn set_engine(&self, engine: &Engine) {
        self.0.plugins.set_engine(engine);
    }

    /// A plug-in's file took its place.
    pub(crate) fn plugin_is_taken(&self, kind: Kind, name: &str) {
        self.0.plugins.is_taken(kind, name);
    }

    /// A plug-in's file can't be used.
    pub(crate) fn plugin_is_refused(&self, kind: Kind, name: &str, message: &str) {
        self.0.plugins.is_refused(kind, name, message);
    }

    /// A plug-in's file isn't there, or no longer.
    pub(crate) fn plugin_is_amiss(&self, kind: Kind, name: &str, message: &str) {
        self.0.plugins.is_amiss(kind, name, message);
    }

    /// A plug-in's file is the one in use, again.
    pub(crate) fn plugin_is_well(&self, kind: Kind, name: &str) {
        self.0.plugins.is_well(kind, name);
    }

    /// The requests that count from now on are those of this server.
    pub(crate) fn set_server(&self, client: &Client) {
        *self.0.governor.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(client.governor().clone());
    }

    /// The listeners that are told of are these.
    pub(crate) fn set_listeners(&self, listeners: Vec<ListenerEntry>) {
        self.0.listeners.set(listeners);
    }

    /// What is left of the good token that expires first, of those of these identities.
    pub(crate) fn shortest_life(&self, concerned: impl Fn(&str) -> bool) -> Option<Duration> {
        let now = Instant::now();
        let entries = self.entries();
        let good = entries.by_id.values().filter(|entry| {
            let state = entry.state;
            matches!(state, Some(State::Valid | State::Renewing | State::Degraded))
                && concerned(&entry.name)
        });
        good.filter_map(|entry| entry.expires_at).map(|at| at.saturating_duration_since(now)).min()
    }

    /// Puts an identity on the board; of each sink its name and its kind.
    pub(crate) fn identity(
        &self,
        name: &str,
        method: &str,
        sinks: impl IntoIterator<Item = (String, String)>,
    ) -> Handle {
        let sinks = sinks.into_iter().map(|(name, kind)| SinkEntry::new(name, kind));
        let entry = Entry::new(name, method, sinks.collect());
        // It takes the place of one that a defect ended.
        self.forget_failed(name);
        let mut entries = self.entries();
        entries.last_id += 1;
        let id = entries.last_id;
        entries.by_id.insert(id, entry);
        drop(entries);
        self.0.readiness.send_modify(|readiness| readiness.identities += 1);
        Handle { board: self.clone(), id }
    }

    /// Takes an identity off that a defect ended; one that runs stays.
    pub(crate) fn forget_failed(&self, name: &str) {
        let mut entries = self.entries();
        let before = entries.by_id.len();
        entries.by_id.retain(|_, entry| entry.state.is_some() || entry.name != name);
        let gone = before - entries.by_id.len();
        drop(entries);
        if gone > 0 {
            self.0.readiness.send_modify(|readiness| readiness.identities -= gone);
        }
    }

    /// Whether the configuration in force has no identity.
    pub(crate) fn want_none(&self, none: bool) {
        self.0.readiness.send_if_modified(|readiness| {
            std::mem::replace(&mut readiness.wants_none, none) != none
        });
    }

    /// How ready the agent is, now and at each change.
    pub(crate) fn readiness(&self) -> watch::Receiver<Readiness> {
        self.0.readiness.subscribe()
    }

    /// What there is to say now.
    pub(crate) fn report(&self) -> Report {
        let clocks = Clocks { instant: Instant::now(), system: SystemTime::now() };
        let entries = self.entries();
        let identities: Vec<_> = entries.by_id.values().map(|entry| entry.report(clocks)).collect();
        Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.0.started_at,
            ready: self.0.readiness.borrow().is_complete(),
            server: self.server(),
            identities,
            plugins: self.0.plugins.report(),
            listeners: self.0.listeners.report(),
        }
    }

    fn server(&self) -> ServerReport {
        let governor = self.0.governor.lock().unwrap_or_else(PoisonError::into_inner);
        governor.as_ref().map(ServerReport::of).unwrap_or_default()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Readiness {
    /// Every identity, of which there is one at least unless none is wanted.
    pub(crate) fn is_complete(self) -> bool {
        (self.identities > 0 || self.wants_none) && self.ready == self.identities
    }
}

impl Handle {
    /// Takes over where the identity stands. `accessor` is asked for that of a new token.
    pub(crate) fn show(
        &self,
        machine: &Lifecycle,
        next: Option<NextStep>,
        accessor: impl FnOnce(Generation) -> Option<String>,
    ) {
        self.update(|entry| {
            let generation = machine.generation();
            if entry.generation != generation {
                entry.accessor = generation.and_then(accessor).unwrap_or_default();
                entry.generation = generation;
            }
            entry.state = Some(machine.state());
            entry.ready = machine.all_delivered();
            entry.expires_at = machine.expires_at();
            entry.next = next;
            let good = generation.filter(|_| machine.has_good_token());
            for (index, sink) in entry.sinks.iter_mut().enumerate() {
                sink.generation = machine.delivered_to(index);
                sink.pending = good.is_none() || sink.generation != good;
            }
        });
    }

    /// Notes a success.
    pub(crate) fn succeeded(&self, attempt: Attempt) {
        self.update(|entry| entry.succeeded(attempt));
    }

    /// Notes a failure.
    pub(crate) fn failed(&self, attempt: Attempt, trouble: &Trouble) {
        self.update(|entry| entry.failed(attempt, trouble));
    }

    fn update(&self, change: impl FnOnce(&mut Entry)) {
        let mut entries = self.board.entries();
        let Some(entry) = entries.by_id.get_mut(&self.id) else { return };
        let before = entry.ready;
        change(entry);
        let after = entry.ready;
        drop(entries);
        if before != after {
            self.board.0.readiness.send_modify(|readiness| {
                readiness.ready = readiness.ready + usize::from(after) - usize::from(before);
            });
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.update(|entry| {
                entry.state = None;
                entry.ready = false;
                entry.next = None;
            });
            return;
        }
        let Some(entry) = self.board.entries().by_id.remove(&self.id) else { return };
        self.board.0.readiness.send_modify(|readiness| {
            readiness.identities -= 1;
            readiness.ready -= usize::from(entry.ready);
        });
    }
}

#[cfg(test)]
mod tests {
    use usher_engine::{Failure, FailureKind};
    use usher_lifecycle::{Action, Event, Settings, Token};

    use super::*;

    fn machine(now: Instant) -> Lifecycle {
        Lifecycle::new(now, Settings { sinks: 1, ..Settings::default() }, 7)
    }

    fn one_sink() -> [(String, String); 1] {
        [("file".to_owned(), "file".to_owned())]
    }

    fn outage() -> Trouble {
        Failure::new(FailureKind::Unavailable, "server.unreachable", "no route").into()
    }

    fn log_in(machine: &mut Lifecycle, now: Instant) -> Generation {
        let Some(Action::LogIn { generation }) = machine.poll_action() else { panic!("no login") };
        let token =
            Token { ttl: Some(Duration::from_mins(1)), renewable: true, use_limited: false };
        machine.handle(now, Event::LoggedIn { generation, token, check_after: None });
        generation
    }

    #[test]
    fn an_identity_is_ready_once_every_sink_has_its_token() {
        let (board, now) = (Board::new(), Instant::now());
        let handle = board.identity("app", "approle", one_sink());
        let mut machine = machine(now);
        assert!(!board.readiness().borrow().is_complete());
        let generation = log_in(&mut machine, now);
        handle.show(&machine, machine.next_step(), |_| Some("accessor".to_owned()));
        let report = board.report();
        assert!(!report.ready && report.identities[0].sinks[0].pending);
        assert_eq!(report.identities[0].token.as_ref().unwrap().accessor, "accessor");
        machine.handle(now, Event::Delivered { sink: 0, generation });
        handle.show(&machine, machine.next_step(), |_| None);
        let report = board.report();
        assert!(report.ready && !report.identities[0].sinks[0].pending);
        assert!(board.readiness().borrow().is_complete());
    }

    #[test]
    fn an_identity_that_is_taken_off_counts_no_more() {
        let board = Board::new();
        let first = board.identity("one", "approle", one_sink());
        let second = board.identity("two", "approle", one_sink());
        drop(first);
        assert_eq!(
            *board.readiness().borrow(),
            Readiness { identities: 1, ..Readiness::default() }
        );
        assert_eq!(board.report().identities[0].name, "two");
        drop(second);
        assert_eq!(*board.readiness().borrow(), Readiness::default());
        assert!(!board.report().ready, "an agent without identities is not ready");
    }

    #[test]
    fn an_identity_that_panicked_stays_and_is_not_ready() {
        let (board, now) = (Board::new(), Instant::now());
        let handle = board.identity("app", "approle", one_sink());
        let mut machine = machine(now);
        let generation = log_in(&mut machine, now);
        machine.handle(now, Event::Delivered { sink: 0, generation });
        handle.show(&machine, None, |_| None);
        assert!(board.readiness().borrow().is_complete());
        let result = std::thread::spawn(move || {
            let _handle = handle;
            panic!("a defect");
        })
        .join();
        assert!(result.is_err());
        assert!(!board.readiness().borrow().is_complete());
        assert_eq!(board.report().identities[0].state, "failed");
        let _successor = board.identity("app", "approle", one_sink());
        assert_eq!(
            *board.readiness().borrow(),
            Readiness { identities: 1, ..Readiness::default() }
        );
        assert_eq!(board.report().identities[0].state, "unauthenticated");
    }

    #[test]
    fn failures_in_a_row_are_counted_until_a_success() {
        let board = Board::new();
        let handle = board.identity("app", "approle", one_sink());
        let error = || board.report().identities[0].last_error.clone().unwrap();
        handle.failed(Attempt::Login, &outage());
        handle.failed(Attempt::Login, &outage());
        assert_eq!((error().count, error().current), (2, true));
        assert_eq!((&*error().class, &*error().code), ("passing", "server.unreachable"));
        handle.succeeded(Attempt::Login);
        assert_eq!((error().count, error().current), (2, false));
        handle.failed(Attempt::Renewal, &outage());
        assert_eq!((error().count, error().current), (1, true));
        let counts = board.report().identities[0].logins;
        assert_eq!((counts.succeeded, counts.failed), (1, 2));
    }

    #[test]
    fn a_report_survives_the_way_to_the_command() {
        let board = Board::new();
        let handle = board.identity("app", "approle", one_sink());
        handle.failed(Attempt::Delivery(0), &outage());
        let text = serde_json::to_string(&board.report()).unwrap();
        let report: Report = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&report).unwrap(), text);
    }
}
