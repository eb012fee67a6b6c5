//! What the agent does about signals: one table, and whoever waits for what a signal asks.
//!
//! What stands in no table is left to the system: it stops the process (job control), ends it for a
//! defect, or does nothing. `docs/status.md` tells all of them.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::part::{Leaves, Part, PartId, Seat, Tier, Work};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    End,
    Reload,
    Tell,
    /// It would end the process, and nobody who sends it to an agent means that.
    Nothing,
}

const TABLE: &[(Number, Effect)] = &[
    (Number::TERM, Effect::End),
    (Number::INT, Effect::End),
    (Number::QUIT, Effect::End),
    (Number::POWER, Effect::End),
    (Number::HUP, Effect::Reload),
    (Number::USR1, Effect::Tell),
    (Number::USR2, Effect::Nothing),
    (Number::ALARM, Effect::Nothing),
    (Number::VTALARM, Effect::Nothing),
    (Number::PROF, Effect::Nothing),
    (Number::IO, Effect::Nothing),
    (Number::PIPE, Effect::Nothing),
    (Number::STKFLT, Effect::Nothing),
    // A file that may not grow is an error of the one who writes it.
    (Number::XFSZ, Effect::Nothing),
];

/// What the run loop does.
pub(crate) enum Wish {
    /// End in good order.
    End,
    /// Read the configuration again.
    Reload,
}

/// Signals that were sent; each is kept until somebody waits for it.
pub struct Signals {
    end: Vec<Signal>,
    reload: Vec<Signal>,
    tell: Vec<Signal>,
}

/// Signals that ask how the agent is.
pub(crate) struct Questions(Vec<Signal>);

/// Answers them, whatever the agent does.
pub(crate) struct Answering<T> {
    pub(crate) questions: Questions,
    pub(crate) tell: T,
}

impl<T: Fn() + Send + Sync + 'static> Part for Answering<T> {
    fn id(&self) -> PartId {
        PartId::Questions
    }

    fn tier(&self) -> Tier {
        Tier::Process
    }

    fn run(self: Box<Self>, mut seat: Seat) -> Work {
        Box::pin(async move {
            tokio::select! {
                () = self.questions.answer(self.tell) => {}
                _ = seat.end() => {}
            }
            Leaves::Nothing
        })
    }
}

impl Signals {
    /// From now on no signal of the table ends the process, but those that ask for the end: as
    /// long as there is nothing to put in order, they are left to the system.
    pub fn new() -> io::Result<Self> {
        // What is installed stays.
        drop(listen(Effect::Nothing)?);
        Ok(Self { end: Vec::new(), reload: listen(Effect::Reload)?, tell: listen(Effect::Tell)? })
    }

    /// From now on those that ask for the end are waited for, too.
    pub(crate) fn end_in_order(&mut self) -> io::Result<()> {
        self.end = listen(Effect::End)?;
        Ok(())
    }

    pub(crate) async fn next(&mut self) -> Wish {
        tokio::select! {
            () = any(&mut self.end) => Wish::End,
            () = any(&mut self.reload) => Wish::Reload,
        }
    }

    /// Waits for one that asks for the end. Others are kept meanwhile.
    pub(crate) async fn terminate(&mut self) {
        any(&mut self.end).await;
    }

    /// Takes those out that ask how the agent is: they are answered whatever it does.
    pub(crate) fn questions(&mut self) -> Questions {
        Questions(std::mem::take(&mut self.tell))
    }
}

impl Questions {
    /// Answers each, for ever.
    pub(crate) async fn answer(mut self, tell: impl Fn()) {
        loop {
            any(&mut self.0).await;
            tell();
        }
    }
}

/// Installs what the table says.
fn listen(effect: Effect) -> io::Result<Vec<Signal>> {
    let wanted = TABLE.iter().filter(|(_, of)| *of == effect);
    wanted.map(|(number, _)| signal(SignalKind::from_raw(number.as_raw()))).collect()
}

