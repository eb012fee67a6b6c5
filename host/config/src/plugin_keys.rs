//! The keys of a `config` block that the plug-in's own JSON Schema doesn't have.
//!
//! A key counts as known if any part of the schema that may apply there names it. An object whose
//! keys the schema doesn't list, and one that it opens with `additionalProperties`, takes any.

use regex_lite::Regex;
use serde_json::{Map, Value as Json};

use crate::diagnostic::Diagnostic;
use crate::fields::unknown_key;
use crate::resemblance::nearest;
use crate::settings::PluginConfig;

/// More would be no help.
const MOST_LISTED: usize = 16;

/// Accepts whatever there is.
static ANYTHING: Json = Json::Bool(true);

impl PluginConfig {
    /// What the JSON Schema `schema` of the plug-in `plugin` doesn't have, each at its place.
    /// Without a schema ("") there is nothing to say.
    pub fn unknown_keys(&self, plugin: &str, schema: &str) -> Vec<Diagnostic> {
        let Ok(root) = serde_json::from_str::<Json>(schema) else { return Vec::new() };
        let mut search = Search { config: self, plugin, root: &root, found: Vec::new() };
        search.object(&[&root], &self.to_map(), &[], None);
        search.found
    }
}

struct Search<'a> {
    config: &'a PluginConfig,
    plugin: &'a str,
    root: &'a Json,
    found: Vec<Diagnostic>,
}

/// What a schema says of an object's keys.
#[derive(Default)]
struct Keys<'a> {
    named: Vec<(&'a str, &'a Json)>,
    patterns: Vec<(Regex, &'a Json)>,
    /// Of keys that are neither.
    others: Vec<&'a Json>,
    /// Any key may be there.
    open: bool,
}

