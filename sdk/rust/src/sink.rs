//! Sinks: where the token goes.

use crate::{About, Failure, Need, config};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::fmt;
use std::time::{Duration, SystemTime};

/// Puts a token where the workload finds it. The host has wrapped and encrypted it already.
pub trait Sink {
    /// The `config` block, as for [`crate::AuthMethod::Config`].
    type Config: DeserializeOwned + JsonSchema;

    /// Name, version and summary.
    const ABOUT: About;

    /// The JSON Schema of `Config`. None: it is made from the type. A plug-in that wants to be
    /// some 60 kB smaller keeps it in a file for `include_str!`, and lets
    /// `testing::check_config_schema` compare the two in its tests.
    const CONFIG_SCHEMA: Option<&'static str> = None;

    /// Checks what the types of `config` can't say, and lists what it needs. Called without
    /// any grant: the answer depends on `config` alone.
    fn prepare(config: &Self::Config) -> Result<Vec<Need>, Failure>;

    /// At start and after a reload, before any login: can this sink work at all? Must leave
    /// nothing behind. A `config` failure stops the agent at start and refuses a reload; any
    /// other is logged, and `deliver` retries.
    fn check(config: &Self::Config) -> Result<(), Failure>;

    /// Puts it in place, whole or not at all. Called again until it succeeds or a newer token
    /// supersedes it; never two calls at once for one sink.
    fn deliver(config: &Self::Config, delivery: &Delivery) -> Result<(), Failure>;

    /// Takes away what `deliver` left, when the operator asked for that. Nothing there is a
    /// success.
    fn withdraw(config: &Self::Config) -> Result<(), Failure>;
}

/// What is delivered. `Debug` leaves the content out.
#[derive(Clone)]
pub struct Delivery {
    /// The exact bytes; what the incumbents' file sink would write.
    pub content: Vec<u8>,
    /// What the bytes are.
    pub form: Form,
    /// Of the token, not a secret; empty when unknown.
    pub accessor: String,
    /// When `content` stops being of use. None: never.
    pub expires_at: Option<SystemTime>,
    /// Grows with each new token of the identity; the same number comes again when a delivery
    /// is tried again.
    pub generation: u64,
    /// Open set, never a secret: `renewable`, `ttl-s`, `entity-id`, `policies`, …
    pub attributes: Vec<(String, String)>,
}

/// What the bytes of a delivery are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The token.
    Token,
    /// The JSON of a wrap info, one line.
    Wrapped,
    /// The JSON envelope, one line, of either of the above.
    Encrypted,
}

impl Delivery {
    /// A plain token of the first generation that never expires, mostly for tests.
    pub fn token(content: impl Into<Vec<u8>>) -> Self {
        Self {
            content: content.into(),
            form: Form::Token,
            accessor: String::new(),
            expires_at: None,
            generation: 1,
            attributes: Vec::new(),
        }
    }

    /// The first attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Delivery")
            .field("form", &self.form)
            .field("expires_at", &self.expires_at)
            .field("generation", &self.generation)
            .field("attributes", &self.attributes)
            .finish_non_exhaustive()
    }
}

/// A time of the contract, in milliseconds since 1970-01-01 UTC.
pub(crate) fn time_from_milliseconds(milliseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds)
}

/// The exported `prepare`.
pub(crate) fn prepare<S: Sink>(config: &str) -> Result<Vec<Need>, Failure> {
    S::prepare(&config::parse(config)?)
}

/// The exported `check`.
pub(crate) fn check<S: Sink>(config: &str) -> Result<(), Failure> {
    S::check(&config::parse(config)?)
}

/// The exported `deliver`.
pub(crate) fn deliver<S: Sink>(config: &str, delivery: &Delivery) -> Result<(), Failure> {
    S::deliver(&config::parse(config)?, delivery)
}

/// The exported `withdraw`.
pub(crate) fn withdraw<S: Sink>(config: &str) -> Result<(), Failure> {
    S::withdraw(&config::parse(config)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_of_a_delivery_leaves_the_content_out() {
        let shown = format!("{:?}", Delivery::token("hvs.hunter2"));
        assert!(!shown.contains("hunter2") && !shown.contains("104, 118"), "{shown}");
    }
}
