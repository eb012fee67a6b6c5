//! What goes into the machine of a secret and what comes out of it.

use std::time::Instant;

use crate::{Failure, Granted};

/// How long what was read is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// It has a lease, and ends with it or with the token it was read with. One that never ends or
    /// has ended already is taken for none.
    Leased(Granted),
    /// Until somebody writes another value: it is read again now and then.
    Unleased,
}

/// What the caller has to do. Each is answered by exactly one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretAction {
    /// Read it, with the token in use. Answer: [`SecretEvent::Read`] or [`SecretEvent::ReadFailed`].
    Read,
    /// Renew its lease, with the token in use. Answer: [`SecretEvent::Renewed`] or
    /// [`SecretEvent::RenewalFailed`].
    Renew,
    /// Revoke its lease. Answer: [`SecretEvent::Revoked`] or [`SecretEvent::RevocationFailed`].
    Revoke,
}

/// What happened. An answer to what isn't in flight changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretEvent {
    /// Answers [`SecretAction::Read`].
    Read(Validity),
    /// Answers [`SecretAction::Read`].
    ReadFailed(Failure),
    /// Answers [`SecretAction::Renew`]; what the server now grants.
    Renewed(Granted),
    /// Answers [`SecretAction::Renew`].
    RenewalFailed(Failure),
    /// Answers [`SecretAction::Revoke`].
    Revoked,
    /// Answers [`SecretAction::Revoke`].
    RevocationFailed(Failure),
    /// Another token is in use from now on. A lease belongs to the token that it was read with, so
    /// that the secret is read again before that one ends. Say it again when the end has moved.
    TokenReplaced {
        /// When the old token ends: now if it is dead, `None` if it never does.
        old_ends: Option<Instant>,
    },
    /// After a passing failure the server did what it was asked, whoever asked for it.
    ServerReached,
    /// Nobody needs it any more: its lease, if it has one, is revoked. See
    /// [`SecretLease::is_over`](crate::SecretLease::is_over).
    Unwanted,
}
