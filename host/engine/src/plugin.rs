//! A loaded plug-in: compiled, linked, and started once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use usher_grant::{Grant, Limits};
use usher_secret::Secret;
use wasmtime::Store;
use wasmtime::component::Component;

use crate::bindings::AuthMethodPluginPre;
use crate::bindings::exports::usher::plugin::plugin as wit_plugin;
use crate::bindings::sink_world::SinkPluginPre;
use crate::call::{guarded, with_output};
use crate::compiler::Compiler;
use crate::error::LoadError;
use crate::failure::{Failure, FailureKind};
use crate::inspect::{CONTRACT, inspect};
use crate::places::{Place, Share};
use crate::precompiled::Precompiled;
use crate::registry::Found;
use crate::runtime::Engine;
use crate::script::{Script, is_script};
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

/// The attribute that lists the settings which make a login this identity's.
const IDENTIFIES: &str = "identifies";
/// The attribute that says whether a method logs in anew for a new credential.
const REAUTHENTICATE: &str = "reauthenticate";

/// What a plug-in is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Proves who the workload is.
    AuthMethod,
    /// Puts the token where it belongs.
    Sink,
}

/// Where a plug-in comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Part of this program.
    BuiltIn,
    /// A file of the plug-in directory.
    File(PathBuf),
}

/// What a plug-in says about itself.
#[derive(Clone, Debug)]
pub struct Info {
    /// Shown to people.
    pub name: String,
    /// Semantic version of the plug-in.
    pub version: String,
    /// One line.
    pub summary: String,
    /// JSON Schema of its configuration; "" accepts any object.
    pub config_schema: String,
    /// "licence", "source", "reauthenticate", "identifies", …
    pub attributes: Vec<(String, String)>,
}

impl Info {
    /// Of a method's configuration what makes a login this identity's and no other's, as text to
    /// compare: the settings that the attribute "identifies" names, with their defaults where they
    /// aren't set, or all of them where it names none.
    pub(crate) fn identifying(&self, config: &str) -> Secret<String> {
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
        let config = json(config);
        let keys: Vec<&str> = self.identifying_keys().collect();
        if keys.is_empty() {
            return Secret::new(config.to_string());
        }
        let schema = json(&self.config_schema);
        let settings: BTreeMap<&str, &serde_json::Value> = keys
            .into_iter()
            .map(|key| {
                let default = &schema["properties"][key]["default"];
                (key, config.get(key).unwrap_or(default))
            })
            .collect();
        Secret::new(serde_json::json!(settings).to_string())
    }

    /// The settings that the attribute "identifies" names.
    fn identifying_keys(&self) -> impl Iterator<Item = &str> {
        let keys = self.values(IDENTIFIES).flat_map(|keys| keys.split(','));
        keys.map(str::trim).filter(|key| !key.is_empty())
    }

    /// Whether a new credential is a reason to log in while the token is good; so it is where the
    /// plug-in says nothing.
    pub fn reauthenticates(&self) -> bool {
        self.values(REAUTHENTICATE).next() != Some("no")
    }

    /// An attribute that isn't understood would be taken for its contrary, or for none.
    fn checked(self) -> Result<Self, Failure> {
        let schema: serde_json::Value =
            serde_json::from_str(&self.config_schema).unwrap_or_default();
        let properties = schema["properties"].as_object();
        let is_unknown =
            |key: &&str| properties.is_some_and(|properties| !properties.contains_key(*key));
        let wrong = match self.values(REAUTHENTICATE).next() {
            None | Some("yes" | "no") => self.identifying_keys().find(is_unknown).map(|unknown| {
                format!(
                    "its attribute {IDENTIFIES:?} names {unknown:?}, which its schema doesn't have; write names of settings, with commas between them"
                )
            }),
            Some(other) => Some(format!(
                "its attribute {REAUTHENTICATE:?} is {other:?}; write \"yes\" or \"no\""
            )),
        };
        match wrong {
            None => Ok(self),
            Some(wrong) => Err(Failure::new(FailureKind::Config, "plugin.attribute", wrong)),
        }
    }

