//! Which entries are meant by what makes answers useless: a revocation, or an order to clear.

use super::entry::Entry;
use super::key::{AccessorId, TokenId};

/// What isn't to be given to anybody any more.
#[derive(Clone)]
pub(crate) enum Selection {
    All,
    /// Below a path in a namespace ("" or "team/").
    RequestPath {
        namespace: Box<str>,
        path: Box<str>,
    },
    /// A token, and what depends on it.
    Token(TokenId),
    /// A token and its leases. Its child tokens live on as orphans.
    TokenAlone(TokenId),
    /// The token of this accessor, and what depends on it.
    Accessor(AccessorId),
    Lease(Box<str>),
    /// Leases whose names begin so.
    Leases {
        namespace: Option<Box<str>>,
        prefix: Box<str>,
    },
}

/// Something was revoked.
#[derive(Clone)]
pub(crate) struct Revocation {
    pub(crate) selection: Selection,
    pub(crate) certainty: Certainty,
}

/// Whether something was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Certainty {
    /// Unless it only looked like it: the path of a secret may look like a revocation in a namespace.
    /// What it would have revoked is given to nobody any more. Whether it is still good its next
    /// renewal shows, so that nobody ends the leases of others by writing a secret.
    Possible,
    Certain,
}

impl Selection {
    /// Whether this entry is meant itself, and not only what it depends on.
    pub(crate) fn means(&self, entry: &Entry) -> bool {
        match self {
            Self::All => true,
            Self::RequestPath { namespace, path } => entry.target.may_lie_in(namespace, path),
            Self::Token(token) | Self::TokenAlone(token) => entry.token() == Some(*token),
            Self::Accessor(accessor) => entry.accessor() == Some(*accessor),
            Self::Lease(lease) => entry.lease().is_some_and(|id| **id == **lease),
            Self::Leases { namespace, prefix } => {
                let lies_there = |namespace: &str| entry.target.may_lie_in(namespace, "");
                entry.lease().is_some_and(|id| id.starts_with(&**prefix))
                    && namespace.as_deref().is_none_or(lies_there)
            }
        }
    }
}
