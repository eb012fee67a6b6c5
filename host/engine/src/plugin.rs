//! A loaded plug-in, and its two shapes as the agent's traits.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard, SemaphorePermit};
use usher_secret::Secret;
use wasmtime::Store;
use zeroize::Zeroizing;

use crate::bindings::exports::usher::plugin::auth_method as wit_method;
use crate::bindings::exports::usher::plugin::plugin as wit_plugin;
use crate::bindings::sink_world::SinkPluginPre;
use crate::bindings::sink_world::exports::usher::plugin::sink as wit_sink;
use crate::bindings::{AuthMethodPluginPre, usher::plugin::types as wit_types};
use crate::call::guarded;
use crate::compile::Compiler;
use crate::error::LoadError;
use crate::failure::{Failure, FailureKind};
use crate::grant::{Capability, Grant};
use crate::inspect::{CONTRACT, inspect};
use crate::limits::Limits;
use crate::precompiled::Precompiled;
use crate::registry::Found;
use crate::runtime::Engine;
use crate::store::{State, new_store};
use crate::text;
use crate::traits::{
    Answer, AuthMethod, Call, Certificate, Credential, Delivery, Form, Login, Sink,
};
use crate::usage::{Usage, Use};

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
    /// "licence", "source", …
    pub attributes: Vec<(String, String)>,
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
    engine: Engine,
    linked: Linked,
}

enum Linked {
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

