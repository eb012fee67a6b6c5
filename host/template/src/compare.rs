//! Go's comparisons: values of one kind, integers of either sign, and nothing else.

use std::cmp::Ordering;

use crate::budget::Meter;
use crate::value::Value;

/// `eq` of two values.
pub(crate) fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    match (a, b) {
        (Value::Int(a, _), Value::Uint(b, _)) | (Value::Uint(b, _), Value::Int(a, _)) => {
            Ok(u64::try_from(*a) == Ok(*b))
        }
        (Value::Int(a, _), Value::Int(b, _)) => Ok(a == b),
        (Value::Uint(a, _), Value::Uint(b, _)) => Ok(a == b),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Float(a), Value::Float(b)) => Ok(a == b),
        (Value::Complex(a, b), Value::Complex(c, d)) => Ok(a == c && b == d),
        (Value::String(a) | Value::Number(a), Value::String(b) | Value::Number(b)) => Ok(a == b),
        _ if is_nil(a) || is_nil(b) => Ok(is_nil(a) && is_nil(b)),
        _ if is_basic(a) || is_basic(b) => Err(incompatible(a, b)),
        (Value::Object(a), Value::Object(b))
            if std::ptr::addr_eq(&raw const **a, &raw const **b) =>
        {
            Ok(true)
        }
        (Value::Object(a), Value::Object(b)) if a.type_name() == b.type_name() => {
            Ok(!a.type_name().starts_with('*') && a.text().is_some() && a.text() == b.text())
        }
        (Value::List(_) | Value::Map(_), _) | (_, Value::List(_) | Value::Map(_)) => {
            let one = if matches!(b, Value::List(_) | Value::Map(_)) { b } else { a };
            Err(format!("non-comparable type: {}", one.type_name()))
        }
        _ => Ok(false),
    }
}

/// `lt` of two values.
pub(crate) fn less(a: &Value, b: &Value) -> Result<bool, String> {
    let ordered =
        |value: &Value| is_basic(value) && !matches!(value, Value::Bool(_) | Value::Complex(..));
    if !is_basic(a) || !is_basic(b) {
        return Err("invalid type for comparison".to_owned());
    }
    let ordering = match (a, b) {
        (Value::Int(a, _), Value::Uint(b, _)) => match u64::try_from(*a) {
            Ok(a) => a.partial_cmp(b),
            Err(_) => Some(Ordering::Less),
        },
        (Value::Uint(a, _), Value::Int(b, _)) => match u64::try_from(*b) {
            Ok(b) => a.partial_cmp(&b),
            Err(_) => Some(Ordering::Greater),
        },
        (Value::Int(a, _), Value::Int(b, _)) => a.partial_cmp(b),
        (Value::Uint(a, _), Value::Uint(b, _)) => a.partial_cmp(b),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::String(a) | Value::Number(a), Value::String(b) | Value::Number(b)) => {
            a.partial_cmp(b)
        }
        _ if ordered(a) && ordered(b) || a.kind() != b.kind() => return Err(incompatible(a, b)),
        _ => return Err("invalid type for comparison".to_owned()),
    };
    Ok(ordering == Some(Ordering::Less))
}

/// Whether two values are the same in depth and type, as `reflect.DeepEqual` has it.
pub(crate) fn deep_equal(a: &Value, b: &Value, meter: &mut Meter) -> Result<bool, String> {
    deep_equal_within(a, b, meter, 0)
}

fn deep_equal_within(
    a: &Value,
    b: &Value,
    meter: &mut Meter,
    depth: usize,
) -> Result<bool, String> {
    meter.spend(1)?;
    if depth > crate::json::DEPTH || a.type_name() != b.type_name() {
        return Ok(false);
    }
    let mut pairs: Vec<(Value, Value)> = Vec::new();
    match (a, b) {
        (Value::List(a), Value::List(b)) => {
            if a.items().len() != b.items().len() {
                return Ok(false);
            }
            pairs.extend(a.items().iter().cloned().zip(b.items().iter().cloned()));
        }
        (Value::Map(a), Value::Map(b)) if a.is(b) => (),
        (Value::Map(a), Value::Map(b)) => {
            let (a, b) = (a.entries(), b.entries());
            if a.len() != b.len() {
                return Ok(false);
            }
            for ((key, a), (other, b)) in a.into_iter().zip(b) {
                if key != other {
                    return Ok(false);
                }
                pairs.push((a, b));
            }
        }
        (Value::Object(x), Value::Object(y)) => {
            if x.fields().is_empty() || equal(a, b) == Ok(true) {
                return Ok(equal(a, b).unwrap_or(false));
            }
            let (x, y) = (x.fields().iter(), y.fields().iter());
            pairs.extend(x.zip(y).map(|((_, a), (_, b))| (a.clone(), b.clone())));
        }
        _ => return Ok(equal(a, b).unwrap_or(false)),
    }
    for (a, b) in pairs {
        if !deep_equal_within(&a, &b, meter, depth + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_nil(value: &Value) -> bool {
    matches!(value, Value::Missing | Value::Nil | Value::NilPointer(_))
}

fn is_basic(value: &Value) -> bool {
    matches!(
        value,
        Value::Bool(_)
            | Value::Int(..)
            | Value::Uint(..)
            | Value::Float(_)
            | Value::Complex(..)
            | Value::String(_)
            | Value::Number(_)
    )
}

fn incompatible(a: &Value, b: &Value) -> String {
    format!("incompatible types for comparison: {} and {}", a.type_name(), b.type_name())
}
