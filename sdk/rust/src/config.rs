//! Reading a plug-in's `config` block: parsing with messages that name the key, and types for
//! values that the incumbents spell in several ways.

mod duration;

pub use duration::WeakDuration;

use crate::{Failure, json};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;

/// Reads a configuration, a JSON object, as the exported functions do.
///
/// What is wrong with it is a `config` failure that names the key and never repeats a value.
pub fn parse<C: DeserializeOwned>(config: &str) -> Result<C, Failure> {
    json::read(config.as_bytes()).map_err(json::Error::into_config_failure)
}

/// A boolean as the incumbents read most of theirs: `true`, a number (0 is false), or one of
/// the strings `1 t T TRUE true True 0 f F FALSE false False` and the empty one (false).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WeakBool(pub bool);

impl WeakBool {
    /// For `#[serde(default = "WeakBool::yes")]`.
    pub const fn yes() -> Self {
        Self(true)
    }

    /// For `#[serde(default = "WeakBool::no")]`.
    pub const fn no() -> Self {
        Self(false)
    }
}

impl From<WeakBool> for bool {
    fn from(value: WeakBool) -> Self {
        value.0
    }
}

impl<'de> Deserialize<'de> for WeakBool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WeakBoolVisitor)
    }
}

impl serde::Serialize for WeakBool {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(self.0)
    }
}

impl JsonSchema for WeakBool {
    fn schema_name() -> Cow<'static, str> {
        "WeakBool".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let strings: Vec<_> = FALSE.into_iter().chain(TRUE).collect();
        json_schema!({
            "anyOf": [{"type": "boolean"}, {"type": "number"}, {"enum": strings}],
        })
    }
}

/// Go's `strconv.ParseBool`, and the empty string.
const FALSE: [&str; 7] = ["", "0", "f", "F", "FALSE", "false", "False"];
const TRUE: [&str; 6] = ["1", "t", "T", "TRUE", "true", "True"];

struct WeakBoolVisitor;

impl Visitor<'_> for WeakBoolVisitor {
    type Value = WeakBool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("true or false")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<WeakBool, E> {
        Ok(WeakBool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<WeakBool, E> {
        Ok(WeakBool(value != 0))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<WeakBool, E> {
        Ok(WeakBool(value != 0))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<WeakBool, E> {
        Ok(WeakBool(value != 0.0))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<WeakBool, E> {
        if TRUE.contains(&value) {
            Ok(WeakBool(true))
        } else if FALSE.contains(&value) {
            Ok(WeakBool(false))
        } else {
            Err(E::invalid_value(Unexpected::Str(value), &self))
        }
    }
}

/// A secret string in a configuration: marked `writeOnly` in the schema, so that the host
/// never shows it, and left out of `Debug`.
#[derive(Clone, Deserialize)]
pub struct Secret(String);

impl Secret {
    /// The secret itself; keep it out of logs and failures.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "writeOnly": true})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use serde_json::json;

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsed")]
    struct Config {
        role_file: String,
        #[serde(default)]
        tls: Tls,
        #[serde(default = "WeakBool::yes")]
        remove: WeakBool,
    }

    #[derive(Deserialize, Debug, Default)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsed")]
    struct Tls {
        ports: Vec<u16>,
    }

    fn message(config: serde_json::Value) -> String {
        let failure = parse::<Config>(&config.to_string()).unwrap_err();
        assert_eq!(failure.kind, Kind::Config);
        failure.message
    }

    #[test]
    fn a_missing_key_is_named() {
        assert_eq!(message(json!({})), "`config` lacks `role_file`, which is required");
        assert_eq!(
            message(json!({"role_file": "r", "tls": {}})),
            "`config.tls` lacks `ports`, which is required"
        );
    }

    #[test]
    fn a_missing_key_brings_the_one_that_may_be_it() {
        #[derive(Deserialize)]
        struct Lenient {
            #[expect(dead_code, reason = "only parsed")]
            role: String,
        }
        let message = |config: &str| parse::<Lenient>(config).err().unwrap().message;
        assert_eq!(
            message(r#"{"rolle": "hunter2"}"#),
            "`config` lacks `role`, which is required; did you mean it by `rolle`?"
        );
        assert_eq!(message(r#"{"path": "/x"}"#), "`config` lacks `role`, which is required");
    }

    #[test]
    fn a_wrong_type_is_named_with_its_place_and_without_its_value() {
        assert_eq!(
            message(json!({"role_file": 12345})),
            "`config.role_file` is an integer, but must be a string"
        );
        assert_eq!(
            message(json!({"role_file": "r", "tls": {"ports": [1, "hunter2, expected u8"]}})),
            "`config.tls.ports[1]` is a string, but must be u16"
        );
        assert_eq!(
            message(json!({"role_file": "r", "remove": "hunter2"})),
            "`config.remove` is a string that doesn't fit, but must be true or false"
        );
    }

    #[test]
    fn a_mistyped_key_brings_the_one_that_was_meant() {
        assert_eq!(
            message(json!({"rolefile": "r"})),
            "`config` has no key `rolefile`; did you mean `role_file`?"
        );
        assert_eq!(
            message(json!({"role_file": "r", "tls": {"port": []}})),
            "`config.tls` has no key `port`; did you mean `ports`?"
        );
        assert_eq!(message(json!({"colour": "r"})), "`config` has no key `colour`");
    }

    #[test]
    fn weak_booleans_are_read_as_go_reads_them() {
        let read = |value: serde_json::Value| serde_json::from_value::<WeakBool>(value).ok();
        for yes in [json!(true), json!(1), json!(-2), json!(0.5)] {
            assert_eq!(read(yes.clone()), Some(WeakBool(true)), "{yes}");
        }
        for yes in TRUE {
            assert_eq!(read(json!(yes)), Some(WeakBool(true)), "{yes}");
        }
        for no in [json!(false), json!(0), json!(0.0), json!(""), json!("F"), json!("False")] {
            assert_eq!(read(no.clone()), Some(WeakBool(false)), "{no}");
        }
        for bad in [json!("yes"), json!("tRUE"), json!(" 1"), json!(null), json!([])] {
            assert_eq!(read(bad.clone()), None, "{bad}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let secret: Secret = serde_json::from_value(json!("hunter2")).unwrap();
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(secret.expose(), "hunter2");
    }
}
