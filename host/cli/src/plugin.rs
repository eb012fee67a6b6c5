//! `usher plugin`: what plug-ins there are, what they are, and what they need.

mod lock;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use usher_agent::Exit;
use usher_agent::plugin_files::{compiler, located};
use usher_config::{Overrides, load};
use usher_engine::{
    Digest, Engine, Found, Kind, Limits, LoadError, Origin, Plugin, Protected, scan,
};

use crate::runtime::runtime;
use crate::stop::{Stop, failure, usage};
use crate::terminal::{REPORTER, complain, table};

#[derive(Subcommand)]
pub(crate) enum PluginCommand {
    /// List the built-in plug-ins and those of a plug-in directory.
    List(ListArguments),
    /// Show what a plug-in is, imports and needs.
    Inspect(InspectArguments),
    /// List every plug-in of the plug-in directory in the lock.
    Lock(lock::LockArguments),
    /// Show what is new about a plug-in, and list it in the lock.
    Approve(lock::ApproveArguments),
    /// Compile a component from standard input to standard output; used by the agent itself.
    #[command(hide = true)]
    Compile,
}

#[derive(Args)]
pub(crate) struct ListArguments {
    /// Plug-in directory to list too.
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// Configuration whose plug-in directory to list too.
    #[arg(long, value_name = "PATH")]
    config: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct InspectArguments {
    /// A built-in's name, a plug-in of the plug-in directory, or a component or script file.
    #[arg(value_name = "NAME|FILE")]
    plugin: String,
    /// Plug-in directory in which to look.
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// Agent configuration: show what the plug-in needs for it.
    #[arg(long, value_name = "PATH")]
    config: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: PluginCommand) -> Exit {
    if let PluginCommand::Compile = command {
        return compile();
    }
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failure(error).tell(),
    };
    let result = runtime.block_on(async {
        match command {
            PluginCommand::List(arguments) => list(arguments).await,
            PluginCommand::Inspect(arguments) => show(arguments).await,
            PluginCommand::Lock(arguments) => lock::lock(arguments).await,
            PluginCommand::Approve(arguments) => lock::approve(arguments).await,
            PluginCommand::Compile => Ok(String::new()),
        }
    });
    match result {
        Ok(text) => {
            // A closed pipe (`| head`) is no failure worth a message.
            let _ = std::io::stdout().write_all(text.as_bytes());
            Exit::Done
        }
        Err(stop) => stop.tell(),
    }
}

#[cfg(feature = "compile")]
fn compile() -> Exit {
    match usher_engine::compile_stream(std::io::stdin(), std::io::stdout()) {
        Ok(()) => Exit::Done,
        Err(error) => {
            complain(&error);
            Exit::Failed
        }
    }
}

#[cfg(not(feature = "compile"))]
fn compile() -> Exit {
    complain("this build of Usher has no compiler");
    Exit::Failed
}

/// What is printed, or why there is nothing.
type CommandResult = Result<String, Stop>;

/// What is wrong with a file.
fn refusal(path: &Path, error: &LoadError) -> String {
    let (file, error) = located(&path.display().to_string(), error);
    format!("{file}: {error}")
}

async fn list(arguments: ListArguments) -> CommandResult {
    let engine = engine()?;
    let mut plugins = Vec::new();
    for built_in in usher_builtins::ALL {
        plugins.push(engine.load_built_in(built_in).await.map_err(failure)?);
    }
    let mut broken = Vec::new();
    if let Some(directory) = directory(arguments.directory, &arguments.config)? {
        for (path, found) in scan(&directory).map_err(failure)? {
            let loaded = match found {
                Ok(found) => engine.load_file(&found, &compiler(REPORTER)).await,
                Err(error) => Err(error),
            };
            match loaded {
                Ok(plugin) => plugins.push(plugin),
                Err(error) => broken.push(located(&path.display().to_string(), &error)),
            }
        }
    }
    if arguments.json {
        for (file, error) in broken {
            complain(&format!("{file}: can't be used: {error}"));
        }
        return Ok(pretty(&plugins.iter().map(|plugin| describe(plugin)).collect()));
    }
    let mut rows = vec![["NAME", "KIND", "VERSION", "ORIGIN", "SIZE", "DIGEST"].map(str::to_owned)];
    for plugin in &plugins {
        rows.push([
            plugin.name.clone(),
            plugin.kind.name().to_owned(),
            plugin.info.version.clone(),
            origin(&plugin.origin),
            size(plugin.size),
            plugin.digest.chars().take(16).collect(),
        ]);
    }
    let mut text = table(&rows);
    for (file, error) in broken {
        let _ = writeln!(text, "{file}: can't be used: {error}");
    }
    Ok(text)
}