/// Waits for any of these.
async fn any(signals: &mut [Signal]) {
    poll_fn(|context| {
        let came = signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
        if came { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that `kill -l` knows below the real-time signals.
    const NAMES: [(&str, Number); 31] = [
        ("SIGHUP", Number::HUP),
        ("SIGINT", Number::INT),
        ("SIGQUIT", Number::QUIT),
        ("SIGILL", Number::ILL),
        ("SIGTRAP", Number::TRAP),
        ("SIGABRT", Number::ABORT),
        ("SIGBUS", Number::BUS),
        ("SIGFPE", Number::FPE),
        ("SIGKILL", Number::KILL),
        ("SIGUSR1", Number::USR1),
        ("SIGSEGV", Number::SEGV),
        ("SIGUSR2", Number::USR2),
        ("SIGPIPE", Number::PIPE),
        ("SIGALRM", Number::ALARM),
        ("SIGTERM", Number::TERM),
        ("SIGSTKFLT", Number::STKFLT),
        ("SIGCHLD", Number::CHILD),
        ("SIGCONT", Number::CONT),
        ("SIGSTOP", Number::STOP),
        ("SIGTSTP", Number::TSTP),
        ("SIGTTIN", Number::TTIN),
        ("SIGTTOU", Number::TTOU),
        ("SIGURG", Number::URG),
        ("SIGXCPU", Number::XCPU),
        ("SIGXFSZ", Number::XFSZ),
        ("SIGVTALRM", Number::VTALARM),
        ("SIGPROF", Number::PROF),
        ("SIGWINCH", Number::WINCH),
        ("SIGIO", Number::IO),
        ("SIGPWR", Number::POWER),
        ("SIGSYS", Number::SYS),
    ];

    /// What the documentation says of a signal.
    fn told(name: &str) -> String {
        let document = include_str!("../../../docs/status.md");
        let (_, section) = document.split_once("\n## Signals\n").expect("a section on signals");
        let section = section.split("\n## ").next().unwrap_or_default();
        let quoted = format!("`{name}`");
        let mut rows = section
            .lines()
            .filter(|line| line.starts_with("| "))
            .filter(|line| line.split('|').nth(1).is_some_and(|signals| signals.contains(&quoted)));
        let row = rows.next().unwrap_or_else(|| panic!("{name} isn't told"));
        assert_eq!(rows.next(), None, "{name} is told twice");
        row.split('|').nth(2).unwrap_or_default().to_owned()
    }

    #[test]
    fn every_signal_is_told_with_what_the_table_says() {
        for (name, number) in NAMES {
            let effect = TABLE.iter().find(|(of, _)| *of == number).map(|(_, effect)| *effect);
            let expected: &[&str] = match effect {
                Some(Effect::End) => &["ends in good order"],
                Some(Effect::Reload) => &["reads the configuration"],
                Some(Effect::Tell) => &["writes the status"],
                Some(Effect::Nothing) => &["nothing"],
                None => &["nothing", "left to the system"],
            };
            let told = told(name);
            let matches = expected.iter().any(|text| told.trim_start().starts_with(text));
            assert!(matches, "{name}: {told}, not {expected:?}");
        }
    }

    #[tokio::test]
    async fn signals_that_came_before_anybody_waited_are_kept() {
        let mut signals = Signals::new().expect("handlers");
        let own = rustix::process::getpid();
        for (number, effect) in TABLE.iter().filter(|(_, effect)| *effect != Effect::End) {
            rustix::process::kill_process(own, *number)
                .unwrap_or_else(|error| panic!("{effect:?}: {error}"));
        }
        assert!(matches!(signals.next().await, Wish::Reload));
        let questions = signals.questions();
        let (told, hears) = tokio::sync::oneshot::channel();
        let told = std::sync::Mutex::new(Some(told));
        let answering = questions.answer(|| {
            if let Some(told) = told.lock().expect("the sender").take() {
                let _ = told.send(());
            }
        });
        tokio::select! {
            () = answering => {}
            heard = hears => heard.expect("an answer"),
        }
    }
}
