//! An identity as a part: takes over what its predecessor leaves, and leaves its own token.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use usher_lifecycle::Worth;

use crate::driver::{self, Start};
use crate::identity::{Identity, Life};
use crate::inheritance::{Estate, Inheritance};
use crate::part::{Leaves, Part, PartId, Seat, Tier, Work};
use crate::surroundings::Surroundings;
use crate::target::NamedTarget;

/// An identity that is ready to run.
pub(crate) struct IdentityPart {
    /// Never used twice: it tells its reports from those of its predecessors.
    pub(crate) number: u64,
    pub(crate) identity: Arc<Identity>,
    /// How it lives, now and later.
    pub(crate) life: watch::Receiver<Arc<Life>>,
    /// In whose place it comes.
    pub(crate) predecessor: Option<Arc<Identity>>,
    /// The files that sinks of the new configuration write.
    pub(crate) written: Arc<BTreeSet<PathBuf>>,
    pub(crate) surroundings: Surroundings,
}

impl Part for IdentityPart {
    fn id(&self) -> PartId {
        PartId::Identity(self.identity.name.clone())
    }

    fn tier(&self) -> Tier {
        Tier::Identity
    }

    fn run(self: Box<Self>, seat: Seat) -> Work {
        let Self { number, identity, life, predecessor, written, surroundings } = *self;
        let sinks = identity.sinks.iter().map(|sink| (sink.name.clone(), sink.kind.clone()));
        let place = surroundings.board.identity(&identity.name, &identity.kind, sinks);
        let Seat { orders, inherited } = seat;
        Box::pin(async move {
            let mut aside = JoinSet::new();
            let inherited = predecessor.and_then(|old| {
                withdraw_what_moved(&old, written, &mut aside);
                take_over(&old, inherited.estate(), &identity, &mut aside)
            });
            let left = driver::run(Start {
                number,
                identity,
                inherited,
                watcher: surroundings.watcher,
                board: place,
                reports: surroundings.reports,
                orders,
                life,
                aside,
            });
            Leaves::Estate(Box::new(left.await))
        })
    }
}

/// What the successor gets of its predecessor. What is under way goes on with it; what the method
/// remembers goes to one that logs in alike.
fn take_over(
    old: &Arc<Identity>,
    left: Estate,
    heir: &Identity,
    aside: &mut JoinSet<()>,
) -> Option<Inheritance> {
    let Estate { token, mut under_way } = left;
    if !under_way.is_empty() {
        aside.spawn(async move { while under_way.join_next().await.is_some() {} });
    }
    if old.origin() == heir.origin() {
        heir.method.restore(old.method.state());
    }
    let inherited = token?.pass_on(old, heir, aside)?;
    if inherited.worth == Worth::Own {
        heir.method.restore(inherited.memory.clone());
    }
    Some(inherited)
}

/// A file that no sink writes any more would keep a token that nobody replaces.
fn withdraw_what_moved(
    old: &Arc<Identity>,
    written: Arc<BTreeSet<PathBuf>>,
    aside: &mut JoinSet<()>,
) {
    fn has_moved(sink: &NamedTarget, written: &BTreeSet<PathBuf>) -> bool {
        let files = sink.written();
        sink.is_removed_on_exit()
            && !files.is_empty()
            && files.iter().all(|file| !written.contains(file))
    }
    if old.sinks.iter().any(|sink| has_moved(sink, &written)) {
        let old = Arc::clone(old);
        aside.spawn(async move { old.withdraw(|sink| has_moved(sink, &written)).await });
    }
}
