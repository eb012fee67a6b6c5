//! The forms of a block with a type and settings of its own, `method` and `sink`: where its type
//! stands, and where its `config`.

use crate::diagnostic::{Diagnostic, Location};
use crate::fields::{Fields, Nested, Report};
use crate::schema;
use crate::tree::{Object, Value};

/// In JSON a label looks like a key: `{"method": {"approle": {…}}}`. The incumbents take it in
/// some places and refuse it in others; here it means what it means in HCL.
pub(crate) fn unlabelled<'a>(
    nested: &Nested<'a>,
    name: &str,
    block: &'static schema::Block,
    report: &mut Report,
) -> Nested<'a> {
    if nested.labels.is_empty()
        && let [item] = nested.object.items.as_slice()
        && block.key(&item.key.text).is_none()
    {
        let inner = match &item.node.value {
            Value::Object(object) => Some(object),
            Value::List(nodes) => match nodes.as_slice() {
                [node] => match &node.value {
                    Value::Object(object) => Some(object),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        };
        if let Some(object) = inner {
            let kind = &item.key.text;
            report.push(Diagnostic::new_warning(
                "type-as-key",
                format!("the type of this {name} is written as a key around it"),
                format!("write type = \"{kind}\" (HCL) or \"type\": \"{kind}\" (JSON) beside its other keys; other agents refuse this form"),
                Some(&item.key.location),
            ));
            return Nested {
                labels: std::slice::from_ref(&item.key),
                object,
                location: nested.location,
            };
        }
    }
    nested.clone()
}

/// The type, before anything is judged; "" if there is none.
pub(crate) fn declared_kind(nested: &Nested<'_>) -> String {
    let written =
        nested.object.items.iter().rfind(|item| item.key.text.eq_ignore_ascii_case("type"));
    match written.map(|item| &item.node.value) {
        Some(Value::String(kind)) => kind.clone(),
        _ => nested.labels.first().map_or_else(String::new, |label| label.text.to_lowercase()),
    }
}

/// `type` as it is written goes before the label, which counts in lower case.
pub(crate) fn kind(
    fields: &Fields<'_>,
    nested: &Nested<'_>,
    name: &str,
    example: &str,
    report: &mut Report,
) -> Option<String> {
    let written = fields.string("type", report);
    if let Some(kind) = written.filter(|kind| !kind.value.is_empty()) {
        return Some(kind.value);
    }
    match nested.labels {
        [label] if !label.text.is_empty() => Some(label.text.to_lowercase()),
        _ => {
            report.push(Diagnostic::new_error(
                format!("{name}.type"),
                format!("this {name} has no type"),
                format!("write {name} \"{example}\" {{ … }}, or type = \"{example}\" in it"),
                Some(nested.location),
            ));
            None
        }
    }
}

/// The same in lower case, as it counts where no plug-in is named; "" if there is none.
pub(crate) fn lower_kind(fields: &Fields<'_>, nested: &Nested<'_>) -> String {
    let written = fields.string("type", &mut Report::new()).filter(|text| !text.value.is_empty());
    let label = || match nested.labels {
        [label] => label.text.clone(),
        _ => String::new(),
    };
    written.map_or_else(label, |text| text.value).to_lowercase()
}

pub(crate) fn config_location(fields: &Fields<'_>, around: &Location) -> Location {
    let blocks = fields.blocks("config", &mut Report::new());
    blocks.first().map_or(around, |block| block.location).clone()
}

/// Several `config` blocks are one.
pub(crate) fn merged_config(fields: &Fields<'_>, report: &mut Report) -> Object {
    let mut merged = Object::default();
    for block in fields.blocks("config", report) {
        if let Some(label) = block.labels.first() {
            report.push(Diagnostic::new_error(
                "label",
                "a `config` block takes no label",
                "write config { … }",
                Some(&label.location),
            ));
        }
        merged.items.extend(block.object.items.iter().cloned());
    }
    merged
}
