//! Follows the plug-in directory while the agent runs: what is new there serves as soon as it is
//! found good, and what isn't good changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use usher_config::Settings;
use usher_engine::{Digest, Engine, Found, Kind, LoadError, Plugin, PluginFiles, PluginStore};
use usher_watch::watch_directory;

use crate::part::{Leaves, Part, PartId, Seat, Tier, Work};
use crate::plugin_files::plugin_store;
use crate::plugins::{broken, missing};
use crate::reporter::Reporter;
use crate::surroundings::Surroundings;

/// Tells the follower what the settings in force say.
pub(crate) struct Settled {
    engine: Engine,
    reporter: Reporter,
    wanted: watch::Sender<Arc<Wanted>>,
}

/// What the settings in force say.
struct Wanted {
    store: PluginStore,
    files: PluginFiles,
    /// Names that files answer to: methods, sinks.
    methods: BTreeSet<String>,
    sinks: BTreeSet<String>,
}

impl Settled {
    /// Other settings are in force, perhaps with other uses.
    pub(crate) fn follow(&self, settings: &Settings) {
        let store = plugin_store(&self.engine, settings, self.reporter);
        if let Some(wanted) = Wanted::of(store, settings) {
            self.wanted.send_replace(Arc::new(wanted));
        }
    }
}

impl Wanted {
    fn of(store: PluginStore, settings: &Settings) -> Option<Self> {
        let named =
            |kind, name: &str| store.built_in(kind, name).is_none().then(|| name.to_owned());
        let identities = settings.identities.iter();
        let sinks = identities.clone().flat_map(|identity| &identity.sinks);
        Some(Self {
            methods: identities
                .filter_map(|identity| named(Kind::AuthMethod, &identity.method.kind))
                .collect(),
            sinks: sinks.filter_map(|sink| named(Kind::Sink, &sink.kind)).collect(),
            files: store.files.clone()?,
            store,
        })
    }

    fn names(&self) -> impl Iterator<Item = (Kind, &str)> {
        let methods = self.methods.iter().map(|name| (Kind::AuthMethod, name.as_str()));
        methods.chain(self.sinks.iter().map(|name| (Kind::Sink, name.as_str())))
    }
}

/// Follows the plug-in directory.
pub(crate) struct PluginFollower {
    surroundings: Surroundings,
    settings: watch::Receiver<Arc<Wanted>>,
    wanted: Arc<Wanted>,
    /// What was wrong when a plug-in was last looked at; it is told once.
    refused: BTreeMap<String, Refused>,
}

struct Refused {
    message: String,
    /// The digest of a file that can't be loaded whatever the settings say: it isn't compiled
    /// again.
    hopeless: Option<Digest>,
}

/// What became of a file.
enum Look {
    /// It serves already.
    Same,
    /// It serves from now on.
    Taken(Arc<Plugin>),
    /// It isn't there.
    Missing,
    /// It is as it was when it was refused.
    Hopeless,
}

impl Part for PluginFollower {
    fn id(&self) -> PartId {
        PartId::PluginFollower
    }

    fn tier(&self) -> Tier {
        Tier::Identity
    }

    fn run(self: Box<Self>, mut seat: Seat) -> Work {
        Box::pin(async move {
            tokio::select! {
                () = self.follow() => {}
                _ = seat.end() => {}
            }
            Leaves::Nothing
        })
    }
}

impl PluginFollower {
    /// Ready to follow, and the way to tell it of other settings. None: there is no plug-in
    /// directory.
    pub(crate) fn new(
        settings: &Settings,
        engine: &Engine,
        surroundings: &Surroundings,
    ) -> Option<(Self, Settled)> {
        let reporter = surroundings.reporter;
        let store = plugin_store(engine, settings, reporter);
        let (settled, changes) = watch::channel(Arc::new(Wanted::of(store, settings)?));
        let wanted = Arc::clone(&settled.borrow());
        let follower = Self {
            surroundings: surroundings.clone(),
            settings: changes,
            wanted,
            refused: BTreeMap::new(),
        };
        Some((follower, Settled { engine: engine.clone(), reporter, wanted: settled }))
    }

