//! Lengths of time as the incumbents spell them.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// A length of time as the incumbents read it: a number of seconds, or a string such as `"90"`,
/// `"1h30m"`, `"500ms"` or `"2d"`. Negative is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WeakDuration(pub Duration);

impl From<WeakDuration> for Duration {
    fn from(value: WeakDuration) -> Self {
        value.0
    }
}

impl<'de> Deserialize<'de> for WeakDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WeakDurationVisitor)
    }
}

impl JsonSchema for WeakDuration {
    fn schema_name() -> Cow<'static, str> {
        "WeakDuration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}]})
    }
}

struct WeakDurationVisitor;

impl Visitor<'_> for WeakDurationVisitor {
    type Value = WeakDuration;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a duration such as \"90s\"")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<WeakDuration, E> {
        Ok(WeakDuration(Duration::from_secs(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<WeakDuration, E> {
        let seconds = u64::try_from(value);
        let seconds = seconds.map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))?;
        self.visit_u64(seconds)
    }

    /// The incumbents cut off what is below a second.
    fn visit_f64<E: Error>(self, value: f64) -> Result<WeakDuration, E> {
        match Duration::try_from_secs_f64(value.trunc()) {
            Ok(duration) => Ok(WeakDuration(duration)),
            Err(_) => Err(E::invalid_value(Unexpected::Float(value), &self)),
        }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<WeakDuration, E> {
        let duration = parse(value).map(WeakDuration);
        duration.ok_or_else(|| E::invalid_value(Unexpected::Str(value), &self))
    }
}

/// Seconds, days, or Go's `ParseDuration` without sign.
fn parse(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    if let Some(days) = text.strip_suffix('d') {
        return days.parse::<u64>().ok()?.checked_mul(86_400).map(Duration::from_secs);
    }
    let mut rest = text;
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(end)?;
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end)?;
        let (_, nanoseconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(times(number, *nanoseconds)?)?;
        rest = after;
    }
    // Go counts nanoseconds in 63 bits: 292 years.
    let total = i64::try_from(total).ok().filter(|_| !text.is_empty())?;
    Some(Duration::from_nanos(total.unsigned_abs()))
}

/// A decimal number of units, in nanoseconds. By hand: the library's floats would make a
/// component a tenth larger.
fn times(number: &str, nanoseconds: u64) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| match text {
        "" => Some(0),
        text => text.parse::<u64>().ok().map(u128::from),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let nanoseconds = u128::from(nanoseconds);
    // More digits than nanoseconds have don't count.
    let fraction = fraction.get(..fraction.len().min(15))?;
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    digits(whole)?
        .checked_mul(nanoseconds)?
        .checked_add(digits(fraction)?.checked_mul(nanoseconds)? / scale)
}

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(value: Value) -> Option<Duration> {
        serde_json::from_value::<WeakDuration>(value).ok().map(Into::into)
    }

    #[test]
    fn durations_are_read_in_every_spelling() {
        for (value, milliseconds) in [
            (json!(90), 90_000),
            (json!(1.9), 1_000),
            (json!(0), 0),
            (json!("90"), 90_000),
            (json!("2d"), 172_800_000),
            (json!("500ms"), 500),
            (json!("1h30m"), 5_400_000),
            (json!("1.5h"), 5_400_000),
            (json!("1m0.5s"), 60_500),
            (json!(".5s"), 500),
            (json!("1.s"), 1_000),
            (json!("2000µs"), 2),
        ] {
            assert_eq!(read(value.clone()), Some(Duration::from_millis(milliseconds)), "{value}");
        }
        for bad in [
            json!("1.5d"),
            json!("5 s"),
            json!("s"),
            json!(".s"),
            json!("5x"),
            json!("1h30"),
            json!("1..5s"),
            json!("-5s"),
            json!(-5),
            json!(-1.5),
            json!(""),
            json!("9999999999h"),
            json!(true),
            json!(null),
        ] {
            assert_eq!(read(bad.clone()), None, "{bad}");
        }
    }
}
