//! Points in time as clouds write them.

use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// "20261121T123456Z" (ISO 8601, basic format).
pub fn basic_date_time(time: SystemTime) -> String {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    OffsetDateTime::from(time).format(format).unwrap_or_default()
}

/// "2026-11-21T12:34:56Z" (RFC 3339, without a fraction of a second).
pub fn date_time(time: SystemTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    OffsetDateTime::from(time).format(format).unwrap_or_default()
}

/// A point in time in RFC 3339; None: it is none.
pub fn rfc3339(text: &str) -> Option<SystemTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn points_in_time_are_written_and_read() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_264_496_999);
        assert_eq!(basic_date_time(time), "20261121T123456Z");
        assert_eq!(date_time(time), "2026-11-21T12:34:56Z");
        assert_eq!(rfc3339("2026-11-21T12:34:56.999Z"), Some(time));
        assert_eq!(rfc3339("2026-11-21T14:04:56.999+01:30"), Some(time));
        for text in ["", "soon", "2026-11-21", "2026-02-30T12:00:00Z"] {
            assert_eq!(rfc3339(text), None, "{text}");
        }
    }
}
