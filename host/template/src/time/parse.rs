//! Reads a time by a layout, and says what doesn't fit.

use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};

use super::layout::{Part, split};
use super::{DAYS, MONTHS, Time, misfit};
use crate::quote::quote;

/// What has been read.
#[derive(Default)]
struct Fields {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    year_day: Option<i16>,
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    afternoon: Option<bool>,
    offset: Option<i32>,
    utc: bool,
    name: Option<String>,
}

pub(super) fn parse(layout: &str, text: &str, local: TimeZone) -> Result<Time, String> {
    let mut fields = Fields::default();
    let (mut pattern, mut value) = (layout, text);
    loop {
        let (before, found) = split(pattern);
        value = skip(value, before).ok_or_else(|| misfit(layout, text, before, value))?;
        let Some((part, written, rest)) = found else {
            if value.is_empty() {
                break;
            }
            let (text, extra) = (quote(text.as_bytes()), quote(value.as_bytes()));
            return Err(format!("parsing time {text}: extra text: {extra}"));
        };
        let next = fields.read(part, value);
        value = next.ok_or_else(|| misfit(layout, text, written, value))?;
        // A fraction may follow the seconds though the layout has none.
        let seconds = matches!(part, Part::Second | Part::ZeroSecond);
        let has_fraction = matches!(split(rest), ("", Some((Part::Fraction { .. }, ..))));
        if seconds && !has_fraction && value.starts_with(['.', ',']) {
            let digits = value[1..].bytes().take_while(u8::is_ascii_digit).count();
            if digits > 0 {
                fields.nanosecond = nanoseconds(&value[1..=digits]);
                value = &value[1 + digits..];
            }
        }
        pattern = rest;
    }
    fields.time(text, local)
}

impl Fields {
    /// Reads one part and gives what follows it.
    fn read<'t>(&mut self, part: Part, text: &'t str) -> Option<&'t str> {
        let (rest, number) = match part {
            Part::LongMonth | Part::Month => {
                let short = part == Part::Month;
                let (index, rest) = word(text, &MONTHS, short)?;
                self.month = Some(i8::try_from(index + 1).ok()?);
                return Some(rest);
            }
            Part::LongWeekday | Part::Weekday => {
                return word(text, &DAYS, part == Part::Weekday).map(|(_, rest)| rest);
            }
            Part::Upper | Part::Lower => {
                let (head, rest) = text.split_at_checked(2)?;
                self.afternoon = Some(match (part, head) {
                    (Part::Upper, "PM") | (Part::Lower, "pm") => true,
                    (Part::Upper, "AM") | (Part::Lower, "am") => false,
                    _ => return None,
                });
                return Some(rest);
            }
            Part::Name => return self.zone_name(text),
            Part::Offset { z, minutes, seconds, colons } => {
                if z && let Some(rest) = text.strip_prefix('Z') {
                    self.utc = true;
                    return Some(rest);
                }
                return self.offset(text, minutes, seconds, colons);
            }
            Part::Fraction { digits, zeros } => {
                let count = match text.strip_prefix(['.', ',']) {
                    Some(rest) => rest.bytes().take_while(u8::is_ascii_digit).count(),
                    None => 0,
                };
                if zeros && count < digits {
                    return None;
                }
                let count = if zeros { digits } else { count };
                if count > 0 {
                    self.nanosecond = nanoseconds(&text[1..=count]);
                    return Some(&text[1 + count..]);
                }
                return Some(text);
            }
            Part::LongYear => number(text, 4, 4)?,
            Part::ZeroYearDay => number(text, 3, 3)?,
            Part::UnderYearDay => number(text.trim_start_matches(' '), 1, 3)?,
            Part::UnderDay | Part::Day => number(text.trim_start_matches(' '), 1, 2)?,
            Part::NumberMonth | Part::Hour12 | Part::Minute | Part::Second => number(text, 1, 2)?,
            Part::ZeroMonth
            | Part::ZeroDay
            | Part::Hour
            | Part::ZeroHour12
            | Part::ZeroMinute
            | Part::ZeroSecond
            | Part::Year => number(text, 2, 2)?,
        };
        let small = i8::try_from(number).unwrap_or(i8::MAX);
        match part {
            Part::LongYear => self.year = Some(number),
            Part::Year => self.year = Some(number + if number >= 69 { 1900 } else { 2000 }),
            Part::ZeroYearDay | Part::UnderYearDay => self.year_day = Some(number),
            Part::NumberMonth | Part::ZeroMonth => self.month = Some(small),
            Part::Day | Part::UnderDay | Part::ZeroDay => self.day = Some(small),
            Part::Minute | Part::ZeroMinute => self.minute = small,
            Part::Second | Part::ZeroSecond => self.second = small,
            _ => self.hour = small,
        }
        Some(rest)
    }

    fn zone_name<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        if let Some(rest) = text.strip_prefix("UTC") {
            self.utc = true;
            return Some(rest);
        }
        let letters = text.bytes().take_while(u8::is_ascii_uppercase).count();
        if !(3..=5).contains(&letters) {
            return None;
        }
        self.name = Some(text[..letters].to_owned());
        Some(&text[letters..])
    }

    fn offset<'t>(
        &mut self,
        text: &'t str,
        minutes: bool,
        seconds: bool,
        colons: bool,
    ) -> Option<&'t str> {
        let sign = match text.as_bytes().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let (mut rest, hours) = number(&text[1..], 2, 2)?;
        let mut offset = i32::from(hours) * 3600;
        for (wanted, unit) in [(minutes, 60), (seconds, 1)] {
            if wanted {
                let digits = if colons { rest.strip_prefix(':')? } else { rest };
                let (after, part) = number(digits, 2, 2)?;
                offset += i32::from(part) * unit;
                rest = after;
            }
        }
        self.offset = Some(sign * offset);
        Some(rest)
    }

    fn time(self, text: &str, local: TimeZone) -> Result<Time, String> {
        let wrong =
            |what: &str| format!("parsing time {}: {what} out of range", quote(text.as_bytes()));
        let hour = match self.afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let (year, month) = (self.year.unwrap_or(0), self.month.unwrap_or(1));
        if !(1..=12).contains(&month) {
            return Err(wrong("month"));
        }
        let date = match self.year_day {
            Some(day) => {
                Date::new(year, 1, 1).and_then(|first| first.with().day_of_year(day).build())
            }
            None => Date::new(year, month, self.day.unwrap_or(1)),
        };
        let date = date.map_err(|_| wrong("day"))?;
        for (value, limit, what) in
            [(hour, 23, "hour"), (self.minute, 59, "minute"), (self.second, 59, "second")]
        {
            if value > limit {
                return Err(wrong(what));
            }
        }
        let civil: DateTime = date.at(hour, self.minute, self.second, self.nanosecond);
        let zone = if self.utc {
            TimeZone::UTC
        } else if let Some(offset) = self.offset {
            let offset = Offset::from_seconds(offset).map_err(|_| wrong("time zone offset"))?;
            TimeZone::fixed(offset)
        } else if self.name.is_some() {
            TimeZone::fixed(Offset::UTC)
        } else {
            local.clone()
        };
        let at = zone.to_ambiguous_timestamp(civil).compatible().map_err(|_| wrong("time"))?;
        // An offset that is the local zone's is that zone.
        let is_local = self.offset.is_some_and(|offset| local.to_offset(at).seconds() == offset);
        let zone = if is_local { local.clone() } else { zone };
        let name = if is_local { None } else { self.name };
        Ok(Time { at, zone, name, local })
    }
}

