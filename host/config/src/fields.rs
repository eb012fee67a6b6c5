//! Typed access to the keys of one block; what doesn't fit becomes a located problem.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::diagnostic::{Diagnostic, Location};
use crate::meant;
use crate::schema::{Block, State};
use crate::tree::{Item, Name, Node, Number, NumberValue, Object, Value};
use crate::values;

/// Problems in the order in which they were found.
pub(crate) type Report = Vec<Diagnostic>;

/// A value with the place where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) location: Location,
}

/// One block of possibly several with the same key.
#[derive(Clone, Debug)]
pub(crate) struct Nested<'a> {
    pub(crate) labels: &'a [Name],
    pub(crate) object: &'a Object,
    pub(crate) location: &'a Location,
}

/// The known keys of a block. Keys match in any case, as with the incumbents.
pub(crate) struct Fields<'a> {
    pub(crate) block: &'static Block,
    items: BTreeMap<&'static str, Vec<&'a Item>>,
}

impl<'a> Fields<'a> {
    /// Sorts the items by key; reports those that are unknown, not built or without effect.
    pub(crate) fn of(object: &'a Object, block: &'static Block, report: &mut Report) -> Self {
        Self::around_settings(object, block, &Vec::new, report)
    }

    /// The same of a block with a `config` block in it, whose keys are `settings`.
    pub(crate) fn around_settings(
        object: &'a Object,
        block: &'static Block,
        settings: &dyn Fn() -> Vec<String>,
        report: &mut Report,
    ) -> Self {
        let mut items: BTreeMap<&'static str, Vec<&'a Item>> = BTreeMap::new();
        for item in &object.items {
            let (name, place) = (&item.key.text, Some(&item.key.location));
            match block.key(name).map(|key| (key.name, key.state)) {
                Some((key, State::Built | State::Beside)) => {
                    items.entry(key).or_default().push(item);
                }
                Some((key, State::NotBuilt(help))) => {
                    report.push(Diagnostic::new_error(
                        "unsupported",
                        format!("`{key}` in {} is not supported by this version", block.name),
                        help,
                        place,
                    ));
                    items.entry(key).or_default().push(item);
                }
                Some((key, State::Deprecated(help))) => {
                    report.push(Diagnostic::new_warning(
                        "deprecated",
                        format!("`{key}` in {} is deprecated", block.name),
                        help,
                        place,
                    ));
                    items.entry(key).or_default().push(item);
                }
                Some((key, State::NoEffect(reason))) => {
                    report.push(Diagnostic::new_warning(
                        "no-effect",
                        format!("`{key}` has no effect"),
                        reason,
                        place,
                    ));
                    items.entry(key).or_default().push(item);
                }
                None => {
                    // Written as `wrap_ttl = 30 s`, with another block on the next line.
                    let follows = |label: &Name| block.key(&label.text).is_some();
                    let stray = item.labels.first().filter(|label| follows(label));
                    let help = stray
                        .and_then(|_| meant::help_for_stray(name))
                        .unwrap_or_else(|| block.suggestion(name, &settings()));
                    report.push(unknown_key(block, block.name, name, help, &item.key.location));
                }
            }
        }
        Self { block, items }
    }

