//! The source of one setting: command line before environment before files.

use crate::diagnostic::{Diagnostic, Location};
use crate::fields::{Located, Report};
use crate::part::CONNECTION_USERS;
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

/// Chooses between the sources.
pub(crate) struct Choice<'a> {
    pub(crate) environment: &'a Environment<'a>,
}

impl Choice<'_> {
    /// None: set nowhere, or blanked.
    pub(crate) fn text(
        &self,
        (flag, given): (&'static str, &Option<String>),
        variable: &str,
        file: Option<Located<String>>,
    ) -> Option<Text> {
        let text = if let Some(value) = given.clone() {
            Text { value, origin: Origin::Flag(flag) }
        } else if let Some((value, name)) = self.environment.get(variable) {
            Text { value, origin: Origin::Variable(name) }
        } else {
            let file = file?;
            Text { value: file.value, origin: Origin::File(file.location) }
        };
        (!text.value.trim().is_empty()).then_some(text)
    }

    /// A variable that isn't empty.
    pub(crate) fn variable(&self, name: &str) -> Option<(String, String)> {
        self.environment.get(name).filter(|(value, _)| !value.trim().is_empty())
    }

    /// A variable that is true or false; false if it isn't set.
    pub(crate) fn switch(&self, name: &str, report: &mut Report) -> bool {
        let Some((text, name)) = self.variable(name) else { return false };
        values::boolean(text.trim()).unwrap_or_else(|| {
            let message = format!("{name} is neither true nor false");
            report.push(Diagnostic::new_error("environment", message, "write true or false", None));
            false
        })
    }

    /// A comma-separated list in any case; replaces that of the files.
    pub(crate) fn disabled(&self, variable: &str, report: &mut Report) -> Option<bool> {
        let (text, name) = self.environment.get(variable)?;
        let lower = text.to_lowercase();
        for user in lower.split(',').map(str::trim).filter(|user| !CONNECTION_USERS.contains(user))
        {
            let message = format!("{name} knows no \"{user}\"");
            report.push(Diagnostic::new_error("environment", message, "write auto-auth", None));
        }
        Some(lower.split(',').any(|user| user.trim() == "auto-auth"))
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
