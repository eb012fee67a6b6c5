//! The keys of a `config` block that the plug-in's own JSON Schema doesn't have.
//!
//! A key counts as known if any part of the schema that may apply there names it. An object whose
//! keys the schema doesn't list, and one that it opens with `additionalProperties`, takes any.
//!
//! A stranger wrote the schema, so what it costs to look at has a limit: beyond that nothing is said.

use std::cell::Cell;
use std::collections::HashSet;

use regex_lite::{Regex, RegexBuilder};
use serde_json::{Map, Value as Json};

use crate::diagnostic::Diagnostic;
use crate::fields::unknown_key;
use crate::resemblance::nearest;
use crate::settings::PluginConfig;

/// More would be no help.
const MOST_LISTED: usize = 16;

/// Parts of a schema that are looked at for one configuration, again each time.
const MOST_STEPS: usize = 10_000;
/// Patterns of one object; with more it takes any key.
const MOST_PATTERNS: usize = 64;
/// What compiling one counts as.
const PATTERN_STEPS: usize = 20;
/// Bytes of one compiled pattern.
const LARGEST_PATTERN: usize = 64 << 10;

/// Accepts whatever there is.
static ANYTHING: Json = Json::Bool(true);

impl PluginConfig {
    /// What the JSON Schema `schema` of the plug-in `plugin` doesn't have, each at its place.
    /// Without a schema ("") there is nothing to say.
    pub fn unknown_keys(&self, plugin: &str, schema: &str) -> Vec<Diagnostic> {
        let Ok(root) = serde_json::from_str::<Json>(schema) else { return Vec::new() };
        let mut search = Search::new(self, plugin, &root);
        search.object(&[&root], &self.to_map(), &[], None);
        search.result()
    }
}

struct Search<'a> {
    config: &'a PluginConfig,
    plugin: &'a str,
    root: &'a Json,
    found: Vec<Diagnostic>,
    /// None: the schema was too much to look at.
    steps_left: Cell<Option<usize>>,
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

/// What has been collected of a schema, each part once.
#[derive(Default)]
struct Parts<'a> {
    all: Vec<&'a Json>,
    seen: HashSet<*const Json>,
}

impl<'a> Search<'a> {
    fn new(config: &'a PluginConfig, plugin: &'a str, root: &'a Json) -> Self {
        let steps_left = Cell::new(Some(MOST_STEPS));
        Self { config, plugin, root, found: Vec::new(), steps_left }
    }

    /// Nothing if not all could be looked at: what is missing may name any key.
    fn result(self) -> Vec<Diagnostic> {
        if self.steps_left.get().is_some() { self.found } else { Vec::new() }
    }

    /// Whether so much more may be looked at.
    fn spend(&self, steps: usize) -> bool {
        self.steps_left.set(self.steps_left.get().and_then(|left| left.checked_sub(steps)));
        self.steps_left.get().is_some()
    }

    fn object(
        &mut self,
        schemas: &[&'a Json],
        object: &Map<String, Json>,
        path: &[&str],
        around: Option<&Keys<'a>>,
    ) {
        let keys = self.keys(schemas);
        for (name, value) in object {
            if !self.spend(1 + keys.patterns.len()) {
                return;
            }
            let mut place = path.to_vec();
            place.push(name);
            if let Some(schemas) = keys.of(name) {
                self.value(&schemas, value, &place, &keys);
                continue;
            }
            if !self.spend(keys.named.len()) {
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
                let applicable = self.applicable(schemas);
                for (index, element) in elements.iter().enumerate() {
                    if !self.spend(1 + applicable.len()) {
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
        let inner = keys.named.iter().find(|(_, schema)| self.lists(schema, name));
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

    /// Whether the schema, or the one that it refers to, has the key itself. One step.
    fn lists(&self, schema: &Json, name: &str) -> bool {
        let referred = schema.get("$ref").and_then(Json::as_str).and_then(|at| self.resolve(at));
        let has =
            |schema: &Json| schema.get("properties").is_some_and(|known| known.get(name).is_some());
        self.spend(1) && (has(schema) || referred.is_some_and(has))
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
                if !self.spend(properties.len()) {
                    break;
                }
                keys.named.extend(properties.iter().map(|(name, schema)| (name.as_str(), schema)));
            }
            if let Some(Json::Object(patterns)) = schema.get("patternProperties") {
                listed = true;
                for (pattern, schema) in patterns {
                    if keys.patterns.len() == MOST_PATTERNS || !self.spend(PATTERN_STEPS) {
                        keys.open = true;
                        break;
                    }
                    match RegexBuilder::new(pattern).size_limit(LARGEST_PATTERN).build() {
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
        let mut parts = Parts::default();
        // A chain of references may be long: what is yet to be looked at is no recursion.
        let mut left: Vec<&'a Json> = schemas.iter().rev().copied().collect();
        while let Some(schema) = left.pop() {
            if !self.spend(1) {
                break;
            }
            if parts.add(schema) {
                let from = left.len();
                self.expand(schema, &mut left);
                left[from..].reverse();
            }
        }
        parts.all
    }

    /// What a schema refers to or combines itself.
    fn expand(&self, schema: &'a Json, more: &mut Vec<&'a Json>) {
        let Json::Object(parts) = schema else { return };
        for (keyword, part) in parts {
            match (keyword.as_str(), part) {
                ("$ref", Json::String(reference)) => {
                    more.push(self.resolve(reference).unwrap_or(&ANYTHING));
                }
                ("$dynamicRef" | "$recursiveRef", _) => more.push(&ANYTHING),
                ("allOf", Json::Array(schemas)) => {
                    more.extend(schemas.iter().filter(|schema| schema.is_object()));
                }
                ("anyOf" | "oneOf", Json::Array(schemas)) => {
                    for schema in schemas {
                        more.push(schema);
                        if takes_any_object(schema) {
                            more.push(&ANYTHING);
                        }
                    }
                }
                ("if" | "then" | "else", Json::Object(_)) => more.push(part),
                ("dependentSchemas", Json::Object(schemas)) => more.extend(schemas.values()),
                _ => {}
            }
        }
    }

    /// Within the schema itself; nothing is fetched.
    fn resolve(&self, reference: &str) -> Option<&'a Json> {
        self.root.pointer(reference.strip_prefix('#')?)
    }
}

impl<'a> Parts<'a> {
    /// Whether it is new.
    fn add(&mut self, schema: &'a Json) -> bool {
        let new = self.seen.insert(std::ptr::from_ref(schema));
        if new {
            self.all.push(schema);
        }
        new
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

    /// How many steps were left, and how much was found.
    fn searched(text: &str, schema: &Json) -> (Option<usize>, usize) {
        let config = config(text, &METHOD);
        let mut search = Search::new(&config, "acme", schema);
        search.object(&[schema], &config.to_map(), &[], None);
        (search.steps_left.get(), search.result().len())
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
