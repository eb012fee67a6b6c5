//! Makes a [`Plugin`] of what is part of the program or lies in the plug-in directory: compiled,
//! linked, and instantiated once to prove that it works.

use std::path::Path;
use std::sync::Arc;

use wasmtime::component::{Component, InstancePre};

use crate::bindings::AuthMethodPluginPre;
use crate::bindings::sink_world::SinkPluginPre;
use crate::built_in::BuiltIn;
use crate::compiler::Compiler;
use crate::error::LoadError;
use crate::found::{Found, is_script};
use crate::info::Info;
use crate::inspect::{CONTRACT, inspect};
use crate::kind::Kind;
use crate::places::Share;
use crate::plugin::{Linked, Origin, Plugin};
use crate::runtime::{Floor, Runtime};
use crate::script::Script;
use crate::store::State;
use crate::text;

/// Loads a component that is part of this program.
pub(crate) async fn load_built_in(
    runtime: &Arc<Runtime>,
    built_in: &BuiltIn,
) -> Result<Arc<Plugin>, LoadError> {
    let component = built_in
        .code
        .load(&runtime.wasmtime)
        .map_err(|error| LoadError::Compile(format!("{error:#}")))?;
    let known = Known {
        name: built_in.name.to_owned(),
        kind: built_in.kind,
        origin: Origin::BuiltIn,
        digest: built_in.digest.to_owned(),
        size: built_in.size,
        contract: CONTRACT.to_owned(),
    };
    load_component(runtime, known, &component).await
}

/// Compiles and loads a component of the plug-in directory, or loads a script.
pub(crate) async fn load_file(
    runtime: &Arc<Runtime>,
    found: &Found,
    compiler: &Compiler,
) -> Result<Arc<Plugin>, LoadError> {
    let known = |kind, contract| Known {
        name: found.name.clone(),
        kind,
        origin: Origin::File(found.path.clone()),
        digest: found.digest.to_string(),
        size: found.bytes.len() as u64,
        contract,
    };
    if is_script(&found.path) {
        // Until the script says what it is: `describe` is the same in both.
        return load_script(runtime, known(Kind::AuthMethod, CONTRACT.to_owned()), found).await;
    }
    let inspection = inspect(&found.bytes)?;
    let component = compiled(runtime, found, compiler).await?;
    load_component(runtime, known(inspection.kind, inspection.contract), &component).await
}

/// What is known of a plug-in before it is asked.
struct Known {
    name: String,
    kind: Kind,
    origin: Origin,
    digest: String,
    size: u64,
    contract: String,
}

impl Known {
    fn plugin(
        self,
        runtime: &Arc<Runtime>,
        linked: Linked,
        imports: Vec<String>,
        script: Option<Arc<Script>>,
    ) -> Plugin {
        let share = match self.origin {
            Origin::BuiltIn => Share::BuiltIn,
            Origin::File(_) => Share::of_a_stranger(),
        };
        Plugin {
            name: self.name,
            kind: self.kind,
            origin: self.origin,
            info: Info::default(),
            digest: self.digest,
            size: self.size,
            contract: self.contract,
            imports,
            runtime: Arc::clone(runtime),
            linked,
            share,
            script,
        }
    }
}

/// The machine code of a file, from the cache if it can be had there.
async fn compiled(
    runtime: &Runtime,
    found: &Found,
    compiler: &Compiler,
) -> Result<Component, LoadError> {
    for code in compiler.cached(found.digest) {
        match code.load(&runtime.wasmtime) {
            Ok(component) => return Ok(component),
            Err(error) => {
                tracing::debug!(plugin = found.name, "the cached code doesn't fit: {error:#}");
            }
        }
    }
    let code = compiler.compile(found, &runtime.wasmtime).await?;
    code.load(&runtime.wasmtime).map_err(|error| LoadError::Compile(format!("{error:#}")))
}

async fn load_component(
    runtime: &Arc<Runtime>,
    known: Known,
    component: &Component,
) -> Result<Arc<Plugin>, LoadError> {
    let wasmtime = &runtime.wasmtime;
    let imports: Vec<String> =
        component.component_type().imports(wasmtime).map(|(name, _)| name.to_owned()).collect();
    let wasi = imports.iter().any(|name| name.starts_with("wasi:"));
    let floor = if wasi { Floor::Wasi } else { Floor::Contract };
    let linker = runtime.linker(known.kind, floor)?;
    let linked = link(known.kind, linker.instantiate_pre(component).map_err(not_linked)?)?;
    let mut plugin = known.plugin(runtime, linked, imports, None);
    plugin.info = plugin.describe().await.map_err(LoadError::Start)?;
    Ok(Arc::new(plugin))
}

async fn load_script(
    runtime: &Arc<Runtime>,
    known: Known,
    found: &Found,
) -> Result<Arc<Plugin>, LoadError> {
    let text = std::str::from_utf8(&found.bytes).map_err(|error| {
        LoadError::NotAComponent(format!(
            "it isn't UTF-8 (at byte {}); save it as such",
            error.valid_up_to()
        ))
    })?;
    let instance = script_instance(runtime, &found.path)?;
    let file = found.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let script = |kind| Arc::new(Script { file: file.clone(), text: text.to_owned(), kind });
    let linked = link(known.kind, instance.clone())?;
    let mut plugin = known.plugin(runtime, linked, Vec::new(), Some(script(None)));
    plugin.info = plugin.describe().await.map_err(LoadError::Start)?;
    plugin.imports = take(&mut plugin.info, "import");
    if take(&mut plugin.info, "kind").iter().any(|kind| kind == Kind::Sink.name()) {
        plugin.kind = Kind::Sink;
        plugin.linked = link(Kind::Sink, instance.clone())?;
    }
    plugin.script = Some(script(Some(plugin.kind)));
    Ok(Arc::new(plugin))
}

fn script_instance<'a>(
    runtime: &'a Runtime,
    script: &Path,
) -> Result<&'a InstancePre<State>, LoadError> {
    match runtime.scripts() {
        Some(instance) => instance.map_err(not_linked),
        None => Err(LoadError::Script(script.to_owned())),
    }
}

fn link(kind: Kind, instance: InstancePre<State>) -> Result<Linked, LoadError> {
    Ok(match kind {
        Kind::AuthMethod => {
            Linked::AuthMethod(AuthMethodPluginPre::new(instance).map_err(not_linked)?)
        }
        Kind::Sink => Linked::Sink(SinkPluginPre::new(instance).map_err(not_linked)?),
    })
}

fn not_linked(error: wasmtime::Error) -> LoadError {
    LoadError::Link(text::line(&format!("{error:#}")))
}

/// Takes the attributes of this name out: what the component says, not the script.
fn take(info: &mut Info, name: &str) -> Vec<String> {
    let (taken, kept) = std::mem::take(&mut info.attributes)
        .into_iter()
        .partition::<Vec<_>, _>(|(attribute, _)| attribute == name);
    info.attributes = kept;
    taken.into_iter().map(|(_, value)| value).collect()
}
