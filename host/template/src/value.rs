//! The values that a template computes with: Go's, because people's templates depend on them.
//!
//! Strings are bytes; a number of a secret is a `json.Number`, which is a string; `nil` comes as
//! no value at all, as an empty interface and as a pointer of a known type; and the width of an
//! integer shows in `%T` and decides whether a function takes it. Maps are shared and may be
//! changed, lists are not. A value belongs to one evaluation and is dropped with it.

mod kind;
mod text;

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

pub(crate) use text::{Str, decode};

/// One value.
#[derive(Clone)]
pub(crate) enum Value {
    /// No value, Go's zero `reflect.Value`: dot without data, and what nil becomes in a pipeline.
    Missing,
    /// An interface that holds nothing, such as JSON's null.
    Nil,
    /// A nil pointer of this type, such as `*dependency.SecretAuth`.
    NilPointer(&'static str),
    /// `bool`
    Bool(bool),
    /// A signed integer.
    Int(i64, IntType),
    /// An unsigned integer.
    Uint(u64, UintType),
    /// `float64`
    Float(f64),
    /// `complex128`
    Complex(f64, f64),
    /// `string`
    String(Str),
    /// `json.Number`: the text of a number as the server wrote it.
    Number(Str),
    /// A slice.
    List(List),
    /// A map.
    Map(Map),
    /// `<-chan int64`: the numbers that `loop` counts, the end excluded.
    Channel(i64, i64),
    /// Anything with fields or methods.
    Object(Rc<dyn Object>),
}

/// Types of signed integers that templates see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IntType {
    /// `int`
    Int,
    /// `int64`
    Int64,
}

/// Types of unsigned integers that templates see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UintType {
    /// `uint8`, a byte of a string.
    Uint8,
    /// `uint64`
    Uint64,
}

/// A list with the type of its items. Copies share the items, which never change.
#[derive(Clone)]
pub(crate) struct List {
    /// The static type.
    pub(crate) of: ListType,
    items: Rc<Items>,
}

/// What a list says its items are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListType {
    /// `[]interface {}`
    Any,
    /// `[]string`
    String,
    /// `[]int`
    Int,
    /// `[][]interface {}`
    Lists,
    /// `[]uint8`
    Bytes,
}

/// A map, sorted by key. Copies are the same map: a change shows in each.
#[derive(Clone)]
pub(crate) struct Map {
    /// The static type.
    pub(crate) of: MapType,
    entries: Rc<RefCell<Entries>>,
}

/// What a map says its keys and values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapType {
    /// `map[string]interface {}`
    StringAny,
    /// `map[string]string`
    StringString,
    /// `map[interface {}]interface {}`, from YAML.
    AnyAny,
}

/// A key of a map, in the order in which Go prints and ranges over maps.
#[derive(Clone)]
pub(crate) enum Key {
    /// `nil`
    Nil,
    /// Any signed integer.
    Int(i64),
    /// Any unsigned integer that no signed one is.
    Uint(u64),
    /// `float64`
    Float(f64),
    /// `bool`
    Bool(bool),
    /// `string`
    String(Str),
}

/// A value with fields and methods, such as a secret or a time.
pub(crate) trait Object {
    /// The type as Go writes it: `*dependency.Secret`.
    fn type_name(&self) -> &str;

    /// Whether the type is a pointer or a struct; decides what `sprig_kindOf` says.
    fn kind(&self) -> &'static str {
        if self.type_name().starts_with('*') { "ptr" } else { "struct" }
    }

    /// The fields in their order, empty for a type that shows none.
    fn fields(&self) -> &[(&'static str, Value)] {
        &[]
    }

    /// Calls the method, or says that there is none of this name.
    fn call(&self, _method: &str, _arguments: &[Value]) -> Option<Result<Value, String>> {
        None
    }

    /// How many arguments the method takes, or `None` if there is no method of this name;
    /// `usize::MAX` where any number is right.
    fn arity(&self, _method: &str) -> Option<usize> {
        None
    }

    /// What `%v` prints, where that isn't the fields in braces.
    fn text(&self) -> Option<String> {
        None
    }

    /// What JSON has for it, where that isn't an object of the fields.
    fn json(&self) -> Option<String> {
        None
    }

    /// The thing itself, for functions that take this type.
    fn as_any(&self) -> &dyn std::any::Any;
}

/// A struct that has fields and nothing else.
pub(crate) struct Struct {
    /// The type as Go writes it.
    pub(crate) type_name: &'static str,
    /// Its exported fields.
    pub(crate) fields: Vec<(&'static str, Value)>,
}

impl Value {
    /// A `string`.
    pub(crate) fn string(text: impl Into<Str>) -> Self {
        Self::String(text.into())
    }

    /// An `int`.
    pub(crate) fn int(number: i64) -> Self {
        Self::Int(number, IntType::Int)
    }

    /// An `int64`.
    pub(crate) fn int64(number: i64) -> Self {
        Self::Int(number, IntType::Int64)
    }

    /// A `[]interface {}`.
    pub(crate) fn list(items: Vec<Value>) -> Self {
        Self::List(List::new(ListType::Any, items))
    }

