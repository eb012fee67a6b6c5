//! Puts a configuration in force, whole or not at all: the first one, and each that a reload reads.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;
use usher_config::{Diagnostic, Diff, Loaded};

use crate::agent::{Agent, LONGEST_SHUTDOWN};
use crate::desk::{ReloadAnswer, Request};
use crate::feeds::fed;
use crate::identity_part::IdentityPart;
use crate::part::{Ending, PartId};
use crate::prepare::{OtherLogFile, Prepared, prepare};
use crate::roster::{FirstFailure, Working};
use crate::signals::Signals;
use crate::supervisor::Plan;
use crate::target::NamedTarget;
use crate::{bind, listener, logging};

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
            let mut prepare = Box::pin(caught(self.prepare_again()));
            // Compiling a plug-in takes a while; the agent can be stopped meanwhile, and says that
            // it is alive.
            loop {
                tokio::select! {
                    prepared = &mut prepare => {
                        break prepared.unwrap_or_else(|_| Err(vec![defect()]));
                    }
                    () = signals.terminate() => return None,
                    Some(request) = asked.recv() => match request {
                        Request::Pulse(felt) => { let _ = felt.send(()); }
                        Request::Quit => return None,
                        Request::Reload(answer) => {
                            let reason = "a reload is under way; try again when it has ended";
                            let _ = answer.send(Err(reason.to_owned()));
                        }
                    },
                }
            }
        };
        let done = match prepared {
            Ok(prepared) => {
                for key in &prepared.diff.needs_restart {
                    tracing::warn!(key, "a change of this setting takes a restart of the agent");
                }
                let diff = self.put_in_force(prepared).await;
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
            Err(problems) => Err(self.refuse(problems)),
        };
        self.in_force.engine.leaving(Vec::new());
        self.notifier.reloaded(match &done {
            Ok(done) => done,
            Err(_) => "the new configuration is refused, the old one stays in force",
        });
        Some(done)
    }

    /// Reads the configuration again and makes what is new in it. Changes nothing.
    async fn prepare_again(&self) -> Result<Prepared, Vec<Diagnostic>> {
        tracing::info!("reloading the configuration");
        let load = self.load.clone();
        // A file system that hangs must not stop the renewals.
        let loaded = tokio::task::spawn_blocking(load).await.map_err(|error| {
            let message = format!("the configuration can't be read: {error}");
            vec![Diagnostic::new_error("config.read", message, "", None)]
        })?;
        let Some(settings) = loaded.settings else { return Err(loaded.diagnostics) };
        for warning in loaded.diagnostics {
            (self.surroundings.reporter.complain)(&warning.to_string());
        }
        prepare(settings, Some(&self.in_force), &self.surroundings).await
    }

    /// Says why the configuration in force stays.
    fn refuse(&self, problems: Vec<Diagnostic>) -> String {
        const STAYS: &str =
            "the configuration in force stays as it is; correct the new one and reload again";
        let mut reason = String::new();
        for problem in problems {
            let problem = problem.to_string();
            (self.surroundings.reporter.complain)(&problem);
            reason += &problem;
            reason.push('\n');
        }
        tracing::error!("{STAYS}");
        reason + STAYS
    }

    /// Ends what has no place in the new configuration, and starts what is new in it.
    pub(crate) async fn put_in_force(&mut self, prepared: Prepared) -> Diff {
        let Prepared { in_force, identities, parts, closing, changes, log_file, diff } = prepared;
        let board = &self.surroundings.board;
        // They wait for each other, and meanwhile nobody renews their tokens.
        let left = board.shortest_life(|name| diff.changed.iter().any(|other| other == name));
        let patience = left.map_or(Duration::MAX, |left| left / 4);
        let identity = |name: &String| PartId::Identity(name.clone());
        let mut plan = Plan { starting: parts, ..Plan::default() };
        let handed_over = closing.into_iter().chain(diff.changed.iter().map(identity));
        plan.ending.extend(handed_over.map(|part| (part, Ending::HandOver { patience })));
        plan.ending.extend(diff.removed.iter().map(|name| (identity(name), Ending::Final)));
        if let Some(OtherLogFile(file)) = log_file {
            logging::write_to(file);
        }
        logging::set_level(in_force.settings.log.level);
        logging::set_format(in_force.settings.log.format);
        if let Some(path) = &in_force.settings.admin_socket {
            in_force.engine.protect(bind::resolved(path));
        }
        board.set_server(&in_force.client);
        board.want_none(in_force.settings.identities.is_empty());
        if diff.server_changed {
            self.surroundings.feeds.empty();
        }
        for change in changes {
            change.apply();
        }
        board.set_listeners(listener::entries(&in_force.settings, &in_force.listeners));
        self.in_force = in_force;
        for configured in &self.in_force.settings.identities {
            if diff.adjusted.contains(&configured.name) {
                let failure = FirstFailure::of(configured);
                self.roster.adjust(&configured.name, Arc::new(bind::life(configured)), failure);
            }
        }
        let written: BTreeSet<PathBuf> = identities
            .iter()
            .flat_map(|identity| &identity.sinks)
            .flat_map(NamedTarget::written)
            .collect();
        let written = Arc::new(written);
        for name in &diff.removed {
            self.roster.remove(name);
        }
        let mut beginning = Vec::new();
        for identity in identities {
            let predecessor = self.roster.remove(&identity.name);
            let configured = self.in_force.settings.identities.iter();
            let mut configured = configured.filter(|known| known.name == identity.name);
            // The workload has a token: a successor's first failure is no reason to end.
            let failure = match (&predecessor, configured.next()) {
                (None, Some(configured)) => FirstFailure::of(configured),
                _ => FirstFailure::IsRetried,
            };
            let identity = Arc::new(identity);
            let (working, life) = Working::new(&identity, failure);
            self.last_number += 1;
            beginning.push((self.last_number, working));
            plan.starting.push(Box::new(IdentityPart {
                number: self.last_number,
                identity,
                life,
                predecessor,
                written: Arc::clone(&written),
                surroundings: self.surroundings.clone(),
            }));
        }
        self.supervisor.apply(plan, LONGEST_SHUTDOWN).await;
        self.surroundings.feeds.keep(&fed(&self.in_force.settings));
        // Also one that a defect has ended only now.
        for name in &diff.removed {
            self.surroundings.board.forget_failed(name);
            self.surroundings.persistence.forget(name);
        }
        for (number, working) in beginning {
            self.roster.add(number, working);
        }
        if let Some(settled) = &self.settled {
            settled.follow(&self.in_force.settings);
        }
        diff
    }
}

/// What comes of `work`, or the panic that ended it: a defect there changes nothing, either.
async fn caught<T>(work: impl Future<Output = T>) -> thread::Result<T> {
    tokio::pin!(work);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}

/// What is told of that; the log has the rest.
fn defect() -> Diagnostic {
    let message = "a defect in Usher kept it from being prepared";
    Diagnostic::new_error("defect", message, "report what the agent's log says", None)
}

/// What a reload did, for the operator who asked for it, and what only a restart does.
fn said(diff: &Diff) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    async fn defective() -> u8 {
        tokio::task::yield_now().await;
        panic!("a defect")
    }

    #[tokio::test]
    async fn a_panic_is_caught_wherever_it_comes() {
        assert!(caught(defective()).await.is_err());
        let good = caught(async {
            tokio::task::yield_now().await;
            7
        });
        assert_eq!(good.await.ok(), Some(7));
    }
}
