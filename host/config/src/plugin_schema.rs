//! What a plug-in's JSON Schema says of the keys of an object.
//!
//! An object whose keys the schema doesn't list, and one that it opens with
//! `additionalProperties`, takes any. A stranger wrote the schema, so what it costs to look at has
//! a limit.

use std::cell::Cell;
use std::collections::HashSet;

use regex_lite::{Regex, RegexBuilder};
use serde_json::Value as Json;

/// Parts of a schema that are looked at for one configuration, again each time.
pub(crate) const MOST_STEPS: usize = 10_000;
/// Patterns of one object; with more it takes any key.
pub(crate) const MOST_PATTERNS: usize = 64;
/// What compiling one counts as.
const PATTERN_STEPS: usize = 20;
/// Bytes of one compiled pattern.
const LARGEST_PATTERN: usize = 64 << 10;

/// Accepts whatever there is.
static ANYTHING: Json = Json::Bool(true);

/// A schema, and how much more of it may be looked at.
pub(crate) struct Schema<'a> {
    root: &'a Json,
    /// None: it was too much to look at.
    steps_left: Cell<Option<usize>>,
}

/// What a schema says of an object's keys.
#[derive(Default)]
pub(crate) struct Keys<'a> {
    pub(crate) named: Vec<(&'a str, &'a Json)>,
    pub(crate) patterns: Vec<(Regex, &'a Json)>,
    /// Of keys that are neither.
    others: Vec<&'a Json>,
    /// Any key may be there.
    open: bool,
}

impl<'a> Schema<'a> {
    pub(crate) fn new(root: &'a Json) -> Self {
        Self { root, steps_left: Cell::new(Some(MOST_STEPS)) }
    }

    /// None: it was too much to look at.
    pub(crate) fn steps_left(&self) -> Option<usize> {
        self.steps_left.get()
    }

    /// Whether so much more may be looked at.
    pub(crate) fn spend(&self, steps: usize) -> bool {
        self.steps_left.set(self.steps_left.get().and_then(|left| left.checked_sub(steps)));
        self.steps_left.get().is_some()
    }

    /// Whether the schema, or the one that it refers to, has the key itself. One step.
    pub(crate) fn lists(&self, schema: &Json, name: &str) -> bool {
        let referred = schema.get("$ref").and_then(Json::as_str).and_then(|at| self.resolve(at));
        let has =
            |schema: &Json| schema.get("properties").is_some_and(|known| known.get(name).is_some());
        self.spend(1) && (has(schema) || referred.is_some_and(has))
    }

    pub(crate) fn keys(&self, schemas: &[&'a Json]) -> Keys<'a> {
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
    pub(crate) fn applicable(&self, schemas: &[&'a Json]) -> Vec<&'a Json> {
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

impl<'a> Keys<'a> {
    /// The schemas of a key. None: it is unknown.
    pub(crate) fn of(&self, name: &str) -> Option<Vec<&'a Json>> {
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
    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> {
        let mut names: Vec<&str> = self.named.iter().map(|(name, _)| *name).collect();
        names.retain(|name| !name.chars().any(char::is_control));
        names.sort_unstable();
        names.dedup();
        names.into_iter()
    }
}

/// What has been collected of a schema, each part once.
#[derive(Default)]
struct Parts<'a> {
    all: Vec<&'a Json>,
    seen: HashSet<*const Json>,
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

pub(crate) fn of_element(schema: &Json, index: usize) -> Option<&Json> {
    let items = schema.get("items");
    let listed = schema.get("prefixItems").or(items.filter(|items| items.is_array()));
    let at = listed.and_then(|listed| listed.get(index));
    at.or(items.filter(|items| items.is_object())).or_else(|| schema.get("additionalItems"))
}
