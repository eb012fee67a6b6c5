//! Fields and methods behind a value.

use super::{At, Evaluator};
use crate::node::Operand;
use crate::quote::quote;
use crate::value::{Key, MapType, Str, Value};

/// The type of what `pkiCert` gives.
pub(super) const PEM: &str = "dependency.PemEncoded";

/// What stands behind the last field, and what the command before gave.
pub(super) type Behind<'a> = Option<(&'a [Operand], Option<Value>)>;

impl<'a> Evaluator<'a> {
    /// Follows fields from a value; a method that is the last of them gets the arguments.
    pub(super) fn chain(
        &mut self,
        dot: &Value,
        mut receiver: Value,
        at: &'a Operand,
        names: &[String],
        behind: Behind<'a>,
    ) -> Result<Value, String> {
        let Some((last, names)) = names.split_last() else { return Ok(receiver) };
        let mut from_map = false;
        for name in names {
            let before = from_map;
            from_map = matches!(receiver, Value::Map(_));
            receiver = self.field(dot, receiver, at, name, None, before)?;
        }
        self.field(dot, receiver, at, last, behind, from_map)
    }

    fn field(
        &mut self,
        dot: &Value,
        receiver: Value,
        at: &'a Operand,
        name: &str,
        behind: Behind<'a>,
        from_map: bool,
    ) -> Result<Value, String> {
        let static_type = if from_map { "interface {}" } else { receiver.type_name() };
        let no_field = Err(format!("can't evaluate field {name} in type {static_type}"));
        let (written, last) = behind.unwrap_or((&[], None));
        let has_arguments = !written.is_empty() || last.is_some();
        match &receiver {
            Value::Missing if self.template.error_on_missing_key => {
                Err(format!("nil data; no entry for key {}", quote(name.as_bytes())))
            }
            Value::Missing => Ok(Value::Missing),
            Value::Nil => Err(format!("nil pointer evaluating interface {{}}.{name}")),
            Value::NilPointer(pointer) => Err(format!("nil pointer evaluating {pointer}.{name}")),
            Value::Map(_) if has_arguments => {
                Err(format!("{name} is not a method but has arguments"))
            }
            Value::Map(map) => match map.get(&Key::String(name.into())) {
                Some(value) => Ok(value),
                None if self.template.error_on_missing_key => {
                    Err(format!("map has no entry for key {}", quote(name.as_bytes())))
                }
                None if map.of == MapType::StringString => Ok(Value::string("")),
                None => Ok(Value::Nil),
            },
            Value::Number(text) => {
                let arguments = match name {
                    "String" | "Int64" | "Float64" => {
                        self.method_arguments(dot, name, 0, written, last)?
                    }
                    _ => return no_field,
                };
                debug_assert!(arguments.is_empty());
                let result = number_method(text, name);
                self.called(at, name, result)
            }
            // Its method gives the certificate itself.
            Value::Object(object) if name == "Data" && object.type_name() == PEM => Ok(receiver),
            Value::Object(object) => {
                if let Some(arity) = object.arity(name) {
                    let arguments = self.method_arguments(dot, name, arity, written, last)?;
                    let result = object.call(name, &arguments).unwrap_or(Ok(Value::Missing));
                    return self.called(at, name, result);
                }
                match object.fields().iter().find(|(field, _)| *field == name) {
                    Some(_) if has_arguments => {
                        Err(format!("{name} has arguments but cannot be invoked as function"))
                    }
                    Some((_, value)) => Ok(value.clone()),
                    None => no_field,
                }
            }
            _ => no_field,
        }
    }

    fn method_arguments(
        &mut self,
        dot: &Value,
        name: &str,
        arity: usize,
        written: &'a [Operand],
        last: Option<Value>,
    ) -> Result<Vec<Value>, String> {
        let count = written.len() + usize::from(last.is_some());
        if arity != usize::MAX && count != arity {
            return Err(format!("wrong number of args for {name}: want {arity} got {count}"));
        }
        let mut arguments = Vec::with_capacity(count);
        for operand in written {
            arguments.push(self.argument(dot, operand, crate::function::Kind::Any)?);
        }
        arguments.extend(last);
        Ok(arguments)
    }

    fn called(
        &mut self,
        at: &'a Operand,
        name: &str,
        result: Result<Value, String>,
    ) -> Result<Value, String> {
        result.map_err(|message| {
            self.at = At::Operand(at);
            format!("error calling {name}: {message}")
        })
    }
}

fn number_method(text: &Str, name: &str) -> Result<Value, String> {
    let failed = |function: &str, why: &str| {
        format!("strconv.{function}: parsing {}: {why}", quote(text.shown().as_bytes()))
    };
    match name {
        "Int64" => match text.text().parse() {
            Ok(number) => Ok(Value::int64(number)),
            Err(error) => Err(failed("ParseInt", why_no_integer(&error))),
        },
        "Float64" => match crate::number::parse_float(&text.text()) {
            Some(number) => Ok(Value::Float(number)),
            None => Err(failed("ParseFloat", "invalid syntax")),
        },
        _ => Ok(Value::String(text.clone())),
    }
}

/// Go's words for why a text is no integer.
pub(crate) fn why_no_integer(error: &std::num::ParseIntError) -> &'static str {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    match error.kind() {
        PosOverflow | NegOverflow => "value out of range",
        _ => "invalid syntax",
    }
}
