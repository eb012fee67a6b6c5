//! Implements the exported interfaces for any [`AuthMethod`] and any [`Sink`].

use super::auth_method::exports::usher::plugin::auth_method as method_abi;
use super::plugin::exports::usher::plugin::plugin as plugin_abi;
use super::plugin::usher::plugin::types;
use super::sink::exports::usher::plugin::sink as sink_abi;
use crate::method::AuthMethod;
use crate::sink::Sink;
use crate::{About, Failure, Need, Reauthenticate, log, method, plugin, sink};
use schemars::JsonSchema;
use std::marker::PhantomData;
use std::panic;

/// What the exported `plugin` of either kind does.
pub trait PluginExports {
    /// The type behind the schema.
    type Config: JsonSchema;
    /// Name, version and summary.
    const ABOUT: About;
    /// The schema, if it needn't be made.
    const CONFIG_SCHEMA: Option<&'static str>;
    /// Reads the configuration and lists what it needs.
    fn needs(config: &str) -> Result<Vec<Need>, Failure>;
}

/// The exports of the auth method `M`.
#[derive(Debug)]
pub struct AuthMethodExports<M>(PhantomData<M>);

/// The exports of the sink `S`.
#[derive(Debug)]
pub struct SinkExports<S>(PhantomData<S>);

impl<M: AuthMethod> PluginExports for AuthMethodExports<M> {
    type Config = M::Config;
    const ABOUT: About = M::ABOUT;
    const CONFIG_SCHEMA: Option<&'static str> = M::CONFIG_SCHEMA;

    fn needs(config: &str) -> Result<Vec<Need>, Failure> {
        method::prepare::<M>(config)
    }
}

impl<S: Sink> PluginExports for SinkExports<S> {
    type Config = S::Config;
    const ABOUT: About = S::ABOUT;
    const CONFIG_SCHEMA: Option<&'static str> = S::CONFIG_SCHEMA;

    fn needs(config: &str) -> Result<Vec<Need>, Failure> {
        sink::prepare::<S>(config)
    }
}

impl<P: PluginExports> plugin_abi::Guest for P {
    fn describe() -> plugin_abi::Info {
        log_panics();
        plugin_abi::Info {
            name: P::ABOUT.name.to_owned(),
            version: P::ABOUT.version.to_owned(),
            summary: P::ABOUT.summary.to_owned(),
            // A constant, so that a plug-in with a ready schema is built without schemars.
            config_schema: match P::CONFIG_SCHEMA {
                Some(schema) => schema.to_owned(),
                None => plugin::config_schema::<P::Config>().to_string(),
            },
            attributes: attributes(&P::ABOUT),
        }
    }

    fn prepare(config: String) -> Result<Vec<plugin_abi::Need>, types::Failure> {
        log_panics();
        let convert = |Need { capability, target }| plugin_abi::Need { capability, target };
        Ok(P::needs(&config)?.into_iter().map(convert).collect())
    }
}

impl<M: AuthMethod> method_abi::Guest for AuthMethodExports<M> {
    fn authenticate(config: String) -> Result<method_abi::Answer, types::Failure> {
        log_panics();
        Ok(method::authenticate::<M>(&config)?.into())
    }

    fn authenticated(config: String) -> Result<(), types::Failure> {
        log_panics();
        Ok(method::authenticated::<M>(&config)?)
    }
}

impl<S: Sink> sink_abi::Guest for SinkExports<S> {
    fn check(config: String) -> Result<(), types::Failure> {
        log_panics();
        Ok(sink::check::<S>(&config)?)
    }

    fn deliver(config: String, delivery: sink_abi::Delivery) -> Result<(), types::Failure> {
        log_panics();
        Ok(sink::deliver::<S>(&config, &delivery.into())?)
    }

    fn withdraw(config: String) -> Result<(), types::Failure> {
        log_panics();
        Ok(sink::withdraw::<S>(&config)?)
    }
}

/// Without this a panic is only "unreachable" to the host. Each call has a new instance, so
/// each export does it first.
fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("panic with a value that is no text");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        log::error(&format!("panic: {message}"), &[("location", &place)]);
    }));
}

fn attributes(about: &About) -> Vec<(String, String)> {
    let reauthenticate = match about.reauthenticate {
        Some(Reauthenticate::Yes) => "yes",
        Some(Reauthenticate::No) => "no",
        None => "",
    };
    let said = [
        ("licence", about.licence),
        ("source", about.source),
        ("reauthenticate", reauthenticate),
        ("identifies", about.identifies),
    ];
    said.into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
