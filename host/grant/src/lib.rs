//! What a plug-in may do: every decision, for the host that runs it and for an author's test.
//!
//! A plug-in says what it *needs* for a configuration (`prepare`). The operator says what it is
//! *allowed* (`plugin "NAME" { allow { … } }`); built-ins are allowed what they ask. The [`Grant`]
//! is the needs, within what is allowed, and is asked again at every host call. Nothing here opens
//! a file or a connection, or resolves a name: whoever asks says how links are followed ([`Links`])
//! and passes what it found. One thing is looked up: whether the output of a sink that is gone still
//! lies there.

#![forbid(unsafe_code)]

mod allow;
mod capability;
mod grant;
mod limits;
mod links;
mod need;
mod origin;
mod paths;
mod protected;
mod reach;
mod refusal;
mod surroundings;

pub use allow::Allow;
pub use capability::{Capability, Target};
pub use grant::Grant;
pub use limits::{LARGEST_MEMORY, Limits, MEMORY_HINT, TIMEOUT_HINT};
pub use links::Links;
pub use need::Need;
pub use protected::{Asker, Claim, Conflict, Naming, Protected, TEMPORARY};
pub use reach::{Named, reachable};
pub use refusal::{Missing, Refusal};
pub use surroundings::Surroundings;
