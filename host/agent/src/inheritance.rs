//! What an identity that a reload replaces leaves to its successor: its token, and what its method
//! remembers of the login behind it.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use usher_lifecycle::{Token, Worth};
use usher_secret::Secret;

use crate::identity::{Identity, LoggedIn};
use crate::token::{Content, Held};

/// Everything that an identity leaves.
#[derive(Default)]
pub(crate) struct Estate {
    /// None: there is none that is any good.
    pub(crate) token: Option<Inheritance>,
    /// What the token couldn't wait for, such as the revocation of another one.
    pub(crate) under_way: JoinSet<()>,
}

/// A token with what is needed to go on with it.
pub(crate) struct Inheritance {
    pub(crate) held: Arc<Held>,
    /// What is left of it.
    pub(crate) token: Token,
    /// Of the credential behind it.
    pub(crate) revision: String,
    /// When the method wanted to be looked at again.
    pub(crate) check_after: Option<Duration>,
    /// What the method behind it remembered.
    pub(crate) memory: Secret<Vec<u8>>,
    /// The sinks that have it, by index.
    pub(crate) holders: Vec<usize>,
    pub(crate) worth: Worth,
}

impl Inheritance {
    /// What an earlier process has left, which the server still knows.
    pub(crate) fn of_earlier(left: LoggedIn, memory: Secret<Vec<u8>>) -> Self {
        let LoggedIn { held, token, revision, check_after, .. } = left;
        let (held, holders, worth) = (Arc::new(held), Vec::new(), Worth::Own);
        Self { held, token, revision, check_after, memory, holders, worth }
    }

    /// The same for `heir`, which takes the place of `old`. None: it is of no use there; a wrapped one
    /// that nobody has is then revoked, in `aside`.
    pub(crate) fn pass_on(
        self,
        old: &Arc<Identity>,
        heir: &Identity,
        aside: &mut JoinSet<()>,
    ) -> Option<Self> {
        let own = self.held.origin == heir.origin();
        let mut free: Vec<usize> = self.holders.clone();
        let holders: Vec<usize> = (0..heir.sinks.len())
            .filter(|&sink| {
                let same = |&of_old: &usize| old.sinks[of_old].is_same_as(&heir.sinks[sink]);
                free.iter().position(same).map(|index| free.swap_remove(index)).is_some()
            })
            .collect();
        // A wrapping token works once: where one reader may have used it, another needs another one.
        let wrapped = matches!(self.held.content, Content::Wrapped(_));
        let untouched = self.holders.is_empty() || holders.len() == heir.sinks.len();
        if wrapped && !(own && untouched) {
            self.give_up(old, aside);
            return None;
        }
        let client = if self.held.origin.server_address == heir.client.address().to_string() {
            &heir.client
        } else {
            &self.held.client
        };
        let held = self.held.for_successor(client.clone(), !self.holders.is_empty());
        let worth = if own { Worth::Own } else { Worth::Foreign };
        Some(Self { held: held.map_or(self.held, Arc::new), holders, worth, ..self })
    }

    /// Says that a wrapped token goes no further, and revokes it if it is in nobody's hands.
    fn give_up(self, old: &Arc<Identity>, aside: &mut JoinSet<()>) {
        let (held, old) = (self.held, Arc::clone(old));
        if held.taken_over || !self.holders.is_empty() {
            tracing::info!(
                identity = old.name,
                "the wrapped token stays where it is; the next one takes its place"
            );
            return;
        }
        aside.spawn(async move {
            let identity = old.name.as_str();
            match old.revoke(&held).await {
                Ok(()) => {
                    tracing::info!(identity, "a wrapped token that was never delivered is revoked");
                }
                Err(trouble) => tracing::warn!(
                    identity,
                    "a wrapped token that was never delivered can't be revoked and stays until it expires: {trouble}"
                ),
            }
        });
    }
}
