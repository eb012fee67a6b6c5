//! Floats written as Go's `strconv.FormatFloat` writes them.

use std::fmt::Write as _;

/// The digits of a number and the place of its point: 0.d1d2d3… × 10^point.
struct Digits {
    negative: bool,
    digits: Vec<u8>,
    point: i32,
}

/// The number with this verb (`e E f F g G`); without a precision as many digits as tell it from
/// its neighbours.
pub(crate) fn format_float(number: f64, verb: char, precision: Option<usize>) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    match (verb, precision) {
        ('e' | 'E', None) => exponential(&shortest(number), None, verb),
        ('e' | 'E', Some(precision)) => {
            exponential(&rounded(number, precision), Some(precision), verb)
        }
        ('f' | 'F', None) => {
            let digits = shortest(number);
            let fraction = (digits.digits.len() as i32 - digits.point).max(0);
            plain(&digits, usize::try_from(fraction).unwrap_or(0))
        }
        ('f' | 'F', Some(precision)) => format!("{number:.precision$}"),
        (_, None) => general(&shortest(number), 6, verb, None),
        (_, Some(precision)) => {
            let precision = precision.max(1);
            general(&rounded(number, precision - 1), precision, verb, Some(precision))
        }
    }
}

fn general(digits: &Digits, threshold: usize, verb: char, precision: Option<usize>) -> String {
    let exponent = digits.point - 1;
    let mut threshold = threshold as i32;
    let count = significant(digits);
    if precision.is_some() && threshold > count as i32 && count as i32 >= digits.point {
        threshold = count as i32;
    }
    if precision.is_none() {
        threshold = 6;
    }
    if exponent < -4 || exponent >= threshold {
        let verb = if verb == 'G' { 'E' } else { 'e' };
        let digits = Digits {
            negative: digits.negative,
            digits: digits.digits[..count.max(1)].to_vec(),
            point: digits.point,
        };
        return exponential(&digits, None, verb);
    }
    let fraction = (count as i32 - digits.point).max(0);
    plain(digits, usize::try_from(fraction).unwrap_or(0))
}

/// How many digits there are without zeros at the end.
fn significant(digits: &Digits) -> usize {
    digits.digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1)
}

fn shortest(number: f64) -> Digits {
    parse(&format!("{number:e}"))
}

fn rounded(number: f64, precision: usize) -> Digits {
    parse(&format!("{number:.precision$e}"))
}

fn parse(text: &str) -> Digits {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let negative = mantissa.starts_with('-');
    let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    let zero = digits.iter().all(|digit| *digit == b'0');
    let point = if zero { 1 } else { exponent.parse::<i32>().unwrap_or(0) + 1 };
    Digits { negative, digits, point }
}

fn exponential(digits: &Digits, precision: Option<usize>, verb: char) -> String {
    let mut text = String::new();
    if digits.negative {
        text.push('-');
    }
    text.push(char::from(digits.digits.first().copied().unwrap_or(b'0')));
    let fraction = digits.digits.get(1..).unwrap_or(&[]);
    let wanted = precision.unwrap_or(fraction.len());
    if wanted > 0 {
        text.push('.');
        text.extend(fraction.iter().map(|digit| char::from(*digit)));
        text.extend(std::iter::repeat_n('0', wanted.saturating_sub(fraction.len())));
    }
    let exponent = digits.point - 1;
    text.push(verb);
    text.push(if exponent < 0 { '-' } else { '+' });
    let _ = write!(text, "{:02}", exponent.unsigned_abs());
    text
}

fn plain(digits: &Digits, fraction: usize) -> String {
    let mut text = String::new();
    if digits.negative {
        text.push('-');
    }
    let digit = |index: i32| {
        let digit = usize::try_from(index).ok().and_then(|index| digits.digits.get(index));
        char::from(digit.copied().unwrap_or(b'0'))
    };
    if digits.point <= 0 {
        text.push('0');
    }
    text.extend((0..digits.point).map(digit));
    if fraction > 0 {
        text.push('.');
        text.extend((0..fraction).map(|index| digit(digits.point + index as i32)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_go_writes_them() {
        for (number, text) in [
            (999_999.0, "999999"),
            (1e6, "1e+06"),
            (1_234_567.5, "1.2345675e+06"),
            (0.0001, "0.0001"),
            (0.000_09, "9e-05"),
            (1e21, "1e+21"),
            (100_000.0, "100000"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (123_456_789.0, "1.23456789e+08"),
        ] {
            assert_eq!(format_float(number, 'g', None), text);
        }
        assert_eq!(format_float(1_234_567.0, 'g', Some(3)), "1.23e+06");
        assert_eq!(format_float(1_234_567.0, 'g', Some(10)), "1234567");
        assert_eq!(format_float(100_000.0, 'g', Some(3)), "1e+05");
        assert_eq!(format_float(1234.5678, 'e', Some(6)), "1.234568e+03");
        assert_eq!(format_float(1e21, 'f', None), "1000000000000000000000");
        assert_eq!(format_float(1e-7, 'f', None), "0.0000001");
        assert_eq!(format_float(2.345_67, 'f', Some(2)), "2.35");
    }
}
