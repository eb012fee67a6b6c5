//! Scripts: plug-ins in JavaScript, each run by the script component that is part of the program.

use std::path::Path;
use std::sync::Arc;

use wasmtime::component::{InstancePre, Linker};

use crate::bindings::AuthMethodPluginPre;
use crate::bindings::script_world::ScriptPlugin;
use crate::bindings::script_world::usher::script::source;
use crate::bindings::sink_world::SinkPluginPre;
use crate::error::LoadError;
use crate::failure::{Failure, FailureKind};
use crate::inspect::CONTRACT;
use crate::places::Share;
use crate::plugin::{Info, Kind, Linked, Origin, Plugin};
use crate::precompiled::Precompiled;
use crate::registry::Found;
use crate::runtime::{Engine, Inner};
use crate::store::{HasState, State};
use crate::text;

/// What an instance of the script component runs.
pub(crate) struct Script {
    /// "acme.js".
    file: String,
    text: String,
    /// None until the script has said it, in `describe`.
    kind: Option<Kind>,
}

impl Script {
    /// A sink must not call what only methods may, and the component has it all.
    pub(crate) fn is_sink(&self) -> bool {
        self.kind == Some(Kind::Sink)
    }
}

/// The largest script, in bytes: each call reads it anew.
pub(crate) const LARGEST_SCRIPT: u64 = 1 << 20;

/// Whether a file of the plug-in directory is a script, by its name.
pub(crate) fn is_script(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "js")
}

impl Engine {
    /// Gives this engine the script component; it is loaded when the first script is.
    #[must_use]
    pub fn with_scripts(self, component: &'static Precompiled) -> Self {
        self.0.scripts.component.get_or_init(|| component);
        self
    }

    /// Loads a script of the plug-in directory.
    pub(crate) async fn load_script(&self, found: &Found) -> Result<Arc<Plugin>, LoadError> {
        let text = std::str::from_utf8(&found.bytes).map_err(|error| {
            LoadError::NotAComponent(format!(
                "it isn't UTF-8 (at byte {}); save it as such",
                error.valid_up_to()
            ))
        })?;
        let instance = self.0.script_instance(&found.path)?;
        let file = found.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let script = Script { file, text: text.to_owned(), kind: None };
        let link = |error: wasmtime::Error| LoadError::Link(format!("{error:#}"));
        let mut plugin = Plugin {
            name: found.name.clone(),
            // Until the script says what it is: `describe` is the same in both.
            kind: Kind::AuthMethod,
            origin: Origin::File(found.path.clone()),
            share: Share::of_a_stranger(),
            info: Info {
                name: String::new(),
                version: String::new(),
                summary: String::new(),
                config_schema: String::new(),
                attributes: Vec::new(),
            },
            digest: found.digest.clone(),
            size: found.bytes.len() as u64,
            contract: CONTRACT.to_owned(),
            imports: Vec::new(),
            engine: self.clone(),
            linked: Linked::AuthMethod(AuthMethodPluginPre::new(instance.clone()).map_err(link)?),
            script: Some(Arc::new(script)),
        };
        plugin.info = plugin.describe().await.map_err(LoadError::Start)?;
        plugin.imports = take(&mut plugin.info, "import");
        if take(&mut plugin.info, "kind").iter().any(|kind| kind == Kind::Sink.name()) {
            plugin.kind = Kind::Sink;
            plugin.linked = Linked::Sink(SinkPluginPre::new(instance.clone()).map_err(link)?);
        }
        plugin.script = plugin.script.map(|script| {
            let (file, text) = (script.file.clone(), script.text.clone());
            Arc::new(Script { file, text, kind: Some(plugin.kind) })
        });
        Ok(Arc::new(plugin))
    }
}

/// Takes the attributes of this name out: what the component says, not the script.
fn take(info: &mut Info, name: &str) -> Vec<String> {
    let (taken, kept) = std::mem::take(&mut info.attributes)
        .into_iter()
        .partition::<Vec<_>, _>(|(attribute, _)| attribute == name);
    info.attributes = kept;
    taken.into_iter().map(|(_, value)| value).collect()
}

impl Inner {
    fn script_instance(&self, script: &Path) -> Result<&InstancePre<State>, LoadError> {
        if let Some(instance) = self.scripts.instance.get() {
            return Ok(instance);
        }
        let Some(component) = self.scripts.component.get() else {
            return Err(LoadError::Script(script.to_owned()));
        };
        let instance = self
            .link_scripts(component)
            .map_err(|error| LoadError::Link(text::line(&format!("{error:#}"))))?;
        Ok(self.scripts.instance.get_or_init(|| instance))
    }

    /// With everything that either kind may import.
    fn link_scripts(&self, component: &Precompiled) -> wasmtime::Result<InstancePre<State>> {
        let mut linker = Linker::new(&self.wasmtime);
        ScriptPlugin::add_to_linker::<_, HasState>(&mut linker, |state| state)?;
        linker.instantiate_pre(&component.load(&self.wasmtime)?)
    }
}

impl source::Host for State {
    async fn name(&mut self) -> wasmtime::Result<String> {
        Ok(self.script()?.file.clone())
    }

    async fn text(&mut self) -> wasmtime::Result<String> {
        Ok(self.script()?.text.clone())
    }

    async fn fail(&mut self, code: String, message: String) -> wasmtime::Result<()> {
        let failure = Failure::new(FailureKind::Internal, &text::code(&code), text::line(&message));
        Err(wasmtime::Error::new(failure))
    }
}

impl State {
    fn script(&self) -> wasmtime::Result<&Script> {
        self.script.as_deref().ok_or_else(|| wasmtime::Error::msg("this instance has no script"))
    }
}
