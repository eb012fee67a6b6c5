//! The little of DER (X.690) that Kerberos messages (RFC 4120, section 5.2), certificates and private
//! keys are made of: written and read.
//!
//! Reading is bounds-checked throughout and takes any bytes: they may come from the network.

use time::{Date, Month, PrimitiveDateTime, Time};

/// Tag of SEQUENCE and SEQUENCE OF.
pub const SEQUENCE: u8 = 0x30;
/// Tag of INTEGER.
pub const INTEGER: u8 = 0x02;
/// Tag of SET and SET OF.
pub const SET: u8 = 0x31;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const GENERALIZED_TIME: u8 = 0x18;
const GENERAL_STRING: u8 = 0x1b;

/// Tag, length, content.
pub fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut encoded = vec![tag];
    let length = content.len();
    if length < 0x80 {
        encoded.push(length.to_le_bytes()[0]);
    } else {
        let bytes = length.to_be_bytes();
        let bytes = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
        encoded.push(0x80 | bytes.len().to_le_bytes()[0]);
        encoded.extend(bytes);
    }
    encoded.extend(content);
    encoded
}

/// SEQUENCE of what is encoded already.
pub fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    value(SEQUENCE, &parts.concat())
}

/// `[number] EXPLICIT`.
pub fn explicit(number: u8, inner: Vec<u8>) -> Vec<u8> {
    value(context(number), &inner)
}

/// `[APPLICATION number] EXPLICIT`.
pub fn application(number: u8, inner: &[u8]) -> Vec<u8> {
    value(application_tag(number), inner)
}

/// INTEGER.
pub fn integer(number: impl Into<i64>) -> Vec<u8> {
    let bytes = number.into().to_be_bytes();
    // Leading bytes that only repeat the sign are left out.
    let mut start = 0;
    while start < 7
        && (bytes[start] == 0 && bytes[start + 1] < 0x80
            || bytes[start] == 0xff && bytes[start + 1] >= 0x80)
    {
        start += 1;
    }
    value(INTEGER, &bytes[start..])
}

/// OCTET STRING.
pub fn octets(bytes: &[u8]) -> Vec<u8> {
    value(OCTET_STRING, bytes)
}

/// 32 flags, the first one in the highest bit.
pub fn flags(flags: u32) -> Vec<u8> {
    let [first, second, third, fourth] = flags.to_be_bytes();
    value(BIT_STRING, &[0, first, second, third, fourth])
}

/// OBJECT IDENTIFIER, whose encoding is given.
pub fn object_identifier(encoded: &[u8]) -> Vec<u8> {
    value(OBJECT_IDENTIFIER, encoded)
}

/// `GeneralString`.
pub fn string(text: &str) -> Vec<u8> {
    value(GENERAL_STRING, text.as_bytes())
}

/// A time in whole seconds since 1970, in UTC.
pub fn time(seconds: i64) -> Vec<u8> {
    let time = time::OffsetDateTime::from_unix_timestamp(seconds)
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let text = format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    value(GENERALIZED_TIME, text.as_bytes())
}

/// Tag of `[number]`, constructed.
pub const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// Tag of `[APPLICATION number]`, constructed.
pub const fn application_tag(number: u8) -> u8 {
    0x60 | number
}

