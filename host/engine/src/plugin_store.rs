//! Which plug-in a type of the configuration means: the one built in, the one in use, or a file,
//! which is read once, admitted and loaded.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use crate::built_in::BuiltIn;
use crate::compiler::Compiler;
use crate::engine::Engine;
use crate::error::LoadError;
use crate::found::Found;
use crate::kind::Kind;
use crate::plugin::{Origin, Plugin};
use crate::plugin_files::PluginFiles;

/// Finds plug-ins by kind and name.
pub struct PluginStore {
    /// Runs what is found.
    pub engine: Engine,
    /// Names whose built-ins a file takes the place of.
    pub overridden: BTreeSet<String>,
    /// None: there is no plug-in directory.
    pub files: Option<PluginFiles>,
    /// Makes machine code of files.
    pub compiler: Compiler,
}

/// What a name means.
pub enum Resolved {
    /// It is part of the program.
    BuiltIn(Arc<Plugin>),
    /// It serves already.
    InUse(Arc<Plugin>),
    /// Its file was loaded just now.
    Loaded(Arc<Plugin>),
}

/// Why a name means nothing.
#[derive(Debug)]
pub enum Unresolved {
    /// It is no built-in, and there is no plug-in directory.
    NoDirectory,
    /// It is no built-in, and the plug-in directory has no file of it.
    NoFile {
        /// The plug-in directory.
        directory: PathBuf,
    },
    /// The built-in, or what is in the plug-in directory, can't be used.
    Unusable {
        /// The file, once it is known.
        file: Option<PathBuf>,
        /// Why not.
        error: LoadError,
    },
}

impl PluginStore {
    /// The built-in that a type of the configuration means, unless a file takes its place.
    pub fn built_in(&self, kind: Kind, name: &str) -> Option<&'static BuiltIn> {
        let found = self.engine.built_ins().iter().find(|one| one.kind == kind && one.name == name);
        found.filter(|_| !self.overridden.contains(name))
    }

    /// The plug-in for `kind` called `name`.
    ///
    /// # Errors
    /// Whether there is none, or one that can't be used.
    pub async fn resolve(&self, kind: Kind, name: &str) -> Result<Resolved, Unresolved> {
        if let Some(built_in) = self.built_in(kind, name) {
            let loaded = self.engine.load_built_in(built_in).await;
            let unusable = |error| Unresolved::Unusable { file: None, error };
            return loaded.map(Resolved::BuiltIn).map_err(unusable);
        }
        let files = self.files.as_ref().ok_or(Unresolved::NoDirectory)?;
        // What serves goes on, whatever became of its file; a newer one is taken by those who
        // follow the directory, for all uses together.
        if let Some(plugin) = self.in_use(kind, name).filter(|plugin| files.pin_fits(plugin)) {
            return Ok(Resolved::InUse(plugin));
        }
        let found = match files.read(name).await {
            Ok(Some(found)) => found,
            Ok(None) => return Err(Unresolved::NoFile { directory: files.directory.clone() }),
            Err(error) => return Err(Unresolved::Unusable { file: None, error }),
        };
        let loaded = self.load(kind, &found).await.map(Resolved::Loaded);
        loaded.map_err(|error| Unresolved::Unusable { file: Some(found.path), error })
    }

    /// The plug-in of a file, which may be the one that serves already.
    ///
    /// # Errors
    /// When it may not be loaded, can't be, or is of the other kind.
    pub async fn load(&self, kind: Kind, found: &Found) -> Result<Arc<Plugin>, LoadError> {
        if let Some(files) = &self.files {
            files.admit(found).await?;
        }
        let digest = found.digest.to_string();
        if let Some(plugin) = self.in_use(kind, &found.name).filter(|one| one.digest == digest) {
            return Ok(plugin);
        }
        let plugin = self.engine.load_file(found, &self.compiler).await?;
        if plugin.kind == kind {
            return Ok(plugin);
        }
        Err(LoadError::Kind { found: plugin.kind.with_article(), expected: kind.with_article() })
    }

    /// The file that serves the uses of `name`.
    pub fn in_use(&self, kind: Kind, name: &str) -> Option<Arc<Plugin>> {
        self.engine.in_use(kind, name).filter(|plugin| plugin.origin != Origin::BuiltIn)
    }
}
