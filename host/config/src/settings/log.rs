//! What is logged, and how.

use std::path::PathBuf;
use std::time::Duration;

use crate::field::fields;

/// Logging.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// From this level on.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
    /// Gets the log besides standard error.
    pub file: Option<LogFile>,
}

fields!(Log {
    level: ["log_level"],
    format: ["log_format"],
    file: ["log_file", "log_rotate_bytes", "log_rotate_duration", "log_rotate_max_files"],
} and {});

/// A log file and its rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Of `log_file = "DIRECTORY/"` it is `DIRECTORY/usher.log`.
    pub path: PathBuf,
    /// A larger file is rotated. None: no limit.
    pub rotate_bytes: Option<u64>,
    /// An older file is rotated. Default 24 h.
    pub rotate_duration: Duration,
    /// How many rotated files are kept; 0: all, negative: none.
    pub rotate_max_files: i64,
}

/// The incumbents' levels; their "notice" is info, "warning" is warn, "err" is error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum LogLevel {
    Trace,
    Debug,
    #[default]
    Info,
    Warn,
    Error,
}

impl LogLevel {
    /// "trace", "debug", "info", "warn" or "error".
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text.trim().to_ascii_lowercase().as_str() {
            "trace" => Self::Trace,
            "debug" => Self::Debug,
            "info" | "notice" | "" => Self::Info,
            "warn" | "warning" => Self::Warn,
            "error" | "err" => Self::Error,
            _ => return None,
        })
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Standard,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text.trim().to_ascii_lowercase().as_str() {
            "standard" | "" => Self::Standard,
            "json" => Self::Json,
            _ => return None,
        })
    }
}