    /// What it says of `attribute`, which may stand there more than once.
    fn values(&self, attribute: &'static str) -> impl Iterator<Item = &str> {
        let named = self.attributes.iter().filter(move |(name, _)| name == attribute);
        named.map(|(_, value)| value.as_str())
    }
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
    pub(crate) engine: Engine,
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

impl Kind {
    /// "auth-method" or "sink".
    pub fn name(self) -> &'static str {
        match self {
            Self::AuthMethod => "auth-method",
            Self::Sink => "sink",
        }
    }

    /// "an auth method" or "a sink".
    pub fn with_article(self) -> &'static str {
        match self {
            Self::AuthMethod => "an auth method",
            Self::Sink => "a sink",
        }
    }
}

impl Engine {
    /// Loads a component that is part of this program.
    pub async fn load_built_in(
        &self,
        name: &str,
        kind: Kind,
        code: &Precompiled,
        digest: &str,
        size: u64,
    ) -> Result<Arc<Plugin>, LoadError> {
        let component = code
            .load(&self.0.wasmtime)
            .map_err(|error| LoadError::Compile(format!("{error:#}")))?;
        self.load(name, kind, Origin::BuiltIn, &component, CONTRACT, digest.to_owned(), size).await
    }

    /// Compiles and loads a component of the plug-in directory, or loads a script.
    pub async fn load_file(
        &self,
        found: &Found,
        compiler: &Compiler,
    ) -> Result<Arc<Plugin>, LoadError> {
        if is_script(&found.path) {
            return self.load_script(found).await;
        }
        let inspection = inspect(&found.bytes)?;
        let component = self.component(found, compiler).await?;
        self.load(
            &found.name,
            inspection.kind,
            Origin::File(found.path.clone()),
            &component,
            &inspection.contract,
            found.digest.clone(),
            found.bytes.len() as u64,
        )
        .await
    }

    /// The machine code of a file, from the cache if it can be had there.
    async fn component(&self, found: &Found, compiler: &Compiler) -> Result<Component, LoadError> {
        for code in compiler.cached(&found.digest) {
            match code.load(&self.0.wasmtime) {
                Ok(component) => return Ok(component),
                Err(error) => {
                    tracing::debug!(plugin = found.name, "the cached code doesn't fit: {error:#}");
                }
            }
        }
        let code = compiler.compile(found, &self.0.wasmtime).await?;
        code.load(&self.0.wasmtime).map_err(|error| LoadError::Compile(format!("{error:#}")))
    }