async fn show(arguments: InspectArguments) -> CommandResult {
    let engine = engine()?;
    let directory = directory(arguments.directory, &arguments.config)?;
    let built_in = usher_builtins::ALL.iter().find(|built_in| built_in.name == arguments.plugin);
    let plugin = if let Some(built_in) = built_in {
        engine.load_built_in(built_in).await.map_err(failure)?
    } else {
        let found = find(&arguments.plugin, directory.as_deref())?;
        engine
            .load_file(&found, &compiler(REPORTER))
            .await
            .map_err(|error| failure(refusal(&found.path, &error)))?
    };
    let needs = needs(&plugin, &arguments.config).await?;
    let mut shown = describe(&plugin);
    let schema: serde_json::Value =
        serde_json::from_str(&plugin.info.config_schema).unwrap_or_default();
    shown["world"] = format!("usher:plugin/{}-plugin", plugin.kind.name()).into();
    shown["contract"] = plugin.contract.clone().into();
    shown["imports"] = plugin.imports.clone().into();
    shown["config-schema"] = schema.clone();
    if let Some(needs) = &needs {
        shown["needs"] = needs
            .iter()
            .map(|(capability, target)| json!({"capability": capability, "target": target}))
            .collect();
    }
    if arguments.json {
        return Ok(pretty(&shown));
    }
    let mut text = String::new();
    for (name, value) in [
        ("name", plugin.name.clone()),
        ("summary", plugin.info.summary.clone()),
        ("version", plugin.info.version.clone()),
        ("origin", origin(&plugin.origin)),
        ("size", size(plugin.size)),
        ("digest", format!("sha256:{}", plugin.digest)),
        ("world", format!("usher:plugin/{}-plugin@{}", plugin.kind.name(), plugin.contract)),
        ("imports", plugin.imports.join("\n            ")),
    ] {
        let _ = writeln!(text, "{name:<11} {value}");
    }
    for (name, value) in &plugin.info.attributes {
        let _ = writeln!(text, "{name:<11} {value}");
    }
    match needs {
        Some(needs) if needs.is_empty() => text.push_str("needs       nothing\n"),
        Some(needs) => {
            let list: Vec<String> = needs
                .iter()
                .map(|(capability, target)| format!("{capability} {target:?}"))
                .collect();
            let _ = writeln!(text, "needs       {}", list.join("\n            "));
        }
        None => text.push_str("needs       depends on its configuration; give --config\n"),
    }
    let _ = writeln!(
        text,
        "config      {}",
        pretty(&schema).trim_end().replace('\n', "\n            ")
    );
    Ok(text)
}

/// With nothing to protect: no plug-in is bound to a use here.
fn engine() -> Result<Engine, Stop> {
    let engine = Engine::new(Protected::default()).map_err(failure)?;
    Ok(engine.with_built_ins(usher_builtins::built_ins()))
}

/// What the plug-in needs for the configuration that uses it; None without a configuration.
async fn needs(plugin: &Plugin, config: &[PathBuf]) -> Result<Option<Vec<(String, String)>>, Stop> {
    if config.is_empty() {
        return Ok(None);
    }
    let settings = settings(config)?;
    match prepared(plugin, &settings).await.map_err(usage)? {
        Some(needs) => Ok(Some(needs)),
        None => Err(usage(format!(
            "the configuration doesn't use the {} plug-in {:?}",
            plugin.kind.name(),
            plugin.name
        ))),
    }
}

/// What the plug-in needs for all that the settings use it for. None: they don't use it.
async fn prepared(
    plugin: &Plugin,
    settings: &usher_config::Settings,
) -> Result<Option<Vec<(String, String)>>, LoadError> {
    let mut configs = Vec::new();
    for identity in &settings.identities {
        if plugin.kind == Kind::AuthMethod && identity.method.kind == plugin.name {
            configs.push(identity.method.config.json());
        }
        for sink in &identity.sinks {
            if plugin.kind == Kind::Sink && sink.kind == plugin.name {
                configs.push(sink.config.json());
            }
        }
    }
    if configs.is_empty() {
        return Ok(None);
    }
    let mut needs = Vec::new();
    for config in configs {
        for need in plugin.prepare(config, &Limits::default()).await? {
            if !needs.contains(&need) {
                needs.push(need);
            }
        }
    }
    Ok(Some(needs))
}

fn settings(config: &[PathBuf]) -> Result<usher_config::Settings, Stop> {
    let loaded = load(config, &Overrides::default(), &|name| std::env::var(name).ok());
    loaded.settings.ok_or_else(|| {
        let problems: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        usage(format!("the configuration has errors\n{}", problems.join("\n")))
    })
}

fn directory(given: Option<PathBuf>, config: &[PathBuf]) -> Result<Option<PathBuf>, Stop> {
    if given.is_some() || config.is_empty() {
        return Ok(given);
    }
    Ok(settings(config)?.plugin_directory)
}

fn find(plugin: &str, directory: Option<&Path>) -> Result<Found, Stop> {
    let file = Path::new(plugin);
    if file.is_file() {
        let bytes = std::fs::read(file).map_err(|error| failure(format!("{plugin}: {error}")))?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        return Ok(Found { name, path: file.to_owned(), digest: Digest::of(&bytes), bytes });
    }
    if let Some(directory) = directory
        && let Some(found) = usher_engine::find(directory, plugin).map_err(failure)?
    {
        return Ok(found);
    }
    Err(usage(format!(
        "no built-in, plug-in or file is called {plugin:?}; `usher plugin list` shows what there is"
    )))
}

fn describe(plugin: &Plugin) -> serde_json::Value {
    json!({
        "name": plugin.name,
        "kind": plugin.kind.name(),
        "version": plugin.info.version,
        "summary": plugin.info.summary,
        "origin": origin(&plugin.origin),
        "size": plugin.size,
        "digest": plugin.digest,
    })
}

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::BuiltIn => "built-in".to_owned(),
        Origin::File(path) => path.display().to_string(),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..=9_999 => format!("{bytes} B"),
        10_000..=9_999_999 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}
