//! What a plain scalar means.

use crate::number::parse_float;
use crate::value::{UintType, Value};

/// The value of a plain scalar: nothing, a truth value, a number or a string.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Nil,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Value::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Value::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Value::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        _ => (),
    }
    let numeric = text.starts_with(|char: char| char.is_ascii_digit() || "+-.".contains(char));
    if numeric && let Some(number) = number(text) {
        return number;
    }
    Value::string(text)
}

fn number(text: &str) -> Option<Value> {
    let plain = text.replace('_', "");
    integer(&plain).or_else(|| parse_float(&plain).filter(|_| is_float(&plain)).map(Value::Float))
}

/// An integer in Go's notation; what has too many digits is a float.
fn integer(text: &str) -> Option<Value> {
    if let Some(number) = crate::number::parse_int(text) {
        return Some(Value::int(number));
    }
    let digits = text.strip_prefix('+').unwrap_or(text);
    let number = if let Some(digits) = digits.strip_prefix("0x") {
        u64::from_str_radix(digits, 16).ok()
    } else if digits.starts_with(|char: char| char.is_ascii_digit()) && !digits.starts_with('0') {
        digits.parse().ok()
    } else {
        None
    };
    number.map(|number| Value::Uint(number, UintType::Uint64))
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = match mantissa.split_once('.') {
        Some((whole, fraction)) => {
            digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty())
        }
        None => !mantissa.is_empty() && digits(mantissa),
    };
    whole
        && exponent.is_none_or(|exponent| {
            let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            !exponent.is_empty() && digits(exponent)
        })
}
