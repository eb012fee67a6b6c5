//! Judges a value by what the schema says its key takes, where no setting is made of it.

use crate::diagnostic::Diagnostic;
use crate::fields::{Fields, Nested, Report};
use crate::meant;
use crate::schema::{Block, Kind, State, WAIT};
use crate::settings::TokenUse;
use crate::tree::{Number, NumberValue, Value};
use crate::values;

/// What the incumbents know; `SIGNULL` sends nothing.
const SIGNALS: [&str; 31] = [
    "SIGABRT", "SIGALRM", "SIGBUS", "SIGCHLD", "SIGCONT", "SIGFPE", "SIGHUP", "SIGILL", "SIGINT",
    "SIGIO", "SIGIOT", "SIGKILL", "SIGNULL", "SIGPIPE", "SIGPROF", "SIGQUIT", "SIGSEGV", "SIGSTOP",
    "SIGSYS", "SIGTERM", "SIGTRAP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGUSR1",
    "SIGUSR2", "SIGWINCH", "SIGXCPU", "SIGXFSZ", "",
];

/// Set-user-id and the like included.
const PERMISSION_BITS: u64 = 0o7777;

impl Fields<'_> {
    /// Judges what has no effect and makes no setting.
    pub(crate) fn judge_without_effect(&self, report: &mut Report) {
        for key in self.block.keys {
            if matches!(key.state, State::NoEffect(_)) {
                self.judge_key(key.name, key.kind, report);
            }
        }
    }

    fn judge_key(&self, key: &'static str, kind: Kind, report: &mut Report) {
        match kind {
            Kind::Text => drop(self.string(key, report)),
            Kind::Choice(choices) => drop(self.choice(key, choices, report)),
            Kind::Boolean => drop(self.strict_boolean(key, report)),
            Kind::WeakBoolean => drop(self.weak_boolean(key, report)),
            Kind::Duration => drop(self.duration(key, report)),
            Kind::Integer => drop(self.integer(key, report)),
            Kind::Size => drop(self.size(key, report)),
            Kind::Strings => drop(self.strings(key, report)),
            Kind::Block(block) => {
                if let Some(nested) = self.block(key, report) {
                    judge(&nested, block, report);
                }
            }
            Kind::Typed(block) => {
                for nested in self.typed_blocks(key, block, report) {
                    judge(&nested, block, report);
                }
            }
            Kind::Named(block) => {
                for (_, nested) in self.named_blocks(key, block, report) {
                    judge(&nested, block, report);
                }
            }
            Kind::Settings => drop(self.blocks(key, report)),
            Kind::TokenUse => drop(self.token_use(key, report)),
            Kind::SwitchOrBlock(block) => match self.block_within(key) {
                Some(nested) => drop(judge(&nested, block, report)),
                None => drop(self.weak_boolean(key, report)),
            },
            Kind::StrictText => {
                self.judge_value(key, "a string", report, unknown, |value| {
                    matches!(value, Value::String(_))
                });
            }
            Kind::StrictInteger => {
                self.judge_value(key, "a whole number without quotes", report, unknown, |value| {
                    matches!(value, Value::Number(Number { value: NumberValue::Integer(_), .. }))
                });
            }
            Kind::GoDuration => {
                self.judge_value(key, "a duration such as \"30s\"", report, go_duration, |value| {
                    match value {
                        Value::Number(_) => true,
                        Value::String(text) => values::is_go_duration(text),
                        _ => false,
                    }
                });
            }
            Kind::Command => {
                self.judge_value(key, "a string or a list of strings", report, unknown, |value| {
                    match value {
                        Value::String(_) => true,
                        Value::List(nodes) => {
                            nodes.iter().all(|node| matches!(node.value, Value::String(_)))
                        }
                        _ => false,
                    }
                });
            }
            Kind::Signal => {
                self.judge_value(key, "a signal such as \"SIGTERM\"", report, signal, |value| {
                    matches!(value, Value::String(text)
                    if SIGNALS.contains(&text.to_ascii_uppercase().as_str()))
                });
            }
            Kind::Permissions => {
                self.judge_value(
                    key,
                    "octal permissions such as \"0640\"",
                    report,
                    permissions,
                    |value| match value {
                        Value::String(text) => {
                            u64::from_str_radix(text, 8).is_ok_and(|bits| bits <= PERMISSION_BITS)
                        }
                        Value::Number(number) => match number.value {
                            NumberValue::Integer(bits) => bits >= 0,
                            NumberValue::Float(bits) => bits >= 0.0,
                        },
                        _ => false,
                    },
                );
            }
            Kind::Wait => self.judge_wait(key, report),
            Kind::Any => {}
        }
    }

    fn judge_value(
        &self,
        key: &str,
        takes: &str,
        report: &mut Report,
        meant: impl Fn(&Value) -> Option<String>,
        fits: impl Fn(&Value) -> bool,
    ) {
        if let Some(node) = self.last(key, report).filter(|node| !fits(&node.value)) {
            let given = match &node.value {
                Value::String(text) => format!("{text:?}"),
                other => other.description().to_owned(),
            };
            let help = meant(&node.value)
                .map_or_else(String::new, |meant| format!("write {key} = \"{meant}\""));
            report.push(self.mismatch(key, takes, &given, help, &node.location));
        }
    }

    /// The index of the value among `choices`; anything else is an error.
    pub(crate) fn choice(&self, key: &str, choices: &[&str], report: &mut Report) -> Option<usize> {
        let text = self.string(key, report)?;
        let found = choices.iter().position(|choice| *choice == text.value);
        if found.is_none() {
            let choices: Vec<String> =
                choices.iter().map(|choice| format!("\"{choice}\"")).collect();
            report.push(Diagnostic::new_error(
                key,
                format!("`{key}` is {:?}", text.value),
                format!("write {}", choices.join(" or ")),
                Some(&text.location),
            ));
        }
        found
    }

    /// `use_auto_auth_token`.
    pub(crate) fn token_use(&self, key: &str, report: &mut Report) -> Option<TokenUse> {
        let node = self.last(key, report)?;
        if matches!(&node.value, Value::String(text) if text.eq_ignore_ascii_case("force")) {
            return Some(TokenUse::Always);
        }
        let yes = self.weak_boolean(key, &mut Report::new());
        if yes.is_none() {
            let message = format!("`{key}` in {} takes true, false or \"force\"", self.block.name);
            let help = format!("write {key} = true: callers without a token get the agent's");
            report.push(Diagnostic::new_error("type", message, help, Some(&node.location)));
        }
        yes.map(|yes| if yes.value { TokenUse::WhenAbsent } else { TokenUse::Never })
    }

    /// The block, of a key that takes other values, too.
    pub(crate) fn block_within(&self, key: &str) -> Option<Nested<'_>> {
        let node = self.last(key, &mut Report::new())?;
        match &node.value {
            Value::Object(object) => Some(Nested { labels: &[], object, location: &node.location }),
            _ => None,
        }
    }

    fn judge_wait(&self, key: &str, report: &mut Report) {
        let Some(node) = self.last(key, report) else { return };
        match &node.value {
            Value::String(text) => {
                let (min, max) = text.split_once(':').unwrap_or((text, ""));
                let length = |text: &str| {
                    (!text.starts_with('-') && values::is_go_duration(text))
                        .then(|| values::duration(text))
                        .flatten()
                };
                let fits = match (length(min), max.is_empty()) {
                    (Some(_), true) => true,
                    (Some(min), false) => length(max).is_some_and(|max| min <= max),
                    (None, _) => false,
                };
                if !fits {
                    let given = format!("{text:?}");
                    let takes = "\"MIN\" or \"MIN:MAX\" such as \"2s:10s\"";
                    report.push(self.mismatch(key, takes, &given, "", &node.location));
                }
            }
            Value::Object(object) => {
                let nested = Nested { labels: &[], object, location: &node.location };
                judge(&nested, &WAIT, report);
            }
            other => report.push(self.mismatch(
                key,
                "a string or a block",
                other.description(),
                "write wait { min = \"2s\" max = \"10s\" }",
                &node.location,
            )),
        }
    }
}

