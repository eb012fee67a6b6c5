//! A template, parsed once and rendered as often as its data changes.

use std::collections::{BTreeMap, BTreeSet};

use crate::failure::Failure;
use crate::lexer::Delimiters;
use crate::node::Body;
use crate::parser;

/// A parsed template.
pub struct Template {
    pub(crate) source: Vec<u8>,
    pub(crate) bodies: BTreeMap<String, Body>,
    pub(crate) error_on_missing_key: bool,
    pub(crate) denied: BTreeSet<String>,
}

/// How a template is written and what it may do: keys of its configuration.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What begins an action; `{{` if this is nothing or empty.
    pub left_delimiter: Option<String>,
    /// What ends an action; `}}` if this is nothing or empty.
    pub right_delimiter: Option<String>,
    /// Whether a key that a map doesn't have is an error.
    pub error_on_missing_key: bool,
    /// Functions that may not be called.
    pub function_denylist: BTreeSet<String>,
}

impl Template {
    /// Parses a template.
    pub fn parse(source: &[u8], options: &Options) -> Result<Self, Failure> {
        let or = |delimiter: &Option<String>, default: &str| match delimiter.as_deref() {
            None | Some("") => default.to_owned(),
            Some(delimiter) => delimiter.to_owned(),
        };
        let delimiters = Delimiters {
            left: or(&options.left_delimiter, "{{"),
            right: or(&options.right_delimiter, "}}"),
        };
        let bodies = parser::parse(source, &delimiters)
            .map_err(|wrong| Failure::new(source, wrong.at, None, wrong.message))?;
        Ok(Self {
            source: source.to_vec(),
            bodies,
            error_on_missing_key: options.error_on_missing_key,
            denied: options.function_denylist.clone(),
        })
    }
}
