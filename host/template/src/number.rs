//! Constants in a template, read as Go reads them.

use crate::node::Number;
use crate::quote::unquote_char;

/// A number as it stands.
pub(crate) fn number(text: &str) -> Result<Number, String> {
    let mut number =
        Number { text: text.to_owned(), int: None, uint: None, float: None, complex: None };
    if let Some(imaginary) = text.strip_suffix('i')
        && let Some(imaginary) = parse_float(imaginary)
    {
        number.complex = Some((0.0, imaginary));
        return Ok(number);
    }
    number.uint = parse_uint(text);
    number.int = parse_int(text);
    if number.int == Some(0) {
        number.uint = Some(0);
    }
    if let Some(int) = number.int {
        number.float = Some(int as f64);
    } else if let Some(uint) = number.uint {
        number.float = Some(uint as f64);
    } else if let Some(float) = parse_float(text) {
        if !text.contains(['.', 'e', 'E', 'p', 'P']) {
            return Err(format!("integer overflow: \"{text}\""));
        }
        number.float = Some(float);
        if (float as i64) as f64 == float {
            number.int = Some(float as i64);
        }
        if (float as u64) as f64 == float {
            number.uint = Some(float as u64);
        }
    } else {
        return Err(format!("illegal number syntax: \"{text}\""));
    }
    Ok(number)
}

/// `1+2i`
pub(crate) fn complex(text: &str) -> Result<Number, String> {
    let illegal = || format!("illegal number syntax: \"{text}\"");
    let split = text
        .char_indices()
        .skip(1)
        .filter(|(index, char)| {
            matches!(char, '+' | '-') && !text[..*index].ends_with(['e', 'E', 'p', 'P'])
        })
        .last();
    let (real, imaginary) = text.split_at(split.ok_or_else(illegal)?.0);
    let real = parse_float(real).ok_or_else(illegal)?;
    let imaginary = imaginary.strip_suffix('i').and_then(parse_float).ok_or_else(illegal)?;
    Ok(Number {
        text: text.to_owned(),
        int: None,
        uint: None,
        float: None,
        complex: Some((real, imaginary)),
    })
}

/// `'a'`
pub(crate) fn char_constant(text: &[u8]) -> Result<Number, String> {
    let written = String::from_utf8_lossy(text).into_owned();
    match unquote_char(text) {
        None => Err("invalid syntax".to_owned()),
        Some(Err(())) => Err(format!("malformed character constant: {written}")),
        Some(Ok(number)) => Ok(Number {
            text: written,
            int: Some(i64::from(number)),
            uint: Some(u64::from(number)),
            float: Some(f64::from(number)),
            complex: None,
        }),
    }
}

/// An unsigned integer with an optional base prefix and underscores.
fn parse_uint(text: &str) -> Option<u64> {
    if !underscores_are_right(text) || text.starts_with(['+', '-']) {
        return None;
    }
    let text = text.replace('_', "");
    let (digits, base) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', b'o' | b'O', ..] => (&text[2..], 8),
        [b'0', b'b' | b'B', ..] => (&text[2..], 2),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (&text[..], 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    u64::from_str_radix(digits, base).ok()
}

/// A signed integer with an optional base prefix and underscores.
pub(crate) fn parse_int(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    let number = parse_uint(digits)?;
    if negative { 0_i64.checked_sub_unsigned(number) } else { i64::try_from(number).ok() }
}

/// A float as Go's `strconv.ParseFloat` reads it; out of range counts as none.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    if let Some(hexadecimal) = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X")) {
        return parse_hexadecimal(hexadecimal).map(|number| sign * number);
    }
    match unsigned.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => return Some(sign * f64::INFINITY),
        "nan" => return Some(f64::NAN),
        _ => (),
    }
    if !underscores_are_right(text)
        || !unsigned.starts_with(|char: char| char.is_ascii_digit() || char == '.')
    {
        return None;
    }
    let number: f64 = unsigned.replace('_', "").parse().ok()?;
    number.is_finite().then_some(sign * number)
}

fn parse_hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut number = 0.0;
    for digit in whole.chars().chain(fraction.chars()).filter(|char| *char != '_') {
        number = number * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let fraction = i32::try_from(fraction.chars().filter(|char| *char != '_').count()).ok()?;
    let number = number * 2f64.powi(exponent.checked_sub(fraction.checked_mul(4)?)?);
    number.is_finite().then_some(number)
}

/// Underscores separate digits, or a base prefix from them.
fn underscores_are_right(text: &str) -> bool {
    if !text.contains('_') {
        return true;
    }
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let based = text.len() > 2 && text.starts_with('0') && text.as_bytes()[1].is_ascii_alphabetic();
    let digits = if based { &text[2..] } else { text };
    let mut before = if based { '0' } else { '!' };
    for char in digits.chars() {
        let digit = |char: char| char.is_ascii_alphanumeric();
        if char == '_' && !digit(before) || before == '_' && !digit(char) {
            return false;
        }
        before = char;
    }
    before != '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_every_base() {
        for (text, int) in [
            ("42", 42),
            ("+7", 7),
            ("-1", -1),
            ("0x1F", 31),
            ("0o17", 15),
            ("017", 15),
            ("0b101", 5),
            ("1_000", 1000),
            ("1.0", 1),
        ] {
            assert_eq!(number(text).ok().and_then(|number| number.int), Some(int), "{text}");
        }
        for (text, float) in
            [("1.5", 1.5), ("1.e2", 100.0), ("1e3", 1000.0), ("0x1p4", 16.0), ("1_0.5", 10.5)]
        {
            assert_eq!(number(text).ok().and_then(|number| number.float), Some(float), "{text}");
        }
        assert!(number("123456789012345678901234567890").is_err());
        assert_eq!(number("1i").ok().and_then(|number| number.complex), Some((0.0, 1.0)));
        assert_eq!(complex("1+2i").ok().and_then(|number| number.complex), Some((1.0, 2.0)));
    }
}
