//! Dictionaries, which are changed in place by `set`, `unset` and `merge`.

use super::convert::to_text;
use crate::eval::Evaluator;
use crate::function::Kind::{Any, Dict, Int, Text};
use crate::function::{Arguments, Function, Run, fixed, variadic};
use crate::functions::list::merge;
use crate::json::DEPTH;
use crate::value::{Key, List, Map, MapType, Str, Value};

pub(crate) const FUNCTIONS: &[Function] = &[
    variadic("sprig_dict", &[Any], |_, arguments| {
        let map = Map::new(MapType::StringAny, []);
        for pair in arguments.0.chunks(2) {
            if let Some(key) = pair.first() {
                let value = pair.get(1).cloned().unwrap_or_else(|| Value::string(""));
                map.insert(Key::String(Str::from(to_text(key).as_ref())), value);
            }
        }
        Ok(Value::Map(map))
    }),
    fixed("sprig_get", &[Dict, Text], |_, arguments| {
        let value = arguments.map(0).get(&key(arguments.any(1)));
        Ok(value.unwrap_or_else(|| Value::string("")))
    }),
    fixed("sprig_set", &[Dict, Text, Any], |_, arguments| {
        let Value::Map(map) = arguments.any(0) else {
            return Err("assignment to entry in nil map".to_owned());
        };
        map.insert(key(arguments.any(1)), arguments.any(2).clone());
        Ok(Value::Map(map.clone()))
    }),
    fixed("sprig_unset", &[Dict, Text], |_, arguments| {
        let map = arguments.map(0);
        map.remove(&key(arguments.any(1)));
        Ok(Value::Map(map))
    }),
    fixed("sprig_hasKey", &[Dict, Text], |_, arguments| {
        Ok(Value::Bool(arguments.map(0).get(&key(arguments.any(1))).is_some()))
    }),
    variadic("sprig_pluck", &[Text, Dict], |_, arguments| {
        let key = key(arguments.any(0));
        let maps = (1..arguments.0.len()).map(|index| arguments.map(index));
        Ok(Value::list(maps.filter_map(|map| map.get(&key)).collect()))
    }),
    variadic("sprig_keys", &[Dict], |_, arguments| {
        let maps = (0..arguments.0.len()).map(|index| arguments.map(index));
        Ok(Value::strings(maps.flat_map(|map| map.entries()).filter_map(|(key, _)| match key {
            Key::String(key) => Some(key),
            _ => None,
        })))
    }),
    fixed("sprig_values", &[Dict], |_, arguments| {
        let entries = arguments.map(0).entries();
        Ok(Value::list(entries.into_iter().map(|(_, value)| value).collect()))
    }),
    variadic("sprig_pick", &[Dict, Text], |_, arguments| Ok(chosen(arguments, true))),
    variadic("sprig_omit", &[Dict, Text], |_, arguments| Ok(chosen(arguments, false))),
    variadic("sprig_merge", &[Dict, Dict], MERGE),
    variadic("sprig_mustMerge", &[Dict, Dict], MERGE),
    variadic("sprig_mergeOverwrite", &[Dict, Dict], MERGE_OVERWRITE),
    variadic("sprig_mustMergeOverwrite", &[Dict, Dict], MERGE_OVERWRITE),
    variadic("sprig_dig", &[Any], |_, arguments| dig(arguments)),
    fixed("sprig_deepCopy", &[Any], DEEP_COPY),
    fixed("sprig_mustDeepCopy", &[Any], DEEP_COPY),
    fixed("sprig_split", &[Text, Text], |evaluator, arguments| {
        let pieces = crate::functions::consul::split(arguments.bytes(1), arguments.bytes(0));
        evaluator.meter.spend(pieces.len() as u64)?;
        Ok(numbered(pieces))
    }),
    fixed("sprig_splitn", &[Text, Int, Text], |_, arguments| {
        let (separator, text) = (arguments.bytes(0), arguments.bytes(2));
        let mut pieces = crate::functions::consul::split(text, separator);
        match usize::try_from(arguments.int(1)) {
            Ok(count) if count < pieces.len() => {
                let before = count.saturating_sub(1);
                let skipped: usize =
                    pieces[..before].iter().map(|piece| piece.len() + separator.len()).sum();
                pieces.truncate(before);
                if count > 0 {
                    pieces.push(&text[skipped..]);
                }
            }
            _ => (),
        }
        Ok(numbered(pieces))
    }),
];

const MERGE: Run = |evaluator, arguments| merged(evaluator, arguments, false);

const MERGE_OVERWRITE: Run = |evaluator, arguments| merged(evaluator, arguments, true);

const DEEP_COPY: Run = |evaluator, arguments| deep_copy(evaluator, arguments.any(0), 0);

fn key(value: &Value) -> Key {
    Key::String(match value {
        Value::String(text) => text.clone(),
        _ => "".into(),
    })
}

fn chosen(arguments: Arguments<'_>, wanted: bool) -> Value {
    let keys: Vec<Key> = arguments.rest(1).iter().map(key).collect();
    let entries = arguments.map(0).entries();
    let chosen = entries.into_iter().filter(|(key, _)| keys.contains(key) == wanted);
    Value::Map(Map::new(MapType::StringAny, chosen))
}

fn merged(
    evaluator: &mut Evaluator<'_>,
    arguments: Arguments<'_>,
    replace: bool,
) -> Result<Value, String> {
    let into = arguments.map(0);
    for index in 1..arguments.0.len() {
        merge(evaluator, &into, &arguments.map(index), replace, 0)?;
    }
    Ok(Value::Map(into))
}

fn dig(arguments: Arguments<'_>) -> Result<Value, String> {
    let [keys @ .., default, last] = arguments.0 else {
        return Err("dig needs at least three arguments".to_owned());
    };
    let mut at = last.clone();
    for key in keys {
        let Value::Map(map) = &at else {
            return Err(format!(
                "interface conversion: interface {{}} is {}, not map[string]interface {{}}",
                at.type_name()
            ));
        };
        let Value::String(key) = key else {
            return Err(format!(
                "interface conversion: interface {{}} is {}, not string",
                key.type_name()
            ));
        };
        match map.get(&Key::String(key.clone())) {
            Some(value) => at = value,
            None => return Ok(default.clone()),
        }
    }
    Ok(at)
}

fn deep_copy(evaluator: &mut Evaluator<'_>, value: &Value, depth: usize) -> Result<Value, String> {
    if depth > DEPTH {
        return Err("the value is nested too deep".to_owned());
    }
    evaluator.meter.spend(1)?;
    match value {
        Value::List(list) => {
            let mut items = Vec::with_capacity(list.items().len());
            for item in list.items() {
                items.push(deep_copy(evaluator, item, depth + 1)?);
            }
            Ok(Value::List(List::new(list.of, items)))
        }
        Value::Map(map) => {
            let copy = Map::new(map.of, []);
            for (key, item) in map.entries() {
                copy.insert(key, deep_copy(evaluator, &item, depth + 1)?);
            }
            Ok(Value::Map(copy))
        }
        other => Ok(other.clone()),
    }
}

/// `_0`, `_1`, …
fn numbered(pieces: Vec<&[u8]>) -> Value {
    let map = Map::new(MapType::StringString, []);
    for (index, piece) in pieces.into_iter().enumerate() {
        map.insert(Key::String(format!("_{index}").into()), Value::string(piece));
    }
    Value::Map(map)
}
