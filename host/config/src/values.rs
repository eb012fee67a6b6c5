//! Single values in all the spellings that the incumbents take: durations, sizes and
//! switches.

use std::time::Duration;

/// Nanoseconds in each unit of a Go duration.
const UNITS: [(&str, f64); 8] = [
    // Longer names first: "ms" before "m".
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// Bytes in each unit of a size, in lower case.
const SIZES: [(&str, u64); 13] = [
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kb", 1_000),
    ("kib", 1 << 10),
    ("m", 1 << 20),
    ("mb", 1_000_000),
    ("mib", 1 << 20),
    ("g", 1 << 30),
    ("gb", 1_000_000_000),
    ("gib", 1 << 30),
    ("tb", 1_000_000_000_000),
    ("tib", 1 << 40),
];

/// `"300"` (seconds), `"2d"`, `"1h30m"`, `"1.5s"`, `""` (0). Negative ones are 0, which the
/// incumbents take for "not set".
pub(crate) fn duration(text: &str) -> Option<Duration> {
    if text.is_empty() {
        return Some(Duration::ZERO);
    }
    if let Ok(seconds) = text.parse::<i64>() {
        return Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
    }
    if let Some(days) = text.strip_suffix('d') {
        let days = days.parse::<i64>().ok()?;
        return u64::try_from(days).map_or(Some(Duration::ZERO), |days| {
            days.checked_mul(86_400).map(Duration::from_secs)
        });
    }
    let (negative, rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let length = go_duration(rest)?;
    Some(if negative { Duration::ZERO } else { length })
}

/// As Go's `ParseDuration` takes it: no bare number, no days.
pub(crate) fn is_go_duration(text: &str) -> bool {
    let length = text.strip_prefix(['-', '+']).unwrap_or(text);
    text.is_empty() || go_duration(length).is_some()
}

fn go_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let (number, after) = rest.split_at_checked(digits)?;
        let length = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(length)?;
        let (_, nanoseconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
        if !number.contains(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let value: f64 = number.parse().ok()?;
        total = total.checked_add(seconds(value * nanoseconds / 1e9)?)?;
        rest = after;
    }
    // Go counts nanoseconds in 64 bits: 292 years.
    (!text.is_empty() && total.as_nanos() <= i64::MAX as u128).then_some(total)
}

/// Whole nanoseconds; negative is 0.
pub(crate) fn seconds(value: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(value.max(0.0)).ok()
}

/// What Go's `ParseBool` takes; the empty string is false.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// `"64MiB"`, `"64 mb"` (10⁶), `"65536"`; in bytes.
pub(crate) fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = unit.trim().to_ascii_lowercase();
    let (_, bytes) = SIZES.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_taken_in_every_spelling() {
        for (text, milliseconds) in [
            ("", 0),
            ("0", 0),
            ("300", 300_000),
            ("-5", 0),
            ("2d", 172_800_000),
            ("-2d", 0),
            ("300ms", 300),
            ("1.5h", 5_400_000),
            ("1h30m", 5_400_000),
            ("1m0.5s", 60_500),
            (".5s", 500),
            ("1.s", 1_000),
            ("+3s", 3_000),
            ("-5s", 0),
            ("2000us", 2),
            ("2000µs", 2),
            ("2000000ns", 2),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in
            ["1.5d", "5 s", "s", ".s", "5x", "1h30", "five", "-", "1.5", "9999999999h", " 5s"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_taken_with_and_without_unit() {
        for (text, bytes) in [
            ("65536", 65_536),
            ("64MiB", 64 << 20),
            ("64 mb", 64_000_000),
            ("1k", 1024),
            ("2GiB", 2 << 30),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5MiB", "1XB", "99999999999999999999", "99999999999TiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
