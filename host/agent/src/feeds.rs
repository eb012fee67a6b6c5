//! The feeds through which this process makes requests with the tokens of its identities.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use usher_config::{ListenerRole, Settings, TokenUse};
use usher_proxy::Feed;

/// A feed for each identity that has one, by its name: it outlives the identity, since whoever
/// makes requests goes on while a reload replaces it. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Feeds(Arc<Mutex<BTreeMap<String, Feed>>>);

impl Feeds {
    /// The feed of the identity of this name.
    pub(crate) fn of(&self, identity: &str) -> Feed {
        self.lock().entry(identity.to_owned()).or_default().clone()
    }

    /// Takes all tokens out: they are of another server than requests are made to from now on.
    pub(crate) fn empty(&self) {
        for feed in self.lock().values() {
            feed.give(None);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Feed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The identities whose tokens requests are made with.
pub(crate) fn fed(settings: &Settings) -> BTreeSet<&str> {
    if settings.api_proxy.token_use == TokenUse::Never {
        return BTreeSet::new();
    }
    let forwarding =
        settings.listeners.iter().filter(|listener| listener.role == ListenerRole::Default);
    forwarding.filter_map(|listener| listener.identity.as_deref()).collect()
}
