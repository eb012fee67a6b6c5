//! How `usher explain` tells its steps: a line for each, as it happens.

use std::io::Write as _;

use usher_agent::Exit;
use usher_secret::redactor;
use usher_server::Class;

pub(super) fn good(step: &str, what: &str) {
    line(step, "ok", what);
}

pub(super) fn bad(step: &str, what: &str) {
    line(step, "FAILED", what);
}

/// More about the step before.
pub(super) fn note(what: &str) {
    line("", "", what);
}

/// How the command ends after a failure of this class.
pub(super) fn exit(class: Class) -> Exit {
    match class {
        Class::Passing => Exit::Failed,
        Class::Refused => Exit::Refused,
        Class::Configuration => Exit::Configuration,
    }
}

fn line(step: &str, outcome: &str, what: &str) {
    const INDENT: usize = 24;
    let what = redactor::redact(what);
    let what = what.trim_end().replace('\n', &format!("\n{}", " ".repeat(INDENT)));
    // A closed pipe (`| head`) is no failure worth a message.
    let _ = writeln!(std::io::stdout(), "{step:<15} {outcome:<7} {what}");
}
