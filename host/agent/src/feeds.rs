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

    /// Keeps those that are fed. Of the others nobody replaces the tokens any more: who is fed again
    /// one day mustn't begin with what was left.
    pub(crate) fn keep(&self, fed: &BTreeSet<&str>) {
        self.lock().retain(|identity, feed| {
            let is_fed = fed.contains(identity.as_str());
            if !is_fed {
                feed.give(None);
            }
            is_fed
        });
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use usher_address::{Namespace, ServerAddress};
    use usher_lifecycle::{Action, Lifecycle};
    use usher_proxy::Given;
    use usher_secret::Secret;
    use usher_server::{Client, Governor, Scope};

    use super::*;

    fn given() -> Given {
        let address = ServerAddress::parse("http://127.0.0.1:9").unwrap();
        let client = Client::new(usher_server::Settings::new(address), Governor::new()).unwrap();
        let mut machine = Lifecycle::new(Instant::now(), usher_lifecycle::Settings::default(), 1);
        let Some(Action::LogIn { generation }) = machine.poll_action() else { panic!("a login") };
        let scope = Scope::new(Namespace::parse("").unwrap());
        let session = client.session(&scope, Secret::new("hvs.fed".to_owned()));
        Given::new(session, generation, &client).unwrap()
    }

    #[test]
    fn a_feed_that_nobody_fills_any_more_keeps_no_token() {
        let feeds = Feeds::default();
        for identity in ["web", "app"] {
            feeds.of(identity).give(Some(given()));
        }
        let left = feeds.of("web").given();
        feeds.keep(&["app"].into());
        assert!(left.borrow().is_none(), "whoever still has the feed has no token");
        assert!(feeds.of("web").given().borrow().is_none());
        assert!(feeds.of("app").given().borrow().is_some());
    }
}