    fn with_article(self) -> &'static str {
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
        self.load(name, kind, Origin::BuiltIn, code, CONTRACT, digest.to_owned(), size).await
    }

    /// Compiles and loads a component of the plug-in directory.
    pub async fn load_file(
        &self,
        found: &Found,
        compiler: &Compiler,
    ) -> Result<Arc<Plugin>, LoadError> {
        let inspection = inspect(&found.bytes)?;
        let code = compiler.run(&found.bytes).await?;
        self.load(
            &found.name,
            inspection.kind,
            Origin::File(found.path.clone()),
            &code,
            &inspection.contract,
            found.digest.clone(),
            found.bytes.len() as u64,
        )
        .await
    }

    #[allow(clippy::too_many_arguments, reason = "one call for each origin, named just above")]
    async fn load(
        &self,
        name: &str,
        kind: Kind,
        origin: Origin,
        code: &Precompiled,
        contract: &str,
        digest: String,
        size: u64,
    ) -> Result<Arc<Plugin>, LoadError> {
        let link = |error: wasmtime::Error| LoadError::Link(text::line(&format!("{error:#}")));
        let wasmtime = &self.0.wasmtime;
        let component =
            code.load(wasmtime).map_err(|error| LoadError::Compile(format!("{error:#}")))?;
        let imports: Vec<String> =
            component.component_type().imports(wasmtime).map(|(name, _)| name.to_owned()).collect();
        let wasi = imports.iter().any(|name| name.starts_with("wasi:"));
        let instance = self.0.linker(kind, wasi)?.instantiate_pre(&component).map_err(link)?;
        let linked = match kind {
            Kind::AuthMethod => {
                Linked::AuthMethod(AuthMethodPluginPre::new(instance).map_err(link)?)
            }
            Kind::Sink => Linked::Sink(SinkPluginPre::new(instance).map_err(link)?),
        };
        let mut plugin = Plugin {
            name: name.to_owned(),
            kind,
            origin,
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
        };
        plugin.info = plugin.describe().await.map_err(LoadError::Start)?;
        Ok(Arc::new(plugin))
    }

    /// These identities are about to be replaced: until the next call of this, the files that
    /// their sinks write are free for others.
    pub fn leaving(&self, identities: Vec<String>) {
        self.0.protected.leaving(identities);
    }

    /// Binds an auth method to the use that an identity makes of it.
    pub async fn auth_method(
        &self,
        plugin: &Arc<Plugin>,
        usage: Use,
    ) -> Result<Arc<dyn AuthMethod>, LoadError> {
        Ok(Arc::new(self.bind(plugin, usage, Kind::AuthMethod).await?))
    }

    /// Binds a sink to one sink of an identity, and reserves the files that it writes.
    pub async fn sink(&self, plugin: &Arc<Plugin>, usage: Use) -> Result<Arc<dyn Sink>, LoadError> {
        let bound = self.bind(plugin, usage, Kind::Sink).await?;
        for path in bound.written() {
            let resolved = match (path.parent().map(std::fs::canonicalize), path.file_name()) {
                (Some(Ok(parent)), Some(name)) => parent.join(name),
                _ => path,
            };
            let Use { name, identity, .. } = &bound.usage.usage;
            self.0.protected.reserve(resolved, name, identity, &bound.usage.holder);
        }
        Ok(Arc::new(bound))
    }

    async fn bind(&self, plugin: &Arc<Plugin>, usage: Use, kind: Kind) -> Result<Bound, LoadError> {
        if plugin.kind != kind {
            return Err(LoadError::Kind {
                found: plugin.kind.with_article(),
                expected: kind.with_article(),
            });
        }
        let grant = plugin.grant(&usage).await?;
        let usage = Arc::new(Usage::new(
            plugin.name.clone(),
            usage,
            grant,
            Arc::clone(&self.0.protected),
            Arc::clone(&self.0.egress),
            Arc::clone(&self.0.process),
        ));
        usage.keep_out_of_logs(
            "config",
            plugin.secret_settings(&usage.usage.config).iter().map(String::as_str),
        );
        Ok(Bound { plugin: Arc::clone(plugin), usage, turn: Mutex::default() })
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
        let mut store = new_store(&self.engine.0.wasmtime, &self.name, None, None, limits);
        let needs = guarded(&self.engine.0, limits.sink_timeout, async {
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
        .map_err(|failure| LoadError::Prepare(failure.into()))?;
        Ok(needs.into_iter().map(|need| (need.capability, need.target)).collect())
    }

    async fn grant(&self, usage: &Use) -> Result<Grant, LoadError> {
        let needs = self.prepare(&usage.config, &usage.limits).await?;
        let allow = (self.origin != Origin::BuiltIn).then_some(&usage.allow);
        self.engine
            .0
            .process
            .surroundings(|surroundings| Grant::decide(&self.name, needs, allow, surroundings))
            .map_err(LoadError::Refused)
    }

    async fn describe(&self) -> Result<Info, Failure> {
        let limits = Limits::default();
        let mut store = new_store(&self.engine.0.wasmtime, &self.name, None, None, &limits);
        guarded(&self.engine.0, limits.sink_timeout, async {
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
    }

    /// Values of the settings that the schema marks `writeOnly`.
    fn secret_settings(&self, config: &str) -> Vec<String> {
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

/// A plug-in bound to one use.
struct Bound {
    plugin: Arc<Plugin>,
    usage: Arc<Usage>,
    /// Calls for one use never overlap.
    turn: Mutex<()>,
}

/// A call that may begin: it is its use's turn, and there is room for it.
struct Turn<'a> {
    store: Store<State>,
    _place: Option<SemaphorePermit<'a>>,
    _turn: MutexGuard<'a, ()>,
}

impl Bound {
    async fn turn(&self, call: Call) -> Turn<'_> {
        let turn = self.turn.lock().await;
        let place = self.plugin.engine.0.place().await;
        let store = new_store(
            &self.plugin.engine.0.wasmtime,
            &self.plugin.name,
            Some(Arc::clone(&self.usage)),
            Some(call),
            &self.usage.usage.limits,
        );
        Turn { store, _place: place, _turn: turn }
    }

    async fn run<T>(
        &self,
        timeout: Duration,
        call: impl Future<Output = wasmtime::Result<Result<T, wit_types::Failure>>>,
    ) -> Result<T, Failure> {
        guarded(&self.plugin.engine.0, timeout, call).await?.map_err(Into::into)
    }

    /// The other world: `bind` makes a method only of methods.
    fn wrong_kind<T>() -> wasmtime::Result<T> {
        Err(wasmtime::Error::msg("the plug-in is of the other kind"))
    }
}

#[async_trait]
impl AuthMethod for Bound {
    async fn authenticate(&self, call: Call) -> Result<Answer, Failure> {
        let mut turn = self.turn(call).await;
        let store = &mut turn.store;
        let answer = self
            .run(self.usage.usage.limits.method_timeout, async {
                let Linked::AuthMethod(pre) = &self.plugin.linked else {
                    return Self::wrong_kind();
                };
                let instance = pre.instantiate_async(&mut *store).await?;
                instance
                    .usher_plugin_auth_method()
                    .call_authenticate(store, &self.usage.usage.config)
                    .await
            })
            .await?;
        self.accept(answer)
    }

    async fn authenticated(&self, call: Call) -> Result<(), Failure> {
        let mut turn = self.turn(call).await;
        let store = &mut turn.store;
        self.run(self.usage.usage.limits.method_timeout, async {
            let Linked::AuthMethod(pre) = &self.plugin.linked else { return Self::wrong_kind() };
            let instance = pre.instantiate_async(&mut *store).await?;
            instance
                .usher_plugin_auth_method()
                .call_authenticated(store, &self.usage.usage.config)
                .await
        })
        .await
    }

    fn watched(&self) -> Vec<PathBuf> {
        self.usage.grant.watched().map(Into::into).collect()
    }

    fn state(&self) -> Secret<Vec<u8>> {
        Secret::new(self.usage.load_state())
    }

    fn restore(&self, state: Secret<Vec<u8>>) {
        self.usage.save_state(Zeroizing::new(state.expose().clone()));
    }
}

#[async_trait]
impl Sink for Bound {
    async fn check(&self, call: Call) -> Result<(), Failure> {
        let mut turn = self.turn(call).await;
        let store = &mut turn.store;
        self.run(self.usage.usage.limits.sink_timeout, async {
            let Linked::Sink(pre) = &self.plugin.linked else { return Self::wrong_kind() };
            let instance = pre.instantiate_async(&mut *store).await?;
            instance.usher_plugin_sink().call_check(store, &self.usage.usage.config).await
        })
        .await
    }

    async fn deliver(&self, call: Call, delivery: Delivery) -> Result<(), Failure> {
        let mut turn = self.turn(call).await;
        let store = &mut turn.store;
        let content = Zeroizing::new(delivery.content.expose().clone());
        let mut delivery = wit_sink::Delivery {
            content: content.to_vec(),
            form: match delivery.form {
                Form::Token => wit_sink::Form::Token,
                Form::Wrapped => wit_sink::Form::Wrapped,
                Form::Encrypted => wit_sink::Form::Encrypted,
            },
            accessor: delivery.accessor,
            expires_at_ms: delivery.expires_at.map(milliseconds),
            generation: delivery.generation,
            attributes: delivery.attributes,
        };
        let result = self
            .run(self.usage.usage.limits.sink_timeout, async {
                let Linked::Sink(pre) = &self.plugin.linked else { return Self::wrong_kind() };
                let instance = pre.instantiate_async(&mut *store).await?;
                instance
                    .usher_plugin_sink()
                    .call_deliver(store, &self.usage.usage.config, &delivery)
                    .await
            })
            .await;
        drop(Zeroizing::new(std::mem::take(&mut delivery.content)));
        result
    }

    async fn withdraw(&self, call: Call) -> Result<(), Failure> {
        let mut turn = self.turn(call).await;
        let store = &mut turn.store;
        self.run(self.usage.usage.limits.sink_timeout, async {
            let Linked::Sink(pre) = &self.plugin.linked else { return Self::wrong_kind() };
            let instance = pre.instantiate_async(&mut *store).await?;
            instance.usher_plugin_sink().call_withdraw(store, &self.usage.usage.config).await
        })
        .await
    }

    fn written(&self) -> Vec<PathBuf> {
        self.usage.grant.written().map(Into::into).collect()
    }
}

impl Bound {
    /// Checks what a method answered before anything of it is sent.
    fn accept(&self, answer: wit_method::Answer) -> Result<Answer, Failure> {
        let check_after = answer.check_after_ms.map(|ms| Duration::from_millis(ms.into()));
        let credential = match answer.credential {
            wit_method::Credential::Token(token) => {
                let token = Secret::new(token);
                self.require("token", "answered with a token")?;
                Credential::Token(token)
            }
            wit_method::Credential::Login(login) => {
                let body = Secret::new(login.body);
                let certificate = login.certificate.map(|certificate| Certificate {
                    chain_pem: certificate.chain_pem,
                    key_pem: Secret::new(certificate.key_pem),
                });
                if login.ca_pem.is_some() {
                    self.require("trust", "answered with roots of its own for the server")?;
                }
                if !is_path(&login.path) {
                    return Err(broken(format!(
                        "the login path {:?} must not be empty, start with \"/\" or have \".\" or \"..\" segments",
                        text::line(&login.path)
                    )));
                }
                if !serde_json::from_str::<serde_json::Value>(body.expose())
                    .is_ok_and(|body| body.is_object())
                {
                    return Err(broken("the login body is no JSON object".to_owned()));
                }
                Credential::Login(Login {
                    path: login.path,
                    body,
                    headers: login.headers,
                    certificate,
                    ca_pem: login.ca_pem,
                })
            }
        };
        Ok(Answer { credential, revision: answer.revision, check_after })
    }

    fn require(&self, target: &str, what: &str) -> Result<(), Failure> {
        if self.usage.grant.permits_named(Capability::Server, target) {
            return Ok(());
        }
        Err(Failure::new(
            FailureKind::Config,
            "grant.missing",
            format!(
                "the plug-in {what}, which isn't granted; if it should, write plugin {:?} {{ allow {{ server = [{target:?}] }} }}",
                self.plugin.name
            ),
        ))
    }
}

fn broken(message: String) -> Failure {
    Failure::new(FailureKind::Internal, "plugin.answer", message)
}

fn is_path(path: &str) -> bool {
    !path.is_empty()
        && path.split('/').all(|segment| !["", ".", ".."].contains(&segment))
        && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\".contains(&byte))
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
