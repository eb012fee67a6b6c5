//! Go's `time.Time`: an instant in a zone, printed and parsed by layouts.

mod duration;
mod layout;
mod parse;

use std::any::Any;
use std::rc::Rc;

use jiff::Timestamp;
use jiff::civil::{DateTime, date};
use jiff::tz::{Offset, TimeZone};

pub(crate) use duration::{format_duration, parse_duration};

use crate::quote::quote;
use crate::value::{Object, Value};

/// An instant in a zone.
#[derive(Clone)]
pub(crate) struct Time {
    at: Timestamp,
    zone: TimeZone,
    /// The zone's name, where it was read with the time.
    name: Option<String>,
    local: TimeZone,
}

/// A number that has a name, such as a month.
struct Named {
    type_name: &'static str,
    text: String,
}

/// How `String` prints a time.
const PRINTED: &str = "2006-01-02 15:04:05.999999999 -0700 MST";

/// RFC 3339 with what there is of a second.
const PRECISE: &str = "2006-01-02T15:04:05.999999999Z07:00";

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The zone of this name: nothing is the local one, what is unknown is none.
pub(crate) fn zone(name: &str, local: &TimeZone) -> Option<TimeZone> {
    match name {
        "" | "UTC" => Some(TimeZone::UTC),
        "Local" => Some(local.clone()),
        name => TimeZone::get(name).ok(),
    }
}

/// The local zone: that of `TZ`, or the machine's if that isn't set.
pub(crate) fn local(variable: Option<&str>) -> TimeZone {
    match variable {
        None => TimeZone::try_system().unwrap_or(TimeZone::UTC),
        Some(name) => TimeZone::get(name.trim_start_matches(':')).unwrap_or(TimeZone::UTC),
    }
}

impl Time {
    /// Seconds and nanoseconds since 1970, in the local zone; Go's zero time if there is no such.
    pub(crate) fn new(seconds: i64, nanoseconds: i32, local: TimeZone) -> Self {
        let at = Timestamp::new(seconds, nanoseconds).unwrap_or_else(|_| zero());
        Self { at, zone: local.clone(), name: None, local }
    }

    /// Go's zero time.
    pub(crate) fn zero(local: TimeZone) -> Self {
        Self { at: zero(), zone: TimeZone::UTC, name: None, local }
    }

    /// The time that a text tells by a layout.
    pub(crate) fn parse(layout: &str, text: &str, local: TimeZone) -> Result<Self, String> {
        parse::parse(layout, text, local)
    }

    /// The same instant in another zone.
    pub(crate) fn within(&self, zone: TimeZone) -> Self {
        Self { zone, name: None, ..self.clone() }
    }

    /// The value that templates see.
    pub(crate) fn value(self) -> Value {
        Value::Object(Rc::new(self))
    }

    /// The time in a value.
    pub(crate) fn of(value: &Value) -> Option<&Self> {
        match value {
            Value::Object(object) => object.as_any().downcast_ref(),
            _ => None,
        }
    }

    /// The time by a layout.
    pub(crate) fn format(&self, layout: &str) -> String {
        layout::format(self, layout)
    }

    /// Seconds since 1970.
    pub(crate) fn unix(&self) -> i64 {
        self.at.as_second()
    }

    /// Nanoseconds since 1970.
    fn nanoseconds(&self) -> i128 {
        self.at.as_nanosecond()
    }

    /// Later by so many nanoseconds, at most as late as times get.
    pub(crate) fn plus(&self, nanoseconds: i64) -> Self {
        let at = self.nanoseconds() + i128::from(nanoseconds);
        Self { at: Timestamp::from_nanosecond(at).unwrap_or(self.at), ..self.clone() }
    }

    /// How many nanoseconds later than the other.
    pub(crate) fn since(&self, other: &Self) -> i64 {
        let nanoseconds = self.nanoseconds() - other.nanoseconds();
        i64::try_from(nanoseconds).unwrap_or(if nanoseconds < 0 { i64::MIN } else { i64::MAX })
    }

    fn civil(&self) -> DateTime {
        self.zone.to_offset(self.at).to_datetime(self.at)
    }

    fn offset(&self) -> i32 {
        self.zone.to_offset(self.at).seconds()
    }

