//! Layouts: how the reference time would be written, `Mon Jan 2 15:04:05 MST 2006`.

use std::fmt::Write as _;

use super::{DAYS, MONTHS, Time, month_index, weekday_index};

/// One part of a layout.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    LongMonth,
    Month,
    NumberMonth,
    ZeroMonth,
    LongWeekday,
    Weekday,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    Upper,
    Lower,
    Name,
    /// An offset: whether zero is `Z`, whether there are minutes, seconds, and colons.
    Offset {
        z: bool,
        minutes: bool,
        seconds: bool,
        colons: bool,
    },
    /// A fraction: how many digits, and whether zeros at the end are there.
    Fraction {
        digits: usize,
        zeros: bool,
    },
}

/// Offsets by how they are written, the longest first.
const OFFSETS: [(&str, bool, bool, bool); 5] = [
    ("070000", true, true, false),
    ("07:00:00", true, true, true),
    ("0700", true, false, false),
    ("07:00", true, false, true),
    ("07", false, false, false),
];

/// The text before the first part of a layout, the part, and what follows it.
pub(super) fn split(layout: &str) -> (&str, Option<(Part, &str, &str)>) {
    for (at, _) in layout.char_indices() {
        let rest = &layout[at..];
        // A line before the year is text; before a day it is part of it.
        if rest.starts_with("_2006") {
            continue;
        }
        if let Some((part, length)) = part(rest) {
            return (&layout[..at], Some((part, &rest[..length], &rest[length..])));
        }
    }
    (layout, None)
}

fn part(text: &str) -> Option<(Part, usize)> {
    const WORDS: [(&str, Part); 23] = [
        ("January", Part::LongMonth),
        ("Monday", Part::LongWeekday),
        ("2006", Part::LongYear),
        ("Jan", Part::Month),
        ("Mon", Part::Weekday),
        ("MST", Part::Name),
        ("002", Part::ZeroYearDay),
        ("__2", Part::UnderYearDay),
        ("_2", Part::UnderDay),
        ("01", Part::ZeroMonth),
        ("02", Part::ZeroDay),
        ("03", Part::ZeroHour12),
        ("04", Part::ZeroMinute),
        ("05", Part::ZeroSecond),
        ("06", Part::Year),
        ("15", Part::Hour),
        ("PM", Part::Upper),
        ("pm", Part::Lower),
        ("1", Part::NumberMonth),
        ("2", Part::Day),
        ("3", Part::Hour12),
        ("4", Part::Minute),
        ("5", Part::Second),
    ];
    match text.as_bytes().first()? {
        sign @ (b'-' | b'Z') => {
            let rest = &text[1..];
            let (form, minutes, seconds, colons) =
                *OFFSETS.iter().find(|(form, ..)| rest.starts_with(form))?;
            let part = Part::Offset { z: *sign == b'Z', minutes, seconds, colons };
            Some((part, 1 + form.len()))
        }
        b'.' | b',' => {
            let digit = text.as_bytes().get(1).filter(|digit| matches!(digit, b'0' | b'9'))?;
            let digits = text[1..].bytes().take_while(|byte| byte == digit).count();
            let ends = !text.as_bytes().get(1 + digits).is_some_and(u8::is_ascii_digit);
            ends.then_some((Part::Fraction { digits, zeros: *digit == b'0' }, 1 + digits))
        }
        _ => {
            let word = |word: &str, part: Part| {
                let lower = text[word.len()..].starts_with(|char: char| char.is_ascii_lowercase());
                !(matches!(part, Part::Month | Part::Weekday) && lower)
            };
            let found =
                WORDS.iter().find(|(form, part)| text.starts_with(form) && word(form, *part))?;
            Some((found.1, found.0.len()))
        }
    }
}

/// The time by a layout.
pub(super) fn format(time: &Time, mut layout: &str) -> String {
    let civil = time.civil();
    let mut out = String::new();
    loop {
        let (before, found) = split(layout);
        out.push_str(before);
        let Some((part, _, rest)) = found else { return out };
        let hour12 = match civil.hour() % 12 {
            0 => 12,
            hour => hour,
        };
        let afternoon = civil.hour() >= 12;
        let text = match part {
            Part::LongMonth => MONTHS[month_index(civil)].to_owned(),
            Part::Month => MONTHS[month_index(civil)][..3].to_owned(),
            Part::NumberMonth => civil.month().to_string(),
            Part::ZeroMonth => format!("{:02}", civil.month()),
            Part::LongWeekday => DAYS[weekday_index(civil)].to_owned(),
            Part::Weekday => DAYS[weekday_index(civil)][..3].to_owned(),
            Part::Day => civil.day().to_string(),
            Part::UnderDay => format!("{:2}", civil.day()),
            Part::ZeroDay => format!("{:02}", civil.day()),
            Part::UnderYearDay => format!("{:3}", civil.day_of_year()),
            Part::ZeroYearDay => format!("{:03}", civil.day_of_year()),
            Part::Hour => format!("{:02}", civil.hour()),
            Part::Hour12 => hour12.to_string(),
            Part::ZeroHour12 => format!("{hour12:02}"),
            Part::Minute => civil.minute().to_string(),
            Part::ZeroMinute => format!("{:02}", civil.minute()),
            Part::Second => civil.second().to_string(),
            Part::ZeroSecond => format!("{:02}", civil.second()),
            Part::LongYear => format!("{:04}", civil.year()),
            Part::Year => format!("{:02}", civil.year().rem_euclid(100)),
            Part::Upper => if afternoon { "PM" } else { "AM" }.to_owned(),
            Part::Lower => if afternoon { "pm" } else { "am" }.to_owned(),
            Part::Name => match time.zone_name() {
                name if name.is_empty() => offset(time.offset(), true, false, false),
                name => name,
            },
            Part::Offset { z: true, .. } if time.offset() == 0 => "Z".to_owned(),
            Part::Offset { minutes, seconds, colons, .. } => {
                offset(time.offset(), minutes, seconds, colons)
            }
            Part::Fraction { digits, zeros } => fraction(
                civil.subsec_nanosecond(),
                digits,
                zeros,
                layout[before.len()..].starts_with(','),
            ),
        };
        out.push_str(&text);
        layout = rest;
    }
}

fn offset(offset: i32, minutes: bool, seconds: bool, colons: bool) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    let offset = offset.unsigned_abs();
    let colon = if colons { ":" } else { "" };
    let mut text = format!("{sign}{:02}", offset / 3600);
    if minutes {
        let _ = write!(text, "{colon}{:02}", offset / 60 % 60);
    }
    if seconds {
        let _ = write!(text, "{colon}{:02}", offset % 60);
    }
    text
}

fn fraction(nanosecond: i32, digits: usize, zeros: bool, comma: bool) -> String {
    let all = format!("{nanosecond:09}");
    let kept = &all[..digits.min(9)];
    let kept = if zeros { kept } else { kept.trim_end_matches('0') };
    if kept.is_empty() {
        return String::new();
    }
    let padding = if zeros { digits.saturating_sub(9) } else { 0 };
    let point = if comma { ',' } else { '.' };
    format!("{point}{kept}{}", "0".repeat(padding))
}
