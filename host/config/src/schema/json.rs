//! The JSON Schema of the configuration's JSON form, made from the tables.

use serde_json::{Map, Value as Json, json};

use super::blocks::ALL;
use super::{Block, FILE, IDENTITY, Key, Kind, State};

/// JSON Schema, draft 2020-12, for editors: what it accepts has the right form; `usher validate`
/// judges what it means.
pub fn json_schema() -> Json {
    let mut schema = object(&FILE);
    let mut definitions = Map::new();
    for block in ALL.into_iter().skip(1).chain([&IDENTITY]) {
        definitions.insert(block.name.to_owned(), object(block));
    }
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        schema.insert("title".into(), "Configuration of the Usher agent".into());
        schema.insert("$defs".into(), Json::Object(definitions));
    }
    schema
}

fn object(block: &Block) -> Json {
    let properties: Map<String, Json> =
        block.keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let mut object = json!({ "type": "object", "properties": properties });
    if block.closed {
        object["additionalProperties"] = false.into();
    }
    object
}

fn property(key: &Key) -> Json {
    let mut property = value(key.kind);
    property["description"] = match key.state {
        State::Built => key.description.into(),
        State::NotBuilt(_) | State::Beside => {
            format!("Not supported yet. {}", key.description).into()
        }
        State::Deprecated(help) => {
            property["deprecated"] = true.into();
            format!("Deprecated: {help}. {}", key.description).into()
        }
        State::NoEffect(reason) => {
            property["deprecated"] = true.into();
            format!("Without effect: {reason}.").into()
        }
    };
    property
}

fn value(kind: Kind) -> Json {
    match kind {
        Kind::Text | Kind::Permissions => json!({ "type": ["string", "integer"] }),
        Kind::Choice(choices) => json!({ "enum": choices }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::WeakBoolean | Kind::TokenUse => json!({ "type": ["boolean", "string", "number"] }),
        Kind::Duration | Kind::Size | Kind::GoDuration => json!({ "type": ["string", "number"] }),
        Kind::Integer => json!({ "type": ["integer", "string"] }),
        Kind::Strings => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Block(block) => one_or_list(&reference(block), Some(1)),
        Kind::Typed(block) => one_or_list(&reference(block), None),
        Kind::Named(block) => {
            let named = json!({ "type": "object", "additionalProperties": reference(block) });
            one_or_list(&named, None)
        }
        Kind::SwitchOrBlock(block) => {
            json!({ "anyOf": [{ "type": ["boolean", "string", "number"] }, reference(block)] })
        }
        Kind::Settings => one_or_list(&json!({ "type": "object" }), None),
        Kind::StrictText | Kind::Signal => json!({ "type": "string" }),
        Kind::StrictInteger => json!({ "type": "integer" }),
        Kind::Command => {
            json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
        }
        Kind::Wait => json!({ "anyOf": [{ "type": "string" }, reference(&super::WAIT)] }),
        Kind::Any => json!({}),
    }
}

fn reference(block: &Block) -> Json {
    json!({ "$ref": format!("#/$defs/{}", block.name) })
}

fn one_or_list(one: &Json, longest: Option<u8>) -> Json {
    let mut list = json!({ "type": "array", "items": one });
    if let Some(longest) = longest {
        list["maxItems"] = longest.into();
    }
    json!({ "anyOf": [one, list] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_block_is_defined_once_and_each_reference_leads_somewhere() {
        let schema = json_schema();
        let text = schema.to_string();
        for (_, after) in text.match_indices("\"#/$defs/").map(|(at, found)| {
            text[at + found.len()..].split_once('"').map_or(("", ""), |(name, _)| ("", name))
        }) {
            assert!(schema["$defs"][after].is_object(), "{after}");
        }
        assert_eq!(schema["$defs"].as_object().unwrap().len(), ALL.len());
        assert_eq!(schema["properties"]["exit_after_auth"]["type"], "boolean");
        assert_eq!(schema["$defs"]["sink"]["properties"]["dh_type"]["enum"][0], "curve25519");
        assert_eq!(schema["$defs"]["identity"]["additionalProperties"], false);
        assert_eq!(schema["properties"]["cluster_name"]["deprecated"], true);
    }
}
