//! The cache: leases and tokens that the server granted through this agent, given again to whoever
//! asks the same with the same token, and renewed as long as somebody does.
//!
//! What is kept is what the incumbents keep: successes in JSON that grant something renewable, a lease
//! or a token; a lease or a child token only if the token that asked is the agent's or was granted
//! through it, because only then is it known when it ends. [`Cache`] is a pure machine in the manner of
//! the lifecycle: no I/O, no clock, no tasks and no randomness of its own.
//!
//! # Driving it
//!
//! Each request becomes an [`Ask`], and [`Cache::request`] says what to do with it. A
//! [`Reply::Miss`] is answered by exactly one call of [`Cache::answered`] (with what [`facts`] has
//! read) or [`Cache::gave_up`], whatever becomes of the client: others may wait for it. Who gets
//! [`Reply::Join`] waits for [`Action::Wake`]. A [`Reply::Pass`] with an [`Ask::revocation`] ends in
//! [`Cache::revoked`] unless the server refuses it, and a 403 for anybody's token in
//! [`Cache::denied`]. The agent's own token comes with [`Cache::token_replaced`].
//!
//! After each of these, and of [`Cache::handle`], call [`Cache::poll_action`] until it returns `None`,
//! start what it returns, and sleep until [`Cache::next_timeout`] or the next call. Each
//! [`Action::Renew`] is answered by one [`Event`].
//!
//! # Whose answer
//!
//! What an answer is known by is all that it may depend on: method, target, query, body, the token,
//! and the few headers that servers heed. Namespaces in the header and in the path are one. So an
//! answer is only ever given to the token that asked for it, and no longer than that is good.

mod answer;
mod ask;
mod class;
mod counts;
mod entry;
mod event;
mod facts;
mod flights;
mod key;
mod limited;
mod machine;
mod operation;
mod order;
mod selection;
mod settings;
mod shelf;
mod static_secrets;
mod target;
mod wiped;

#[cfg(test)]
mod tests;

pub(crate) use answer::Answer;
pub(crate) use ask::{Ask, Head, own_token};
pub use counts::Counts;
pub(crate) use event::{
    Action, AgentToken, Denial, Event, Hit, Outcome, Owner, Renewal, Renewed, Reply, Woken,
};
pub(crate) use facts::{Facts, Uses, facts, may_have_facts};
pub(crate) use flights::FlightId;
pub(crate) use key::Keyring;
pub(crate) use machine::Cache;
pub(crate) use order::{Disorder, order};
pub(crate) use settings::Settings;
pub use static_secrets::StaticSettings;
pub(crate) use static_secrets::{Found, Nature, Writing, found};
#[cfg(test)]
pub(crate) use {
    class::{Class, Why},
    counts::Cause,
    entry::EntryId,
    event::Unkept,
    key::TokenId,
};
