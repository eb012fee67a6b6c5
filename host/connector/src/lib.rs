//! One way to a secrets server, used by everything that talks to it.
//!
//! [`Connector::send`] takes and gives `http`'s types; the library below it shows nowhere. Behind it
//! are the address and its SRV record, unix sockets, the outbound proxy, TLS and who shows which
//! certificate, connections that are kept, and the [`Governor`]: a ceiling for each [`Lane`] and one
//! breaker for all. Bodies are streamed both ways, so that memory doesn't depend on their size.
//!
//! Nothing is retried here, and nothing is taken from the environment. What an answer means is for
//! the caller to say.
//!
//! [`Transport`] is what lies below, for requests that go elsewhere: with a say in where names may
//! lead, and with TLS settings of the caller's own.

#![forbid(unsafe_code)]

mod basic;
mod body;
mod breaker;
mod ceiling;
mod connector;
mod governor;
mod identity;
mod lane;
mod locator;
mod outbound;
mod patience;
mod redirect;
mod resolve;
mod settings;
mod srv;
mod tls;
mod transport;
mod transports;
mod trouble;
mod way;

pub use basic::BasicAuth;
pub use body::{Body, BoxError, Interrupted, Unread};
pub use breaker::Outcome;
pub use connector::Connector;
pub use governor::{Governor, Requests};
pub use identity::{Certificate, TlsIdentity};
pub use lane::Lane;
pub use patience::Patience;
pub use resolve::{Resolve, Resolving};
pub use settings::{Settings, SettingsError, Tls};
pub use transport::{Failed, Transport};
pub use trouble::{LONGEST_LINE, Trouble, TroubleKind, clean, innermost};