impl<'a> Search<'a> {
    fn object(
        &mut self,
        schemas: &[&'a Json],
        object: &Map<String, Json>,
        path: &[&str],
        around: Option<&Keys<'a>>,
    ) {
        let keys = self.keys(schemas);
        for (name, value) in object {
            let mut place = path.to_vec();
            place.push(name);
            if let Some(schemas) = keys.of(name) {
                self.value(&schemas, value, &place, &keys);
                continue;
            }
            let help = self.help(name, &keys, path, around);
            let block = self.config.around;
            let mut what = format!("the config of {} \"{}\"", block.name, self.plugin);
            if !path.is_empty() {
                what = format!("`{}` in {what}", path.join("."));
            }
            let location = self.config.locate_key(&place);
            self.found.push(unknown_key(block, &what, name, help, location));
        }
    }

    fn value(&mut self, schemas: &[&'a Json], value: &Json, path: &[&str], around: &Keys<'a>) {
        match value {
            Json::Object(object) => self.object(schemas, object, path, Some(around)),
            Json::Array(elements) => {
                let applicable = self.applicable(schemas);
                for (index, element) in elements.iter().enumerate() {
                    let schemas: Vec<&Json> =
                        applicable.iter().filter_map(|schema| of_element(schema, index)).collect();
                    let index = index.to_string();
                    let mut place = path.to_vec();
                    place.push(&index);
                    self.value(&schemas, element, &place, around);
                }
            }
            _ => {}
        }
    }

    /// What to write instead.
    fn help(
        &self,
        name: &str,
        keys: &Keys<'a>,
        path: &[&str],
        around: Option<&Keys<'a>>,
    ) -> String {
        if let Some(meant) = nearest(name, keys.names()) {
            return format!("did you mean `{meant}`?");
        }
        let inner = keys
            .named
            .iter()
            .find(|(_, schema)| self.keys(&[schema]).names().any(|inner| inner == name));
        if let Some((block, _)) = inner {
            return format!("`{name}` belongs in {block}");
        }
        let elsewhere = match around {
            Some(around) => around.names().any(|outer| outer == name).then(|| {
                let block = path.iter().rev().nth(1).copied().unwrap_or("config");
                format!("`{name}` belongs in {block}")
            }),
            None if self.config.around.key(name).is_some() => {
                let block = self.config.around.name;
                Some(format!("`{name}` belongs in the {block} itself, beside its config block"))
            }
            None => self.config.around.elsewhere(name),
        };
        elsewhere.unwrap_or_else(|| match keys.names().collect::<Vec<_>>().as_slice() {
            [] => String::new(),
            names if names.len() > MOST_LISTED => String::new(),
            names => format!("it takes {}", names.join(", ")),
        })
    }

    fn keys(&self, schemas: &[&'a Json]) -> Keys<'a> {
        let mut keys = Keys::default();
        let mut listed = false;
        for schema in self.applicable(schemas) {
            let Json::Object(schema) = schema else {
                keys.open |= *schema == Json::Bool(true);
                continue;
            };
            if let Some(Json::Object(properties)) = schema.get("properties") {
                listed = true;
                keys.named.extend(properties.iter().map(|(name, schema)| (name.as_str(), schema)));
            }
            if let Some(Json::Object(patterns)) = schema.get("patternProperties") {
                listed = true;
                for (pattern, schema) in patterns {
                    match Regex::new(pattern) {
                        Ok(pattern) => keys.patterns.push((pattern, schema)),
                        // ECMAScript has more than can be judged here.
                        Err(_) => keys.open = true,
                    }
                }
            }
            for others in ["additionalProperties", "unevaluatedProperties"] {
                match schema.get(others) {
                    None => {}
                    Some(Json::Bool(false)) => listed = true,
                    Some(schema) => {
                        keys.open = true;
                        keys.others.push(schema);
                    }
                }
            }
        }
        keys.open |= !listed;
        keys
    }

    /// The schemas with all that they refer to or combine, for as far as it may apply.
    fn applicable(&self, schemas: &[&'a Json]) -> Vec<&'a Json> {
        let mut all = Vec::new();
        for schema in schemas {
            self.expand(schema, &mut all);
        }
        all
    }

    fn expand(&self, schema: &'a Json, all: &mut Vec<&'a Json>) {
        if all.iter().any(|known| std::ptr::eq(*known, schema)) {
            return;
        }
        all.push(schema);
        let Json::Object(parts) = schema else { return };
        for (keyword, part) in parts {
            match (keyword.as_str(), part) {
                ("$ref", Json::String(reference)) => match self.resolve(reference) {
                    Some(schema) => self.expand(schema, all),
                    None => all.push(&ANYTHING),
                },
                ("$dynamicRef" | "$recursiveRef", _) => all.push(&ANYTHING),
                ("allOf", Json::Array(schemas)) => {
                    for schema in schemas.iter().filter(|schema| schema.is_object()) {
                        self.expand(schema, all);
                    }
                }
                ("anyOf" | "oneOf", Json::Array(schemas)) => {
                    for schema in schemas {
                        self.expand(schema, all);
                        if takes_any_object(schema) {
                            all.push(&ANYTHING);
                        }
                    }
                }
                ("if" | "then" | "else", Json::Object(_)) => self.expand(part, all),
                ("dependentSchemas", Json::Object(schemas)) => {
                    for (_, schema) in schemas {
                        self.expand(schema, all);
                    }
                }
                _ => {}
            }
        }
    }

    /// Within the schema itself; nothing is fetched.
    fn resolve(&self, reference: &str) -> Option<&'a Json> {
        self.root.pointer(reference.strip_prefix('#')?)
    }
}

impl<'a> Keys<'a> {
    /// The schemas of a key. None: it is unknown.
    fn of(&self, name: &str) -> Option<Vec<&'a Json>> {
        let named = self.named.iter().filter(|(known, _)| *known == name);
        let matching = self.patterns.iter().filter(|(pattern, _)| pattern.is_match(name));
        let schemas: Vec<&Json> =
            named.map(|(_, schema)| *schema).chain(matching.map(|(_, schema)| *schema)).collect();
        if schemas.is_empty() {
            return self.open.then(|| self.others.clone());
        }
        Some(schemas)
    }

    /// Those that can be shown; the text is the plug-in's.
    fn names(&self) -> impl Iterator<Item = &'a str> {
        let mut names: Vec<&str> = self.named.iter().map(|(name, _)| *name).collect();
        names.retain(|name| !name.chars().any(char::is_control));
        names.sort_unstable();
        names.dedup();
        names.into_iter()
    }
}

/// One of several alternatives that lists no keys of an object that it takes.
fn takes_any_object(schema: &Json) -> bool {
    let Json::Object(parts) = schema else { return *schema == Json::Bool(true) };
    let takes_objects = match parts.get("type") {
        Some(Json::String(one)) => one == "object",
        Some(Json::Array(several)) => several.iter().any(|one| one == "object"),
        _ => parts.is_empty(),
    };
    let says_more = ["properties", "patternProperties", "$ref", "allOf", "anyOf", "oneOf"]
        .iter()
        .any(|keyword| parts.contains_key(*keyword));
    takes_objects && !says_more && parts.get("additionalProperties") != Some(&Json::Bool(false))
}

fn of_element(schema: &Json, index: usize) -> Option<&Json> {
    let items = schema.get("items");
    let listed = schema.get("prefixItems").or(items.filter(|items| items.is_array()));
    let at = listed.and_then(|listed| listed.get(index));
    at.or(items.filter(|items| items.is_object())).or_else(|| schema.get("additionalItems"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::diagnostic::{Location, Source};
    use crate::schema::{IDENTITY_SINK, METHOD, SINK};

    fn config(text: &str, around: &'static crate::schema::Block) -> PluginConfig {
        let source = Arc::new(Source { path: "agent.hcl".into(), text: text.to_owned() });
        let object = crate::hcl::read(&source).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        PluginConfig::new(&object, Location::new(&source, 0, 0), around)
    }

    /// "LINE:COLUMN KEY: HELP" of each unknown key.
    fn unknown(text: &str, schema: &Json) -> Vec<String> {
        let found = config(text, &METHOD).unknown_keys("acme", &schema.to_string());
        let shown = |problem: &Diagnostic| {
            let place = problem.location.as_ref().unwrap();
            let key = problem.message.rsplit('`').nth(1).unwrap();
            format!("{}:{} {key}: {}", place.line(), place.column(), problem.help)
        };
        found.iter().map(shown).collect()
    }

    #[test]
    fn a_key_that_the_schema_lacks_is_warned_of_at_its_place() {
        let schema = include_str!("../../../plugins/file/config.schema.json");
        let text = "path = \"/s\"\n  perms = \"0600\" Mode = 0600";
        let found = config(text, &SINK).unknown_keys("file", schema);
        let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 2, "{shown:?}");
        // In the order of the JSON object.
        assert!(shown[0].starts_with("agent.hcl:2:18: warning: "), "{shown:?}");
        assert!(shown[0].contains("did you mean `mode`?"), "{shown:?}");
        assert!(shown[1].starts_with("agent.hcl:2:3: warning: "), "{shown:?}");
        assert!(
            shown[1].contains("the config of sink \"file\" has no key `perms`; it is ignored"),
            "{shown:?}"
        );
        assert!(shown[1].contains("it takes gid, in_place, mode, path, uid"), "{shown:?}");
        let found = config(text, &IDENTITY_SINK).unknown_keys("file", schema);
        assert!(found.iter().all(Diagnostic::is_error), "a block of our own: {found:?}");
        let found = config("path = \"/s\" mode = 0600 uid = 1", &SINK).unknown_keys("file", schema);
        assert_eq!(found, []);
    }

    #[test]
    fn what_a_schema_leaves_open_is_not_warned_of() {
        for (schema, taken, unknown_too) in [
            (json!({}), "b = 1", false),
            (json!(true), "b = 1", false),
            (json!({ "type": "object" }), "b = 1", false),
            (json!({ "properties": { "a": {} }, "additionalProperties": true }), "b = 1", false),
            (json!({ "properties": { "a": {} }, "additionalProperties": {} }), "b = 1", false),
            (json!({ "properties": { "a": {} }, "unevaluatedProperties": {} }), "b = 1", false),
            (json!({ "properties": { "a": {} }, "additionalProperties": false }), "a = 1", true),
            (json!({ "properties": { "a": {} } }), "a = 1", true),
            (json!({ "patternProperties": { "^x[-_]": {} } }), "x-1 = 1 x_b = 2", true),
            (json!({ "patternProperties": { "(?=a)b": {} } }), "b = 1", false),
            (json!({ "$ref": "https://example.org/schema" }), "b = 1", false),
            (json!({ "$ref": "#/$defs/none" }), "b = 1", false),
            (
                json!({ "$ref": "#/$defs/c", "$defs": { "c": { "properties": { "a": {} } } } }),
                "a = 1",
                true,
            ),
            (
                json!({ "allOf": [{ "properties": { "a": {} } }, { "required": ["b"] }], "properties": { "b": {} } }),
                "a = 1 b = 1",
                true,
            ),
            (
                json!({ "oneOf": [{ "properties": { "a": {} } }, { "properties": { "b": {} } }] }),
                "b = 1",
                true,
            ),
            (
                json!({ "anyOf": [{ "properties": { "a": {} } }, { "type": "object" }] }),
                "b = 1",
                false,
            ),
            (
                json!({ "if": { "properties": { "a": {} } }, "then": { "properties": { "b": {} } } }),
                "a = 1 b = 1",
                true,
            ),
        ] {
            assert_eq!(unknown(taken, &schema), [""; 0], "{schema}");
            let stray = unknown("zzzz = 1", &schema);
            assert_eq!(!stray.is_empty(), unknown_too, "{schema}: {stray:?}");
        }
        for schema in ["", "no JSON", "[]"] {
            let found = config("zzzz = 1", &METHOD).unknown_keys("acme", schema);
            assert_eq!(found, [], "{schema}");
        }
    }

    #[test]
    fn blocks_and_lists_within_are_looked_into() {
        let schema = json!({
            "properties": {
                "tls": { "properties": { "ca_file": {}, "deep": { "properties": { "a": {} } } } },
                "header": { "items": { "properties": { "name": {}, "value": {} } } },
                "labels": { "type": "object", "additionalProperties": { "type": "string" } },
                "of": { "additionalProperties": { "properties": { "role": {} } } },
                "node": { "$ref": "#/$defs/node" },
            },
            "$defs": { "node": { "properties": { "node": { "$ref": "#/$defs/node" } } } },
        });
        let text = "tls {\n  ca_fil = 1\n  deep {\n    zzzz = 1\n    a = 1\n  }\n}\n\
             header { name = 1 }\nheader {\n  nmae = 1\n}\n\
             labels { any = 1 }\n\
             of { x { rolle = 1 } }\n\
             node { node { node { zzzz = 1 } } }";
        let found = unknown(text, &schema);
        let places: Vec<&str> = found.iter().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(found.len(), 5, "{found:?}");
        for expected in [
            "2:3 ca_fil: did you mean `ca_file`?",
            "4:5 zzzz: it takes a",
            "10:3 nmae: did you mean `name`?",
            "13:10 rolle: did you mean `role`?",
            "14:22 zzzz: it takes node",
        ] {
            assert!(found.iter().any(|line| line == expected), "{expected}: {found:?} {places:?}");
        }
    }

    #[test]
    fn a_misplaced_setting_is_sent_where_it_belongs() {
        let schema = json!({
            "properties": {
                "url": {},
                "tls": { "properties": { "ca_file": {}, "name": {} } },
            },
        });
        for (text, help) in [
            ("ca_file = 1", "`ca_file` belongs in tls"),
            ("tls { url = 1 }", "`url` belongs in config"),
            (
                "mount_path = 1",
                "`mount_path` belongs in the method itself, beside its config block",
            ),
            ("token_check_interval = 1", "`token_check_interval` belongs in auto_auth"),
            ("dh_type = 1", "`dh_type` belongs in sink"),
            ("exit_after_auth = 1", "`exit_after_auth` belongs at the top level"),
            ("colour = 1", "it takes tls, url"),
        ] {
            let found = unknown(text, &schema);
            assert!(found.len() == 1 && found[0].ends_with(help), "{text}: {found:?}");
        }
    }
}
