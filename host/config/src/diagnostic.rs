//! Problems found in the configuration: where, what, and what to write instead.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde::ser::SerializeStruct;

/// Lines longer than this are shown only around the problem (minified JSON).
const SHOWN_WIDTH: usize = 120;

const UNSUPPORTED: &str = "unsupported";

/// One configuration file that was read.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Source {
    /// As the incumbents decide it: by the first character that isn't blank, not by the name.
    pub(crate) fn is_json(&self) -> bool {
        self.text.trim_start().starts_with('{')
    }
}

/// A place in a configuration file. Cheap to clone; keeps the file's text alive.
#[derive(Clone)]
pub struct Location {
    source: Arc<Source>,
    start: usize,
    length: usize,
    /// Not even the value that is meant is shown.
    masked: bool,
}

impl Location {
    pub(crate) fn new(source: &Arc<Source>, start: usize, end: usize) -> Self {
        Self { source: Arc::clone(source), start, length: end.saturating_sub(start), masked: false }
    }

    /// The same place of a value that may be a secret: a diagnostic shows its key alone.
    #[must_use]
    pub fn masked(&self) -> Self {
        Self { masked: true, ..self.clone() }
    }

    /// The file, as named on the command line or found in a directory.
    pub fn file(&self) -> &Path {
        &self.source.path
    }

    /// Counted from 1.
    pub fn line(&self) -> usize {
        self.before().matches('\n').count() + 1
    }

    /// In characters, counted from 1.
    pub fn column(&self) -> usize {
        self.before().rsplit('\n').next().map_or(0, |text| text.chars().count()) + 1
    }

    /// The whole line, without its end.
    pub fn line_text(&self) -> &str {
        let from = self.before().rfind('\n').map_or(0, |at| at + 1);
        let line = self.source.text.get(from..).unwrap_or_default();
        line.split('\n').next().unwrap_or_default().trim_end_matches('\r')
    }

    pub(crate) fn file_is_json(&self) -> bool {
        self.source.is_json()
    }

    /// What stands there.
    pub(crate) fn text(&self) -> &str {
        self.source.text.get(self.start..self.start + self.length).unwrap_or_default()
    }

    /// How many characters of the line are meant, at least one.
    fn width(&self) -> usize {
        let text = self.text();
        text.split(['\r', '\n']).next().unwrap_or_default().chars().count().max(1)
    }

    fn before(&self) -> &str {
        self.source.text.get(..self.start).unwrap_or(&self.source.text)
    }
}

/// `agent.hcl:3:5`
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file().display(), self.line(), self.column())
    }
}

/// Never the text: a configuration may hold secrets.
impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for Location {
    fn eq(&self, other: &Self) -> bool {
        self.source.path == other.source.path && self.start == other.start
    }
}

impl Eq for Location {}

/// Whether the agent can start with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration loads.
    Warning,
    /// It doesn't.
    Error,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it stops the agent.
    pub severity: Severity,
    /// For programs: lower-case words joined by dots and hyphens. "unsupported" is what the
    /// incumbents know and this version doesn't do yet.
    pub code: String,
    /// One sentence: what is wrong.
    pub message: String,
    /// What to write instead; may be empty.
    pub help: String,
    /// Where; `None` for the command line and the environment.
    pub location: Option<Location>,
}

impl Diagnostic {
    /// A problem that stops the agent.
    pub fn new_error(
        code: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
        location: Option<&Location>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            code: code.into(),
            message: message.into(),
            help: help.into(),
            location: location.cloned(),
        }
    }

    /// A problem that the operator should know of.
    pub fn new_warning(
        code: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
        location: Option<&Location>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::new_error(code, message, help, location) }
    }

    /// Whether the incumbents know what is meant, and this version doesn't do it yet.
    pub fn is_unsupported(&self) -> bool {
        self.is_error() && self.code == UNSUPPORTED
    }

    /// Whether it stops the agent.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Several lines, without a final newline: the place and the message, the offending line with a
