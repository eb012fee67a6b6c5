//! What was probably meant by a value that isn't taken, to be shown as what to write.

use crate::tree::{Number, NumberValue, Value};
use crate::values;

/// Names that people give the units of a duration, and the unit.
const TIMES: [(&str, &[&str]); 7] = [
    ("ms", &["ms", "msec", "msecs", "millis", "millisecond", "milliseconds"]),
    ("s", &["s", "sec", "secs", "second", "seconds"]),
    ("m", &["m", "min", "mins", "minute", "minutes"]),
    ("h", &["h", "hr", "hrs", "hour", "hours"]),
    ("d", &["d", "day", "days"]),
    ("us", &["us", "µs", "μs"]),
    ("ns", &["ns"]),
];

const SIZES: [&str; 14] =
    ["b", "k", "kb", "kib", "ki", "m", "mb", "mib", "mi", "g", "gb", "gib", "gi", "tib"];

/// What is wrong with `30s` and `30 s`.
pub(crate) const UNIT: &str = "a number with a unit is a string";

/// `"5 minutes"` is `"5m"`, `"1d12h"` is `"36h"`. None: nobody knows.
pub(crate) fn duration(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let mut rest = text.as_str();
    let mut parts: Vec<(&str, &str)> = Vec::new();
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !is_of_number(c))?);
        let (name, after) = after.split_at(after.find(is_of_number).unwrap_or(after.len()));
        let name = name.to_lowercase();
        let (unit, _) = TIMES.iter().find(|(_, names)| names.contains(&name.as_str()))?;
        parts.push((number, unit));
        rest = after;
    }
    // Days stand alone: they are none of Go's units.
    let hours = |days: &str| days.parse::<u64>().ok()?.checked_mul(24);
    let (start, parts) = match parts.as_slice() {
        [(days, "d"), (more, "h"), rest @ ..] => {
            (format!("{}h", hours(days)?.checked_add(more.parse().ok()?)?), rest)
        }
        [(days, "d"), rest @ ..] if !rest.is_empty() => (format!("{}h", hours(days)?), rest),
        parts => (String::new(), parts),
    };
    let meant = parts.iter().fold(start, |meant, (number, unit)| meant + number + unit);
    (!meant.is_empty() && values::duration(&meant).is_some()).then_some(meant)
}

fn is_of_number(character: char) -> bool {
    character.is_ascii_digit() || character == '.'
}

/// `"64Mi"` is `"64MiB"`.
pub(crate) fn size(text: &str) -> Option<String> {
    let meant = format!("{}B", text.trim());
    (text.trim().ends_with('i') && values::size(&meant).is_some()).then_some(meant)
}

/// `"yes"` is true.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" | "enable" | "enabled" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" | "disable" | "disabled" => Some(false),
        _ => None,
    }
}

/// `1` and `"yes"` are true.
pub(crate) fn boolean_of(value: &Value) -> Option<bool> {
    match value {
        Value::Number(Number { value: NumberValue::Integer(number @ (0 | 1)), .. }) => {
            Some(*number == 1)
        }
        _ => text_of(value).and_then(boolean),
    }
}

pub(crate) fn text_of(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// What to write instead of a word without quotes.
pub(crate) fn help_for_word(word: &str) -> String {
    match boolean(word) {
        Some(meant) if word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false") => {
            format!("write {meant}")
        }
        Some(meant) => {
            format!("write {meant}; as a string it takes double quotes: \"{word}\"")
        }
        None => format!("write strings in double quotes: \"{word}\""),
    }
}

/// What to write instead of a number and a word behind it, if that is a unit: `30 s`, `64MiB`.
pub(crate) fn help_for_unit(number: &str, word: &str) -> Option<String> {
    if !is_unit(word) {
        return None;
    }
    let text = format!("{number}{word}");
    let meant = duration(&text).or_else(|| size(&text)).unwrap_or(text);
    Some(format!("put the whole in double quotes: \"{meant}\""))
}

/// What to write if a word that looks like a key belongs to the number before it.
pub(crate) fn help_for_stray(word: &str) -> Option<String> {
    if let Some(digits) = octal("0", word) {
        return Some(format!("write 0{digits}: a leading 0 alone makes a number octal"));
    }
    let help = "a number with a unit is a string: put both in double quotes";
    is_unit(word).then(|| help.to_owned())
}

/// Of a duration or a size.
fn is_unit(word: &str) -> bool {
    let lower = word.to_lowercase();
    let mut times = TIMES.iter().flat_map(|(_, names)| *names);
    times.any(|name| *name == lower) || SIZES.contains(&lower.as_str())
}

/// The digits of `0o640`, of which a tokenizer has made `0` and `o640`.
pub(crate) fn octal<'a>(number: &str, word: &'a str) -> Option<&'a str> {
    let digits = word.strip_prefix(['o', 'O'])?;
    let is_octal =
        number == "0" && !digits.is_empty() && digits.bytes().all(|c| matches!(c, b'0'..=b'7'));
    is_octal.then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, meant) in [
            ("30 s", Some("30s")),
            (" 5 minutes", Some("5m")),
            ("1 Hour", Some("1h")),
            ("1h 30m", Some("1h30m")),
            ("1.5 hours", Some("1.5h")),
            ("2 days", Some("2d")),
            ("1d12h", Some("36h")),
            ("1d 12h 5m", Some("36h5m")),
            ("2d30m", Some("48h30m")),
            ("100 msec", Some("100ms")),
            ("soon", None),
            ("", None),
            ("5", None),
            ("5 fortnights", None),
            ("s", None),
            ("five s", None),
            ("99999999999999999999d1h", None),
        ] {
            assert_eq!(duration(text).as_deref(), meant, "{text}");
        }
    }

    #[test]
    fn sizes_and_switches_are_read_as_people_write_them() {
        for (text, meant) in
            [("64Mi", Some("64MiB")), ("1Gi", Some("1GiB")), ("lots", None), ("i", None)]
        {
            assert_eq!(size(text).as_deref(), meant, "{text}");
        }
        for (text, meant) in [("Yes", Some(true)), ("off", Some(false)), ("maybe", None)] {
            assert_eq!(boolean(text), meant, "{text}");
        }
    }

    #[test]
    fn a_number_with_a_unit_is_put_in_quotes_and_nothing_else() {
        for (number, word, meant) in [
            ("30", "s", Some("\"30s\"")),
            ("5", "minutes", Some("\"5m\"")),
            ("64", "MiB", Some("\"64MiB\"")),
            ("64", "Mi", Some("\"64MiB\"")),
            ("30", "mount_path", None),
            ("0", "o600", None),
        ] {
            let help = help_for_unit(number, word);
            assert_eq!(help.is_some(), meant.is_some(), "{number} {word}: {help:?}");
            assert!(help.unwrap_or_default().ends_with(meant.unwrap_or_default()));
        }
        assert_eq!(octal("0", "o600"), Some("600"));
        assert_eq!((octal("0", "o9"), octal("1", "o600"), octal("0", "o")), (None, None, None));
    }
}
