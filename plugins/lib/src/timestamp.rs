//! Points in time as clouds write them.
//!
//! The calendar is the time crate's; its own formats would make a component a fifth larger.

use std::time::{Duration, SystemTime};
use time::{Date, Month, OffsetDateTime, UtcOffset};

/// "20261121T123456Z" (ISO 8601, basic format). Before 1970 it is 1970.
pub fn basic_date_time(time: SystemTime) -> String {
    let [year, month, day, hour, minute, second] = parts(time);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// "2026-11-21T12:34:56Z" (RFC 3339, without a fraction of a second). Before 1970 it is 1970.
pub fn date_time(time: SystemTime) -> String {
    let [year, month, day, hour, minute, second] = parts(time);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// "Sat, 21 Nov 2026 12:34:56 GMT" (RFC 9110, section 5.6.7). Before 1970 it is 1970.
pub fn http_date(time: SystemTime) -> String {
    let [year, _, day, hour, minute, second] = parts(time);
    let names = [utc(time).weekday().to_string(), utc(time).month().to_string()];
    let [weekday, month] = names.each_ref().map(|name| name.get(..3).unwrap_or_default());
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// A point in time in RFC 3339, of which milliseconds count; None: it is none, or before 1970.
pub fn rfc3339(text: &str) -> Option<SystemTime> {
    let separators = [(4, "-"), (7, "-"), (10, "Tt "), (13, ":"), (16, ":")];
    if !separators.iter().all(|(at, any)| text.get(*at..=*at).is_some_and(|is| any.contains(is))) {
        return None;
    }
    let number = |at| two_digits(text, at);
    let year = i32::from(number(0)?) * 100 + i32::from(number(2)?);
    let date =
        Date::from_calendar_date(year, Month::try_from(number(5)?).ok()?, number(8)?).ok()?;
    let local = date.with_hms(number(11)?, number(14)?, number(17)?).ok()?;
    let rest = text.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;
            rest.split_at_checked(end)?
        }
        None => ("000", rest),
    };
    let milliseconds: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let offset = match zone.as_bytes() {
        b"Z" | b"z" => UtcOffset::UTC,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let sign = if *sign == b'+' { 1 } else { -1 };
            let [hours, minutes] = [two_digits(zone, 1)?, two_digits(zone, 4)?];
            let [hours, minutes] = [hours, minutes].map(|number| number.cast_signed() * sign);
            UtcOffset::from_hms(hours, minutes, 0).ok()?
        }
        _ => return None,
    };
    let seconds = u64::try_from(local.assume_offset(offset).unix_timestamp()).ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_millis(seconds * 1000 + milliseconds))
}

fn utc(time: SystemTime) -> OffsetDateTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = i64::try_from(since).unwrap_or_default();
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Year, month, day, hour, minute, second, in UTC.
fn parts(time: SystemTime) -> [i32; 6] {
    let time = utc(time);
    let (year, month, day) = time.to_calendar_date();
    let rest = [u8::from(month), day, time.hour(), time.minute(), time.second()];
    let [month, day, hour, minute, second] = rest.map(i32::from);
    [year, month, day, hour, minute, second]
}

fn two_digits(text: &str, at: usize) -> Option<u8> {
    let digits = text.get(at..at + 2)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time_are_written_and_read() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_264_496_999);
        assert_eq!(basic_date_time(time), "20261121T123456Z");
        assert_eq!(date_time(time), "2026-11-21T12:34:56Z");
        assert_eq!(http_date(time), "Sat, 21 Nov 2026 12:34:56 GMT");
        assert_eq!(rfc3339("2026-11-21T12:34:56.999Z"), Some(time));
        assert_eq!(rfc3339("2026-11-21T14:04:56.999+01:30"), Some(time));
        assert_eq!(rfc3339("2026-11-21T12:34:56.9991Z"), Some(time));
        assert_eq!(rfc3339("2026-11-21T07:34:56.999-05:00"), Some(time));
        for text in ["2026-11-21T12:34:56", "2026-11-21T12:34:56.Z", "2026-11-21T12:34:56+1:00"] {
            assert_eq!(rfc3339(text), None, "{text}");
        }
        for text in ["", "soon", "2026-11-21", "2026-02-30T12:00:00Z"] {
            assert_eq!(rfc3339(text), None, "{text}");
        }
    }
}
