//! Sprig takes anything for a number or a text and makes the best of it.

use std::borrow::Cow;

use crate::format;
use crate::number::{parse_float, parse_int};
use crate::value::Value;

/// The most bytes of a value that is shown within another text.
const LIMIT: usize = 1 << 20;

/// Any value as an integer; what is none is 0.
pub(crate) fn to_int(value: &Value) -> i64 {
    match value {
        Value::Int(number, _) => *number,
        Value::Uint(number, _) => *number as i64,
        Value::Float(number) => *number as i64,
        Value::Bool(flag) => i64::from(*flag),
        Value::String(text) | Value::Number(text) => {
            let text = text.text();
            parse_int(without_zero_decimals(&text)).unwrap_or(0)
        }
        _ => 0,
    }
}

/// `3.00` as `3`.
fn without_zero_decimals(text: &str) -> &str {
    match text.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|byte| byte == b'0') => whole,
        _ => text,
    }
}

/// Any value as a float; what is none is 0.
pub(crate) fn to_float(value: &Value) -> f64 {
    match value {
        Value::Int(number, _) => *number as f64,
        Value::Uint(number, _) => *number as f64,
        Value::Float(number) => *number,
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        Value::String(text) | Value::Number(text) => parse_float(&text.text()).unwrap_or(0.0),
        _ => 0.0,
    }
}

/// Any value as the text that `%v` prints.
pub(crate) fn to_text(value: &Value) -> Cow<'_, [u8]> {
    match value {
        Value::String(text) | Value::Number(text) => Cow::Borrowed(text.bytes()),
        other => Cow::Owned(format::print(std::slice::from_ref(other), LIMIT).unwrap_or_default()),
    }
}

/// Any value as texts: the items of a list that aren't nil, or the one value.
pub(crate) fn to_texts(value: &Value) -> Vec<Vec<u8>> {
    match value {
        Value::List(list) => {
            let items = list.items().iter().filter(|item| !item.is_nil());
            items.map(|item| to_text(item).into_owned()).collect()
        }
        other if other.is_nil() => Vec::new(),
        other => vec![to_text(other).into_owned()],
    }
}
