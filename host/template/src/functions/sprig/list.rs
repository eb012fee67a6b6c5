//! Lists: any type of list is taken, and most give a list of anything.

use super::convert::{to_int, to_text, to_texts};
use crate::compare::deep_equal;
use crate::eval::Evaluator;
use crate::function::Kind::{Any, Int, Text};
use crate::function::{Arguments, Function, Run, fixed, variadic};
use crate::value::{List, ListType, Str, Value};

pub(crate) const FUNCTIONS: &[Function] = &[
    variadic("sprig_list", &[Any], |_, arguments| Ok(Value::list(arguments.0.to_vec()))),
    variadic("sprig_tuple", &[Any], |_, arguments| Ok(Value::list(arguments.0.to_vec()))),
    fixed("sprig_first", &[Any], FIRST),
    fixed("sprig_mustFirst", &[Any], FIRST),
    fixed("sprig_last", &[Any], LAST),
    fixed("sprig_mustLast", &[Any], LAST),
    fixed("sprig_rest", &[Any], REST),
    fixed("sprig_mustRest", &[Any], REST),
    fixed("sprig_initial", &[Any], INITIAL),
    fixed("sprig_mustInitial", &[Any], INITIAL),
    fixed("sprig_reverse", &[Any], REVERSE),
    fixed("sprig_mustReverse", &[Any], REVERSE),
    fixed("sprig_append", &[Any, Any], PUSH),
    fixed("sprig_mustAppend", &[Any, Any], PUSH),
    fixed("sprig_push", &[Any, Any], PUSH),
    fixed("sprig_mustPush", &[Any, Any], PUSH),
    fixed("sprig_prepend", &[Any, Any], PREPEND),
    fixed("sprig_mustPrepend", &[Any, Any], PREPEND),
    fixed("sprig_uniq", &[Any], uniq),
    fixed("sprig_mustUniq", &[Any], uniq),
    fixed("sprig_compact", &[Any], COMPACT),
    fixed("sprig_mustCompact", &[Any], COMPACT),
    variadic("sprig_without", &[Any, Any], without),
    variadic("sprig_mustWithout", &[Any, Any], without),
    fixed("sprig_has", &[Any, Any], has),
    fixed("sprig_mustHas", &[Any, Any], has),
    variadic("sprig_slice", &[Any, Any], slice),
    variadic("sprig_mustSlice", &[Any, Any], slice),
    variadic("sprig_concat", &[Any], |_, arguments| {
        let mut all = Vec::new();
        for value in arguments.0 {
            let Value::List(list) = value else {
                return Err(format!("Cannot concat type {} as list", value.kind()));
            };
            all.extend_from_slice(list.items());
        }
        Ok(Value::list(all))
    }),
    fixed("sprig_chunk", &[Int, Any], chunk),
    fixed("sprig_mustChunk", &[Int, Any], chunk),
    fixed("sprig_sortAlpha", &[Any], |_, arguments| {
        let mut texts = to_texts(arguments.any(0));
        texts.sort();
        Ok(Value::strings(texts))
    }),
    fixed("sprig_toStrings", &[Any], |_, arguments| Ok(Value::strings(to_texts(arguments.any(0))))),
    fixed("sprig_join", &[Text, Any], |evaluator, arguments| {
        let texts = to_texts(arguments.any(1));
        let between = arguments.bytes(0);
        let bytes = texts.iter().map(|text| text.len() + between.len()).sum();
        evaluator.meter.afford(bytes)?;
        Ok(Value::string(texts.join(between)))
    }),
    fixed("sprig_splitList", &[Text, Text], |_, arguments| {
        let pieces = crate::functions::consul::split(arguments.bytes(1), arguments.bytes(0));
        Ok(Value::strings(pieces))
    }),
    fixed("sprig_toString", &[Any], |_, arguments| {
        Ok(Value::string(Str::from(to_text(arguments.any(0)).as_ref())))
    }),
];

const FIRST: Run =
    |_, arguments| Ok(items(arguments, 0, "first")?.first().cloned().unwrap_or(Value::Nil));

