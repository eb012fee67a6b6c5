//! The engine as the agent sees it: loads plug-ins, binds them to the uses that the agent makes of
//! them, and replaces them there.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use usher_grant::{Claim, Grant, Protected};

use crate::bound::{Bound, Served};
use crate::built_in::{BuiltIn, BuiltIns};
use crate::compiler::Compiler;
use crate::egress::Egress;
use crate::error::LoadError;
use crate::failure::Failure;
use crate::files::real_directory;
use crate::found::Found;
use crate::kept::Item;
use crate::kind::Kind;
use crate::load;
use crate::plugin::Plugin;
use crate::runtime::Runtime;
use crate::traits::{AuthMethod, Sink};
use crate::usage::{Usage, Use};
use crate::uses::{InUse, Uses};

/// Runs plug-ins. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    runtime: Arc<Runtime>,
    egress: Arc<Egress>,
    protected: Arc<Protected>,
    uses: Uses,
    built_ins: OnceLock<&'static [BuiltIn]>,
}

impl Engine {
    /// An engine that keeps every plug-in away from what `protected` names.
    ///
    /// # Errors
    /// When this machine can't run WebAssembly.
    pub fn new(protected: Protected) -> Result<Self, LoadError> {
        Ok(Self(Arc::new(Inner {
            runtime: Arc::new(Runtime::new()?),
            egress: Arc::new(Egress::default()),
            protected: Arc::new(protected),
            uses: Uses::default(),
            built_ins: OnceLock::new(),
        })))
    }

    /// Gives this engine what is part of the program. Each is loaded when it is first needed.
    #[must_use]
    pub fn with_built_ins(self, built_ins: BuiltIns) -> Self {
        self.0.runtime.run_scripts_with(built_ins.scripts);
        self.0.built_ins.get_or_init(|| built_ins.plugins);
        self
    }

