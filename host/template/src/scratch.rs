//! `scratch`: a place where a template keeps values under names while it is rendered.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::quote::quote;
use crate::value::{Key, Map, MapType, Object, Value};

/// The values by their names.
pub(crate) struct Scratch(RefCell<BTreeMap<Vec<u8>, Value>>);

impl Scratch {
    pub(crate) fn value() -> Value {
        Value::Object(Rc::new(Self(RefCell::new(BTreeMap::new()))))
    }

    fn map(&self, key: &[u8]) -> Result<Map, String> {
        let mut values = self.0.borrow_mut();
        match values.get(key) {
            Some(Value::Map(map)) => Ok(map.clone()),
            Some(_) => Err(format!("{} is not a map", quote(key))),
            None => {
                let map = Map::new(MapType::StringAny, []);
                values.insert(key.to_vec(), Value::Map(map.clone()));
                Ok(map)
            }
        }
    }

    fn run(&self, method: &str, arguments: &[Value]) -> Result<Value, String> {
        let text = |index: usize| match arguments.get(index) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(other) => {
                Err(format!("wrong type for value; expected string; got {}", other.type_name()))
            }
            None => Ok("".into()),
        };
        let key = text(0)?;
        let value = |index: usize| match arguments.get(index) {
            Some(Value::Missing) | None => Value::Nil,
            Some(value) => value.clone(),
        };
        let empty = Ok(Value::string(""));
        match method {
            "Key" => Ok(Value::Bool(self.0.borrow().contains_key(key.bytes()))),
            "Get" => Ok(self.0.borrow().get(key.bytes()).cloned().unwrap_or(Value::Nil)),
            "Set" => {
                let before = self.0.borrow_mut().insert(key.bytes().to_vec(), value(1));
                drop(before);
                empty
            }
            "SetX" => {
                self.0.borrow_mut().entry(key.bytes().to_vec()).or_insert_with(|| value(1));
                empty
            }
            "MapSet" | "MapSetX" => {
                let map = self.map(key.bytes())?;
                let entry = Key::String(text(1)?);
                if method == "MapSet" || map.get(&entry).is_none() {
                    map.insert(entry, value(2));
                }
                empty
            }
            _ => {
                let entries = self.map(key.bytes())?.entries();
                Ok(Value::list(entries.into_iter().map(|(_, value)| value).collect()))
            }
        }
    }
}

impl Object for Scratch {
    fn type_name(&self) -> &'static str {
        "*template.Scratch"
    }

    fn arity(&self, method: &str) -> Option<usize> {
        match method {
            "Key" | "Get" | "MapValues" => Some(1),
            "Set" | "SetX" => Some(2),
            "MapSet" | "MapSetX" => Some(3),
            _ => None,
        }
    }

    fn call(&self, method: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
        self.arity(method).map(|_| self.run(method, arguments))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
