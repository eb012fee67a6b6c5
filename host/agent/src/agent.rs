//! The agent: puts a configuration in force, listens to its parts and to its operator, and knows when
//! to end.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use usher_config::{Loaded, Settings};
use usher_engine::{BuiltIns, Kind};

use crate::desk::Request;
use crate::driver::{Report, until};
use crate::exit::Exit;
use crate::logging::ASKED_FOR;
use crate::notify::{Following, Notifier};
use crate::part::{Ending, Part, PartId};
use crate::persistence::Persistence;
use crate::plugin_follower::{PluginFollower, Settled};
use crate::prepare::{InForce, prepare};
use crate::reporter::Reporter;
use crate::roster::{Purpose, Roster};
use crate::signals::{Answering, Signals, Wish};
use crate::spare_memory;
use crate::status::{Board, Report as Status};
use crate::supervisor::Supervisor;
use crate::surroundings::{Inbox, Surroundings, Taken};

/// A clean shutdown takes at most this long, and so does the end of parts that a reload replaces.
pub(crate) const LONGEST_SHUTDOWN: Duration = Duration::from_secs(10);

/// After the last delivery, until nothing more of a login is under way.
const CALM: Duration = Duration::from_secs(1);

/// Runs the agent to its end. `timeout` counts with `exit_after_auth`; `load` reads the
/// configuration again, `show` makes of a status what people read, and `reporter` is told what is
/// wrong with a configuration. `built_ins` are the plug-ins of the program.
pub async fn run(
    settings: Settings,
    timeout: Option<Duration>,
    load: impl Fn() -> Loaded + Clone + Send + 'static,
    mut signals: Signals,
    show: fn(&Status) -> String,
    reporter: Reporter,
    built_ins: BuiltIns,
) -> Exit {
    if let Err(error) = signals.end_in_order() {
        (reporter.complain)(&format!("error: signals can't be handled: {error}"));
        return Exit::Failed;
    }
    let board = Board::new();
    let notifier = Notifier::from_environment();
    let tell = {
        let board = board.clone();
        move || tell(&show(&board.report()))
    };
    let starting: Vec<Box<dyn Part>> = vec![
        Box::new(Answering { questions: signals.questions(), tell }),
        Box::new(Following { notifier: notifier.clone(), board: board.clone() }),
    ];
    let mut supervisor = Supervisor::default();
    for part in starting {
        supervisor.add(part);
    }
    let persistence = match Persistence::open(&settings) {
        Ok(persistence) => persistence,
        Err(problem) => {
            (reporter.complain)(&problem.to_string());
            return Exit::Configuration;
        }
    };
    let (surroundings, inbox) = Surroundings::new(board, persistence, built_ins, reporter);
    let Inbox { reports, taken, requests: asked } = inbox;
    let purpose =
        if settings.exit_after_auth { Purpose::Deliver { timeout } } else { Purpose::Stay };
    // Compiling a large plug-in takes a while; the agent can be stopped meanwhile.
    let prepared = tokio::select! {
        prepared = prepare(settings, None, &surroundings) => prepared,
        () = signals.terminate() => return Exit::Done,
    };
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(problems) => {
            for problem in problems {
                (reporter.complain)(&problem.to_string());
            }
            return Exit::Configuration;
        }
    };
    let in_force = prepared.in_force.clone();
    surroundings.board.set_engine(&in_force.engine);
    let mut agent = Agent {
        in_force,
        load,
        surroundings,
        supervisor,
        roster: Roster::new(purpose),
        last_number: 0,
        reports,
        taken,
        notifier,
        settled: None,
    };
    agent.surroundings.persistence.taken_over();
    agent.put_in_force(prepared).await;
    agent.follow_plugins();
    agent.run(signals, asked, purpose).await
}

/// The status in the log, a line for each of its lines.
fn tell(status: &str) {
    for line in status.lines().filter(|line| !line.is_empty()) {
        tracing::info!(target: ASKED_FOR, "{line}");
    }
}

/// Everything that runs, and what decides when it ends.
pub(crate) struct Agent<L> {
    pub(crate) in_force: InForce,
    pub(crate) load: L,
    pub(crate) surroundings: Surroundings,
    pub(crate) supervisor: Supervisor,
    pub(crate) roster: Roster,
    /// Of identities; numbers are never used twice.
    pub(crate) last_number: u64,
    reports: mpsc::UnboundedReceiver<Report>,
    taken: mpsc::UnboundedReceiver<Taken>,
    pub(crate) notifier: Notifier,
    /// Leads to the part that follows the plug-in directory, if there is one.
    pub(crate) settled: Option<Settled>,
}

