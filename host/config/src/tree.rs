//! What both syntaxes are read into: values with the place of each key and value.

use serde_json::Value as Json;

use crate::diagnostic::Location;

/// Blocks and lists nested deeper than this are refused, so that no file can exhaust the stack.
pub(crate) const MAX_DEPTH: usize = 24;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) location: Location,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    String(String),
    Number(Number),
    Bool(bool),
    Null,
    List(Vec<Node>),
    Object(Object),
}

/// A number, and how it was written: 0640 and 416 are equal, and only one of them is a file mode
/// to a human.
#[derive(Clone, Debug)]
pub(crate) struct Number {
    pub(crate) text: String,
    pub(crate) value: NumberValue,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum NumberValue {
    Integer(i64),
    Float(f64),
}

/// A block or an object. Items stay in order and may repeat: what a repetition means depends on
/// the key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object {
    pub(crate) items: Vec<Item>,
}

/// `key "label" { … }` or `key = …`.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) key: Name,
    pub(crate) labels: Vec<Name>,
    pub(crate) node: Node,
}

/// A key or a label.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) location: Location,
}

impl Value {
    /// For messages: "a string", "a block".
    pub(crate) fn description(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Number(_) => "a number",
            Self::Bool(_) => "true or false without quotes",
            Self::Null => "null",
            Self::List(_) => "a list",
            Self::Object(_) => "a block",
        }
    }
}

impl Node {
    /// The JSON of it, as a plug-in gets it; calls `located` with the path of each value.
    pub(crate) fn to_json(
        &self,
        path: &mut Vec<String>,
        located: &mut impl FnMut(&[String], &Location),
    ) -> Json {
        located(path, &self.location);
        match &self.value {
            Value::String(text) => Json::String(text.clone()),
            Value::Number(number) => number.to_json(),
            Value::Bool(value) => Json::Bool(*value),
            Value::Null => Json::Null,
            Value::List(nodes) => nodes
                .iter()
                .enumerate()
                .map(|(index, node)| {
                    path.push(index.to_string());
                    let json = node.to_json(path, located);
                    path.pop();
                    json
                })
                .collect(),
            Value::Object(object) => Json::Object(object.to_json(path, located)),
        }
    }
}

impl Number {
    fn to_json(&self) -> Json {
        match self.value {
            NumberValue::Integer(value) => value.into(),
            NumberValue::Float(value) => value.into(),
        }
    }
}

impl Object {
    /// The last of equal scalars counts, as with the incumbents; of several blocks with one name
    /// a list is made. A label becomes a key, as HCL 1 has it.
    pub(crate) fn to_json(
        &self,
        path: &mut Vec<String>,
        located: &mut impl FnMut(&[String], &Location),
    ) -> serde_json::Map<String, Json> {
        let mut map = serde_json::Map::new();
        for (at, item) in self.items.iter().enumerate() {
            let depth = path.len();
            path.push(item.key.text.clone());
            let rest = &item.labels;
            located(path, &item.key.location);
            if let Some(index) = self.index_among_blocks(at) {
                path.push(index.to_string());
                located(path, &item.key.location);
            }
            path.extend(rest.iter().map(|label| label.text.clone()));
            let mut json = item.node.to_json(path, located);
            path.truncate(depth);
            for label in rest.iter().rev() {
                json = Json::Object([(label.text.clone(), json)].into_iter().collect());
            }
            match (map.get_mut(&item.key.text), &json) {
                (Some(earlier @ Json::Object(_)), Json::Object(_)) => {
                    let list = vec![earlier.take(), json];
                    *earlier = Json::Array(list);
                }
                (Some(Json::Array(earlier)), Json::Object(_)) => earlier.push(json),
                _ => {
                    map.insert(item.key.text.clone(), json);
                }
            }
        }
        map
    }

    /// Which element the item at `at` becomes of the list that is made of the blocks with its
    /// name. None: there is no list.
    fn index_among_blocks(&self, at: usize) -> Option<usize> {
        let key = &self.items.get(at)?.key.text;
        let equal = || self.items.iter().enumerate().filter(|(_, item)| item.key.text == *key);
        let is_list = equal().count() > 1
            && equal().all(|(_, item)| matches!(item.node.value, Value::Object(_)));
        is_list.then(|| equal().take_while(|(other, _)| *other < at).count())
    }
}
