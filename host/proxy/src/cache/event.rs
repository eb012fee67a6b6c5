//! What goes into the cache and what comes out of it.

use std::sync::Arc;
use std::time::Duration;

use usher_address::Namespace;
use usher_lifecycle::{Failure, Generation, Granted};
use usher_secret::Secret;

use super::answer::Answer;
use super::entry::EntryId;
use super::facts::{Facts, Uses};
use super::flights::FlightId;
use super::key::{AccessorId, TokenId};

/// The agent's own token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct AgentToken {
    pub(crate) generation: Generation,
    pub(crate) token: TokenId,
    /// `None`: it isn't known.
    pub(crate) accessor: Option<AccessorId>,
    pub(crate) uses: Uses,
}

/// What becomes of a request.
pub(crate) enum Reply {
    /// That is its answer.
    Hit(Hit),
    /// The same is on its way already: wait for [`Action::Wake`].
    Join(FlightId),
    /// Send it on, and say what became of it: [`Cache::answered`](super::Cache::answered) or [`Cache::gave_up`](super::Cache::gave_up).
    Miss(FlightId),
    /// Send it on. Nobody wants to know what became of it, unless it revokes something: see
    /// [`Cache::revoked`](super::Cache::revoked).
    Pass,
}

/// An answer that was kept.
pub(crate) struct Hit {
    pub(crate) answer: Answer,
    /// In whole seconds.
    pub(crate) age: Duration,
}

/// What became of a request that went on.
pub(crate) enum Outcome {
    /// A success that grants something.
    Granted(Facts, Answer),
    /// A success that grants nothing for a time, or too long an answer.
    Nothing,
    /// There is no such thing.
    Missing,
    /// Another error.
    Failure,
    /// No answer at all, or one that says only that the server is in trouble.
    Unreachable,
}

/// Why an answer isn't kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unkept {
    /// There is nothing to keep, or nobody asked.
    Nothing,
    NotRenewable,
    /// It has ended already, or is worth nothing.
    Ended,
    /// The token that asked is neither the agent's nor one that was granted through it.
    ForeignToken,
    /// The token that it grants is good for so many requests only.
    LimitedUses,
    /// What it grants is known already.
    Known,
    /// It was revoked before it came, or the token that asked ended.
    Withdrawn,
    /// There is no room for it.
    TooLarge,
}

/// What the driver has to do.
pub(crate) enum Action {
    /// Answer: [`Event::Renewed`] or [`Event::RenewalFailed`].
    Renew(Renewal),
    /// Whoever waits for this flight goes on.
    Wake { flight: FlightId, how: Woken },
}

/// How those go on that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// With [`Cache::request`](super::Cache::request): there is an answer, or one of them makes the request for all.
    Again,
    /// With [`Cache::apart`](super::Cache::apart), each for itself and all at once.
    Apart,
}

/// Something to be renewed. No `Debug`: it may hold a token.
pub(crate) struct Renewal {
    pub(crate) entry: EntryId,
    /// Where it was granted, as far as that can be told.
    pub(crate) namespace: Namespace,
    pub(crate) what: Renewed,
}

/// What is renewed, and with which token.
pub(crate) enum Renewed {
    /// A token, by itself.
    Token(Arc<Secret<String>>),
    /// A lease, with the token that it belongs to.
    Lease { id: Arc<str>, owner: Owner },
}

/// Whose a lease is.
pub(crate) enum Owner {
    Agent(Generation),
    Token(Arc<Secret<String>>),
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Answers [`Action::Renew`]; what the server now grants.
    Renewed(EntryId, Granted),
    /// Answers [`Action::Renew`].
    RenewalFailed(EntryId, Failure),
    /// After a passing failure the server did what it was asked, whoever asked for it.
    ServerReached,
}

/// The server answered 403.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// It said "invalid token": that one is dead.
    InvalidToken,
    /// It didn't: the token may be dead, or its policies forbid this.
    Unsaid,
}
