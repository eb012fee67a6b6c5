//! consul-template's arithmetic: the second argument first, strict about types.

use crate::format;
use crate::function::Kind::{Any, Text};
use crate::function::{Arguments, Function, fixed, variadic};
use crate::number::parse_float;
use crate::quote::quote;
use crate::value::{UintType, Value};

pub(crate) const FUNCTIONS: &[Function] = &[
    fixed("add", &[Any, Any], |_, arguments| {
        calculate("add", arguments, i64::wrapping_add, u64::wrapping_add, |a, b| a + b)
    }),
    fixed("subtract", &[Any, Any], |_, arguments| {
        calculate("subtract", arguments, i64::wrapping_sub, u64::wrapping_sub, |a, b| a - b)
    }),
    fixed("multiply", &[Any, Any], |_, arguments| {
        calculate("multiply", arguments, i64::wrapping_mul, u64::wrapping_mul, |a, b| a * b)
    }),
    fixed("divide", &[Any, Any], |_, arguments| {
        divisible(arguments)?;
        let (int, uint) = (i64::wrapping_div, u64::wrapping_div);
        calculate("divide", arguments, int, uint, |a, b| a / b)
    }),
    fixed("modulo", &[Any, Any], |_, arguments| {
        for index in [1, 0] {
            if let Value::Float(_) = arguments.any(index) {
                return Err(unknown("modulo", arguments.any(index)));
            }
        }
        divisible(arguments)?;
        let (int, uint) = (i64::wrapping_rem, u64::wrapping_rem);
        calculate("modulo", arguments, int, uint, |a, b| a % b)
    }),
    fixed("minimum", &[Any, Any], |_, arguments| choose("minimum", arguments, |a, b| a < b)),
    fixed("maximum", &[Any, Any], |_, arguments| choose("maximum", arguments, |a, b| a > b)),
    fixed("parseBool", &[Text], |_, arguments| match arguments.text(0).as_ref() {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(Value::Bool(true)),
        "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(Value::Bool(false)),
        _ => Err(unparsed("parseBool", "ParseBool", arguments, "invalid syntax")),
    }),
    fixed("parseFloat", &[Text], |_, arguments| {
        let text = arguments.text(0);
        if text.is_empty() {
            return Ok(Value::Float(0.0));
        }
        match parse_float(&text) {
            Some(number) => Ok(Value::Float(number)),
            None => Err(unparsed("parseFloat", "ParseFloat", arguments, "invalid syntax")),
        }
    }),
    fixed("parseInt", &[Text], |_, arguments| match parse_or_zero(&arguments.text(0)) {
        Ok(number) => Ok(Value::int64(number)),
        Err(why) => Err(unparsed("parseInt", "ParseInt", arguments, why)),
    }),
    fixed("parseUint", &[Text], |_, arguments| {
        let text = arguments.text(0);
        let result = if text.is_empty() {
            Ok(0)
        } else if text.starts_with(['+', '-']) {
            Err("invalid syntax")
        } else {
            text.parse().map_err(|error| crate::eval::why_no_integer(&error))
        };
        match result {
            Ok(number) => Ok(Value::Uint(number, UintType::Uint64)),
            Err(why) => Err(unparsed("parseUint", "ParseUint", arguments, why)),
        }
    }),
    variadic("loop", &[Any], |_, arguments| match arguments.0 {
        [end] => Ok(Value::Channel(0, bound(end)?)),
        [start, end] => Ok(Value::Channel(bound(start)?, bound(end)?)),
        others => Err(format!(
            "loop: wrong number of arguments, expected 1 or 2, but got {}",
            others.len()
        )),
    }),
];

fn calculate(
    name: &str,
    arguments: Arguments<'_>,
    ints: fn(i64, i64) -> i64,
    uints: fn(u64, u64) -> u64,
    floats: fn(f64, f64) -> f64,
) -> Result<Value, String> {
    let (a, b) = (arguments.any(1), arguments.any(0));
    Ok(match (a, b) {
        (Value::Uint(a, _), Value::Uint(b, _)) => Value::Uint(uints(*a, *b), UintType::Uint64),
        (Value::Int(..) | Value::Uint(..), Value::Int(..) | Value::Uint(..)) => {
            Value::int64(ints(as_int(a), as_int(b)))
        }
        _ => Value::Float(floats(as_float(name, a)?, as_float(name, b)?)),
    })
}

fn divisible(arguments: Arguments<'_>) -> Result<(), String> {
    let whole = matches!(arguments.any(1), Value::Int(..) | Value::Uint(..));
    match arguments.any(0) {
        Value::Int(0, _) | Value::Uint(0, _) if whole => {
            Err("runtime error: integer divide by zero".to_owned())
        }
        _ => Ok(()),
    }
}

fn choose(
    name: &str,
    arguments: Arguments<'_>,
    first: fn(f64, f64) -> bool,
) -> Result<Value, String> {
    let (a, b) = (arguments.any(1), arguments.any(0));
    let ordering = match (a, b) {
        (Value::Int(..) | Value::Uint(..), Value::Int(..) | Value::Uint(..)) => {
            let number = |value: &Value| match value {
                Value::Uint(number, _) => i128::from(*number),
                other => i128::from(as_int(other)),
            };
            // Only the order counts, and small numbers tell it.
            first((number(a) - number(b)).signum() as f64, 0.0)
        }
        _ => first(as_float(name, a)?, as_float(name, b)?),
    };
    let float = matches!(a, Value::Float(_)) || matches!(b, Value::Float(_));
    Ok(match if ordering { a } else { b } {
        Value::Uint(number, _) if float => Value::Float(*number as f64),
        Value::Uint(number, _) => Value::Uint(*number, UintType::Uint64),
        Value::Float(number) => Value::Float(*number),
        other if float => Value::Float(as_int(other) as f64),
        other => Value::int64(as_int(other)),
    })
}

fn as_int(value: &Value) -> i64 {
    match value {
        Value::Int(number, _) => *number,
        Value::Uint(number, _) => *number as i64,
        _ => 0,
    }
}

fn as_float(name: &str, value: &Value) -> Result<f64, String> {
    match value {
        Value::Int(number, _) => Ok(*number as f64),
        Value::Uint(number, _) => Ok(*number as f64),
        Value::Float(number) => Ok(*number),
        other => Err(unknown(name, other)),
    }
}

fn unknown(name: &str, value: &Value) -> String {
    let shown = match value {
        Value::String(text) | Value::Number(text) => quote(text.shown().as_bytes()),
        other => {
            let text = format::print_action(other, 100).unwrap_or_default();
            String::from_utf8_lossy(&text).into_owned()
        }
    };
    format!("{name}: unknown type for {shown} ({})", value.type_name())
}

/// A decimal integer; 0 of nothing.
fn parse_or_zero(text: &str) -> Result<i64, &'static str> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|error| crate::eval::why_no_integer(&error))
}

fn unparsed(name: &str, function: &str, arguments: Arguments<'_>, why: &str) -> String {
    let text = quote(arguments.shown(0).as_bytes());
    format!("{name}: strconv.{function}: parsing {text}: {why}")
}

fn bound(value: &Value) -> Result<i64, String> {
    match value {
        Value::Int(number, _) => Ok(*number),
        Value::Uint(number, _) => Ok(i64::try_from(*number).unwrap_or(i64::MAX)),
        Value::String(text) => parse_or_zero(&text.text()).map_err(|why| {
            let text = quote(text.shown().as_bytes());
            format!("parseInt: strconv.ParseInt: parsing {text}: {why}")
        }),
        other => Err(format!("loop: bad argument type: {}", other.type_name())),
    }
}
