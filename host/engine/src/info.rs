//! What a plug-in says about itself, and what follows from it for its settings.

use std::collections::BTreeMap;

use usher_secret::Secret;

use crate::failure::{Failure, FailureKind};

/// The attribute that lists the settings which make a login this identity's.
const IDENTIFIES: &str = "identifies";
/// The attribute that says whether a method logs in anew for a new credential.
const REAUTHENTICATE: &str = "reauthenticate";

/// What a plug-in says about itself.
#[derive(Clone, Debug, Default)]
pub struct Info {
    /// Shown to people.
    pub name: String,
    /// Semantic version of the plug-in.
    pub version: String,
    /// One line.
    pub summary: String,
    /// JSON Schema of its configuration; "" accepts any object.
    pub config_schema: String,
    /// "licence", "source", "reauthenticate", "identifies", …
    pub attributes: Vec<(String, String)>,
}

impl Info {
    /// Of a method's configuration what makes a login this identity's and no other's, as text to
    /// compare: the settings that the attribute "identifies" names, with their defaults where they
    /// aren't set, or all of them where it names none.
    pub(crate) fn identifying(&self, config: &str) -> Secret<String> {
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
        let config = json(config);
        let keys: Vec<&str> = self.identifying_keys().collect();
        if keys.is_empty() {
            return Secret::new(config.to_string());
        }
        let schema = json(&self.config_schema);
        let settings: BTreeMap<&str, &serde_json::Value> = keys
            .into_iter()
            .map(|key| {
                let default = &schema["properties"][key]["default"];
                (key, config.get(key).unwrap_or(default))
            })
            .collect();
        Secret::new(serde_json::json!(settings).to_string())
    }

    /// The settings that the attribute "identifies" names.
    fn identifying_keys(&self) -> impl Iterator<Item = &str> {
        let keys = self.values(IDENTIFIES).flat_map(|keys| keys.split(','));
        keys.map(str::trim).filter(|key| !key.is_empty())
    }

    /// Whether a new credential is a reason to log in while the token is good; so it is where the
    /// plug-in says nothing.
    pub fn reauthenticates(&self) -> bool {
        self.values(REAUTHENTICATE).next() != Some("no")
    }

    /// An attribute that isn't understood would be taken for its contrary, or for none.
    pub(crate) fn checked(self) -> Result<Self, Failure> {
        let schema: serde_json::Value =
            serde_json::from_str(&self.config_schema).unwrap_or_default();
        let properties = schema["properties"].as_object();
        let is_unknown =
            |key: &&str| properties.is_some_and(|properties| !properties.contains_key(*key));
        let wrong = match self.values(REAUTHENTICATE).next() {
            None | Some("yes" | "no") => self.identifying_keys().find(is_unknown).map(|unknown| {
                format!(
                    "its attribute {IDENTIFIES:?} names {unknown:?}, which its schema doesn't have; write names of settings, with commas between them"
                )
            }),
            Some(other) => Some(format!(
                "its attribute {REAUTHENTICATE:?} is {other:?}; write \"yes\" or \"no\""
            )),
        };
        match wrong {
            None => Ok(self),
            Some(wrong) => Err(Failure::new(FailureKind::Config, "plugin.attribute", wrong)),
        }
    }

    /// What it says of `attribute`, which may stand there more than once.
    fn values(&self, attribute: &'static str) -> impl Iterator<Item = &str> {
        let named = self.attributes.iter().filter(move |(name, _)| name == attribute);
        named.map(|(_, value)| value.as_str())
    }

    /// Whether a value of the setting `key` may be shown: the schema has it, and not as
    /// `writeOnly`. What it doesn't have may be a secret whose key is misspelt.
    pub(crate) fn shows(&self, key: &str) -> bool {
        let schema: serde_json::Value =
            serde_json::from_str(&self.config_schema).unwrap_or_default();
        let property = &schema["properties"][key];
        property.is_object() && property["writeOnly"] != true
    }

    /// Values of the settings that the schema marks `writeOnly`.
    pub(crate) fn secret_settings(&self, config: &str) -> Vec<String> {
        let schema: serde_json::Value =
            serde_json::from_str(&self.config_schema).unwrap_or_default();
        let config: serde_json::Value = serde_json::from_str(config).unwrap_or_default();
        let Some(properties) = schema["properties"].as_object() else { return Vec::new() };
        properties
            .iter()
            .filter(|(_, property)| property["writeOnly"] == true)
            .filter_map(|(name, _)| config[name].as_str().map(str::to_owned))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(attributes: &[(&str, &str)]) -> Info {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Info {
            name: String::new(),
            version: String::new(),
            summary: String::new(),
            config_schema: r#"{"properties":{"type":{"default":"gce"},"role":{}}}"#.to_owned(),
            attributes: attributes.iter().map(owned).collect(),
        }
    }

    #[test]
    fn only_what_a_plug_in_names_identifies_and_a_default_is_as_good_as_written() {
        let named = info(&[("licence", "MIT"), ("identifies", "role, type")]);
        let of = |config| named.identifying(config).expose().clone();
        let web = of(r#"{"role":"web"}"#);
        assert_eq!(web, of(r#"{"poll":"1s","type":"gce","role":"web"}"#));
        assert_ne!(web, of(r#"{"role":"db"}"#));
        assert_ne!(web, of(r#"{"role":"web","type":"iam"}"#));
        assert_ne!(web, of("{}"));
    }

    #[test]
    fn what_identifies_must_be_a_setting_of_the_schema() {
        assert!(info(&[("identifies", "role, type")]).checked().is_ok());
        let failure = info(&[("identifies", "rol")]).checked().expect_err("it is misspelt");
        assert_eq!((failure.kind, &failure.code[..]), (FailureKind::Config, "plugin.attribute"));
        assert!(failure.message.contains("\"rol\""), "{failure}");
        let anything = Info { config_schema: String::new(), ..info(&[("identifies", "rol")]) };
        assert!(anything.checked().is_ok(), "without a schema nothing is known of its settings");
    }

    #[test]
    fn of_a_plug_in_that_names_nothing_every_setting_identifies() {
        for unnamed in [info(&[]), info(&[("identifies", " ")])] {
            let of = |config| unnamed.identifying(config).expose().clone();
            assert_eq!(of(r#"{"a":1,"b":2}"#), of(r#"{ "a": 1, "b": 2 }"#));
            assert_ne!(of(r#"{"a":1}"#), of(r#"{"a":2}"#));
            assert_ne!(of(r#"{"a":1}"#), of("{}"));
        }
    }
}
