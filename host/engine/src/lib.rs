//! Runs auth methods and sinks as WebAssembly components; the only crate that knows wasmtime.
//!
//! The rest of the agent sees two traits, [`AuthMethod`] and [`Sink`], and never learns that
//! WebAssembly is behind them. The way there:
//!
//! 1. A [`Engine`] is made once. It holds the wasmtime engine and the linkers.
//! 2. [`Engine::load_built_in`] and [`Engine::load_file`] make a [`Plugin`]: compiled (a script is
//!    run by the script component instead), linked, and instantiated once to prove that it works.
//! 3. [`Engine::auth_method`] and [`Engine::sink`] bind a plug-in to one *use*: an identity's
//!    method, or one sink. `prepare` is called, its needs are checked against what the operator
//!    allows, and the resulting [`Grant`] is in force for every call of this use.
//! 4. [`Engine::replace`] puts another version in the place of one that serves uses, without a call
//!    that fails for it.
//! 5. Each call gets a fresh store and instance, all limits set, and is dropped afterwards. What
//!    a plug-in remembers is the use's state, kept here in memory that is wiped.

#![deny(unsafe_code)]
#![cfg_attr(
    not(feature = "compile"),
    allow(dead_code, unused_imports, reason = "what only a program with a compiler needs")
)]

mod answer;
mod bindings;
mod bound;
mod cache;
mod call;
#[cfg(feature = "compile")]
mod child;
#[cfg(feature = "compile")]
mod compile;
mod compiler;
mod configuration;
#[cfg(feature = "compile")]
mod confine;
mod crypto;
mod egress;
mod error;
mod failure;
mod files;
mod host;
mod inspect;
mod kdc;
mod kept;
mod krb5_conf;
mod limits;
mod places;
mod plugin;
mod precompiled;
#[cfg(feature = "compile")]
mod preinitialize;
mod received;
mod registry;
mod runtime;
mod script;
mod stdio;
mod store;
mod text;
mod traits;
mod usage;
mod uses;
mod wasi_http;

pub use cache::Cache;
#[cfg(feature = "compile")]
pub use compile::{compatibility, compile, compile_stream};
pub use compiler::Compiler;
pub use egress::Egress;
pub use error::LoadError;
pub use failure::{Failure, FailureKind};
pub use inspect::{CONTRACT, Inspection, inspect};
pub use plugin::{Info, Kind, Origin, Plugin};
pub use precompiled::Precompiled;
#[cfg(feature = "compile")]
pub use preinitialize::preinitialize;
pub use registry::{Found, Scanned, digest, find, read_trusted, scan};
pub use runtime::Engine;
pub use traits::{
    Answer, AuthMethod, Call, Certificate, Credential, Delivery, Form, Login, Reason, Sink,
    Unwrapper,
};
pub use usage::Use;
pub use uses::InUse;
pub use usher_grant::{Allow, Capability, Grant, LARGEST_MEMORY, Limits, Need, Protected, Refusal};