    #[allow(clippy::too_many_arguments, reason = "one call for each origin, named just above")]
    async fn load(
        &self,
        name: &str,
        kind: Kind,
        origin: Origin,
        component: &Component,
        contract: &str,
        digest: String,
        size: u64,
    ) -> Result<Arc<Plugin>, LoadError> {
        let link = |error: wasmtime::Error| LoadError::Link(text::line(&format!("{error:#}")));
        let wasmtime = &self.0.wasmtime;
        let imports: Vec<String> =
            component.component_type().imports(wasmtime).map(|(name, _)| name.to_owned()).collect();
        let wasi = imports.iter().any(|name| name.starts_with("wasi:"));
        let instance = self.0.linker(kind, wasi)?.instantiate_pre(component).map_err(link)?;
        let linked = match kind {
            Kind::AuthMethod => {
                Linked::AuthMethod(AuthMethodPluginPre::new(instance).map_err(link)?)
            }
            Kind::Sink => Linked::Sink(SinkPluginPre::new(instance).map_err(link)?),
        };
        let share = match origin {
            Origin::BuiltIn => Share::BuiltIn,
            Origin::File(_) => Share::of_a_stranger(),
        };
        let mut plugin = Plugin {
            name: name.to_owned(),
            kind,
            origin,
            share,
            info: Info {
                name: String::new(),
                version: String::new(),
                summary: String::new(),
                config_schema: String::new(),
                attributes: Vec::new(),
            },
            digest,
            size,
            contract: contract.to_owned(),
            imports,
            engine: self.clone(),
            linked,
            script: None,
        };
        plugin.info = plugin.describe().await.map_err(LoadError::Start)?;
        Ok(Arc::new(plugin))
    }
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
        let places = &self.engine.0.places;
        let place = places.to_prepare(&self.share, limits).await.map_err(LoadError::Start)?;
        let mut store = self.store(None, None, limits, place);
        let output = store.data().output.clone();
        let needs = guarded(&self.engine.0, limits.sink_timeout, &output, async {
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
        self.engine
            .0
            .process
            .surroundings(|surroundings| Grant::decide(&self.name, needs, allow, surroundings))
            .map_err(LoadError::Refused)
    }

    pub(crate) async fn describe(&self) -> Result<Info, Failure> {
        let limits = Limits::default();
        let place = self.engine.0.places.to_prepare(&self.share, &limits).await?;
        let mut store = self.store(None, None, &limits, place);
        let output = store.data().output.clone();
        let info = guarded(&self.engine.0, limits.sink_timeout, &output, async {
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
        let mut store = new_store(&self.engine.0.wasmtime, &self.name, usage, call, limits, place);
        store.data_mut().script.clone_from(&self.script);
        store
    }

    /// Whether a value of the setting `key` may be shown: the schema has it, and not as
    /// `writeOnly`. What it doesn't have may be a secret whose key is misspelt.
    pub fn shows(&self, key: &str) -> bool {
        let schema: serde_json::Value =
            serde_json::from_str(&self.info.config_schema).unwrap_or_default();
        let property = &schema["properties"][key];
        property.is_object() && property["writeOnly"] != true
    }

    /// Values of the settings that the schema marks `writeOnly`.
    pub(crate) fn secret_settings(&self, config: &str) -> Vec<String> {
        let schema: serde_json::Value =
            serde_json::from_str(&self.info.config_schema).unwrap_or_default();
        let config: serde_json::Value = serde_json::from_str(config).unwrap_or_default();
        let Some(properties) = schema["properties"].as_object() else { return Vec::new() };
        properties
            .iter()
            .filter(|(_, property)| property["writeOnly"] == true)
            .filter_map(|(name, _)| config[name].as_str().map(str::to_owned))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(attributes: &[(&str, &str)]) -> Info {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Info {
            name: String::new(),
            version: String::new(),
            summary: String::new(),
            config_schema: r#"{"properties":{"type":{"default":"gce"},"role":{}}}"#.to_owned(),
            attributes: attributes.iter().map(owned).collect(),
        }
    }

    #[test]
    fn only_what_a_plug_in_names_identifies_and_a_default_is_as_good_as_written() {
        let named = info(&[("licence", "MIT"), ("identifies", "role, type")]);
        let of = |config| named.identifying(config).expose().clone();
        let web = of(r#"{"role":"web"}"#);
        assert_eq!(web, of(r#"{"poll":"1s","type":"gce","role":"web"}"#));
        assert_ne!(web, of(r#"{"role":"db"}"#));
        assert_ne!(web, of(r#"{"role":"web","type":"iam"}"#));
        assert_ne!(web, of("{}"));
    }

    #[test]
    fn what_identifies_must_be_a_setting_of_the_schema() {
        assert!(info(&[("identifies", "role, type")]).checked().is_ok());
        let failure = info(&[("identifies", "rol")]).checked().expect_err("it is misspelt");
        assert_eq!((failure.kind, &failure.code[..]), (FailureKind::Config, "plugin.attribute"));
        assert!(failure.message.contains("\"rol\""), "{failure}");
        let anything = Info { config_schema: String::new(), ..info(&[("identifies", "rol")]) };
        assert!(anything.checked().is_ok(), "without a schema nothing is known of its settings");
    }

    #[test]
    fn of_a_plug_in_that_names_nothing_every_setting_identifies() {
        for unnamed in [info(&[]), info(&[("identifies", " ")])] {
            let of = |config| unnamed.identifying(config).expose().clone();
            assert_eq!(of(r#"{"a":1,"b":2}"#), of(r#"{ "a": 1, "b": 2 }"#));
            assert_ne!(of(r#"{"a":1}"#), of(r#"{"a":2}"#));
            assert_ne!(of(r#"{"a":1}"#), of("{}"));
        }
    }
}
