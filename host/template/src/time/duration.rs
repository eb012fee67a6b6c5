//! Go's durations: `1h2m3.5s`.

use crate::quote::quote;

/// Units by their names, in nanoseconds.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// The nanoseconds of a duration.
pub(crate) fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quote(text.as_bytes()));
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0_i64;
    while !rest.is_empty() {
        let is_number = |char: char| char.is_ascii_digit() || char == '.';
        let end = rest.find(|char| !is_number(char)).unwrap_or(rest.len());
        let (number, behind) = rest.split_at(end);
        let end = behind.find(is_number).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let quoted = quote(text.as_bytes());
        if unit.is_empty() && !number.is_empty() {
            return Err(format!("time: missing unit in duration {quoted}"));
        }
        let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            let unit = quote(unit.as_bytes());
            return Err(format!("time: unknown unit {unit} in duration {quoted}"));
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let part = |digits: &str| match digits {
            "" => Ok(0),
            digits => digits.parse::<i64>().map_err(|_| invalid()),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let fraction = format!("0.{fraction}0").parse::<f64>().map_err(|_| invalid())?;
        let part = part(whole)?.checked_mul(*factor as i64);
        let part = part.and_then(|part| part.checked_add((fraction * factor) as i64));
        total = part.and_then(|part| total.checked_add(part)).ok_or_else(invalid)?;
        rest = behind;
    }
    Ok(if negative { -total } else { total })
}

/// The duration as Go prints it.
pub(crate) fn format_duration(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let size = nanoseconds.unsigned_abs();
    let with_fraction = |whole: u64, rest: u64, digits: usize| {
        let fraction = format!("{rest:0digits$}");
        match fraction.trim_end_matches('0') {
            "" => whole.to_string(),
            fraction => format!("{whole}.{fraction}"),
        }
    };
    let text = match size {
        0 => return "0s".to_owned(),
        1..1_000 => format!("{size}ns"),
        1_000..1_000_000 => format!("{}µs", with_fraction(size / 1_000, size % 1_000, 3)),
        1_000_000..1_000_000_000 => {
            format!("{}ms", with_fraction(size / 1_000_000, size % 1_000_000, 6))
        }
        _ => {
            let seconds = size / 1_000_000_000;
            let last = with_fraction(seconds % 60, size % 1_000_000_000, 9);
            match (seconds / 3600, seconds / 60 % 60) {
                (0, 0) => format!("{last}s"),
                (0, minutes) => format!("{minutes}m{last}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{last}s"),
            }
        }
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_printed() {
        for (text, printed) in [
            ("95s", "1m35s"),
            ("-1.5h", "-1h30m0s"),
            ("1h2m3.5s", "1h2m3.5s"),
            ("0", "0s"),
            ("1500us", "1.5ms"),
            ("12ns", "12ns"),
        ] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), printed);
        }
        for text in ["", "1", "x", "1d", "."] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