/// mark under it, the help.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        match &self.location {
            None => write!(f, "{severity}: {}", self.message)?,
            Some(location) => {
                writeln!(f, "{location}: {severity}: {}", self.message)?;
                write_excerpt(f, location)?;
            }
        }
        if !self.help.is_empty() {
            write!(f, "\n  help: {}", self.help)?;
        }
        Ok(())
    }
}

fn write_excerpt(f: &mut fmt::Formatter<'_>, location: &Location) -> fmt::Result {
    let characters: Vec<char> = location
        .line_text()
        .chars()
        .map(|c| if c.is_control() && c != '\t' { ' ' } else { c })
        .collect();
    let column = location.column() - 1;
    let characters = without_values(characters, (!location.masked).then_some(column));
    let from =
        if characters.len() > SHOWN_WIDTH { column.saturating_sub(SHOWN_WIDTH / 2) } else { 0 };
    let to = characters.len().min(from + SHOWN_WIDTH);
    let shown: String = characters.get(from..to).unwrap_or_default().iter().collect();
    let (cut_before, cut_after) =
        (if from > 0 { "…" } else { "" }, if to < characters.len() { "…" } else { "" });
    // A tab stays a tab below the line, so that the mark stands right whatever its width.
    let indent: String = characters
        .get(from..column.min(characters.len()))
        .unwrap_or_default()
        .iter()
        .map(|c| if *c == '\t' { '\t' } else { ' ' })
        .collect();
    let marks = "^".repeat(location.width().min(to.saturating_sub(column).max(1)));
    let number = location.line().to_string();
    let gutter = " ".repeat(number.len());
    writeln!(f, "  {number} | {cut_before}{shown}{cut_after}")?;
    write!(f, "  {gutter} | {}{indent}{marks}", " ".repeat(cut_before.chars().count()))
}

/// Masks each quoted value but the one at `meant`, if any: what stands beside a problem may be a secret.
/// Names stay, which are what precedes `=` and `:`, or a block's label.
fn without_values(mut line: Vec<char>, meant: Option<usize>) -> Vec<char> {
    let mut at = 0;
    let mut before = ' ';
    while at < line.len() {
        if line[at] == '"' {
            let begin = at + 1;
            let mut end = begin;
            while end < line.len() && line[end] != '"' {
                end += if line[end] == '\\' { 2 } else { 1 };
            }
            let end = end.min(line.len());
            let is_value = matches!(before, '=' | ':' | '[' | ',');
            let is_name = line[end..].iter().skip(1).find(|c| **c != ' ') == Some(&':');
            let is_meant = meant.is_some_and(|meant| (begin - 1..=end).contains(&meant));
            if is_value && !is_name {
                let hidden =
                    if is_meant { user_and_password(&line[begin..end]) } else { end - begin };
                line[begin..begin + hidden].fill('*');
            }
            at = end;
        }
        if !line.get(at).is_none_or(|c| c.is_whitespace()) {
            before = line[at];
        }
        at += 1;
    }
    line
}

/// How much of a value is, or goes before, the user and password of a URL, whole or not.
fn user_and_password(value: &[char]) -> usize {
    match value.iter().rposition(|c| *c == '@') {
        Some(at) if value[..at].contains(&':') => at,
        _ => 0,
    }
}

/// `{"severity", "code", "message", "help", "file", "line", "column"}`; the last three are null
/// when there is no place.
impl Serialize for Diagnostic {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Diagnostic", 7)?;
        fields.serialize_field("severity", &self.severity)?;
        fields.serialize_field("code", &self.code)?;
        fields.serialize_field("message", &self.message)?;
        fields.serialize_field("help", &self.help)?;
        let location = self.location.as_ref();
        fields.serialize_field("file", &location.map(|l| l.file().display().to_string()))?;
        fields.serialize_field("line", &location.map(Location::line))?;
        fields.serialize_field("column", &location.map(Location::column))?;
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(text: &str, part: &str) -> Location {
        let source = Arc::new(Source { path: "agent.hcl".into(), text: text.to_owned() });
        let start = text.find(part).unwrap();
        Location::new(&source, start, start + part.len())
    }