/// Where nobody knows what was meant.
fn unknown(_: &Value) -> Option<String> {
    None
}

/// Seconds want their unit; days are none of Go's.
fn go_duration(value: &Value) -> Option<String> {
    let text = meant::text_of(value)?;
    let seconds = || text.trim().parse::<u64>().ok().map(|seconds| format!("{seconds}s"));
    meant::duration(text).filter(|meant| values::is_go_duration(meant)).or_else(seconds)
}

/// `"TERM"`, `"sigterm "`.
fn signal(value: &Value) -> Option<String> {
    let text = meant::text_of(value)?.trim().to_ascii_uppercase();
    let with_prefix = format!("SIG{text}");
    let mut known = SIGNALS.iter().filter(|name| !name.is_empty());
    known.find(|name| **name == text || **name == with_prefix).map(|name| (*name).to_owned())
}

/// `"0o640"`.
fn permissions(value: &Value) -> Option<String> {
    let text = meant::text_of(value)?.trim();
    let digits = text.trim_start_matches(['0', 'o', 'O']);
    let bits = u64::from_str_radix(digits, 8).ok().filter(|bits| *bits <= PERMISSION_BITS)?;
    Some(format!("0{bits:o}"))
}

/// Judges each key of a block; the fields serve for further rules.
pub(crate) fn judge<'a>(
    nested: &Nested<'a>,
    block: &'static Block,
    report: &mut Report,
) -> Fields<'a> {
    let fields = Fields::of(nested.object, block, report);
    for key in block.keys {
        fields.judge_key(key.name, key.kind, report);
    }
    fields
}