    /// The zone's short name, empty if it has none.
    fn zone_name(&self) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        let name = self.zone.to_offset_info(self.at).abbreviation().to_owned();
        let has_letters = name.starts_with(|char: char| char.is_ascii_alphabetic());
        if has_letters || self.zone.iana_name().is_some() { name } else { String::new() }
    }

    fn add_date(&self, years: i64, months: i64, days: i64) -> Option<Self> {
        let civil = self.civil();
        let months = i64::from(civil.year())
            .checked_add(years)?
            .checked_mul(12)?
            .checked_add(i64::from(civil.month()) - 1)?
            .checked_add(months)?;
        let year = i16::try_from(months.div_euclid(12)).ok()?;
        let month = i8::try_from(months.rem_euclid(12) + 1).ok()?;
        let first = jiff::civil::Date::new(year, month, 1).ok()?;
        let days = days.checked_add(i64::from(civil.day()) - 1)?;
        let day = first.checked_add(jiff::Span::new().try_days(days).ok()?).ok()?;
        let at = self.zone.to_ambiguous_timestamp(day.to_datetime(civil.time())).compatible();
        Some(Self { at: at.ok()?, ..self.clone() })
    }

    fn run(&self, method: &str, arguments: &[Value]) -> Result<Value, String> {
        let civil = self.civil();
        let number = |number: i64| Ok(Value::int(number));
        let int = |index: usize| match arguments.get(index) {
            Some(Value::Int(number, _)) => Ok(*number),
            _ => Err("wrong type for value; expected an integer".to_owned()),
        };
        let other = || {
            let other = arguments.first().and_then(Self::of);
            other.ok_or_else(|| "wrong type for value; expected time.Time".to_owned())
        };
        match method {
            "Year" => number(civil.year().into()),
            "Month" => Ok(named("time.Month", MONTHS[month_index(civil)])),
            "Day" => number(civil.day().into()),
            "Hour" => number(civil.hour().into()),
            "Minute" => number(civil.minute().into()),
            "Second" => number(civil.second().into()),
            "Nanosecond" => number(civil.subsec_nanosecond().into()),
            "YearDay" => number(civil.day_of_year().into()),
            "Weekday" => Ok(named("time.Weekday", DAYS[weekday_index(civil)])),
            "Unix" => Ok(Value::int64(self.unix())),
            "UnixMilli" => Ok(Value::int64(self.at.as_millisecond())),
            "UnixMicro" => Ok(Value::int64(self.at.as_microsecond())),
            "UnixNano" => Ok(Value::int64(self.nanoseconds() as i64)),
            "UTC" => Ok(self.within(TimeZone::UTC).value()),
            "Local" => Ok(self.within(self.local.clone()).value()),
            "String" => Ok(Value::string(self.format(PRINTED))),
            "IsZero" => Ok(Value::Bool(self.at == zero())),
            "Before" => Ok(Value::Bool(self.at < other()?.at)),
            "After" => Ok(Value::Bool(self.at > other()?.at)),
            "Equal" => Ok(Value::Bool(self.at == other()?.at)),
            "Sub" => Ok(named("time.Duration", &format_duration(self.since(other()?)))),
            "Add" => Ok(self.plus(int(0)?).value()),
            "AddDate" => match self.add_date(int(0)?, int(1)?, int(2)?) {
                Some(time) => Ok(time.value()),
                None => Err("the date is out of range".to_owned()),
            },
            _ => match arguments.first() {
                Some(Value::String(layout)) => Ok(Value::string(self.format(&layout.text()))),
                other => Err(format!(
                    "wrong type for value; expected string; got {}",
                    other.map_or("<nil>", Value::type_name)
                )),
            },
        }
    }
}

impl Object for Time {
    fn type_name(&self) -> &'static str {
        "time.Time"
    }

    fn arity(&self, method: &str) -> Option<usize> {
        match method {
            "Year" | "Month" | "Day" | "Hour" | "Minute" | "Second" | "Nanosecond" | "YearDay"
            | "Weekday" | "Unix" | "UnixMilli" | "UnixMicro" | "UnixNano" | "UTC" | "Local"
            | "String" | "IsZero" => Some(0),
            "Before" | "After" | "Equal" | "Sub" | "Add" | "Format" => Some(1),
            "AddDate" => Some(3),
            _ => None,
        }
    }

    fn call(&self, method: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
        self.arity(method).map(|_| self.run(method, arguments))
    }

    fn text(&self) -> Option<String> {
        Some(self.format(PRINTED))
    }

    fn json(&self) -> Option<String> {
        Some(self.format(PRECISE))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Object for Named {
    fn type_name(&self) -> &str {
        self.type_name
    }

    fn kind(&self) -> &'static str {
        if self.type_name == "time.Duration" { "int64" } else { "int" }
    }

    fn arity(&self, method: &str) -> Option<usize> {
        (method == "String").then_some(0)
    }

    fn call(&self, method: &str, _: &[Value]) -> Option<Result<Value, String>> {
        self.arity(method).map(|_| Ok(Value::string(self.text.as_str())))
    }

    fn text(&self) -> Option<String> {
        Some(self.text.clone())
    }

    fn json(&self) -> Option<String> {
        Some(self.text.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn named(type_name: &'static str, text: &str) -> Value {
    Value::Object(Rc::new(Named { type_name, text: text.to_owned() }))
}

fn zero() -> Timestamp {
    Offset::UTC.to_timestamp(date(1, 1, 1).at(0, 0, 0, 0)).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn month_index(civil: DateTime) -> usize {
    usize::try_from(civil.month() - 1).unwrap_or(0).min(11)
}

fn weekday_index(civil: DateTime) -> usize {
    usize::try_from(civil.weekday().to_sunday_zero_offset()).unwrap_or(0).min(6)
}

/// What is said of a text that doesn't fit its layout.
fn misfit(layout: &str, text: &str, part: &str, rest: &str) -> String {
    let quoted = |text: &str| quote(text.as_bytes());
    format!(
        "parsing time {} as {}: cannot parse {} as {}",
        quoted(text),
        quoted(layout),
        quoted(rest),
        quoted(part)
    )
}