    #[test]
    fn a_problem_shows_its_place_its_line_and_the_help() {
        let text = "vault {\r\n\taddres = \"x\"\r\n}\r\n";
        let at = location(text, "addres");
        assert_eq!((at.line(), at.column()), (2, 2));
        let shown = Diagnostic::new_error("unknown-key", "unknown key", "write address", Some(&at))
            .to_string();
        assert_eq!(
            shown,
            "agent.hcl:2:2: error: unknown key\n  2 | \taddres = \"*\"\n    | \t^^^^^^\n  help: write address"
        );
    }

    #[test]
    fn of_the_values_on_the_line_only_the_one_that_is_meant_is_shown() {
        let shown = |text: &str, part: &str| {
            Diagnostic::new_error("x", "m", "", Some(&location(text, part))).to_string()
        };
        let text =
            r#"method "a" { config = { role = "app", secrt = "hunter\"2", of = ["x1", "y1"] } }"#;
        for part in ["secrt", "config", "method", text] {
            let line = shown(text, part);
            assert!(
                !line.contains("hunter") && !line.contains("x1") && !line.contains("y1"),
                "{line}"
            );
            assert!(line.contains("method \"a\"") && line.contains("secrt = \"***"), "{line}");
        }
        let line = shown(text, "\"app\"");
        assert!(line.contains("role = \"app\", secrt = \"*"), "{line}");
        let masked = location(text, "\"hunter").masked();
        let line = Diagnostic::new_error("x", "m", "", Some(&masked)).to_string();
        assert!(line.contains("secrt = \"***") && !line.contains("hunter"), "{line}");
        let line = shown(r#"{"role": "app", "secrt": "hunter2"}"#, "\"secrt\"");
        assert!(line.contains(r#"{"role": "***", "secrt": "*******"}"#), "{line}");
    }

    #[test]
    fn of_the_value_that_is_meant_user_and_password_are_not_shown() {
        for value in
            ["https://u:hunter2@x", "u:hunter2@x:1", "http://u:hunter2/@x", "ftp://u:a@hunter2@x"]
        {
            let text = format!("address = \"{value}\"");
            let at = location(&text, &format!("\"{value}"));
            let shown = Diagnostic::new_error("x", "m", "", Some(&at)).to_string();
            assert!(!shown.contains("hunter2") && shown.contains("**@x"), "{shown}");
        }
        let text = "role = \"app@project.iam\"";
        let shown = Diagnostic::new_error("x", "m", "", Some(&location(text, "\"app"))).to_string();
        assert!(shown.contains("app@project.iam"), "{shown}");
    }

    #[test]
    fn columns_count_characters_not_bytes() {
        assert_eq!(location("é = ä", "ä").column(), 5);
    }

    #[test]
    fn of_a_very_long_line_only_the_surroundings_are_shown() {
        let text = format!("{}HERE{}", "a".repeat(500), "b".repeat(500));
        let shown =
            Diagnostic::new_warning("x", "m", "", Some(&location(&text, "HERE"))).to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[1].chars().count() < 140, "{shown}");
        let mark = lines[2].chars().position(|c| c == '^').unwrap();
        let here = lines[1].chars().collect::<Vec<_>>()[mark..mark + 4].iter().collect::<String>();
        assert_eq!(here, "HERE");
        assert!(lines[2].ends_with("^^^^"));
    }

    #[test]
    fn without_a_place_only_the_message_is_shown() {
        let problem = Diagnostic::new_error("environment", "BAO_ADDR is bad", "", None);
        assert_eq!(problem.to_string(), "error: BAO_ADDR is bad");
    }

    #[test]
    fn programs_get_every_field() {
        let problem = Diagnostic::new_error("a.b", "m", "h", Some(&location("x\n  y", "y")));
        assert_eq!(
            serde_json::to_value(&problem).unwrap(),
            serde_json::json!({"severity": "error", "code": "a.b", "message": "m", "help": "h",
                "file": "agent.hcl", "line": 2, "column": 3})
        );
    }
}
