//! Log lines on standard error, redacted, in the incumbents' two formats.
//!
//! One event is one line. Our own crates log from the configured level on; all others at warn at
//! most, whatever the level, because nobody has checked what they log.

use std::fmt::{self, Write as _};
use std::io::Write as _;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use usher_config::{LogFormat, LogLevel};
use usher_secret::redactor;

/// Starts logging for the whole process.
pub(crate) fn start(level: LogLevel, format: LogFormat) {
    let level = match level {
        LogLevel::Trace => Level::TRACE,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Info => Level::INFO,
        LogLevel::Warn => Level::WARN,
        LogLevel::Error => Level::ERROR,
    };
    let subscriber = tracing_subscriber::registry().with(Lines { level, format });
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
}

struct Lines {
    level: Level,
    format: LogFormat,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn enabled(&self, metadata: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        let ours = metadata.target().starts_with("usher");
        let most = if ours { self.level } else { self.level.min(Level::WARN) };
        metadata.is_event() && *metadata.level() <= most
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let now = OffsetDateTime::now_utc();
        let line = match self.format {
            LogFormat::Standard => fields.standard(event.metadata(), now),
            LogFormat::Json => fields.json(event.metadata(), now),
        };
        let line = redactor::redact(&line);
        let mut bytes = Vec::with_capacity(line.len() + 1);
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        // One write a line, so that lines of several processes don't mix. There is nobody left to
        // tell if it fails.
        let _ = std::io::stderr().lock().write_all(&bytes);
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
    /// `2026-11-21T22:42:13.632Z [INFO]  usher.identity: message: key=value`
    fn standard(&self, metadata: &Metadata<'_>, now: OffsetDateTime) -> String {
        let mut line = now.format(STANDARD_TIME).unwrap_or_default();
        let level = format!("[{}]", metadata.level());
        let _ = write!(line, " {level:<7} {}: ", module(metadata));
        clean(&self.message, &mut line);
        if !self.fields.is_empty() {
            line.push(':');
        }
        for (name, value) in &self.fields {
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
    metadata.target().replace("::", ".").replace('_', "-")
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
