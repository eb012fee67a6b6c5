//! Dates, times and durations.

use std::time::UNIX_EPOCH;

use jiff::tz::TimeZone;

use crate::eval::Evaluator;
use crate::function::Kind::{Any, Text, Time as Instant};
use crate::function::{Arguments, Function, Run, fixed, variadic};
use crate::time::{self, Time, format_duration, parse_duration};
use crate::value::Value;

pub(crate) const FUNCTIONS: &[Function] = &[
    variadic("timestamp", &[Text], |evaluator, arguments| {
        let now = now(evaluator).within(TimeZone::UTC);
        match arguments.0.len() {
            0 => Ok(Value::string(now.format("2006-01-02T15:04:05Z07:00"))),
            1 if arguments.bytes(0) == b"unix" => Ok(Value::string(now.unix().to_string())),
            1 => Ok(Value::string(now.format(&arguments.text(0)))),
            count => Err(format!(
                "timestamp: wrong number of arguments, expected 0 or 1, but got {count}"
            )),
        }
    }),
    fixed("sprig_now", &[], |evaluator, _| Ok(now(evaluator).value())),
    fixed("sprig_ago", &[Any], |evaluator, arguments| {
        let since = now(evaluator).since(&instant(evaluator, arguments.any(0)));
        Ok(Value::string(format_duration(round(since, SECOND))))
    }),
    fixed("sprig_date", &[Text, Any], |evaluator, arguments| {
        Ok(in_zone(evaluator, &arguments.text(0), arguments.any(1), "Local"))
    }),
    fixed("sprig_dateInZone", &[Text, Any, Text], DATE_IN_ZONE),
    fixed("sprig_date_in_zone", &[Text, Any, Text], DATE_IN_ZONE),
    fixed("sprig_htmlDate", &[Any], |evaluator, arguments| {
        Ok(in_zone(evaluator, "2006-01-02", arguments.any(0), "Local"))
    }),
    fixed("sprig_htmlDateInZone", &[Any, Text], |evaluator, arguments| {
        Ok(in_zone(evaluator, "2006-01-02", arguments.any(0), &arguments.text(1)))
    }),
    fixed("sprig_dateModify", &[Text, Instant], MODIFY),
    fixed("sprig_date_modify", &[Text, Instant], MODIFY),
    fixed("sprig_mustDateModify", &[Text, Instant], |_, arguments| modified(arguments)),
    fixed("sprig_must_date_modify", &[Text, Instant], |_, arguments| modified(arguments)),
    fixed("sprig_toDate", &[Text, Text], |evaluator, arguments| {
        let local = local(evaluator);
        let time = Time::parse(&arguments.text(0), &arguments.text(1), local.clone());
        Ok(time.unwrap_or_else(|_| Time::zero(local)).value())
    }),
    fixed("sprig_mustToDate", &[Text, Text], |evaluator, arguments| {
        let local = local(evaluator);
        Ok(Time::parse(&arguments.text(0), &arguments.text(1), local)?.value())
    }),
    fixed("sprig_unixEpoch", &[Instant], |_, arguments| {
        let seconds = Time::of(arguments.any(0)).map_or(0, Time::unix);
        Ok(Value::string(seconds.to_string()))
    }),
    fixed("sprig_duration", &[Any], |_, arguments| {
        let seconds = match arguments.any(0) {
            Value::String(text) => text.text().parse().unwrap_or(0),
            Value::Int(number, crate::value::IntType::Int64) => *number,
            _ => 0,
        };
        Ok(Value::string(format_duration(seconds.saturating_mul(SECOND))))
    }),
    fixed("sprig_durationRound", &[Any], |evaluator, arguments| {
        let nanoseconds = match arguments.any(0) {
            Value::String(text) => parse_duration(&text.text()).unwrap_or(0),
            Value::Int(number, crate::value::IntType::Int64) => *number,
            other => Time::of(other).map_or(0, |time| now(evaluator).since(time)),
        };
        Ok(Value::string(rounded(nanoseconds)))
    }),
];

const SECOND: i64 = 1_000_000_000;

const DATE_IN_ZONE: Run = |evaluator, arguments| {
    Ok(in_zone(evaluator, &arguments.text(0), arguments.any(1), &arguments.text(2)))
};

const MODIFY: Run =
    |_, arguments| Ok(modified(arguments).unwrap_or_else(|_| arguments.any(1).clone()));

fn local(evaluator: &Evaluator<'_>) -> TimeZone {
    time::local(evaluator.values.environment("TZ").as_deref())
}

fn now(evaluator: &Evaluator<'_>) -> Time {
    let since = evaluator.values.now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    Time::new(seconds, since.subsec_nanos() as i32, local(evaluator))
}

/// A time, or seconds since 1970; anything else is now.
fn instant(evaluator: &Evaluator<'_>, value: &Value) -> Time {
    match value {
        Value::Int(seconds, _) => Time::new(*seconds, 0, local(evaluator)),
        other => Time::of(other).cloned().unwrap_or_else(|| now(evaluator)),
    }
}

fn in_zone(evaluator: &Evaluator<'_>, layout: &str, value: &Value, zone: &str) -> Value {
    let zone = time::zone(zone, &local(evaluator)).unwrap_or(TimeZone::UTC);
    Value::string(instant(evaluator, value).within(zone).format(layout))
}

fn modified(arguments: Arguments<'_>) -> Result<Value, String> {
    let duration = parse_duration(&arguments.text(0))?;
    match Time::of(arguments.any(1)) {
        Some(time) => Ok(time.plus(duration).value()),
        None => Err("no time".to_owned()),
    }
}

fn round(nanoseconds: i64, unit: i64) -> i64 {
    let half = if nanoseconds < 0 { -unit / 2 } else { unit / 2 };
    nanoseconds.saturating_add(half) / unit * unit
}

/// The largest unit of which there is more than one.
fn rounded(nanoseconds: i64) -> String {
    const HOUR: u64 = 3600 * SECOND as u64;
    let size = nanoseconds.unsigned_abs();
    for (unit, name) in [
        (365 * 24 * HOUR, "y"),
        (30 * 24 * HOUR, "mo"),
        (24 * HOUR, "d"),
        (HOUR, "h"),
        (HOUR / 60, "m"),
        (SECOND as u64, "s"),
    ] {
        if size > unit {
            return format!("{}{name}", size / unit);
        }
    }
    "0s".to_owned()
}
