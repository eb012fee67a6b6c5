//! `spew`: values with their types, for whoever looks for what a template is given.

use std::fmt::Write as _;

use crate::float::format_float;
use crate::format;
use crate::function::Kind::{Any, Text};
use crate::function::{Function, variadic};
use crate::json::DEPTH;
use crate::quote::quote;
use crate::value::Value;

pub(crate) const FUNCTIONS: &[Function] = &[
    // These two print to the incumbents' standard output; here a template has none.
    variadic("spew_dump", &[Any], |_, _| Ok(Value::string(""))),
    variadic("spew_printf", &[Text, Any], |_, _| Ok(Value::string(""))),
    variadic("spew_sdump", &[Any], |evaluator, arguments| {
        let mut out = String::new();
        for value in arguments.0 {
            dump(&mut out, value, 0, evaluator.meter.bytes())?;
            out.push('\n');
        }
        Ok(Value::string(out))
    }),
    variadic("spew_sprintf", &[Text, Any], |evaluator, arguments| {
        let limit = evaluator.meter.bytes();
        format::printf(arguments.bytes(0), arguments.rest(1), limit).map(Value::string)
    }),
];

fn dump(out: &mut String, value: &Value, depth: usize, limit: usize) -> Result<(), String> {
    if out.len() > limit {
        return Err(crate::budget::too_long(limit));
    }
    if depth > DEPTH {
        out.push_str("<max depth reached>");
        return Ok(());
    }
    let name = value.type_name();
    match value {
        Value::Missing | Value::Nil => out.push_str("(interface {}) <nil>"),
        Value::NilPointer(_) => {
            let _ = write!(out, "({name})(<nil>)");
        }
        Value::String(text) => {
            let quoted = quote(text.bytes());
            let _ = write!(out, "({name}) (len={}) {quoted}", text.len());
        }
        Value::Number(text) => {
            let _ = write!(out, "({name}) (len={}) {}", text.len(), text.text());
        }
        Value::Float(number) => {
            let _ = write!(out, "({name}) {}", format_float(*number, 'g', None));
        }
        Value::List(list) => {
            let length = list.items().len();
            let _ = write!(out, "({name}) (len={length} cap={length}) ");
            let items = list.items().iter().map(|item| (None, item.clone())).collect();
            block(out, items, depth, limit)?;
        }
        Value::Map(map) => {
            let _ = write!(out, "({name}) (len={}) ", map.len());
            let entries = map.entries().into_iter();
            let entries = entries.map(|(key, item)| (Some(key.value()), item)).collect();
            block(out, entries, depth, limit)?;
        }
        other => {
            let text = format::print(std::slice::from_ref(other), limit)?;
            let _ = write!(out, "({name}) {}", String::from_utf8_lossy(&text));
        }
    }
    Ok(())
}

fn block(
    out: &mut String,
    items: Vec<(Option<Value>, Value)>,
    depth: usize,
    limit: usize,
) -> Result<(), String> {
    out.push_str("{\n");
    let count = items.len();
    for (index, (key, item)) in items.into_iter().enumerate() {
        out.push_str(&" ".repeat(depth + 1));
        if let Some(key) = key {
            dump(out, &key, depth + 1, limit)?;
            out.push_str(": ");
        }
        dump(out, &item, depth + 1, limit)?;
        out.push_str(if index + 1 < count { ",\n" } else { "\n" });
    }
    out.push_str(&" ".repeat(depth));
    out.push('}');
    Ok(())
}
