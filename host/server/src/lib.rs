//! The agent's own client for `HashiCorp` Vault and OpenBao: the few requests that keep a token, each
//! a typed operation on [`usher_connector`]'s way to the server.
//!
//! A [`Client`] is cheap to clone and shared by all identities. [`Client::login`] gives a
//! [`Session`], which holds the token together with everything that later requests with it
//! need: the namespace, and the client certificate the server may have bound the token to.
//!
//! Nothing is retried here. An [`Error`] says by its [`Class`] whether trying again can help,
//! and the lifecycle decides when. The [`Governor`] that all clones share keeps the whole agent
//! below a ceiling of requests and slows it down while the server is in trouble.
//!
//! Only what is configured is used: no token, proxy or address is taken from the environment.

#![forbid(unsafe_code)]

mod answer;
mod client;
mod error;
mod operation;
mod remedies;
mod request;
mod scope;
mod sender;

pub use answer::{Auth, Lookup, WrapInfo, WrappingLookup};
pub use client::{Client, Login, Session, token_header};
pub use error::{Class, Error, Reason};
pub use remedies::refusal_of_another;
pub use scope::Scope;
// What a client is made of, so that its users needn't know the crate below.
pub use usher_connector::{
    Certificate, Connector, Governor, Requests, Settings, SettingsError, Tls,
};