    /// Whether the key is there, with whatever value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.items.contains_key(key)
    }

    /// The last value of a key that takes one, if any; null is "not set".
    pub(crate) fn last(&self, key: &str, report: &mut Report) -> Option<&'a Node> {
        let item = self.items.get(key)?.last()?;
        if let Some(label) = item.labels.first() {
            report.push(self.mismatch(key, "one value", "a labelled block", "", &label.location));
            return None;
        }
        (!matches!(item.node.value, Value::Null)).then_some(&item.node)
    }

    pub(crate) fn mismatch(
        &self,
        key: &str,
        takes: &str,
        given: &str,
        help: impl Into<String>,
        location: &Location,
    ) -> Diagnostic {
        let message = format!("`{key}` in {} takes {takes}, not {given}", self.block.name);
        Diagnostic::new_error("type", message, help, Some(location))
    }

    /// A string; a whole number counts as its text.
    pub(crate) fn string(&self, key: &str, report: &mut Report) -> Option<Located<String>> {
        let node = self.last(key, report)?;
        let location = node.location.clone();
        match &node.value {
            Value::String(text) => Some(Located { value: text.clone(), location }),
            Value::Number(Number { text, value: NumberValue::Integer(_) }) => {
                Some(Located { value: text.clone(), location })
            }
            other => {
                let help = format!("write {key} = \"…\"");
                report.push(self.mismatch(key, "a string", other.description(), help, &location));
                None
            }
        }
    }

    /// `true` or `false` and nothing else.
    pub(crate) fn strict_boolean(&self, key: &str, report: &mut Report) -> Option<bool> {
        let node = self.last(key, report)?;
        if let Value::Bool(value) = node.value {
            return Some(value);
        }
        let help = match meant::boolean_of(&node.value) {
            Some(meant) => format!("write {key} = {meant}, without quotes"),
            None => format!("write {key} = true or {key} = false, without quotes"),
        };
        let given = node.value.description();
        report.push(self.mismatch(key, "true or false", given, help, &node.location));
        None
    }

    /// Also a number (0 is false) and a string as Go's `ParseBool` takes it.
    pub(crate) fn weak_boolean(&self, key: &str, report: &mut Report) -> Option<Located<bool>> {
        let node = self.last(key, report)?;
        let value = match &node.value {
            Value::Bool(value) => Some(*value),
            Value::Number(number) => Some(match number.value {
                NumberValue::Integer(value) => value != 0,
                NumberValue::Float(value) => value != 0.0,
            }),
            Value::String(text) => values::boolean(text),
            _ => None,
        };
        if value.is_none() {
            let help = match meant::boolean_of(&node.value) {
                Some(meant) => format!("write {key} = {meant}"),
                None => format!("write {key} = true or {key} = false"),
            };
            let message = format!("`{key}` in {} is neither true nor false", self.block.name);
            report.push(Diagnostic::new_error("type", message, help, Some(&node.location)));
        }
        value.map(|value| Located { value, location: node.location.clone() })
    }

    /// A number of seconds, or a string as [`values::duration`] takes it.
    pub(crate) fn duration(&self, key: &str, report: &mut Report) -> Option<Located<Duration>> {
        let node = self.last(key, report)?;
        let value = match &node.value {
            Value::Number(number) => match number.value {
                NumberValue::Integer(value) => {
                    Some(Duration::from_secs(u64::try_from(value).unwrap_or(0)))
                }
                NumberValue::Float(value) => values::seconds(value.trunc()),
            },
            Value::String(text) => values::duration(text),
            other => {
                let help = format!("write {key} = \"30s\"");
                report.push(self.mismatch(
                    key,
                    "a duration",
                    other.description(),
                    help,
                    &node.location,
                ));
                return None;
            }
        };
        if value.is_none() {
            let help = match meant::text_of(&node.value).and_then(meant::duration) {
                Some(meant) => format!("write {key} = \"{meant}\""),
                None => "write seconds (300), or a string: \"300ms\", \"1h30m\", \"2d\"".to_owned(),
            };
            report.push(Diagnostic::new_error(
                "duration",
                format!("`{key}` in {} is no duration", self.block.name),
                help,
                Some(&node.location),
            ));
        }
        value.map(|value| Located { value, location: node.location.clone() })
    }

    /// Bytes: a number, or a string as [`values::size`] takes it.
    pub(crate) fn size(&self, key: &str, report: &mut Report) -> Option<u64> {
        let node = self.last(key, report)?;
        let value = match &node.value {
            Value::Number(Number { value: NumberValue::Integer(value), .. }) => {
                u64::try_from(*value).ok()
            }
            Value::String(text) => values::size(text),
            _ => None,
        };
        if value.is_none_or(|bytes| bytes == 0) {
            let help = match meant::text_of(&node.value).and_then(meant::size) {
                Some(meant) => format!("write {key} = \"{meant}\""),
                None => "write bytes (67108864), or a string: \"64MiB\"".to_owned(),
            };
            report.push(Diagnostic::new_error(
                "size",
                format!("`{key}` in {} is no size", self.block.name),
                help,
                Some(&node.location),
            ));
            return None;
        }
        value
    }

    /// A whole number, also in a string.
    pub(crate) fn integer(&self, key: &str, report: &mut Report) -> Option<i64> {
        let node = self.last(key, report)?;
        let value = match &node.value {
            Value::Number(Number { value: NumberValue::Integer(value), .. }) => Some(*value),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        if value.is_none() {
            let given = node.value.description();
            report.push(self.mismatch(key, "a whole number", given, "", &node.location));
        }
        value
    }

    /// A list of strings.
    pub(crate) fn strings(&self, key: &str, report: &mut Report) -> Option<Vec<Located<String>>> {
        let node = self.last(key, report)?;
        let Value::List(nodes) = &node.value else {
            let help = format!("write {key} = [\"…\"]");
            let given = node.value.description();
            report.push(self.mismatch(key, "a list of strings", given, help, &node.location));
            return None;
        };
        let mut strings = Vec::new();
        for node in nodes {
            match &node.value {
                Value::String(text) => {
                    strings.push(Located { value: text.clone(), location: node.location.clone() });
                }
                other => report.push(self.mismatch(
                    key,
                    "a list of strings",
                    &format!("a list with {}", other.description()),
                    "",
                    &node.location,
                )),
            }
        }
        Some(strings)
    }

    /// All blocks of a key that takes names: `key "NAME" { … }`, in JSON also
    /// `{"key": {"NAME": {…}, …}}`. One without a name is an error.
    pub(crate) fn named_blocks(
        &self,
        key: &str,
        block: &'static Block,
        report: &mut Report,
    ) -> Vec<(String, Nested<'a>)> {
        let mut named = Vec::new();
        for nested in self.blocks(key, report) {
            match nested.labels {
                [name] if !name.text.is_empty() => named.push((name.text.clone(), nested)),
                [] if holds_names(&nested, block) => named.extend(names_within(&nested)),
                _ => report.push(Diagnostic::new_error(
                    format!("{key}.name"),
                    format!("a `{key}` block has one name"),
                    format!("write {key} \"NAME\" {{ … }}"),
                    Some(nested.location),
                )),
            }
        }
        named
    }

    /// All blocks of a key: `key { … }`, `key = { … }` and each object of `key = [{ … }]`.
    pub(crate) fn blocks(&self, key: &str, report: &mut Report) -> Vec<Nested<'a>> {
        let mut blocks = Vec::new();
        for &item in self.items.get(key).into_iter().flatten() {
            let nodes = match &item.node.value {
                Value::List(nodes) => nodes.as_slice(),
                Value::Null => &[],
                _ => std::slice::from_ref(&item.node),
            };
            for node in nodes {
                match &node.value {
                    Value::Object(object) => {
                        let from_list = matches!(item.node.value, Value::List(_));
                        let location = if from_list { &node.location } else { &item.key.location };
                        blocks.push(Nested { labels: &item.labels, object, location });
                    }
                    other => {
                        let help = format!("write {key} {{ … }}");
                        report.push(self.mismatch(
                            key,
                            "a block",
                            other.description(),
                            help,
                            &node.location,
                        ));
                    }
                }
            }
        }
        blocks
    }

    /// All blocks of a key, of which each has a type: in JSON also `{"key": {"TYPE": {…}}}`.
    pub(crate) fn typed_blocks(
        &self,
        key: &str,
        block: &'static Block,
        report: &mut Report,
    ) -> Vec<Nested<'a>> {
        let mut typed = Vec::new();
        for nested in self.blocks(key, report) {
            if block.key("type").is_some() && holds_names(&nested, block) {
                typed.extend(names_within(&nested).into_iter().map(|(_, nested)| nested));
            } else {
                typed.push(nested);
            }
        }
        typed
    }

    /// The only block of a key; a second one is an error.
    pub(crate) fn block(&self, key: &str, report: &mut Report) -> Option<Nested<'a>> {
        let blocks = self.blocks(key, report);
        if let [first, second, ..] = blocks.as_slice() {
            report.push(Diagnostic::new_error(
                "duplicate-block",
                format!("a second `{key}` block; the first is at {}", first.location),
                format!("keep one `{key}` block"),
                Some(second.location),
            ));
        }
        let block = blocks.into_iter().next()?;
        if let Some(label) = block.labels.first() {
            report.push(Diagnostic::new_warning(
                "label",
                format!("the label of a `{key}` block means nothing"),
                format!("write {key} {{ … }}"),
                Some(&label.location),
            ));
        }
        Some(block)
    }
}

