//! Go's own functions.

use crate::compare::{equal, less};
use crate::escape;
use crate::eval::Evaluator;
use crate::format;
use crate::function::Kind::{Any, Text};
use crate::function::{Arguments, Function, fixed, variadic};
use crate::quote::quote;
use crate::value::{Key, List, MapType, Str, UintType, Value};

pub(crate) const FUNCTIONS: &[Function] = &[
    // The evaluator does these two: what follows the deciding argument isn't looked at.
    variadic("and", &[Any, Any], |_, arguments| Ok(arguments.any(0).clone())),
    variadic("or", &[Any, Any], |_, arguments| Ok(arguments.any(0).clone())),
    fixed("not", &[Any], |_, arguments| Ok(Value::Bool(!arguments.any(0).truth()))),
    fixed("len", &[Any], |_, arguments| len(arguments.any(0)).map(Value::int)),
    variadic("index", &[Any, Any], |_, arguments| index(arguments)),
    variadic("slice", &[Any, Any], |_, arguments| slice(arguments)),
    variadic("call", &[Any, Any], |_, arguments| {
        let callee = arguments.any(0);
        if callee.is_nil() {
            return Err("call of nil".to_owned());
        }
        let name = callee.type_name();
        Err(match callee {
            Value::String(text) | Value::Number(text) => {
                format!("non-function {} of type {name}", quote(text.shown().as_bytes()))
            }
            _ => format!("non-function of type {name}"),
        })
    }),
    variadic("print", &[Any], |evaluator, arguments| {
        format::print(arguments.0, evaluator.meter.bytes()).map(Value::string)
    }),
    variadic("println", &[Any], |evaluator, arguments| {
        format::println(arguments.0, evaluator.meter.bytes()).map(Value::string)
    }),
    variadic("printf", &[Text, Any], |evaluator, arguments| {
        let limit = evaluator.meter.bytes();
        format::printf(arguments.bytes(0), arguments.rest(1), limit).map(Value::string)
    }),
    variadic("html", &[Any], |evaluator, arguments| escaped(evaluator, arguments, escape::html)),
    variadic("js", &[Any], |evaluator, arguments| escaped(evaluator, arguments, escape::js)),
    variadic("urlquery", &[Any], |evaluator, arguments| {
        escaped(evaluator, arguments, escape::url_query)
    }),
    variadic("eq", &[Any, Any], |_, arguments| {
        let others = arguments.rest(1);
        if others.is_empty() {
            return Err("missing argument for comparison".to_owned());
        }
        for other in others {
            if equal(arguments.any(0), other)? {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    }),
    fixed("ne", &[Any, Any], |_, arguments| {
        Ok(Value::Bool(!equal(arguments.any(0), arguments.any(1))?))
    }),
    fixed("lt", &[Any, Any], |_, arguments| {
        less(arguments.any(0), arguments.any(1)).map(Value::Bool)
    }),
    fixed("le", &[Any, Any], |_, arguments| less_or_equal(arguments).map(Value::Bool)),
    fixed("gt", &[Any, Any], |_, arguments| Ok(Value::Bool(!less_or_equal(arguments)?))),
    fixed("ge", &[Any, Any], |_, arguments| {
        Ok(Value::Bool(!less(arguments.any(0), arguments.any(1))?))
    }),
];

fn less_or_equal(arguments: Arguments<'_>) -> Result<bool, String> {
    let (a, b) = (arguments.any(0), arguments.any(1));
    Ok(less(a, b)? || equal(a, b)?)
}

fn escaped(
    evaluator: &mut Evaluator<'_>,
    arguments: Arguments<'_>,
    escape: fn(&[u8]) -> Vec<u8>,
) -> Result<Value, String> {
    let text = match arguments.0 {
        [only] => format::print_action(only, evaluator.meter.bytes())?,
        several => format::print(several, evaluator.meter.bytes())?,
    };
    Ok(Value::string(escape(&text)))
}

fn len(value: &Value) -> Result<i64, String> {
    let length = match value {
        Value::String(text) | Value::Number(text) => text.len(),
        Value::List(list) => list.items().len(),
        Value::Map(map) => map.len(),
        // A channel has no buffer.
        Value::Channel(..) => 0,
        Value::Missing | Value::Nil => return Err("len of nil".to_owned()),
        Value::NilPointer(_) => return Err("len of nil pointer".to_owned()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(i64::try_from(length).unwrap_or(i64::MAX))
}

fn index(arguments: Arguments<'_>) -> Result<Value, String> {
    let mut item = arguments.any(0).clone();
    if item.is_nil() {
        return Err("index of untyped nil".to_owned());
    }
    for index in arguments.rest(1) {
        item = match &item {
            Value::Missing | Value::Nil | Value::NilPointer(_) => {
                return Err("index of nil pointer".to_owned());
            }
            Value::List(list) => {
                let place = place(index, list.items().len())?;
                let item = list.items().get(place).cloned();
                item.ok_or_else(|| "reflect: slice index out of range".to_owned())?
            }
            Value::String(text) | Value::Number(text) => {
                let byte = text.bytes().get(place(index, text.len())?);
                let byte = byte.ok_or_else(|| "reflect: string index out of range".to_owned())?;
                Value::Uint(u64::from(*byte), UintType::Uint8)
            }
            Value::Map(map) => {
                let absent = match map.of {
                    MapType::StringString => Value::string(""),
                    MapType::StringAny | MapType::AnyAny => Value::Nil,
                };
                key(index, map.of)?.and_then(|key| map.get(&key)).unwrap_or(absent)
            }
            other => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(item)
}

/// The index as a key of such a map.
pub(super) fn key(index: &Value, of: MapType) -> Result<Option<Key>, String> {
    match (of, index) {
        (_, Value::String(text)) => Ok(Some(Key::String(text.clone()))),
        (MapType::StringAny | MapType::StringString, Value::Missing | Value::Nil) => {
            Err("value is nil; should be of type string".to_owned())
        }
        (MapType::StringAny | MapType::StringString, other) => {
            Err(format!("value has type {}; should be string", other.type_name()))
        }
        (MapType::AnyAny, Value::Int(number, _)) => Ok(Some(Key::Int(*number))),
        (MapType::AnyAny, Value::Uint(number, _)) => Ok(Some(Key::Uint(*number))),
        (MapType::AnyAny, Value::Float(number)) => Ok(Some(Key::Float(*number))),
        (MapType::AnyAny, Value::Bool(flag)) => Ok(Some(Key::Bool(*flag))),
        (MapType::AnyAny, Value::Missing | Value::Nil) => Ok(Some(Key::Nil)),
        (MapType::AnyAny, _) => Ok(None),
    }
}

/// An index into a list or a string: no more than its length, which is one too much in `index`.
fn place(index: &Value, length: usize) -> Result<usize, String> {
    let shown = match index {
        Value::Int(number, _) => match usize::try_from(*number) {
            Ok(place) if place <= length => return Ok(place),
            _ => number.to_string(),
        },
        Value::Uint(number, _) => match usize::try_from(*number) {
            Ok(place) if place <= length => return Ok(place),
            _ => number.to_string(),
        },
        Value::Missing | Value::Nil => {
            return Err("cannot index slice/array with nil".to_owned());
        }
        other => {
            return Err(format!("cannot index slice/array with type {}", other.type_name()));
        }
    };
    Err(format!("index out of range: {shown}"))
}

fn slice(arguments: Arguments<'_>) -> Result<Value, String> {
    let indexes = arguments.rest(1);
    let item = arguments.any(0);
    let length = match item {
        Value::Missing | Value::Nil => return Err("slice of untyped nil".to_owned()),
        _ if indexes.len() > 3 => {
            return Err(format!("too many slice indexes: {}", indexes.len()));
        }
        Value::String(_) | Value::Number(_) if indexes.len() == 3 => {
            return Err("cannot 3-index slice a string".to_owned());
        }
        Value::String(text) | Value::Number(text) => text.len(),
        Value::List(list) => list.items().len(),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    let mut bounds = [0, length, length];
    for (bound, index) in bounds.iter_mut().zip(indexes) {
        *bound = place(index, length)?;
    }
    let [from, to, end] = bounds;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    if to > end {
        return Err(format!("invalid slice index: {to} > {end}"));
    }
    let cut = |text: &Str| {
        let cut = Str::from(&text.bytes()[from..to]);
        if text.is_secret() { cut.secret() } else { cut }
    };
    Ok(match item {
        Value::String(text) => Value::String(cut(text)),
        Value::Number(text) => Value::Number(cut(text)),
        Value::List(list) => Value::List(List::new(list.of, list.items()[from..to].to_vec())),
        _ => Value::Nil,
    })
}