impl<L: Fn() -> Loaded + Clone + Send + 'static> Agent<L> {
    fn follow_plugins(&mut self) {
        let InForce { settings, engine, .. } = &self.in_force;
        if let Some((part, settled)) = PluginFollower::new(settings, engine, &self.surroundings) {
            self.settled = Some(settled);
            self.supervisor.add(Box::new(part));
        }
    }

    async fn run(
        mut self,
        mut signals: Signals,
        mut asked: mpsc::Receiver<Request>,
        purpose: Purpose,
    ) -> Exit {
        let deadline = async {
            match purpose {
                Purpose::Deliver { timeout: Some(timeout) } => tokio::time::sleep(timeout).await,
                Purpose::Deliver { timeout: None } | Purpose::Stay => std::future::pending().await,
            }
        };
        tokio::pin!(deadline);
        // Logins take memory that nobody needs afterwards.
        let mut calm = None;
        let (exit, ending) = loop {
            // After a report, or a reload that took out what was still to come.
            if self.roster.is_done() {
                tracing::info!("sinks finished, exiting");
                break (Exit::Done, Ending::Leave);
            }
            tokio::select! {
                Some(report) = self.reports.recv() => {
                    if let Report::Delivered { .. } = report {
                        calm = Some(Instant::now() + CALM);
                    }
                    if let Some(exit) = self.roster.judge(&report) {
                        break (exit, Ending::Final);
                    }
                }
                () = until(calm) => {
                    calm = None;
                    spare_memory::give_back();
                }
                // Nobody asked it to end, so it panicked. That is logged; the others go on.
                ended = self.supervisor.next() => if let PartId::Identity(name) = ended
                    && let Some(exit) = self.roster.lose(&name)
                {
                    break (exit, Ending::Final);
                },
                Some((kind, name)) = self.taken.recv() => self.wake_users(kind, &name),
                wish = signals.next() => match wish {
                    Wish::End => {
                        tracing::info!("shutting down");
                        break (Exit::Done, Ending::Final);
                    }
                    Wish::Reload => if self.reload(&mut signals, &mut asked).await.is_none() {
                        break (Exit::Done, Ending::Final);
                    },
                },
                Some(request) = asked.recv() => match request {
                    Request::Pulse(felt) => { let _ = felt.send(()); }
                    Request::Quit => {
                        let api = self.in_force.settings.dialect.api();
                        tracing::info!("shutting down, as a request asks ({api}.enable_quit)");
                        break (Exit::Done, Ending::Final);
                    }
                    Request::Reload(answer) => {
                        let Some(done) = self.reload(&mut signals, &mut asked).await else {
                            break (Exit::Done, Ending::Final);
                        };
                        let _ = answer.send(done);
                    }
                },
                () = &mut deadline => break (self.roster.time_is_over(), Ending::Final),
            }
        };
        self.notifier.stopping();
        drop(asked);
        self.supervisor.stop(ending, LONGEST_SHUTDOWN).await;
        exit
    }

    /// What only a new plug-in could mend is tried again.
    fn wake_users(&mut self, kind: Kind, name: &str) {
        let roster = &self.roster;
        self.supervisor.tell(|part| match part {
            PartId::Identity(identity) => roster.uses(identity, kind, name),
            _ => false,
        });
    }
}

#[cfg(test)]
mod tests {
    use usher_config::{Diff, Overrides, load};

    use super::*;
    use crate::bind;
    use crate::part::{Leaves, Seat, Tier, Work};
    use crate::prepare::Prepared;
    use crate::status::Handle;

    /// An agent with a configuration and nothing that runs.
    fn agent() -> Agent<impl Fn() -> Loaded + Clone + Send + 'static> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("usher.hcl");
        let text = r#"
            vault { address = "http://127.0.0.1:9" }
            auto_auth {
                method "approle" { config = { role_id_file_path = "/none" } }
                sink "file" { config = { path = "/none" } }
            }
        "#;
        std::fs::write(&file, text).unwrap();
        let load = move || load(std::slice::from_ref(&file), &Overrides::default(), &|_| None);
        let loaded = load();
        let settings = loaded.settings.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let (engine, client) = (
            bind::engine(&settings, usher_builtins::built_ins()).unwrap(),
            bind::client(&settings).unwrap(),
        );
        let (surroundings, Inbox { reports, taken, .. }) = Surroundings::of_test();
        Agent {
            in_force: InForce { settings, engine, client, listeners: Vec::new() },
            load,
            surroundings,
            supervisor: Supervisor::default(),
            roster: Roster::new(Purpose::Stay),
            last_number: 0,
            reports,
            taken,
            notifier: Notifier::default(),
            settled: None,
        }
    }

    /// An identity on the board that panics when it is told to end.
    struct Defective(Handle);

    impl Part for Defective {
        fn id(&self) -> PartId {
            PartId::Identity("leaving".to_owned())
        }

        fn tier(&self) -> Tier {
            Tier::Identity
        }

        fn run(self: Box<Self>, mut seat: Seat) -> Work {
            Box::pin(async move {
                let Self(_place) = *self;
                let how = seat.end().await;
                assert_ne!(how, Ending::Final, "a defect");
                Leaves::Nothing
            })
        }
    }

    #[tokio::test]
    async fn an_identity_that_a_reload_takes_out_is_off_the_board_even_if_it_panics_at_its_end() {
        let mut agent = agent();
        let board = agent.surroundings.board.clone();
        let place = board.identity("leaving", "approle", []);
        agent.supervisor.add(Box::new(Defective(place)));
        let prepared = Prepared {
            in_force: agent.in_force.clone(),
            identities: Vec::new(),
            parts: Vec::new(),
            closing: Vec::new(),
            changes: Vec::new(),
            log_file: None,
            diff: Diff { removed: vec!["leaving".to_owned()], ..Diff::default() },
        };
        agent.put_in_force(prepared).await;
        let left = board.report().identities;
        assert!(left.is_empty(), "{left:?}");
    }
}
