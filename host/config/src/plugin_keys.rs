//! The keys of a `config` block that the plug-in's own JSON Schema doesn't have.
//!
//! A key counts as known if any part of the schema that may apply there names it.

use serde_json::{Map, Value as Json};

use crate::diagnostic::Diagnostic;
use crate::fields::unknown_key;
use crate::plugin_schema::{Keys, Schema, of_element};
use crate::resemblance::nearest;
use crate::settings::PluginConfig;

/// More would be no help.
const MOST_LISTED: usize = 16;

impl PluginConfig {
    /// What the JSON Schema `schema` of the plug-in `plugin` doesn't have, each at its place.
    /// Without a schema ("") there is nothing to say.
    pub fn unknown_keys(&self, plugin: &str, schema: &str) -> Vec<Diagnostic> {
        let Ok(root) = serde_json::from_str::<Json>(schema) else { return Vec::new() };
        let schema = Schema::new(&root);
        let mut search = Search::new(self, plugin, &schema);
        search.object(&[&root], &self.to_map(), &[], None);
        search.result()
    }
}

struct Search<'a> {
    config: &'a PluginConfig,
    plugin: &'a str,
    schema: &'a Schema<'a>,
    found: Vec<Diagnostic>,
}

impl<'a> Search<'a> {
    fn new(config: &'a PluginConfig, plugin: &'a str, schema: &'a Schema<'a>) -> Self {
        Self { config, plugin, schema, found: Vec::new() }
    }

    /// Nothing if not all could be looked at: what is missing may name any key.
    fn result(self) -> Vec<Diagnostic> {
        if self.schema.steps_left().is_some() { self.found } else { Vec::new() }
    }

    fn object(
        &mut self,
        schemas: &[&'a Json],
        object: &Map<String, Json>,
        path: &[&str],
        around: Option<&Keys<'a>>,
    ) {
        let keys = self.schema.keys(schemas);
        for (name, value) in object {
            if !self.schema.spend(1 + keys.patterns.len()) {
                return;
            }
            let mut place = path.to_vec();
            place.push(name);
            if let Some(schemas) = keys.of(name) {
                self.value(&schemas, value, &place, &keys);
                continue;
            }
            if !self.schema.spend(keys.named.len()) {
                return;
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
                let applicable = self.schema.applicable(schemas);
                for (index, element) in elements.iter().enumerate() {
                    if !self.schema.spend(1 + applicable.len()) {
                        return;
                    }
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
        let inner = keys.named.iter().find(|(_, schema)| self.schema.lists(schema, name));
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
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::diagnostic::{Location, Source};
    use crate::plugin_schema::{MOST_PATTERNS, MOST_STEPS};
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

    /// How many steps were left, and how much was found.
    fn searched(text: &str, schema: &Json) -> (Option<usize>, usize) {
        let config = config(text, &METHOD);
        let read = Schema::new(schema);
        let mut search = Search::new(&config, "acme", &read);
        search.object(&[schema], &config.to_map(), &[], None);
        (read.steps_left(), search.result().len())
    }

    #[test]
    fn patterns_without_end_leave_an_object_open() {
        let patterns = |count: usize, pattern: &str| {
            let all: Map<String, Json> =
                (0..count).map(|number| (format!("^{pattern}{number}$"), json!({}))).collect();
            json!({ "patternProperties": all })
        };
        assert_eq!(searched("zzzz = 1", &patterns(MOST_PATTERNS, "x")).1, 1);
        let schema = patterns(5000, "x");
        let (left, found) = searched("zzzz = 1 yyyy = 1", &schema);
        assert_eq!(found, 0);
        assert!(left.unwrap() > MOST_STEPS / 2, "64 of 5000 were compiled: {left:?}");
        // Each would have megabytes.
        assert_eq!(searched("zzzz = 1", &patterns(1, "(?:[a-z]{900}){900}")).1, 0);
    }

    #[test]
    fn of_a_schema_that_is_too_much_to_look_at_nothing_is_said() {
        // Each part refers twice to each part that follows.
        let parts: Map<String, Json> = (0..200)
            .map(|part| {
                let all: Vec<Json> = (part + 1..200)
                    .chain(part + 1..200)
                    .map(|next| json!({ "$ref": format!("#/$defs/p{next}") }))
                    .collect();
                (format!("p{part}"), json!({ "allOf": all, "properties": { "a": {} } }))
            })
            .collect();
        let schema = json!({ "$ref": "#/$defs/p0", "$defs": parts });
        assert_eq!(searched("zzzz = 1", &schema), (None, 0));
        // A long chain is no deep recursion, and looked at once.
        let chain: Map<String, Json> = (0..1000)
            .map(|part| {
                let next = format!("#/$defs/p{}", (part + 1) % 1000);
                (format!("p{part}"), json!({ "$ref": next, "properties": { "a": {} } }))
            })
            .collect();
        let schema = json!({ "$ref": "#/$defs/p0", "$defs": chain });
        let (left, found) = searched("zzzz = 1", &schema);
        assert_eq!(found, 1);
        assert!(left.unwrap() > MOST_STEPS / 2, "{left:?}");
    }

    #[test]
    fn help_costs_one_step_for_each_block_that_may_be_meant() {
        let blocks: Map<String, Json> = (0..300)
            .map(|block| (format!("block_number_{block}"), json!({ "$ref": "#/$defs/deep" })))
            .collect();
        let deep: Vec<Json> = (0..500).map(|_| json!({ "properties": { "zzzz": {} } })).collect();
        let schema = json!({ "properties": blocks, "$defs": { "deep": { "allOf": deep } } });
        let (left, found) = searched("zzzz = 1", &schema);
        assert_eq!(found, 1);
        assert!(left.unwrap() > MOST_STEPS - 1000, "{left:?}");
        // Many such keys are too much.
        let text: Vec<String> = (0..100).map(|key| format!("zzzz{key} = 1")).collect();
        assert_eq!(searched(&text.join("\n"), &schema), (None, 0));
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
