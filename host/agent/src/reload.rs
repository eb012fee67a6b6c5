//! Reload: reads the configuration again, binds what is new in it, and puts it in force whole or not
//! at all.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::Id;
use usher_config::{Diagnostic, Loaded, Log, Settings, SinkOnExit};
use usher_server::Client;

use crate::admin::{ReloadAnswer, Request};
use crate::agent::{Agent, LONGEST_SHUTDOWN, Predecessor, Running};
use crate::driver::{Ending, Order};
use crate::identity::{Identity, NamedSink};
use crate::inheritance::Inheritance;
use crate::plugins::Patience;
use crate::signals::Signals;
use crate::{bind, logging};

/// A configuration that can take the place of the one in force.
struct Prepared {
    settings: Settings,
    /// Made anew if the server's settings changed.
    client: Client,
    identities: Vec<Identity>,
    diff: usher_config::Diff,
}

impl<L: Fn() -> Loaded + Clone + Send + 'static> Agent<L> {
    /// Reloads the configuration; what it did. None: the agent was told to end meanwhile.
    pub(crate) async fn reload(
        &mut self,
        signals: &mut Signals,
        asked: &mut mpsc::Receiver<Request>,
    ) -> Option<ReloadAnswer> {
        self.notifier.reloading();
        logging::reopen();
        let prepared = {
            let prepare = self.prepare();
            tokio::pin!(prepare);
            // Compiling a plug-in takes a while; the agent can be stopped meanwhile, and says that
            // it is alive.
            loop {
                tokio::select! {
                    prepared = &mut prepare => break prepared,
                    () = signals.terminate() => return None,
                    Some(request) = asked.recv() => match request {
                        Request::Pulse(felt) => { let _ = felt.send(()); }
                        Request::Reload(answer) => {
                            let reason = "a reload is under way; try again when it has ended";
                            let _ = answer.send(Err(reason.to_owned()));
                        }
                    },
                }
            }
        };
        let done = self.apply(prepared).await;
        self.engine.leaving(Vec::new());
        self.notifier.reloaded(match &done {
            Ok(done) => done,
            Err(_) => "the new configuration is refused, the old one stays in force",
        });
        Some(done)
    }

    /// Reads the configuration again and binds what is new in it. Changes nothing.
    async fn prepare(&self) -> Result<Prepared, Vec<Diagnostic>> {
        tracing::info!("reloading the configuration");
        let load = self.load.clone();
        // A file system that hangs must not stop the renewals.
        let loaded = tokio::task::spawn_blocking(load).await.map_err(|error| {
            let message = format!("the configuration can't be read: {error}");
            vec![Diagnostic::new_error("config.read", message, "", None)]
        })?;
        let Some(settings) = loaded.settings else { return Err(loaded.diagnostics) };
        for warning in loaded.diagnostics {
            (self.reporter.complain)(&warning.to_string());
        }
        let mut diff = usher_config::diff(&self.settings, &settings);
        let settings = self.without_what_takes_a_restart(settings);
        let client = if diff.server_changed {
            diff.changed.append(&mut diff.unchanged);
            diff.changed.append(&mut diff.adjusted);
            bind::client(&settings).map_err(|problem| vec![problem])?
        } else {
            self.client.clone()
        };
        let wanted = |name: &str| diff.added.iter().chain(&diff.changed).any(|new| new == name);
        self.engine.leaving(diff.removed.iter().chain(&diff.changed).cloned().collect());
        let identities = bind::identities(
            &settings,
            wanted,
            &self.engine,
            &client,
            Patience::Refuse,
            self.reporter,
        )
        .await?;
        Ok(Prepared { settings, client, identities, diff })
    }

    /// What only a restart can change counts as it was.
    fn without_what_takes_a_restart(&self, new: Settings) -> Settings {
        let old = &self.settings;
        Settings {
            admin_socket: old.admin_socket.clone(),
            exit_after_auth: old.exit_after_auth,
            metrics_address: old.metrics_address,
            pid_file: old.pid_file.clone(),
            plugin_directory: old.plugin_directory.clone(),
            plugin_lock: old.plugin_lock.clone(),
            log: Log { level: new.log.level, ..old.log.clone() },
            ..new
        }
    }

    /// What they leave. The sinks are free for their next owner only when the last one has let go
    /// of them.
    async fn wait_for_the_end_of(
        &mut self,
        ending: &BTreeMap<String, Running>,
    ) -> HashMap<Id, Inheritance> {
        let mut left: Vec<Id> = ending.values().map(|identity| identity.task.id()).collect();
        let mut inheritances = HashMap::new();
        let ended = async {
            while !left.is_empty()
                && let Some(ended) = self.tasks.join_next_with_id().await
            {
                let (task, inheritance) = ended.unwrap_or_else(|error| (error.id(), None));
                left.retain(|other| *other != task);
                inheritances.extend(inheritance.map(|inheritance| (task, inheritance)));
                // Another one may have panicked meanwhile.
                self.identities.retain(|_, identity| identity.task.id() != task);
            }
        };
        if tokio::time::timeout(LONGEST_SHUTDOWN, ended).await.is_err() {
            tracing::warn!("an identity takes too long to end, and is ended by force");
        }
        inheritances
    }

    /// Puts a new configuration in force, or says why the old one stays.
    async fn apply(&mut self, prepared: Result<Prepared, Vec<Diagnostic>>) -> ReloadAnswer {
        let Prepared { settings, client, identities, diff } = match prepared {
            Ok(prepared) => prepared,
            Err(problems) => {
                const STAYS: &str = "the configuration in force stays as it is; correct the new one and reload again";
                let mut reason = String::new();
                for problem in problems {
                    let problem = problem.to_string();
                    (self.reporter.complain)(&problem);
                    reason += &problem;
                    reason.push('\n');
                }
                tracing::error!("{STAYS}");
                return Err(reason + STAYS);
            }
        };
        for key in &diff.needs_restart {
            tracing::warn!(key, "a change of this setting takes a restart of the agent");
        }
        for name in &diff.removed {
            self.board.forget_failed(name);
        }
        // They wait for each other, and meanwhile nobody renews their tokens.
        let left = self.board.shortest_life(|name| diff.changed.iter().any(|other| other == name));
        let patience = left.map_or(Duration::MAX, |left| left / 4);
        let mut ending: BTreeMap<String, Running> = BTreeMap::new();
        for (_, identity) in self.identities.extract_if(.., |_, identity| {
            diff.removed.contains(&identity.name) || diff.changed.contains(&identity.name)
        }) {
            let removed = diff.removed.contains(&identity.name);
            let how = if removed { Ending::Final } else { Ending::HandOver { patience } };
            identity.orders.send_replace(Order::End(how));
            ending.insert(identity.name.clone(), identity);
        }
        let mut inheritances = self.wait_for_the_end_of(&ending).await;
        let written: BTreeSet<PathBuf> = identities
            .iter()
            .flat_map(|identity| &identity.sinks)
            .flat_map(|sink| sink.sink.written())
            .collect();
        let mut predecessors = BTreeMap::new();
        for (name, running) in ending {
            // One that hangs must not deliver an older token over a newer one.
            running.task.abort();
            let inheritance = inheritances.remove(&running.task.id());
            let identity = running.identity;
            // Of one that is gone for good, its own end has done that.
            if !diff.removed.contains(&name) {
                withdraw_what_moved(Arc::clone(&identity), &written);
            }
            predecessors.insert(name, Predecessor { identity, inheritance });
        }
        if diff.log_level_changed {
            logging::set_level(settings.log.level);
        }
        self.settings = settings;
        self.board.set_server(&client);
        self.client = client;
        self.changes += 1;
        for identity in &self.settings.identities {
            let running = self.identities.values_mut();
            for running in running.filter(|running| running.name == identity.name) {
                if diff.adjusted.contains(&running.name) {
                    running.life = Arc::new(bind::life(identity));
                    running.exit_on_err = identity.method.exit_on_err;
                }
                // What only another configuration could mend is tried again.
                running.tell(self.changes);
            }
        }
        for identity in identities {
            let predecessor = predecessors.remove(&identity.name);
            self.start(identity, predecessor);
        }
        if let Some(live) = &self.live {
            live.follow(&self.settings);
        }
        tracing::info!(
            added = diff.added.join(" "),
            changed = diff.changed.join(" "),
            adjusted = diff.adjusted.join(" "),
            removed = diff.removed.join(" "),
            unchanged = diff.unchanged.len(),
            "the new configuration is in force"
        );
        Ok(said(&diff))
    }
}

