//! Log lines on standard error and in the log file, redacted, in the incumbents' two formats.
//!
//! One event is one line. Our own crates log from the configured level on; all others at warn at
//! most, whatever the level, because nobody has checked what they log.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use usher_config::{Log, LogFormat, LogLevel};
use usher_secret::redactor;

use crate::log_file::{LogFile, Notice};

/// Lines of this target answer an operator's signal: they are written whatever the level.
pub(crate) const ASKED_FOR: &str = "usher::sigusr1";

/// Starts logging for the whole process. Fails only if the log file can't be opened; the text says
/// what to do.
pub fn start(log: &Log) -> Result<(), String> {
    *log_file() = log.file.as_ref().map(LogFile::open).transpose()?;
    set_level(log.level);
    set_format(log.format);
    let subscriber = tracing_subscriber::registry().with(Lines);
    // Fails only if it was called before.
    let _ = tracing::subscriber::set_global_default(subscriber);
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic
            .payload()
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.payload().downcast_ref::<String>().cloned())
            .unwrap_or_default();
        tracing::error!(place, "a defect in Usher, please report it: {message}");
    }));
    Ok(())
}

/// Logs from this level on.
pub(crate) fn set_level(level: LogLevel) {
    LEVEL.store(level as u8, Ordering::Relaxed);
    // Whether a line is wanted is otherwise decided when it comes up for the first time.
    tracing::callsite::rebuild_interest_cache();
}

/// Writes lines in this format from now on.
pub(crate) fn set_format(format: LogFormat) {
    JSON.store(format == LogFormat::Json, Ordering::Relaxed);
}

/// From now on lines go to this file, besides standard error.
pub(crate) fn write_to(file: Option<LogFile>) {
    *log_file() = file;
}

/// Opens the log file anew, with the next line. A file that was moved is noticed without this.
pub(crate) fn reopen() {
    if let Some(file) = &mut *log_file() {
        file.reopen();
    }
}

/// A [`LogLevel`] as a number.
static LEVEL: AtomicU8 = AtomicU8::new(LogLevel::Info as u8);

/// Whether lines are JSON.
static JSON: AtomicBool = AtomicBool::new(false);

static LOG_FILE: Mutex<Option<LogFile>> = Mutex::new(None);

fn log_file() -> MutexGuard<'static, Option<LogFile>> {
    LOG_FILE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn level() -> Level {
    match LEVEL.load(Ordering::Relaxed) {
        level if level == LogLevel::Trace as u8 => Level::TRACE,
        level if level == LogLevel::Debug as u8 => Level::DEBUG,
        level if level == LogLevel::Info as u8 => Level::INFO,
        level if level == LogLevel::Warn as u8 => Level::WARN,
        _ => Level::ERROR,
    }
}

/// Appends to the log file, if there is one, and says what became of it.
fn write_to_file(line: &[u8]) {
    let (notice, path) = {
        let mut file = log_file();
        let Some(file) = &mut *file else { return };
        let Some(notice) = file.write(line) else { return };
        (notice, file.path().display().to_string())
    };
    // The file is free again: these lines go through it too.
    match notice {
        Notice::Failed(error) => {
            tracing::warn!(%error, path, "the log file can't be written, standard error has all; it is tried again with each line");
        }
        Notice::Recovered(lost) => tracing::info!(path, lost, "the log file is written again"),
        Notice::NotRotated(error) => {
            tracing::warn!(%error, path, "the log file can't be rotated and grows on; correct the permissions of its directory");
        }
    }
}

struct Lines;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn enabled(&self, metadata: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        let ours = metadata.target().starts_with("usher");
        let most = if ours { level() } else { level().min(Level::WARN) };
        let wanted = *metadata.level() <= most || metadata.target() == ASKED_FOR;
        metadata.is_event() && wanted
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let now = OffsetDateTime::now_utc();
        let line = if JSON.load(Ordering::Relaxed) {
            fields.json(event.metadata(), now)
        } else {
            fields.standard(event.metadata(), now)
        };
        let line = redactor::redact(&line);
        let mut bytes = Vec::with_capacity(line.len() + 1);
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        // One write a line, so that lines of several processes don't mix. There is nobody left to
        // tell if it fails.
        let _ = std::io::stderr().lock().write_all(&bytes);
        write_to_file(&bytes);
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

const STANDARD_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const JSON_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

impl Fields {
    /// `2026-11-21T22:42:13.632Z [INFO]  usher.identity: message: key=value`, an error first, as
    /// the incumbents have it.
    fn standard(&self, metadata: &Metadata<'_>, now: OffsetDateTime) -> String {
        let mut line = now.format(STANDARD_TIME).unwrap_or_default();
        let level = format!("[{}]", metadata.level());
        let _ = write!(line, " {level:<7} {}: ", module(metadata));
        clean(&self.message, &mut line);
        if !self.fields.is_empty() {
            line.push(':');
        }
        let (errors, others): (Vec<_>, Vec<_>) =
            self.fields.iter().partition(|(name, _)| *name == "error");
        for (name, value) in errors.into_iter().chain(others) {
            let _ = write!(line, " {name}=");
            match value {
                Value::String(text) if text.is_empty() || text.contains([' ', '"', '=']) => {
                    let _ = write!(line, "{value}");
                }
                Value::String(text) => clean(text, &mut line),
                other => {
                    let _ = write!(line, "{other}");
                }
            }
        }
        line
    }

    fn json(self, metadata: &Metadata<'_>, now: OffsetDateTime) -> String {
        let mut object = Map::new();
        object.insert("@level".into(), metadata.level().as_str().to_ascii_lowercase().into());
        object.insert("@message".into(), self.message.into());
        object.insert("@module".into(), module(metadata).into());
        object.insert("@timestamp".into(), now.format(JSON_TIME).unwrap_or_default().into());
        for (name, value) in self.fields {
            object.insert(name.to_owned(), value);
        }
        Value::Object(object).to_string()
    }

    fn put(&mut self, field: &Field, value: Value) {
        if field.name() == "message" {
            self.message = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
        } else {
            self.fields.push((field.name(), value));
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

fn module(metadata: &Metadata<'_>) -> String {
    // The program's own, whichever crate a line comes from.
    let target = metadata.target().replacen("usher_agent", "usher", 1);
    target.replace("::", ".").replace('_', "-")
}

/// Control characters would forge lines or drive a terminal.
fn clean(text: &str, line: &mut String) {
    for character in text.chars() {
        if character.is_control() {
            let _ = write!(line, "{}", character.escape_default());
        } else {
            line.push(character);
        }
    }
}