    /// The methods and sinks that are part of the program.
    pub fn built_ins(&self) -> &'static [BuiltIn] {
        self.0.built_ins.get().copied().unwrap_or_default()
    }

    /// Loads a component that is part of this program.
    pub async fn load_built_in(&self, built_in: &BuiltIn) -> Result<Arc<Plugin>, LoadError> {
        load::load_built_in(&self.0.runtime, built_in).await
    }

    /// Compiles and loads a component of the plug-in directory, or loads a script.
    pub async fn load_file(
        &self,
        found: &Found,
        compiler: &Compiler,
    ) -> Result<Arc<Plugin>, LoadError> {
        load::load_file(&self.0.runtime, found, compiler).await
    }

    /// These identities are about to end: what is bound from now on, until the next call of this,
    /// may take over the files that their sinks write.
    pub fn leaving(&self, identities: Vec<String>) {
        self.0.protected.leaving(identities);
    }

    /// Keeps every plug-in away from one more of the agent's own paths, and from what is below it.
    pub fn protect(&self, path: PathBuf) {
        self.0.protected.protect(path);
    }

    /// Binds an auth method to the use that an identity makes of it.
    pub async fn auth_method(
        &self,
        plugin: &Arc<Plugin>,
        usage: Use,
    ) -> Result<Arc<dyn AuthMethod>, LoadError> {
        Ok(self.bind(plugin, usage, Kind::AuthMethod).await?)
    }

    /// Binds a sink to one sink of an identity, and reserves the files that it writes.
    pub async fn sink(&self, plugin: &Arc<Plugin>, usage: Use) -> Result<Arc<dyn Sink>, LoadError> {
        Ok(self.bind(plugin, usage, Kind::Sink).await?)
    }

    /// The use of an auth method that isn't there yet: each call fails with `why`, until
    /// [`Self::replace`] brings one of this name.
    pub fn awaited_auth_method(&self, name: &str, usage: Use, why: Failure) -> Arc<dyn AuthMethod> {
        self.wait(Kind::AuthMethod, name, usage, why)
    }

    /// The same for a sink.
    pub fn awaited_sink(&self, name: &str, usage: Use, why: Failure) -> Arc<dyn Sink> {
        self.wait(Kind::Sink, name, usage, why)
    }

    /// The plug-in that serves the uses of `name`. None: they wait for one, or there are none.
    pub fn in_use(&self, kind: Kind, name: &str) -> Option<Arc<Plugin>> {
        self.0.uses.of(kind, name).iter().find_map(|bound| bound.served().plugin.ok())
    }

    /// What is used: each plug-in once, by kind and name.
    pub fn all_in_use(&self) -> Vec<InUse> {
        self.0.uses.in_use()
    }

    /// Why the uses of `name` wait; those that are served aren't touched.
    pub fn explain(&self, kind: Kind, name: &str, why: &Failure) {
        for bound in self.0.uses.of(kind, name) {
            let Served { plugin, usage } = bound.served();
            if plugin.is_err() {
                bound.serve(Served { plugin: Err(why.clone()), usage });
            }
        }
    }

    /// Puts `plugin` in the place of whatever serves its uses, if each of them can be served: their
    /// configurations are prepared, and what they need is allowed. Calls in flight end with what
    /// they began with. How many uses it serves now that it didn't before.
    ///
    /// # Errors
    /// Why one use can't be served; then all stay as they are.
    pub async fn replace(&self, plugin: &Arc<Plugin>) -> Result<usize, LoadError> {
        let mut prepared: Vec<(Arc<Bound>, Served)> = Vec::new();
        // Uses may come while others are prepared; the last look and the change are one step.
        loop {
            let outdated = self.0.uses.of(plugin.kind, &plugin.name).into_iter().find(|bound| {
                let current = bound.served().plugin;
                !current.is_ok_and(|current| Arc::ptr_eq(&current, plugin))
                    && !prepared.iter().any(|(other, _)| Arc::ptr_eq(other, bound))
            });
            let Some(bound) = outdated else { break };
            let usage = bound.served().usage;
            let grant = plugin.grant(&usage.usage).await?;
            let usage = Arc::new(usage.with_grant(grant));
            prepared.push((bound, Served { plugin: Ok(Arc::clone(plugin)), usage }));
        }
        let usages: Vec<&Usage> = prepared.iter().map(|(_, served)| &*served.usage).collect();
        self.begin(plugin, &usages)?;
        let count = prepared.len();
        for (bound, served) in prepared {
            bound.serve(served);
        }
        Ok(count)
    }

    async fn bind(
        &self,
        plugin: &Arc<Plugin>,
        usage: Use,
        kind: Kind,
    ) -> Result<Arc<Bound>, LoadError> {
        if plugin.kind != kind {
            return Err(LoadError::Kind {
                found: plugin.kind.with_article(),
                expected: kind.with_article(),
            });
        }
        let grant = plugin.grant(&usage).await?;
        let usage = Arc::new(self.usage(&plugin.name, usage, grant));
        self.begin(plugin, &[&*usage])?;
        let served = Served { plugin: Ok(Arc::clone(plugin)), usage };
        let bound =
            Arc::new(Bound::new(Arc::clone(&self.0.runtime), kind, plugin.name.clone(), served));
        self.0.uses.add(&bound);
        Ok(bound)
    }

    fn wait(&self, kind: Kind, name: &str, usage: Use, why: Failure) -> Arc<Bound> {
        let usage = Arc::new(self.usage(name, usage, Grant::default()));
        let served = Served { plugin: Err(why), usage };
        let bound =
            Arc::new(Bound::new(Arc::clone(&self.0.runtime), kind, name.to_owned(), served));
        self.0.uses.add(&bound);
        bound
    }

    fn usage(&self, plugin: &str, usage: Use, grant: Grant) -> Usage {
        Usage::new(
            plugin.to_owned(),
            usage,
            grant,
            Arc::clone(&self.0.protected),
            Arc::clone(&self.0.egress),
            Arc::clone(&self.0.runtime.process),
        )
    }

    /// What must be in order before the first call: secret settings stay out of logs, and the files
    /// that a sink writes are its own.
    fn begin(&self, plugin: &Plugin, usages: &[&Usage]) -> Result<(), LoadError> {
        let mut claims = Vec::new();
        if plugin.kind == Kind::Sink {
            for usage in usages {
                let asker = usage.asker();
                let outputs = usage.grant.outputs(&real_directory);
                claims.extend(outputs.map(|(output, naming)| Claim { asker, output, naming }));
            }
        }
        // What the uses keep now belongs to the plug-in in force until this one may take its place.
        self.0.protected.reserve(&claims, || -> Result<(), LoadError> {
            for usage in usages {
                let kept = plugin.info.config_schema.len() + usage.grant.size();
                usage.count(Item::Plugin, kept).map_err(LoadError::Start)?;
            }
            for usage in usages {
                let secrets = plugin.info.secret_settings(&usage.usage.config);
                usage
                    .keep_out_of_logs("config", secrets.iter().map(String::as_str))
                    .map_err(LoadError::Start)?;
            }
            Ok(())
        })
    }
}
