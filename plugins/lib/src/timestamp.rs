//! Points in time as clouds write them: RFC 3339, and ISO 8601's basic format.

/// "20261121T123456Z", of milliseconds since 1970-01-01 UTC.
pub fn basic_date_time(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (year, month, day) = date_of(seconds / DAY);
    let (hour, minute, second) = (seconds % DAY / 3600, seconds % 3600 / 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Milliseconds since 1970-01-01 UTC, of RFC 3339 text: "2026-11-21T12:34:56Z", a fraction of a
/// second and an offset allowed. None: it is none, or before 1970.
pub fn rfc3339(text: &str) -> Option<u64> {
    let number = |range, most| {
        let digits: &str = text.get(range)?;
        let number: u64 =
            digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(digits)?.parse().ok()?;
        (number <= most).then_some(number)
    };
    let separated = [(4, "-"), (7, "-"), (10, "Tt "), (13, ":"), (16, ":")]
        .iter()
        .all(|(at, allowed)| text.get(*at..=*at).is_some_and(|found| allowed.contains(found)));
    if !separated {
        return None;
    }
    let (year, month, day) = (number(0..4, 9999)?, number(5..7, 12)?, number(8..10, 31)?);
    let (hour, minute, second) = (number(11..13, 23)?, number(14..16, 59)?, number(17..19, 60)?);
    let rest = text.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?),
        None => ("", rest),
    };
    let milliseconds: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let days = days_until(year, month, day)?;
    let seconds = days * DAY + hour * 3600 + minute * 60 + second;
    let seconds = match zone.as_bytes() {
        b"Z" | b"z" => seconds,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let at = text.len() - zone.len();
            let offset = number(at + 1..at + 3, 23)? * 3600 + number(at + 4..at + 6, 59)? * 60;
            if *sign == b'+' { seconds.checked_sub(offset)? } else { seconds + offset }
        }
        _ => return None,
    };
    Some(seconds * 1000 + milliseconds)
}

/// Seconds.
const DAY: u64 = 86_400;

/// Days from 0000-03-01, with which a year of 365.2425 days begins, to 1970-01-01.
const EPOCH: u64 = 719_468;

/// Year, month and day, of days since 1970-01-01, in the Gregorian calendar.
fn date_of(days: u64) -> (u64, u64, u64) {
    // Years begin in March, so that the leap day is their last.
    let days = days + EPOCH;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Days since 1970-01-01. None: there is no such day, or it is before.
fn days_until(year: u64, month: u64, day: u64) -> Option<u64> {
    if month == 0 || day == 0 {
        return None;
    }
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let year_from_march = year.checked_sub(u64::from(month <= 2))?;
    let (era, year_of_era) = (year_from_march / 400, year_from_march % 400);
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(EPOCH)?;
    // "02-30" would be a day of March.
    (date_of(days) == (year, month, day)).then_some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_points_in_time_are_written_and_read() {
        for (seconds, basic, text) in [
            (0, "19700101T000000Z", "1970-01-01T00:00:00Z"),
            (951_782_400, "20000229T000000Z", "2000-02-29T00:00:00Z"),
            (1_440_938_160, "20150830T123600Z", "2015-08-30T12:36:00Z"),
            (1_795_264_496, "20261121T123456Z", "2026-11-21T12:34:56Z"),
            (4_107_542_399, "21000228T235959Z", "2100-02-28T23:59:59Z"),
            (4_107_542_400, "21000301T000000Z", "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(basic_date_time(seconds * 1000 + 999), basic);
            assert_eq!(rfc3339(text), Some(seconds * 1000), "{text}");
        }
    }

    #[test]
    fn fractions_and_offsets_are_read() {
        let noon = rfc3339("2026-11-21T12:00:00Z").unwrap();
        for (text, milliseconds) in [
            ("2026-11-21T12:00:00.5Z", 500),
            ("2026-11-21t12:00:00.123456789z", 123),
            ("2026-11-21T13:30:00+01:30", 0),
            ("2026-11-21T07:00:00-05:00", 0),
            ("2026-11-21 12:00:00Z", 0),
        ] {
            assert_eq!(rfc3339(text), Some(noon + milliseconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_point_in_time_is_none() {
        for text in [
            "",
            "soon",
            "2026-11-21",
            "2026-11-21T12:00:00",
            "2026-02-30T12:00:00Z",
            "2026-13-01T12:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T12:00:00.Zx",
            "2026-11-21T12:00:00+1:00",
            "+026-11-21T12:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-11-21T12:00:é0Z",
        ] {
            assert_eq!(rfc3339(text), None, "{text}");
        }
    }
}
