//! What commands say at the terminal, besides their results.

use std::fmt::Write as _;

use usher_agent::Reporter;

/// What the agent's library has to say, of a command that has no log.
pub(crate) const REPORTER: Reporter = Reporter {
    complain,
    compiling: |found| {
        complain(&format!("compiling {}, which may take a while", found.path.display()));
    },
};

/// Prints a message of the command line itself, not of the running agent.
#[allow(clippy::print_stderr, reason = "what a command says when it fails")]
pub(crate) fn complain(message: &str) {
    eprintln!("{}", usher_secret::redactor::redact(message));
}

/// Rows below each other, their cells aligned.
pub(crate) fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    });
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}