/// A key that the incumbents would ignore, in `place`; in blocks of our own it is an error.
pub(crate) fn unknown_key(
    block: &Block,
    place: &str,
    name: &str,
    help: String,
    location: &Location,
) -> Diagnostic {
    let message = format!("{place} has no key `{name}`");
    if block.closed {
        return Diagnostic::new_error("unknown-key", message, help, Some(location));
    }
    let message = format!("{message}; it is ignored");
    Diagnostic::new_warning("unknown-key", message, help, Some(location))
}

/// Whether each key of a block is a name around another block, as in JSON.
fn holds_names(nested: &Nested<'_>, block: &'static Block) -> bool {
    let items = &nested.object.items;
    nested.labels.is_empty()
        && !items.is_empty()
        && items.iter().all(|item| {
            block.key(&item.key.text).is_none()
                && objects_in(&item.node).is_some_and(|objects| !objects.is_empty())
        })
}

/// The blocks in it, with their names.
fn names_within<'a>(nested: &Nested<'a>) -> Vec<(String, Nested<'a>)> {
    let object: &'a Object = nested.object;
    let mut named = Vec::new();
    for item in &object.items {
        for object in objects_in(&item.node).unwrap_or_default() {
            let labels = std::slice::from_ref(&item.key);
            let nested = Nested { labels, object, location: &item.key.location };
            named.push((item.key.text.clone(), nested));
        }
    }
    named
}

/// None: there is something else too.
fn objects_in(node: &Node) -> Option<Vec<&Object>> {
    let nodes = match &node.value {
        Value::List(nodes) => nodes.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let object = |node| match node {
        &Node { value: Value::Object(ref object), .. } => Some(object),
        _ => None,
    };
    nodes.iter().map(object).collect()
}
