//! What is logged, where, and how: what files say of it, and what comes of it.

use std::path::PathBuf;
use std::time::Duration;

use crate::choice::{Choice, parsed};
use crate::diagnostic::Diagnostic;
use crate::fields::{Fields, Located, Report};
use crate::said::Said;
use crate::schema::FILE;
use crate::settings::{Log, LogFile, LogFormat, LogLevel};
use crate::values;

const LEVELS: &str = "write trace, debug, info, warn or error";
const FORMATS: &str = "write standard or json";
/// The name of the log file where `log_file` is a directory.
const FILE_NAME: &str = "usher.log";
const ROTATE_DURATION: Duration = Duration::from_hours(24);

/// What files say of the log.
#[derive(Default)]
pub(crate) struct LogPart {
    level: Said<Located<String>>,
    format: Said<Located<String>>,
    file: Said<Located<String>>,
    rotate_bytes: Said<i64>,
    rotate_duration: Said<Located<Duration>>,
    rotate_max_files: Said<i64>,
}

impl LogPart {
    pub(crate) fn read(file: &Fields<'_>, report: &mut Report) -> Self {
        let part = Self {
            level: Said::read(file, "log_level", Fields::string, report),
            format: Said::read(file, "log_format", Fields::string, report),
            file: Said::read(file, "log_file", Fields::string, report),
            rotate_bytes: Said::read(file, "log_rotate_bytes", Fields::integer, report),
            rotate_duration: Said::read(file, "log_rotate_duration", Fields::duration, report),
            rotate_max_files: Said::read(file, "log_rotate_max_files", Fields::integer, report),
        };
        part.check(report);
        part
    }

    fn check(&self, report: &mut Report) {
        if let Some(level) = self.level.get().filter(|l| LogLevel::parse(&l.value).is_none()) {
            report.push(Diagnostic::new_error(
                "log_level",
                format!("there is no log level \"{}\"", level.value),
                LEVELS,
                Some(&level.location),
            ));
        }
        if let Some(format) = self.format.get().filter(|f| LogFormat::parse(&f.value).is_none()) {
            report.push(Diagnostic::new_error(
                "log_format",
                format!("there is no log format \"{}\"", format.value),
                FORMATS,
                Some(&format.location),
            ));
        }
    }

    pub(crate) fn merge(&mut self, later: Self, report: &mut Report) {
        let Self { level, format, file, rotate_bytes, rotate_duration, rotate_max_files } = later;
        self.level.merge(level, report);
        self.format.merge(format, report);
        self.file.merge(file, report);
        self.rotate_bytes.merge(rotate_bytes, report);
        self.rotate_duration.merge(rotate_duration, report);
        self.rotate_max_files.merge(rotate_max_files, report);
    }

    pub(crate) fn settle(&self, choice: &Choice<'_>, report: &mut Report) -> Log {
        Log {
            level: parsed(
                choice.text(&FILE, "log_level", self.level.get().cloned()),
                LogLevel::parse,
                ("log_level", "there is no such log level", LEVELS),
                report,
            ),
            format: parsed(
                choice.text(&FILE, "log_format", self.format.get().cloned()),
                LogFormat::parse,
                ("log_format", "there is no such log format", FORMATS),
                report,
            ),
            file: self.settle_file(choice, report),
        }
    }

    fn settle_file(&self, choice: &Choice<'_>, report: &mut Report) -> Option<LogFile> {
        const WHOLE: &str = "write a whole number";
        let integer = |text: &str| text.trim().parse::<i64>().ok();
        let bytes = given(choice, "log_rotate_bytes", integer, WHOLE, report)
            .or(self.rotate_bytes.get().copied());
        let files = given(choice, "log_rotate_max_files", integer, WHOLE, report)
            .or(self.rotate_max_files.get().copied());
        let duration =
            given(choice, "log_rotate_duration", values::duration, "write a duration: 24h", report)
                .or(self.rotate_duration.get().map(|duration| duration.value));
        let path = choice.text(&FILE, "log_file", self.file.get().cloned())?.value;
        let mut file = PathBuf::from(&path);
        if path.ends_with('/') {
            file.push(FILE_NAME);
        }
        Some(LogFile {
            path: file,
            rotate_bytes: bytes
                .and_then(|bytes| u64::try_from(bytes).ok())
                .filter(|bytes| *bytes > 0),
            rotate_duration: duration
                .filter(|duration| !duration.is_zero())
                .unwrap_or(ROTATE_DURATION),
            rotate_max_files: files.unwrap_or(0),
        })
    }
}

/// What the key's flag says.
fn given<T>(
    choice: &Choice<'_>,
    key: &str,
    parse: impl Fn(&str) -> Option<T>,
    help: &str,
    report: &mut Report,
) -> Option<T> {
    let (flag, text) = choice.flag(&FILE, key)?;
    let value = parse(text);
    if value.is_none() {
        let message = format!("--{flag} can't be read");
        report.push(Diagnostic::new_error("log_rotate", message, help, None));
    }
    value
}
