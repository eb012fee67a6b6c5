//! The settings of a plug-in, and where each of them stands.

use std::fmt;

use serde_json::{Map, Value as Json};

use crate::diagnostic::Location;
use crate::schema::Block;
use crate::tree::Object;

/// The `config` block of a method or sink: JSON for the plug-in, places for messages.
#[derive(Clone)]
pub struct PluginConfig {
    /// As text: a thousand identities keep theirs for as long as the agent runs.
    json: Box<str>,
    /// By the JSON Pointer (RFC 6901) of the value.
    places: Box<[(Box<str>, Location)]>,
    location: Location,
    /// The block that this one stands in.
    pub(crate) around: &'static Block,
}

impl PluginConfig {
    pub(crate) fn new(object: &Object, location: Location, around: &'static Block) -> Self {
        let mut places = Vec::new();
        let map = object.to_json(&mut Vec::new(), &mut |path, place| {
            places.push((pointer(path).into(), place.clone()));
        });
        let json = Json::Object(map).to_string().into();
        Self { json, places: places.into(), location, around }
    }

    /// The JSON object, its keys in order; "{}" when there is no `config` block.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The same, parsed.
    pub fn to_map(&self) -> Map<String, Json> {
        serde_json::from_str(&self.json).unwrap_or_default()
    }

    /// Where a value stands; `&[]` is the block. Of a path that isn't there: the nearest around it.
    pub fn locate(&self, path: &[&str]) -> &Location {
        let find = |length| {
            let wanted = pointer(&path[..length]);
            self.places.iter().rfind(|(pointer, _)| **pointer == *wanted).map(|(_, place)| place)
        };
        (1..=path.len()).rev().find_map(find).unwrap_or(&self.location)
    }

    /// Where the key at the end of `path` stands, rather than its value.
    pub(crate) fn locate_key(&self, path: &[&str]) -> &Location {
        let wanted = pointer(path);
        let found = self.places.iter().find(|(pointer, _)| **pointer == *wanted);
        found.map_or_else(|| self.locate(path), |(_, place)| place)
    }
}

fn pointer(path: &[impl AsRef<str>]) -> String {
    path.iter().fold(String::new(), |pointer, key| {
        pointer + "/" + &key.as_ref().replace('~', "~0").replace('/', "~1")
    })
}

/// Equal if the plug-in would get the same; where that stands doesn't count.
impl PartialEq for PluginConfig {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

/// Keys only: values may be secret.
impl fmt::Debug for PluginConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.to_map().keys()).finish()
    }
}