const LAST: Run =
    |_, arguments| Ok(items(arguments, 0, "last")?.last().cloned().unwrap_or(Value::Nil));

const REST: Run =
    |_, arguments| Ok(Value::list(items(arguments, 0, "rest")?.get(1..).unwrap_or(&[]).to_vec()));

const INITIAL: Run = |_, arguments| {
    let items = items(arguments, 0, "initial")?;
    Ok(Value::list(items[..items.len().saturating_sub(1)].to_vec()))
};

const REVERSE: Run =
    |_, arguments| Ok(Value::list(items(arguments, 0, "reverse")?.iter().rev().cloned().collect()));

const PUSH: Run = |_, arguments| {
    let mut items = items(arguments, 0, "push")?.to_vec();
    items.push(arguments.any(1).clone());
    Ok(Value::list(items))
};

const PREPEND: Run = |_, arguments| {
    let mut items = items(arguments, 0, "prepend")?.to_vec();
    items.insert(0, arguments.any(1).clone());
    Ok(Value::list(items))
};

const COMPACT: Run = |_, arguments| {
    let items = items(arguments, 0, "compact")?.iter();
    Ok(Value::list(items.filter(|item| item.truth()).cloned().collect()))
};

fn items<'a>(arguments: Arguments<'a>, index: usize, what: &str) -> Result<&'a [Value], String> {
    match arguments.any(index) {
        Value::List(list) => Ok(list.items()),
        other => Err(format!("Cannot find {what} on type {}", other.kind())),
    }
}

fn is_among(
    evaluator: &mut Evaluator<'_>,
    items: &[Value],
    wanted: &Value,
) -> Result<bool, String> {
    for item in items {
        if deep_equal(item, wanted, &mut evaluator.meter)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn uniq(evaluator: &mut Evaluator<'_>, arguments: Arguments<'_>) -> Result<Value, String> {
    let mut found: Vec<Value> = Vec::new();
    for item in items(arguments, 0, "uniq")? {
        if !is_among(evaluator, &found, item)? {
            found.push(item.clone());
        }
    }
    Ok(Value::list(found))
}

fn without(evaluator: &mut Evaluator<'_>, arguments: Arguments<'_>) -> Result<Value, String> {
    let mut kept = Vec::new();
    for item in items(arguments, 0, "without")? {
        if !is_among(evaluator, arguments.rest(1), item)? {
            kept.push(item.clone());
        }
    }
    Ok(Value::list(kept))
}

fn has(evaluator: &mut Evaluator<'_>, arguments: Arguments<'_>) -> Result<Value, String> {
    if arguments.any(1).is_nil() {
        return Ok(Value::Bool(false));
    }
    is_among(evaluator, items(arguments, 1, "has")?, arguments.any(0)).map(Value::Bool)
}

fn slice(_: &mut Evaluator<'_>, arguments: Arguments<'_>) -> Result<Value, String> {
    let Value::List(list) = arguments.any(0) else {
        return Err(format!(
            "list should be type of slice or array but {}",
            arguments.any(0).kind()
        ));
    };
    let items = list.items();
    if items.is_empty() {
        return Ok(Value::Nil);
    }
    let bound = |index: usize, default: usize| match arguments.0.get(index) {
        Some(value) => usize::try_from(to_int(value)).unwrap_or(usize::MAX),
        None => default,
    };
    match items.get(bound(1, 0)..bound(2, items.len())) {
        Some(items) => Ok(Value::List(List::new(list.of, items.to_vec()))),
        None => Err("reflect.Value.Slice: slice index out of bounds".to_owned()),
    }
}

fn chunk(_: &mut Evaluator<'_>, arguments: Arguments<'_>) -> Result<Value, String> {
    let items = items(arguments, 1, "chunk")?;
    let Some(size) = usize::try_from(arguments.int(0)).ok().filter(|size| *size > 0) else {
        return Err("the size of a chunk must be more than 0".to_owned());
    };
    let chunks = items.chunks(size).map(|chunk| Value::list(chunk.to_vec())).collect();
    Ok(Value::List(List::new(ListType::Lists, chunks)))
}
