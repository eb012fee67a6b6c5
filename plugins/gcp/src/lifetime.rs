//! How long a JWT is good, as the incumbents spell it: minutes, as a number or in a string.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;

/// 1 to 720 minutes: Google signs nothing that is good for more than twelve hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Minutes(u64);

impl Minutes {
    /// The same in seconds.
    pub(crate) fn seconds(self) -> u64 {
        self.0 * 60
    }
}

impl Default for Minutes {
    fn default() -> Self {
        Self(15)
    }
}

impl<'de> Deserialize<'de> for Minutes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MinutesVisitor)
    }
}

impl serde::Serialize for Minutes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl JsonSchema for Minutes {
    fn schema_name() -> Cow<'static, str> {
        "Minutes".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 720}, {"type": "string"}]})
    }
}

struct MinutesVisitor;

impl Visitor<'_> for MinutesVisitor {
    type Value = Minutes;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("1 to 720 minutes")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Minutes, E> {
        if (1..=720).contains(&value) {
            return Ok(Minutes(value));
        }
        Err(E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Minutes, E> {
        self.visit_u64(u64::try_from(value).unwrap_or_default())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Minutes, E> {
        let minutes = value.parse().map_err(|_| E::invalid_value(Unexpected::Str(value), &self))?;
        self.visit_u64(minutes)
    }
}
