//! What is wrong with a template, and where: Go's words, so that what people know of them helps.

use std::fmt;

use crate::quote::quote;

/// A template that cannot be parsed, or not be rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// Where in the tree it happened; nothing if the template cannot be parsed.
    pub within: Option<Within>,
    /// What happened. Nothing that came from a secret is in it.
    pub message: String,
    /// Go's column: in bytes, from 0.
    bytes: usize,
}

/// The part of a template that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Within {
    /// The name of the definition, empty for the main part.
    pub template: String,
    /// The expression as Go writes it.
    pub expression: String,
}

impl Failure {
    pub(crate) fn new(source: &[u8], at: usize, within: Option<Within>, message: String) -> Self {
        let before = &source[..at.min(source.len())];
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |index| index + 1);
        let line = before.split(|byte| *byte == b'\n').count();
        let bytes = before.len() - start;
        let column = 1 + String::from_utf8_lossy(&before[start..]).chars().count();
        Self { line, column, within, message, bytes }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, bytes, message, .. } = self;
        match &self.within {
            None => write!(formatter, "template: :{line}: {message}"),
            Some(Within { template, expression }) => {
                let template = quote(template.as_bytes());
                write!(
                    formatter,
                    "template: :{line}:{bytes}: executing {template} at <{expression}>: {message}"
                )
            }
        }
    }
}

impl std::error::Error for Failure {}
