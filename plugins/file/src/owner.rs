//! The file's `uid` and `gid`: a number as the incumbents read it, or a name.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// Name or number of a user or group. None: the agent's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owner(pub(crate) Option<String>);

impl<'de> Deserialize<'de> for Owner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OwnerVisitor)
    }
}

impl Serialize for Owner {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(name) => serializer.serialize_str(name),
            None => serializer.serialize_i64(-1),
        }
    }
}

impl JsonSchema for Owner {
    fn schema_name() -> Cow<'static, str> {
        "Owner".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                {"type": "integer", "minimum": -1, "maximum": u32::MAX - 1},
                {"type": "string", "minLength": 1},
            ],
        })
    }
}

struct OwnerVisitor;

impl Visitor<'_> for OwnerVisitor {
    type Value = Owner;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number or a name")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Owner, E> {
        // The greatest number means "unchanged" to the operating system.
        match u32::try_from(number) {
            Ok(number) if number != u32::MAX => Ok(Owner(Some(number.to_string()))),
            _ => Err(E::custom(format_args!("{number} is no user or group"))),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Owner, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) if number == -1 => Ok(Owner(None)),
            Err(_) => Err(E::custom(format_args!("{number} is no user or group"))),
        }
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Owner, E> {
        if name.is_empty() {
            return Err(E::custom("an empty name is no user or group; leave the key out"));
        }
        match name.parse() {
            Ok(number) => self.visit_i64(number),
            Err(_) => Ok(Owner(Some(name.to_owned()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(value: Value) -> Option<Owner> {
        serde_json::from_value(value).ok()
    }

    fn named(name: &str) -> Owner {
        Owner(Some(name.to_owned()))
    }

    #[test]
    fn a_number_or_a_name_is_taken_and_minus_one_is_the_agents_own() {
        assert_eq!(read(json!(0)), Some(named("0")));
        assert_eq!(read(json!(1000)), Some(named("1000")));
        assert_eq!(read(json!("1000")), Some(named("1000")));
        assert_eq!(read(json!("app")), Some(named("app")));
        assert_eq!(read(json!(-1)), Some(Owner(None)));
    }

    #[test]
    fn what_is_no_user_is_refused() {
        for value in [json!(-2), json!(u32::MAX), json!(1u64 << 40), json!(""), json!(true)] {
            assert_eq!(read(value.clone()), None, "{value}");
        }
    }
}