/// The text behind this prefix; any number of spaces is as good as one.
fn skip<'t>(mut text: &'t str, mut prefix: &str) -> Option<&'t str> {
    while let Some(char) = prefix.chars().next() {
        if char == ' ' {
            if !text.is_empty() && !text.starts_with(' ') {
                return None;
            }
            prefix = prefix.trim_start_matches(' ');
            text = text.trim_start_matches(' ');
            continue;
        }
        text = text.strip_prefix(char)?;
        prefix = &prefix[char.len_utf8()..];
    }
    Some(text)
}

fn number(text: &str, least: usize, most: usize) -> Option<(&str, i16)> {
    let digits = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if digits < least {
        return None;
    }
    Some((&text[digits..], text[..digits].parse().ok()?))
}

fn word<'t>(text: &'t str, words: &[&str], short: bool) -> Option<(usize, &'t str)> {
    words.iter().enumerate().find_map(|(index, word)| {
        let word = if short { &word[..3] } else { word };
        let (head, rest) = text.split_at_checked(word.len())?;
        head.eq_ignore_ascii_case(word).then_some((index, rest))
    })
}

fn nanoseconds(digits: &str) -> i32 {
    let mut padded: String = digits.chars().take(9).collect();
    while padded.len() < 9 {
        padded.push('0');
    }
    padded.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_printed_by_layouts() {
        for (layout, text, printed) in [
            ("2006-01-02", "2024-02-29", "2024-02-29 00:00:00 +0000 UTC"),
            (
                "Jan _2 15:04:05.000 2006",
                "Mar  4 05:06:07.089 2021",
                "2021-03-04 05:06:07.089 +0000 UTC",
            ),
            (
                "2006-01-02T15:04:05Z07:00",
                "2024-02-29T12:34:56.5+02:00",
                "2024-02-29 12:34:56.5 +0200 +0200",
            ),
            ("3:04PM", "7:05PM", "0000-01-01 19:05:00 +0000 UTC"),
        ] {
            let time = parse(layout, text, TimeZone::UTC).unwrap();
            assert_eq!(time.format(super::super::PRINTED), printed, "{text}");
        }
        let time = Time::new(1_709_210_096, 120_000_000, TimeZone::UTC);
        for (layout, printed) in [
            ("Mon Jan _2 15:04:05 MST 2006", "Thu Feb 29 12:34:56 UTC 2024"),
            ("2nd", "29nd"),
            ("002 .00 ,999 Z0700 -07", "060 .12 ,12 Z +00"),
            ("Month Monday pm 3", "Month Thursday pm 12"),
        ] {
            assert_eq!(time.format(layout), printed);
        }
        let error = parse("2006", "x", TimeZone::UTC).err();
        assert_eq!(
            error.as_deref(),
            Some(r#"parsing time "x" as "2006": cannot parse "x" as "2006""#)
        );
    }
}
