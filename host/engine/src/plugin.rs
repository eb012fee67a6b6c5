//! A loaded plug-in: compiled, linked, and started once.

use std::path::PathBuf;
use std::sync::Arc;

use usher_grant::{Grant, Limits};
use wasmtime::Store;

use crate::bindings::AuthMethodPluginPre;
use crate::bindings::exports::usher::plugin::plugin as wit_plugin;
use crate::bindings::sink_world::SinkPluginPre;
use crate::call::{guarded, with_output};
use crate::error::LoadError;
use crate::failure::Failure;
use crate::info::Info;
use crate::kind::Kind;
use crate::places::{Place, Share};
use crate::runtime::Runtime;
use crate::script::Script;
use crate::store::{State, new_store};
use crate::text;
use crate::traits::Call;
use crate::usage::{Usage, Use};

/// Needs of one configuration.
const MOST_NEEDS: usize = 256;
/// Bytes of what one need asks for.
const LONGEST_NEED: usize = 4 << 10;
/// Bytes of a schema.
const LONGEST_SCHEMA: usize = 128 << 10;

/// Where a plug-in comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Part of this program.
    BuiltIn,
    /// A file of the plug-in directory.
    File(PathBuf),
}

/// A plug-in that is compiled, linked, and has been instantiated once.
pub struct Plugin {
    /// The name used in the configuration.
    pub name: String,
    /// What it is for.
    pub kind: Kind,
    /// Where it comes from.
    pub origin: Origin,
    /// What it says about itself.
    pub info: Info,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: String,
    /// Bytes of the component.
    pub size: u64,
    /// Version of package `usher:plugin` that it was built against.
    pub contract: String,
    /// Names of what it imports.
    pub imports: Vec<String>,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) linked: Linked,
    /// Of the room for calls.
    pub(crate) share: Share,
    /// What the script component runs for this plug-in.
    pub(crate) script: Option<Arc<Script>>,
}

pub(crate) enum Linked {
    AuthMethod(AuthMethodPluginPre<State>),
    Sink(SinkPluginPre<State>),
}

impl Plugin {
    /// What a configuration needs, as `prepare` lists it.
    ///
    /// # Errors
    /// The plug-in's refusal of its configuration.
    pub async fn prepare(
        &self,
        config: &str,
        limits: &Limits,
    ) -> Result<Vec<(String, String)>, LoadError> {
        let place =
            self.runtime.places.to_prepare(&self.share, limits).await.map_err(LoadError::Start)?;
        let mut store = self.store(None, None, limits, place);
        let output = store.data().output.clone();
        let needs = guarded(&self.runtime, limits.sink_timeout, &output, async {
            match &self.linked {
                Linked::AuthMethod(pre) => {
                    let instance = pre.instantiate_async(&mut store).await?;
                    instance.usher_plugin_plugin().call_prepare(&mut store, config).await
                }
                Linked::Sink(pre) => {
                    let instance = pre.instantiate_async(&mut store).await?;
                    let needs =
                        instance.usher_plugin_plugin().call_prepare(&mut store, config).await?;
                    Ok(needs.map(|needs| {
                        needs
                            .into_iter()
                            .map(|need| wit_plugin::Need {
                                capability: need.capability,
                                target: need.target,
                            })
                            .collect()
                    }))
                }
            }
        })
        .await
        .map_err(LoadError::Start)?
        .map_err(|failure| LoadError::Prepare(with_output(failure.into(), &output)))?;
        if needs.len() > MOST_NEEDS || needs.iter().any(|need| need.target.len() > LONGEST_NEED) {
            return Err(LoadError::Start(Failure::exceeded(
                "the plug-in has more than 256 needs, or one of more than 4 KiB; let it ask for patterns with `*`",
            )));
        }
        Ok(needs.into_iter().map(|need| (need.capability, need.target)).collect())
    }

    /// What `usage` grants, if the operator allows it.
    pub(crate) async fn grant(&self, usage: &Use) -> Result<Grant, LoadError> {
        let needs = self.prepare(&usage.config, &usage.limits).await?;
        let allow = (self.origin != Origin::BuiltIn).then_some(&usage.allow);
        self.runtime
            .process
            .surroundings(|surroundings| Grant::decide(&self.name, needs, allow, surroundings))
            .map_err(LoadError::Refused)
    }

    pub(crate) async fn describe(&self) -> Result<Info, Failure> {
        let limits = Limits::default();
        let place = self.runtime.places.to_prepare(&self.share, &limits).await?;
        let mut store = self.store(None, None, &limits, place);
        let output = store.data().output.clone();
        let info = guarded(&self.runtime, limits.sink_timeout, &output, async {
            Ok(match &self.linked {
                Linked::AuthMethod(pre) => {
                    let instance = pre.instantiate_async(&mut store).await?;
                    let info = instance.usher_plugin_plugin().call_describe(&mut store).await?;
                    Info {
                        name: text::line(&info.name),
                        version: text::line(&info.version),
                        summary: text::line(&info.summary),
                        config_schema: info.config_schema,
                        attributes: text::fields(&info.attributes),
                    }
                }
                Linked::Sink(pre) => {
                    let instance = pre.instantiate_async(&mut store).await?;
                    let info = instance.usher_plugin_plugin().call_describe(&mut store).await?;
                    Info {
                        name: text::line(&info.name),
                        version: text::line(&info.version),
                        summary: text::line(&info.summary),
                        config_schema: info.config_schema,
                        attributes: text::fields(&info.attributes),
                    }
                }
            })
        })
        .await
        .and_then(Info::checked)?;
        if info.config_schema.len() > LONGEST_SCHEMA {
            return Err(Failure::exceeded("the plug-in's schema is longer than 128 KiB"));
        }
        Ok(info)
    }

    /// A store for one call.
    pub(crate) fn store(
        &self,
        usage: Option<Arc<Usage>>,
        call: Option<Call>,
        limits: &Limits,
        place: Place,
    ) -> Store<State> {
        let mut store = new_store(&self.runtime.wasmtime, &self.name, usage, call, limits, place);
        store.data_mut().script.clone_from(&self.script);
        store
    }

    /// Whether a value of the setting `key` may be shown: the schema has it, and not as
    /// `writeOnly`. What it doesn't have may be a secret whose key is misspelt.
    pub fn shows(&self, key: &str) -> bool {
        self.info.shows(key)
    }
}