/// A file that no sink writes any more would keep a token that nobody replaces.
fn withdraw_what_moved(old: Arc<Identity>, written: &BTreeSet<PathBuf>) {
    fn has_moved(sink: &NamedSink, written: &BTreeSet<PathBuf>) -> bool {
        let files = sink.sink.written();
        sink.on_exit == SinkOnExit::Remove
            && !files.is_empty()
            && files.iter().all(|file| !written.contains(file))
    }
    if old.sinks.iter().any(|sink| has_moved(sink, written)) {
        let written = written.clone();
        tokio::spawn(async move { old.withdraw(|sink| has_moved(sink, &written)).await });
    }
}

/// What a reload did, for the operator who asked for it, and what only a restart does.
fn said(diff: &usher_config::Diff) -> String {
    let names = |what: &str, names: &[String]| match names {
        [] => String::new(),
        names => format!("{what} {}; ", names.join(", ")),
    };
    let restart = match &diff.needs_restart[..] {
        [] => String::new(),
        keys => format!("\na change of these takes a restart of the agent: {}", keys.join(", ")),
    };
    format!(
        "the new configuration is in force: {}{}{}{}{} unchanged{restart}",
        names("added", &diff.added),
        names("changed", &diff.changed),
        names("adjusted", &diff.adjusted),
        names("removed", &diff.removed),
        diff.unchanged.len()
    )
}
