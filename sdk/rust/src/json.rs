//! Reading JSON into types, with errors that name the place and never repeat a value.
//!
//! Serde's own messages repeat what they found, which may be a secret, and don't say where it
//! was. Everything the SDK reads goes through here, also because one reader is smaller than two.

mod value;

use crate::{Failure, suggestion};
use serde::de::{self, DeserializeOwned, Expected, Unexpected};
use serde_json::Value;
use std::fmt;

/// Reads one JSON value.
pub fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Error> {
    let value: Value = serde_json::from_slice(text).map_err(|error| Error {
        path: String::new(),
        problem: Problem::Syntax { line: error.line(), column: error.column() },
    })?;
    T::deserialize(value::Tree(value)).map_err(|error| error.with_mistyped(text))
}

/// What is wrong with a JSON text, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Like `tls.ports[1]`; empty for the whole.
    path: String,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    Syntax { line: usize, column: usize },
    Missing { key: String, mistyped: Option<String> },
    Unknown { key: String, meant: Option<String> },
    Mismatch { given: String, wanted: String },
    Other(String),
}

impl Error {
    /// One clause, with the place below `root`.
    pub(crate) fn describe(&self, root: &str) -> String {
        let place = self.place(root);
        match &self.problem {
            Problem::Syntax { line, column } => {
                format!("`{place}` is no JSON (line {line}, column {column})")
            }
            Problem::Missing { key, mistyped: Some(mistyped) } => {
                format!(
                    "`{place}` lacks `{key}`, which is required; did you mean it by `{mistyped}`?"
                )
            }
            Problem::Missing { key, mistyped: None } => {
                format!("`{place}` lacks `{key}`, which is required")
            }
            Problem::Unknown { key, meant: Some(meant) } => {
                format!("`{place}` has no key `{key}`; did you mean `{meant}`?")
            }
            Problem::Unknown { key, meant: None } => format!("`{place}` has no key `{key}`"),
            Problem::Mismatch { given, wanted } => {
                format!("`{place}` is {given}, but must be {wanted}")
            }
            Problem::Other(message) => format!("`{place}`: {message}"),
        }
    }

    /// With the key that may have been meant by the missing one. Unknown keys are ignored where old
    /// files must keep working, so nothing else would name it.
    fn with_mistyped(mut self, text: &[u8]) -> Self {
        if let (true, Problem::Missing { key, mistyped }) =
            (self.path.is_empty(), &mut self.problem)
            && let Ok(Value::Object(object)) = serde_json::from_slice(text)
        {
            let keys: Vec<&str> = object.keys().map(String::as_str).collect();
            *mistyped = suggestion::closest(key, &keys).map(str::to_owned);
        }
        self
    }

    /// As a wrong configuration.
    pub(crate) fn into_config_failure(self) -> Failure {
        let code = match self.problem {
            Problem::Syntax { .. } | Problem::Other(_) => "config.invalid",
            Problem::Missing { .. } => "config.missing",
            Problem::Unknown { .. } => "config.unknown",
            Problem::Mismatch { .. } => "config.type",
        };
        Failure::config(code, self.describe("config")).detail("key", self.place("config"))
    }

    fn place(&self, root: &str) -> String {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        [root, dot, &self.path].concat()
    }

    /// The same error seen from one step further out.
    fn below(mut self, step: &str) -> Self {
        self.path = if self.path.is_empty() { step.to_owned() } else { self.place(step) };
        self
    }

    fn new(problem: Problem) -> Self {
        Self { path: String::new(), problem }
    }

    fn mismatch(given: impl Into<String>, wanted: &dyn Expected) -> Self {
        Self::new(Problem::Mismatch { given: given.into(), wanted: wanted.to_string() })
    }
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Problem::Other(message.to_string()))
    }

    fn invalid_type(given: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::mismatch(kind(given), wanted)
    }

    fn invalid_value(given: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::mismatch([kind(given), " that doesn't fit"].concat(), wanted)
    }

    fn invalid_length(length: usize, wanted: &dyn Expected) -> Self {
        Self::mismatch(format!("a list of {length}"), wanted)
    }

    fn unknown_variant(given: &str, known: &'static [&'static str]) -> Self {
        let meant =
            suggestion::closest(given, known).map(|name| format!("; did you mean `{name}`?"));
        let known = known.join("`, `");
        Self::new(Problem::Other(format!("must be one of `{known}`{}", meant.unwrap_or_default())))
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        let meant = suggestion::closest(key, known).map(str::to_owned);
        Self::new(Problem::Unknown { key: key.to_owned(), meant })
    }

    fn missing_field(key: &'static str) -> Self {
        Self::new(Problem::Missing { key: key.to_owned(), mistyped: None })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.describe("value"))
    }
}

impl std::error::Error for Error {}

/// JSON that the plug-in itself made or kept and can't read. For an answer that came from
/// elsewhere use [`crate::http::Response::json`], which blames the sender.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::internal("json.invalid", error.to_string())
    }
}

/// The type alone, as it is called in a configuration.
fn kind(given: Unexpected<'_>) -> &'static str {
    match given {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer",
        Unexpected::Float(_) => "a number",
        Unexpected::Char(_) | Unexpected::Str(_) | Unexpected::Bytes(_) => "a string",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq | Unexpected::TupleVariant => "a list",
        Unexpected::Map | Unexpected::StructVariant => "a block",
        _ => "something else",
    }
}
