//! `usher plugin lock` and `usher plugin approve`: say which plug-in files the agent may load.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::Args;
use usher_agent::Exit;
use usher_agent::plugin_files::compiler;
use usher_config::Settings;
use usher_engine::{Engine, Entry, Found, LoadError, Lock, find, scan};

use super::{CommandResult, engine, prepared, refusal, settings};
use crate::stop::{Stop, failure, usage};
use crate::terminal::{REPORTER, complain};

/// Flags of `usher plugin lock`.
#[derive(Args)]
#[command(
    after_help = format!("Every plug-in of plugin_directory is listed in plugin_lock, with its digest \
and what it needs for the configuration. Afterwards the agent loads no other file.

Exit status: {} written; {} a plug-in can't be loaded, and nothing is written; {} wrong usage.",
        Exit::Done, Exit::Failed, Exit::Configuration)
)]
pub(crate) struct LockArguments {
    /// Configuration of the agent.
    #[arg(long, value_name = "PATH", required = true)]
    config: Vec<PathBuf>,
}

/// Flags of `usher plugin approve`.
#[derive(Args)]
#[command(
    after_help = format!("Shows what differs from the lock's entry, and asks. A running agent takes \
the file as soon as the lock lists it.

Exit status: {} approved, or nothing to approve; {} not approved; {} wrong usage.",
        Exit::Done, Exit::Failed, Exit::Configuration)
)]
pub(crate) struct ApproveArguments {
    /// Name of the plug-in: its file's, without extension.
    name: String,
    /// Configuration of the agent.
    #[arg(long, value_name = "PATH", required = true)]
    config: Vec<PathBuf>,
    /// Don't ask.
    #[arg(long)]
    yes: bool,
}

/// Where plug-ins and their lock are.
struct Places {
    settings: Settings,
    directory: PathBuf,
    lock: PathBuf,
}

impl Places {
    fn read(config: &[PathBuf]) -> Result<Self, Stop> {
        let settings = settings(config)?;
        let missing = |key: &str| {
            usage(format!("the configuration has no {key}; write {key} = \"/etc/usher/…\""))
        };
        let directory = settings.plugin_directory.clone();
        let lock = settings.plugin_lock.clone();
        Ok(Self {
            directory: directory.ok_or_else(|| missing("plugin_directory"))?,
            lock: lock.ok_or_else(|| missing("plugin_lock"))?,
            settings,
        })
    }

    /// What the lock says of a file. Compiles it, which no agent has done for it yet.
    async fn entry(&self, engine: &Engine, found: &Found) -> Result<Entry, LoadError> {
        let plugin = engine.load_file(found, &compiler(REPORTER)).await?;
        let needs = prepared(&plugin, &self.settings).await?;
        Ok(Entry {
            sha256: plugin.digest.clone(),
            version: plugin.info.version.clone(),
            kind: plugin.kind.name().to_owned(),
            contract: plugin.contract.clone(),
            needs: needs.map(|needs| {
                let mut needs: Vec<String> = needs
                    .into_iter()
                    .map(|(capability, target)| format!("{capability} {target:?}"))
                    .collect();
                needs.sort();
                needs
            }),
        })
    }

    fn write(&self, lock: &Lock) -> Result<(), Stop> {
        lock.write(&self.lock).map_err(|error| {
            failure(format!("the lock {} can't be written: {error}", self.lock.display()))
        })
    }
}

/// Lists every plug-in there is.
pub(super) async fn lock(arguments: LockArguments) -> CommandResult {
    let places = Places::read(&arguments.config)?;
    let engine = engine()?;
    let mut lock = Lock::default();
    let mut problems = Vec::new();
    for (path, found) in scan(&places.directory).map_err(failure)? {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let entry = match found {
            // As the agent does: two files of one name are an error.
            Ok(_) => match find(&places.directory, &name) {
                Ok(Some(found)) => places.entry(&engine, &found).await,
                // It is gone again.
                Ok(None) => continue,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        match entry {
            Ok(entry) => {
                lock.plugins.insert(name, entry);
            }
            Err(error) => problems.push(refusal(&path, &error)),
        }
    }
    if !problems.is_empty() {
        problems.push("nothing is written; mend or remove these files first".to_owned());
        return Err(failure(problems.join("\n")));
    }
    places.write(&lock)?;
    let mut text = format!("{} lists:\n", places.lock.display());
    for (name, entry) in &lock.plugins {
        let _ = writeln!(text, "{name} {} {}", entry.version, entry.sha256);
    }
    Ok(text)
}

/// Lists the file that a plug-in has now, if whoever asks agrees.
pub(super) async fn approve(arguments: ApproveArguments) -> CommandResult {
    let places = Places::read(&arguments.config)?;
    let name = arguments.name.as_str();
    let mut lock = match Lock::read(&places.lock) {
        Err(_) if !places.lock.exists() => Lock::default(),
        read => read.map_err(failure)?,
    };
    let found = find(&places.directory, name)
        .map_err(failure)?
        .ok_or_else(|| usage(format!("{} has no plug-in {name:?}", places.directory.display())))?;
    let engine = engine()?;
    let entry = places
        .entry(&engine, &found)
        .await
        .map_err(|error| failure(refusal(&found.path, &error)))?;
    let changes = entry.changes(lock.plugins.get(name));
    if changes.is_empty() {
        return Ok(format!("{name} is as the lock has it; there is nothing to approve\n"));
    }
    let head = if lock.plugins.contains_key(name) { "changed" } else { "new" };
    let text = format!("{name} ({head}), {}\n  {}\n", found.path.display(), changes.join("\n  "));
    if !arguments.yes && !agrees(&text, name)? {
        return Err(failure("not approved, the lock stays as it is"));
    }
    lock.plugins.insert(name.to_owned(), entry);
    places.write(&lock)?;
    let shown = if arguments.yes { text } else { String::new() };
    Ok(format!("{shown}approved in {}\n", places.lock.display()))
}

/// Asks at the terminal.
fn agrees(text: &str, name: &str) -> Result<bool, Stop> {
    if !std::io::stdin().is_terminal() {
        complain(text);
        return Err(usage("there is no terminal at which to ask; if you agree, add --yes"));
    }
    let mut output = std::io::stdout();
    let _ = write!(output, "{text}Let the agent load {name}? [y/N] ");
    let _ = output.flush();
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|error| failure(format!("no answer: {error}")))?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}