/// The bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// What has not been read yet of some values, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether all is read.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The tag of the next value.
    pub fn tag(self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The content of the next value, which must have this tag.
    pub fn content(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        if self.tag() != Some(tag) {
            return Err(Malformed);
        }
        self.next().map(|(_, content)| content)
    }

    /// The next value, with tag and length.
    pub fn whole(&mut self) -> Result<&'a [u8], Malformed> {
        self.next().map(|(whole, _)| whole)
    }

    /// The content of the next value, which must have this tag, to be read itself.
    pub fn inside(&mut self, tag: u8) -> Result<Reader<'a>, Malformed> {
        self.content(tag).map(Reader)
    }

    /// A sequence, which must be all that is left.
    pub fn only_sequence(&mut self) -> Result<Reader<'a>, Malformed> {
        let inside = self.inside(SEQUENCE)?;
        if self.is_empty() { Ok(inside) } else { Err(Malformed) }
    }

    /// `[number] EXPLICIT`, required.
    pub fn explicit(&mut self, number: u8) -> Result<Reader<'a>, Malformed> {
        self.inside(context(number))
    }

    /// `[number] EXPLICIT OPTIONAL`.
    pub fn optional(&mut self, number: u8) -> Result<Option<Reader<'a>>, Malformed> {
        if self.tag() == Some(context(number)) { self.explicit(number).map(Some) } else { Ok(None) }
    }

    /// INTEGER of 64 bits at most.
    pub fn integer(&mut self) -> Result<i64, Malformed> {
        let content = self.content(INTEGER)?;
        if content.is_empty() || content.len() > 8 {
            return Err(Malformed);
        }
        let sign = if content[0] < 0x80 { 0 } else { -1 };
        Ok(content.iter().fold(sign, |number, byte| number << 8 | i64::from(*byte)))
    }

    /// OCTET STRING.
    pub fn octets(&mut self) -> Result<&'a [u8], Malformed> {
        self.content(OCTET_STRING)
    }

    /// OBJECT IDENTIFIER, as it is encoded.
    pub fn object_identifier(&mut self) -> Result<&'a [u8], Malformed> {
        self.content(OBJECT_IDENTIFIER)
    }

    /// The first 32 flags, the first one in the highest bit.
    pub fn flags(&mut self) -> Result<u32, Malformed> {
        let content = self.content(BIT_STRING)?;
        let (_unused, bytes) = content.split_first().ok_or(Malformed)?;
        let at = |index: usize| bytes.get(index).copied().unwrap_or_default();
        Ok(u32::from_be_bytes([at(0), at(1), at(2), at(3)]))
    }

    /// `GeneralString`, as text.
    pub fn string(&mut self) -> Result<String, Malformed> {
        let content = self.content(GENERAL_STRING)?;
        Ok(String::from_utf8_lossy(content).into_owned())
    }

    /// Seconds since 1970.
    pub fn time(&mut self) -> Result<i64, Malformed> {
        let content = self.content(GENERALIZED_TIME)?;
        let digits = content.strip_suffix(b"Z").filter(|digits| digits.len() == 14);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_digit));
        let digits = digits.ok_or(Malformed)?;
        let two = |at: usize| (digits[at] - b'0') * 10 + (digits[at + 1] - b'0');
        let year = i32::from(two(0)) * 100 + i32::from(two(2));
        let month = Month::try_from(two(4)).map_err(|_| Malformed)?;
        let date = Date::from_calendar_date(year, month, two(6)).map_err(|_| Malformed)?;
        // A leap second is as good as the one before it.
        let time = Time::from_hms(two(8), two(10), two(12).min(59)).map_err(|_| Malformed)?;
        Ok(PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp())
    }

    /// The content of the next value, whatever its tag.
    pub fn any(&mut self) -> Result<&'a [u8], Malformed> {
        self.next().map(|(_, content)| content)
    }

    /// The next value, with its tag and length and without.
    fn next(&mut self) -> Result<(&'a [u8], &'a [u8]), Malformed> {
        let bytes = self.0;
        let first = usize::from(*bytes.get(1).ok_or(Malformed)?);
        let (start, length) = if first < 0x80 {
            (2, first)
        } else {
            let count = first & 0x7f;
            let encoded = bytes.get(2..2 + count).ok_or(Malformed)?;
            if count == 0 || count > 4 {
                return Err(Malformed);
            }
            let length = encoded.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
            (2 + count, usize::try_from(length).map_err(|_| Malformed)?)
        };
        let end = start.checked_add(length).ok_or(Malformed)?;
        let content = bytes.get(start..end).ok_or(Malformed)?;
        self.0 = &bytes[end..];
        Ok((&bytes[..end], content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_take_as_few_bytes_as_der_demands() {
        for (number, encoded) in [
            (0, &[2, 1, 0][..]),
            (5, &[2, 1, 5]),
            (127, &[2, 1, 0x7f]),
            (128, &[2, 2, 0, 0x80]),
            (0x8003, &[2, 3, 0, 0x80, 3]),
            (i64::from(u32::MAX), &[2, 5, 0, 0xff, 0xff, 0xff, 0xff]),
            (-1, &[2, 1, 0xff]),
            (-128, &[2, 1, 0x80]),
            (-138, &[2, 2, 0xff, 0x76]),
        ] {
            assert_eq!(integer(number), encoded, "{number}");
            assert_eq!(Reader::new(encoded).integer(), Ok(number));
        }
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "19700101000000Z"),
            (951_782_400, "20000229000000Z"),
            (1_795_357_845, "20261122143045Z"),
        ] {
            assert_eq!(time(seconds)[2..], *text.as_bytes());
            assert_eq!(Reader::new(&time(seconds)).time(), Ok(seconds));
        }
        for text in ["20260230000000Z", "20261122143045", "2026112214304Z", "2026112214304xZ", ""] {
            assert_eq!(Reader::new(&value(0x18, text.as_bytes())).time(), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn long_contents_have_long_lengths() {
        for (length, head) in
            [(127, &[4, 127][..]), (128, &[4, 0x81, 128]), (300, &[4, 0x82, 1, 44])]
        {
            let content = vec![7; length];
            let encoded = octets(&content);
            assert_eq!(encoded[..head.len()], *head);
            assert_eq!(Reader::new(&encoded).octets(), Ok(&content[..]));
            assert_eq!(Reader::new(&encoded[..encoded.len() - 1]).octets(), Err(Malformed));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader::new(&bytes);
            while !reader.is_empty() && reader.whole().is_ok() {}
            let _ = Reader::new(&bytes).integer();
            let _ = Reader::new(&bytes).time();
            let _ = Reader::new(&bytes).flags();
            let _ = Reader::new(&bytes).string();
        }
    }
}