    async fn follow(mut self: Box<Self>) {
        let mut directory = watch_directory(&self.wanted.files.directory);
        // Neither can be changed by a reload.
        let lock: Vec<PathBuf> = self.wanted.files.lock.iter().cloned().collect();
        let mut lock = self.surroundings.watcher.watch(&lock);
        let mut again = None;
        loop {
            tokio::select! {
                () = until(again) => again = None,
                () = directory.changed() => {}
                () = lock.changed() => {}
                changed = self.settings.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.wanted = Arc::clone(&self.settings.borrow_and_update());
                    // What it may do may be another matter now.
                    for refused in self.refused.values_mut() {
                        refused.hopeless = None;
                    }
                    // A use that the reload ends may have a say for a moment yet.
                    again = Some(Instant::now() + LINGERING);
                }
            }
            let wanted = Arc::clone(&self.wanted);
            for (kind, name) in wanted.names() {
                self.look(kind, name).await;
            }
            self.refused.retain(|known, _| wanted.names().any(|(_, name)| name == known));
        }
    }

    async fn look(&mut self, kind: Kind, name: &str) {
        let in_use = self.wanted.store.in_use(kind, name);
        match self.take(kind, name, in_use.as_ref()).await {
            Ok(Look::Hopeless) => {}
            Ok(Look::Same) => {
                if self.refused.remove(name).is_some() {
                    tracing::info!(plugin = name, "the plug-in's file is the one in use again");
                    self.surroundings.board.plugin_is_well(kind, name);
                }
            }
            Ok(Look::Taken(plugin)) => {
                let old = in_use.as_ref();
                tracing::info!(
                    plugin = name,
                    version = plugin.info.version,
                    sha256 = plugin.digest,
                    old_version = old.map(|old| old.info.version.as_str()),
                    old_sha256 = old.map(|old| old.digest.as_str()),
                    "{}",
                    if old.is_some() { "plug-in replaced" } else { "plug-in loaded" }
                );
                self.refused.remove(name);
                self.surroundings.board.plugin_is_taken(kind, name);
                // Without an agent there is nobody to tell.
                let _ = self.surroundings.taken.send((kind, name.to_owned()));
            }
            Ok(Look::Missing) if in_use.is_none() => {
                let why = missing(name, &self.wanted.files.directory);
                self.wanted.store.engine.explain(kind, name, &why);
                if self.is_news(name, &why.message, None) {
                    self.surroundings.board.plugin_is_amiss(kind, name, &why.message);
                }
            }
            Ok(Look::Missing) => {
                let message = format!(
                    "its file is gone from {}; what is loaded goes on until the agent ends",
                    self.wanted.files.directory.display()
                );
                if self.is_news(name, &message, None) {
                    tracing::warn!(plugin = name, "{message}");
                    self.surroundings.board.plugin_is_amiss(kind, name, &message);
                }
            }
            Err((digest, error)) => self.refuse(kind, name, in_use.is_some(), digest, &error),
        }
    }

    /// Puts the file of `name` in force, if it isn't already. On failure also the digest of the
    /// file, if it could be read.
    async fn take(
        &self,
        kind: Kind,
        name: &str,
        in_use: Option<&Arc<Plugin>>,
    ) -> Result<Look, (Option<Digest>, LoadError)> {
        let found = match self.wanted.files.read(name).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Look::Missing),
            Err(error) => return Err((None, error)),
        };
        let refused = self.refused.get(name).and_then(|refused| refused.hopeless);
        if refused == Some(found.digest) {
            return Ok(Look::Hopeless);
        }
        let taken = self.put_in_force(kind, &found, in_use);
        taken.await.map_err(|error| (Some(found.digest), error))
    }

    async fn put_in_force(
        &self,
        kind: Kind,
        found: &Found,
        in_use: Option<&Arc<Plugin>>,
    ) -> Result<Look, LoadError> {
        let plugin = self.wanted.store.load(kind, found).await?;
        // Uses that came with a reload share it with the others.
        self.wanted.store.engine.replace(&plugin).await?;
        let is_same = in_use.is_some_and(|in_use| Arc::ptr_eq(in_use, &plugin));
        Ok(if is_same { Look::Same } else { Look::Taken(plugin) })
    }

    fn refuse(
        &mut self,
        kind: Kind,
        name: &str,
        serves: bool,
        digest: Option<Digest>,
        error: &LoadError,
    ) {
        if !serves {
            self.wanted.store.engine.explain(kind, name, &broken(name, error));
        }
        let message = error.to_string();
        let hopeless = digest.filter(|_| {
            matches!(
                error,
                LoadError::NotAComponent(_)
                    | LoadError::Contract { .. }
                    | LoadError::Compile(_)
                    | LoadError::Link(_)
            )
        });
        if self.is_news(name, &message, hopeless) {
            let serves = if serves { "what is loaded goes on" } else { "its uses wait" };
            tracing::error!(plugin = name, "the plug-in can't be used, {serves}: {message}");
            self.surroundings.board.plugin_is_refused(kind, name, &message);
        }
    }

    fn is_news(&mut self, name: &str, message: &str, hopeless: Option<Digest>) -> bool {
        let refused = Refused { message: message.to_owned(), hopeless };
        let before = self.refused.insert(name.to_owned(), refused);
        before.is_none_or(|before| before.message != message)
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// What a use that ended may still have under way.
const LINGERING: Duration = Duration::from_secs(2);
