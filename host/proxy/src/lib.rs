//! The API proxy: takes the requests of others, and sends them to the secrets server, with the
//! agent's token where the configuration says so.
//!
//! [`Proxy::answer`] is all that a listener needs. Path, query and bodies pass byte for byte and are
//! streamed both ways; what belongs to one connection only (RFC 9110, §7.6.1) doesn't pass. A
//! [`Feed`] is where the tokens come from, and where it is told that one seems to be dead. With a cache
//! ([`Proxy::keep`]) what the server grants is given again to whoever asks the same, and renewed; with
//! [`StaticSettings`] so are static secrets, to whoever has shown that it may read them.
//!
//! Nobody gets to see a token that he didn't send: not in an answer, an error or a log.

#![forbid(unsafe_code)]

mod admission;
mod answer;
mod cache;
mod cache_driver;
mod feed;
mod gate;
mod headers;
mod mount;
mod path;
mod proxy;
mod read_ahead;
mod redaction;
mod renewing;
mod retry;
mod tunnel;

pub use admission::TokenUse;
pub use answer::{Refused, refuse};
pub use cache::{Counts as CacheCounts, StaticSettings};
pub use cache_driver::CacheReport;
pub use feed::{Doubt, Feed, Given};
pub use gate::Gate;
pub use proxy::{Proxy, Settings};
