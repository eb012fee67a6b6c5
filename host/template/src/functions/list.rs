//! consul-template's functions for lists and maps.

use crate::eval::Evaluator;
use crate::function::Kind::{Any, Dict, List};
use crate::function::{Arguments, Function, fixed};
use crate::lexer::find;
use crate::quote::quote;
use crate::value::{Key, Map, MapType, Str, Value};

pub(crate) const FUNCTIONS: &[Function] = &[
    fixed("contains", &[Any, Any], |_, arguments| {
        is_in(arguments.any(1), arguments.any(0)).map(Value::Bool)
    }),
    fixed("in", &[Any, Any], |_, arguments| {
        is_in(arguments.any(0), arguments.any(1)).map(Value::Bool)
    }),
    fixed("containsAll", &[List, Any], |_, arguments| {
        let all = found(arguments)?.into_iter().all(|found| found);
        Ok(Value::Bool(all))
    }),
    fixed("containsAny", &[List, Any], |_, arguments| {
        let any = found(arguments)?.into_iter().any(|found| found);
        Ok(Value::Bool(any))
    }),
    fixed("containsNone", &[List, Any], |_, arguments| {
        let any = found(arguments)?.into_iter().any(|found| found);
        Ok(Value::Bool(!any))
    }),
    fixed("containsNotAll", &[List, Any], |_, arguments| {
        let all = found(arguments)?.into_iter().all(|found| found);
        Ok(Value::Bool(!all))
    }),
    fixed("explodeMap", &[Dict], |_, arguments| explode(&arguments.map(0))),
    fixed("mergeMap", &[Dict, Dict], |evaluator, arguments| {
        let into = arguments.map(0);
        merge(evaluator, &into, &arguments.map(1), false, 0)?;
        Ok(Value::Map(into))
    }),
    fixed("mergeMapWithOverride", &[Dict, Dict], |evaluator, arguments| {
        let into = arguments.map(0);
        merge(evaluator, &into, &arguments.map(1), true, 0)?;
        Ok(Value::Map(into))
    }),
];

fn found(arguments: Arguments<'_>) -> Result<Vec<bool>, String> {
    arguments.list(0).iter().map(|value| is_in(arguments.any(1), value)).collect()
}

/// Whether a list has the value, of the same type, or a string the text.
fn is_in(container: &Value, value: &Value) -> Result<bool, String> {
    let same = |item: &Value| match (item, value) {
        (Value::Int(a, _), Value::Int(b, _)) => a == b,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::String(a), Value::String(b)) | (Value::Number(a), Value::Number(b)) => a == b,
        _ => false,
    };
    Ok(match (container, value) {
        (Value::List(list), _) => list.items().iter().any(same),
        (Value::String(text), Value::String(part)) => {
            part.is_empty() || find(text.bytes(), part.bytes()).is_some()
        }
        _ => false,
    })
}

fn explode(map: &Map) -> Result<Value, String> {
    let exploded = Map::new(MapType::StringAny, []);
    for (key, value) in map.entries() {
        let Key::String(key) = key else { continue };
        let mut at = exploded.clone();
        let pieces: Vec<&[u8]> = key.bytes().split(|byte| *byte == b'/').collect();
        let Some((last, before)) = pieces.split_last() else { continue };
        for piece in before {
            let entry = Key::String(Str::from(*piece));
            at = match at.get(&entry) {
                Some(Value::Map(inner)) => inner,
                Some(other) => {
                    let shown = match &other {
                        Value::String(text) => quote(text.shown().as_bytes()),
                        other => other.type_name().to_owned(),
                    };
                    return Err(format!(
                        "explodeMap: not a map: {}: {} already has value {shown}",
                        quote(key.bytes()),
                        quote(piece),
                    ));
                }
                None => {
                    let inner = Map::new(MapType::StringAny, []);
                    at.insert(entry, Value::Map(inner.clone()));
                    inner
                }
            };
        }
        at.insert(Key::String(Str::from(*last)), value);
    }
    Ok(Value::Map(exploded))
}

/// Merges a map into another. Without `replace` only what is empty there is filled.
pub(in crate::functions) fn merge(
    evaluator: &mut Evaluator<'_>,
    into: &Map,
    from: &Map,
    replace: bool,
    depth: usize,
) -> Result<(), String> {
    if depth > crate::json::DEPTH {
        return Err("the maps are nested too deep".to_owned());
    }
    for (key, value) in from.entries() {
        evaluator.meter.spend(1)?;
        match (into.get(&key), &value) {
            (Some(Value::Map(inner)), Value::Map(other)) => {
                merge(evaluator, &inner, other, replace, depth + 1)?;
            }
            (Some(before), _) if !replace && (before.truth() || value.is_nil()) => (),
            _ => into.insert(key, value),
        }
    }
    Ok(())
}
