//! Makes everything of a configuration that can fail, and changes nothing that is in force.

use std::path::PathBuf;

use usher_config::{Diagnostic, Diff, Settings};
use usher_engine::Engine;
use usher_server::Client;

use crate::bind;
use crate::door::{ADMIN_SOCKET, Door, METRICS_ADDRESS};
use crate::feeds::fed;
use crate::identity::Identity;
use crate::listener;
use crate::log_file::LogFile;
use crate::part::{Part, PartId};
use crate::plugins::Patience;
use crate::process::PidFile;
use crate::surroundings::Surroundings;

/// A configuration that runs, with what all identities share.
#[derive(Clone)]
pub(crate) struct InForce {
    pub(crate) settings: Settings,
    pub(crate) engine: Engine,
    pub(crate) client: Client,
    pub(crate) listeners: Vec<listener::Open>,
}

/// A configuration that can take the place of the one in force. What it has opened closes when it
/// is dropped instead.
pub(crate) struct Prepared {
    pub(crate) in_force: InForce,
    /// Those that are new or differ.
    pub(crate) identities: Vec<Identity>,
    /// Other parts that are new or differ.
    pub(crate) parts: Vec<Box<dyn Part>>,
    /// Those among the parts in force that have no place any more, or another one.
    pub(crate) closing: Vec<PartId>,
    /// To listeners that stay where they are.
    pub(crate) changes: Vec<listener::Change>,
    /// None: as before.
    pub(crate) log_file: Option<OtherLogFile>,
    pub(crate) diff: Diff,
}

/// Where the log goes from now on, besides standard error. None: nowhere.
pub(crate) struct OtherLogFile(pub(crate) Option<LogFile>);

/// Prepares `wanted`, which takes the place of `old`, or of nothing.
///
/// # Errors
/// Everything that keeps it from being in force.
pub(crate) async fn prepare(
    wanted: Settings,
    old: Option<&InForce>,
    surroundings: &Surroundings,
) -> Result<Prepared, Vec<Diagnostic>> {
    let alone = |problem| vec![problem];
    let (settings, mut diff, patience) = if let Some(old) = old {
        let diff = usher_config::diff(&old.settings, &wanted);
        (wanted.without_what_takes_a_restart(&old.settings), diff, Patience::Refuse)
    } else {
        let added = wanted.identities.iter().map(|identity| identity.name.clone()).collect();
        (wanted, Diff { added, ..Diff::default() }, Patience::Wait)
    };
    if let Some(old) = old {
        feed_others(&mut diff, &old.settings, &settings);
    }
    let client = match old {
        Some(old) if !diff.server_changed => old.client.clone(),
        _ => {
            diff.changed.append(&mut diff.unchanged);
            diff.changed.append(&mut diff.adjusted);
            bind::client(&settings).map_err(alone)?
        }
    };
    let engine = match old {
        Some(old) => old.engine.clone(),
        None => bind::engine(&settings, surroundings.built_ins).map_err(alone)?,
    };
    let is_new = |name: &str| diff.added.iter().chain(&diff.changed).any(|new| new == name);
    engine.leaving(diff.removed.iter().chain(&diff.changed).cloned().collect());
    let identities =
        bind::identities(&settings, is_new, &engine, &client, patience, surroundings).await?;
    // Last, since others can see it.
    let before = old.map(|old| &old.settings);
    let (mut parts, mut closing) = open(&settings, before, surroundings).await?;
    let listening = old.map(|old| (&old.settings, &old.listeners[..]));
    let server_changed = diff.server_changed;
    let listeners =
        listener::prepare(&settings, &client, listening, server_changed, surroundings).await?;
    let listener::Prepared { open: listeners, parts: opened, changes, closing: closed } = listeners;
    parts.extend(opened);
    closing.extend(closed);
    let log_file = match before {
        Some(before) if before.log.file != settings.log.file => {
            let file = settings.log.file.as_ref().map(LogFile::open).transpose();
            let problem = |error: String| vec![Diagnostic::new_error("log_file", error, "", None)];
            Some(OtherLogFile(file.map_err(problem)?))
        }
        _ => None,
    };
    let in_force = InForce { settings, engine, client, listeners };
    Ok(Prepared { in_force, identities, parts, closing, changes, log_file, diff })
}

/// Counts an identity as another one whose token requests are made with from now on, or no more: it
/// has other targets.
fn feed_others(diff: &mut Diff, before: &Settings, settings: &Settings) {
    let (before, now) = (fed(before), fed(settings));
    let differs = |name: &String| before.contains(name.as_str()) != now.contains(name.as_str());
    for names in [&mut diff.unchanged, &mut diff.adjusted] {
        let (other, same) = std::mem::take(names).into_iter().partition(differs);
        *names = same;
        diff.changed.extend::<Vec<String>>(other);
    }
}

/// Opens what is at another place than before, and says what closes for it.
async fn open(
    settings: &Settings,
    before: Option<&Settings>,
    surroundings: &Surroundings,
) -> Result<(Vec<Box<dyn Part>>, Vec<PartId>), Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let mut parts: Vec<Box<dyn Part>> = Vec::new();
    let mut closing = Vec::new();
    let old = before.and_then(|before| before.pid_file.as_ref());
    if old != settings.pid_file.as_ref() {
        closing.extend(old.map(|_| PartId::PidFile));
        match settings.pid_file.as_deref().map(PidFile::write).transpose() {
            Ok(pid_file) => parts.extend(pid_file.map(|part| Box::new(part) as Box<dyn Part>)),
            Err(problem) => problems.push(problem),
        }
    }
    // One that only has another name now (/var/run, /run) stays open: to open it anew would find it
    // taken, by this very agent.
    let place = |path: &PathBuf| bind::resolved(path);
    let old = before.and_then(|before| before.admin_socket.as_ref()).map(place);
    if old != settings.admin_socket.as_ref().map(place) {
        closing.extend(old.map(|_| PartId::Door(ADMIN_SOCKET)));
        if let Some(path) = &settings.admin_socket {
            match Door::admin_socket(path, surroundings.desk.clone()).await {
                Ok(door) => parts.push(Box::new(door)),
                Err(problem) => problems.push(problem),
            }
        }
    }
    let old = before.and_then(|before| before.metrics_address);
    if old != settings.metrics_address {
        closing.extend(old.map(|_| PartId::Door(METRICS_ADDRESS)));
        if let Some(address) = settings.metrics_address {
            match Door::metrics_address(address, old, surroundings.desk.clone()) {
                Ok(door) => parts.push(Box::new(door)),
                Err(problem) => problems.push(problem),
            }
        }
    }
    if problems.is_empty() { Ok((parts, closing)) } else { Err(problems) }
}
