//! One answer that is kept, and what is known of it.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Instant;

use usher_secret::Secret;

use super::answer::Answer;
use super::facts::Parentage;
use super::key::{AccessorId, Key, TokenId};
use super::target::Target;

/// Which one. None is ever used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EntryId(pub(super) NonZeroU64);

/// An answer that is kept. No `Debug`: it holds secrets.
pub(crate) struct Entry {
    /// Whose answer it is; `None`: it is kept, and renewed for those who have it, but given to nobody
    /// any more.
    pub(super) key: Option<Key>,
    /// The token that it was asked for with. A lease and a child end with it.
    pub(super) asker: Option<TokenId>,
    pub(super) target: Target,
    pub(super) grant: Grant,
    pub(super) answer: Answer,
    pub(super) stored_at: Instant,
    pub(super) used_at: Instant,
    /// The one that was used last before it.
    pub(super) older: Option<EntryId>,
    /// The one that was used first after it.
    pub(super) newer: Option<EntryId>,
    /// `None`: never, unless what it depends on does.
    pub(super) ends_at: Option<Instant>,
    /// It ends then, whatever the server grants. `None`: nobody said so.
    pub(super) ends_by: Option<Instant>,
}

/// What the answer grants.
pub(crate) enum Grant {
    /// A secret with this lease.
    Lease(Arc<str>),
    /// Boxed, since there are more leases than tokens.
    Token(Box<GrantedToken>),
}

/// A token that was granted.
pub(crate) struct GrantedToken {
    pub(super) id: TokenId,
    pub(super) token: Arc<Secret<String>>,
    pub(super) accessor: Option<AccessorId>,
    pub(super) parentage: Parentage,
}

impl Entry {
    /// The token that it grants.
    pub(super) fn token(&self) -> Option<TokenId> {
        self.granted_token().map(|token| token.id)
    }

    pub(super) fn accessor(&self) -> Option<AccessorId> {
        self.granted_token()?.accessor
    }

    pub(super) fn lease(&self) -> Option<&Arc<str>> {
        match &self.grant {
            Grant::Lease(id) => Some(id),
            Grant::Token(_) => None,
        }
    }

    /// Whether it lives on without the token that asked for it.
    pub(super) fn is_orphan(&self) -> bool {
        self.granted_token().is_some_and(|token| token.parentage == Parentage::Orphan)
    }

    pub(super) fn granted_token(&self) -> Option<&GrantedToken> {
        match &self.grant {
            Grant::Lease(_) => None,
            Grant::Token(token) => Some(token),
        }
    }

    /// In bytes, with the room that is set aside for all that is beside its answer.
    pub(super) fn weight(&self) -> usize {
        let lease = self.lease().map_or(0, |id| id.len());
        OWN_WEIGHT + self.target.weight() + lease + self.answer.weight()
    }
}

/// What an entry takes beside its answer, in all indexes: a test measures it.
pub(crate) const OWN_WEIGHT: usize = 1024;
