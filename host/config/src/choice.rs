//! The source of one setting: command line before environment before files.
//!
//! Which flag and which variables speak of a setting stands in its definition. A variable that is
//! set wins even if it is empty: it blanks what the files say.

use crate::diagnostic::{Diagnostic, Location};
use crate::fields::{Located, Report};
use crate::overrides::Overrides;
use crate::schema::Block;
use crate::values;
use crate::variables::Environment;

/// Where a text came from.
pub(crate) enum Origin {
    Flag(&'static str),
    Variable(String),
    File(Location),
}

/// What a source says of a setting.
pub(crate) struct Text {
    pub(crate) value: String,
    pub(crate) origin: Origin,
}

impl Text {
    pub(crate) fn error(&self, code: &str, message: &str, help: &str) -> Diagnostic {
        match &self.origin {
            Origin::Flag(name) => {
                Diagnostic::new_error(code, format!("--{name}: {message}"), help, None)
            }
            Origin::Variable(name) => {
                Diagnostic::new_error(code, format!("{name}: {message}"), help, None)
            }
            Origin::File(location) => Diagnostic::new_error(code, message, help, Some(location)),
        }
    }
}

/// Chooses between the sources of a key, which is named by its block and its name there.
pub(crate) struct Choice<'a> {
    pub(crate) overrides: &'a Overrides,
    pub(crate) environment: &'a Environment<'a>,
}

impl Choice<'_> {
    /// None: set nowhere, or blanked.
    pub(crate) fn text(
        &self,
        block: &'static Block,
        key: &str,
        file: Option<Located<String>>,
    ) -> Option<Text> {
        let text = if let Some((flag, value)) = self.flag(block, key) {
            Text { value: value.to_owned(), origin: Origin::Flag(flag) }
        } else if let Some((value, name)) = self.set_variable(block, key) {
            Text { value, origin: Origin::Variable(name) }
        } else {
            let file = file?;
            Text { value: file.value, origin: Origin::File(file.location) }
        };
        (!text.value.trim().is_empty()).then_some(text)
    }

    /// The flag's name and what follows it, if it is given.
    pub(crate) fn flag(&self, block: &'static Block, key: &str) -> Option<(&'static str, &str)> {
        self.overrides.get(block.key(key)?.flag.as_ref()?)
    }

    /// A flag that is true or false.
    pub(crate) fn flag_switch(
        &self,
        block: &'static Block,
        key: &str,
        report: &mut Report,
    ) -> Option<bool> {
        let (flag, text) = self.flag(block, key)?;
        let value = values::boolean(text);
        if value.is_none() {
            let message = format!("--{flag} is neither true nor false");
            report.push(Diagnostic::new_error(key, message, "write true or false", None));
        }
        value
    }

    /// A variable that is set, be it to nothing: its value and its whole name.
    pub(crate) fn set_variable(
        &self,
        block: &'static Block,
        key: &str,
    ) -> Option<(String, String)> {
        block.key(key)?.variables.iter().find_map(|name| self.look_up(name))
    }

    /// A variable that isn't empty.
    pub(crate) fn variable(&self, block: &'static Block, key: &str) -> Option<(String, String)> {
        let filled =
            |name: &&'static str| self.look_up(name).filter(|(value, _)| !value.trim().is_empty());
        block.key(key)?.variables.iter().find_map(filled)
    }

    /// Value and whole name of a variable that a key names.
    fn look_up(&self, name: &'static str) -> Option<(String, String)> {
        self.environment.get(&self.overrides.dialect.variable(name))
    }

    /// A variable that is true or false; false if it isn't set.
    pub(crate) fn variable_switch(
        &self,
        block: &'static Block,
        key: &str,
        report: &mut Report,
    ) -> bool {
        let Some((text, name)) = self.variable(block, key) else { return false };
        values::boolean(text.trim()).unwrap_or_else(|| {
            let message = format!("{name} is neither true nor false");
            report.push(Diagnostic::new_error("environment", message, "write true or false", None));
            false
        })
    }
}

/// What a file says was checked when it was read.
pub(crate) fn parsed<T: Default>(
    text: Option<Text>,
    parse: impl Fn(&str) -> Option<T>,
    (code, message, help): (&str, &str, &str),
    report: &mut Report,
) -> T {
    let Some(text) = text else { return T::default() };
    parse(&text.value).unwrap_or_else(|| {
        if !matches!(text.origin, Origin::File(_)) {
            report.push(text.error(code, &format!("{message} \"{}\"", text.value), help));
        }
        T::default()
    })
}
