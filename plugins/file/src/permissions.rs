//! The `mode` of the file: a number as the incumbents read it, or an octal string.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// All that may be set: reading, writing and executing for owner, group and others.
const PERMISSION_BITS: u32 = 0o777;

/// Permission bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mode(pub(crate) u32);

impl Default for Mode {
    fn default() -> Self {
        Self(0o640)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ModeVisitor)
    }
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{:04o}", self.0))
    }
}

impl JsonSchema for Mode {
    fn schema_name() -> Cow<'static, str> {
        "Mode".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": PERMISSION_BITS},
                {"type": "string", "pattern": "^(0o|0)?[0-7]{1,3}$"},
            ],
        })
    }
}

struct ModeVisitor;

impl Visitor<'_> for ModeVisitor {
    type Value = Mode;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("permission bits such as 0640 or \"0640\"")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Mode, E> {
        match u32::try_from(number) {
            Ok(mode) if mode <= PERMISSION_BITS => Ok(Mode(mode)),
            _ => Err(E::custom(too_many_bits(number))),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Mode, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::custom(format_args!("{number} is no mode; write 0640"))),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Mode, E> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let octal = !digits.is_empty() && digits.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
        match u32::from_str_radix(digits, 8) {
            Ok(mode) if octal && mode <= PERMISSION_BITS => Ok(Mode(mode)),
            _ => Err(E::custom(format_args!("{text:?} is no octal mode; write \"0640\""))),
        }
    }
}

/// `640` without the leading zero is the usual slip: it means 01200 in octal.
fn too_many_bits(number: u64) -> String {
    match u64::from_str_radix(&number.to_string(), 8) {
        Ok(meant) if meant <= u64::from(PERMISSION_BITS) => format!(
            "{number} is a decimal number, octal {number:o}, which has more than permission bits; \
             write {number:04} (\"{number:04}\" or {meant} in JSON)"
        ),
        _ => format!("{number} has more than permission bits; write a mode such as 0640"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(value: Value) -> Result<u32, String> {
        serde_json::from_value::<Mode>(value).map(|mode| mode.0).map_err(|error| error.to_string())
    }

    #[test]
    fn a_number_is_taken_as_it_is() {
        assert_eq!(read(json!(416)), Ok(0o640));
        assert_eq!(read(json!(0)), Ok(0));
        assert_eq!(read(json!(511)), Ok(0o777));
    }

    #[test]
    fn a_string_is_octal() {
        for (text, mode) in [("0640", 0o640), ("640", 0o640), ("0o600", 0o600), ("0", 0)] {
            assert_eq!(read(json!(text)), Ok(mode), "{text}");
        }
    }

    #[test]
    fn a_mode_without_its_zero_is_refused_with_what_to_write() {
        assert!(read(json!(640)).unwrap_err().contains("write 0640 (\"0640\" or 416 in JSON)"));
        assert!(read(json!(600)).unwrap_err().contains("write 0600"));
        assert!(read(json!(644)).unwrap_err().contains("write 0644"));
    }

    #[test]
    fn what_is_no_mode_is_refused() {
        for value in [
            json!(888),
            json!(1000),
            json!(-1),
            json!(u64::MAX),
            json!("0689"),
            json!("01640"),
            json!(""),
            json!("+640"),
            json!("0o"),
            json!("rw-r-----"),
        ] {
            let message = read(value.clone()).unwrap_err();
            assert!(message.contains("0640"), "{value}: {message}");
        }
        assert!(read(json!(true)).is_err());
        assert!(read(json!(416.5)).is_err());
    }
}