    /// A `[]string`.
    pub(crate) fn strings<T: Into<Str>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::List(List::new(ListType::String, items.into_iter().map(Self::string).collect()))
    }

    /// A `map[string]interface {}`.
    pub(crate) fn dict<T: Into<Str>>(entries: impl IntoIterator<Item = (T, Value)>) -> Self {
        Self::Map(Map::new(
            MapType::StringAny,
            entries.into_iter().map(|(key, value)| (Key::String(key.into()), value)),
        ))
    }

    /// Whether this is nil of any form but a typed pointer.
    pub(crate) fn is_nil(&self) -> bool {
        matches!(self, Self::Missing | Self::Nil)
    }
}

impl List {
    /// A list of these items, which are of the type said.
    pub(crate) fn new(of: ListType, items: Vec<Value>) -> Self {
        Self { of, items: Rc::new(Items(items)) }
    }

    /// Its items.
    pub(crate) fn items(&self) -> &[Value] {
        &self.items.0
    }
}

impl Map {
    /// A map of these entries, which are of the type said; of equal keys the last counts.
    pub(crate) fn new(of: MapType, entries: impl IntoIterator<Item = (Key, Value)>) -> Self {
        Self { of, entries: Rc::new(RefCell::new(Entries(entries.into_iter().collect()))) }
    }

    /// The entry of a key.
    pub(crate) fn get(&self, key: &Key) -> Option<Value> {
        self.entries.borrow().0.get(key).cloned()
    }

    /// The entry of a text key.
    pub(crate) fn get_text(&self, key: &str) -> Option<Value> {
        self.get(&Key::String(key.into()))
    }

    /// Sets an entry, for all who hold the map.
    pub(crate) fn insert(&self, key: Key, value: Value) {
        let before = self.entries.borrow_mut().0.insert(key, value);
        drop(before);
    }

    /// Removes an entry, for all who hold the map.
    pub(crate) fn remove(&self, key: &Key) {
        let before = self.entries.borrow_mut().0.remove(key);
        drop(before);
    }

    /// The entries as they are now, in the order of the keys.
    pub(crate) fn entries(&self) -> Vec<(Key, Value)> {
        self.entries.borrow().0.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.borrow().0.len()
    }

    /// Whether there is no entry.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether both are one map.
    pub(crate) fn is(&self, other: &Map) -> bool {
        Rc::ptr_eq(&self.entries, &other.entries)
    }
}

impl Key {
    /// The key as a value.
    pub(crate) fn value(&self) -> Value {
        match self {
            Self::Nil => Value::Nil,
            Self::Int(number) => Value::int(*number),
            Self::Uint(number) => Value::Uint(*number, UintType::Uint64),
            Self::Float(number) => Value::Float(*number),
            Self::Bool(flag) => Value::Bool(*flag),
            Self::String(text) => Value::String(text.clone()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Nil => 0,
            Self::Int(_) => 1,
            Self::Uint(_) => 2,
            Self::Float(_) => 3,
            Self::Bool(_) => 4,
            Self::String(_) => 5,
        }
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Uint(a), Self::Uint(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b),
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::String(a), Self::String(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key {}

impl Struct {
    /// A struct or a pointer to one, as the type's name says.
    pub(crate) fn value(type_name: &'static str, fields: Vec<(&'static str, Value)>) -> Value {
        Value::Object(Rc::new(Self { type_name, fields }))
    }
}

impl Object for Struct {
    fn type_name(&self) -> &str {
        self.type_name
    }

    fn fields(&self) -> &[(&'static str, Value)] {
        &self.fields
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// Items of a list that are dropped one after the other: a template can nest lists deeper than
/// the stack reaches.
struct Items(Vec<Value>);

/// The same for a map.
struct Entries(BTreeMap<Key, Value>);

impl Drop for Items {
    fn drop(&mut self) {
        dismantle(std::mem::take(&mut self.0));
    }
}

impl Drop for Entries {
    fn drop(&mut self) {
        dismantle(std::mem::take(&mut self.0).into_values().collect());
    }
}

fn dismantle(mut left: Vec<Value>) {
    while let Some(value) = left.pop() {
        match value {
            Value::List(list) => {
                if let Ok(mut items) = Rc::try_unwrap(list.items) {
                    left.append(&mut items.0);
                }
            }
            Value::Map(map) => {
                if let Ok(entries) = Rc::try_unwrap(map.entries) {
                    left.extend(std::mem::take(&mut entries.into_inner().0).into_values());
                }
            }
            _ => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_nested_a_million_deep_is_dropped_without_using_up_the_stack() {
        let mut value = Value::list(Vec::new());
        for _ in 0..1_000_000 {
            value = Value::list(vec![value]);
        }
        drop(value);
        let map = Value::dict([("a", Value::Nil)]);
        let mut value = map;
        for _ in 0..1_000_000 {
            value = Value::dict([("a", value)]);
        }
        drop(value);
    }

    #[test]
    fn a_change_of_a_map_shows_in_its_copies() {
        let Value::Map(map) = Value::dict([("a", Value::int(1))]) else { panic!("a map") };
        let copy = map.clone();
        map.insert(Key::String("b".into()), Value::int(2));
        assert_eq!(copy.len(), 2);
        assert!(copy.is(&map));
    }
}
