//! Runs auth methods and sinks as WebAssembly components; the only crate that knows wasmtime.
//!
//! The rest of the agent sees two traits, [`AuthMethod`] and [`Sink`], and never learns that
//! WebAssembly is behind them. The way there:
//!
//! 1. An [`Engine`] is made once. It holds the wasmtime engine and the linkers.
//! 2. A [`PluginStore`] finds what a name of the configuration means. [`Engine::load_built_in`] and
//!    [`Engine::load_file`] make a [`Plugin`] of it: compiled (a script is run by the script
//!    component instead), linked, and instantiated once to prove that it works.
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
mod built_in;
mod cache;
mod call;
#[cfg(feature = "compile")]
mod child;
mod compatibility;
#[cfg(feature = "compile")]
mod compile;
mod compiler;
mod configuration;
#[cfg(feature = "compile")]
mod confine;
mod crypto;
mod digest;
mod egress;
mod engine;
mod error;
mod failure;
mod files;
mod found;
mod host;
mod info;
mod inspect;
mod kdc;
mod kept;
mod kind;
mod krb5_conf;
mod limits;
mod load;
mod lock;
mod places;
mod plugin;
mod plugin_files;
mod plugin_store;
mod precompiled;
#[cfg(feature = "compile")]
mod preinitialize;
mod process;
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

pub use built_in::{BuiltIn, BuiltIns};
pub use cache::Cache;
#[cfg(feature = "compile")]
pub use compile::{compatibility, compile, compile_stream};
pub use compiler::Compiler;
pub use digest::Digest;
pub use egress::Egress;
pub use engine::Engine;
pub use error::LoadError;
pub use failure::{Failure, FailureKind};
pub use found::Found;
pub use info::Info;
pub use inspect::{CONTRACT, Inspection, inspect};
pub use kind::Kind;
pub use lock::{Entry, Lock};
pub use plugin::{Origin, Plugin};
pub use plugin_files::PluginFiles;
pub use plugin_store::{PluginStore, Resolved, Unresolved};
pub use precompiled::Precompiled;
#[cfg(feature = "compile")]
pub use preinitialize::preinitialize;
pub use registry::{Scanned, find, scan};
pub use traits::{
    Answer, AuthMethod, Call, Certificate, Credential, Delivery, Form, Login, Reason, Sink,
    StateKeeper, Unwrapper,
};
pub use usage::Use;
pub use uses::InUse;
pub use usher_grant::{Allow, Capability, Grant, LARGEST_MEMORY, Limits, Need, Protected, Refusal};
