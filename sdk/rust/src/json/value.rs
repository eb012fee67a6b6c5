//! Hands a JSON value to serde, and on the way back tells an error where it happened.

use super::Error;
use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde_json::{Map, Value, map};
use std::vec;

/// A JSON value that is read into a type.
///
/// A type that says what it wants gets that or an error at once: going through
/// `deserialize_any` for everything makes a component half as large again.
pub(super) struct Tree(pub(super) Value);

impl Tree {
    fn boolean<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Bool(value) => visitor.visit_bool(value),
            other => Err(mismatch(&other, &visitor)),
        }
    }

    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::Number(number) = &self.0 else {
            return Err(mismatch(&self.0, &visitor));
        };
        if let Some(number) = number.as_u64() {
            visitor.visit_u64(number)
        } else if let Some(number) = number.as_i64() {
            visitor.visit_i64(number)
        } else {
            visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN))
        }
    }

    fn text<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::String(text) => visitor.visit_string(text),
            other => Err(mismatch(&other, &visitor)),
        }
    }

    fn list<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let items = match self.0 {
            Value::Array(items) => items,
            other => return Err(mismatch(&other, &visitor)),
        };
        let length = items.len();
        let mut list = List { items: items.into_iter(), next: 0 };
        let value = visitor.visit_seq(&mut list)?;
        if list.items.len() == 0 {
            Ok(value)
        } else {
            Err(Error::invalid_length(length, &"a shorter list"))
        }
    }

    fn block<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Object(block) => visitor.visit_map(Block::new(block)),
            other => Err(mismatch(&other, &visitor)),
        }
    }
}

fn mismatch(given: &Value, wanted: &dyn Expected) -> Error {
    let given = match given {
        Value::Null => Unexpected::Unit,
        Value::Bool(value) => Unexpected::Bool(*value),
        Value::Number(number) if number.is_f64() => Unexpected::Float(f64::NAN),
        Value::Number(_) => Unexpected::Unsigned(0),
        Value::String(text) => Unexpected::Str(text),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
    };
    Error::invalid_type(given, wanted)
}

/// Sends each of serde's questions to the method that answers it.
macro_rules! answer {
    ($($method:ident: $($question:ident)*;)*) => {
        $($(
            fn $question<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
                self.$method(visitor)
            }
        )*)*
    };
}

impl<'de> Deserializer<'de> for Tree {
    type Error = Error;

    answer! {
        boolean: deserialize_bool;
        number: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
            deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
            deserialize_f32 deserialize_f64;
        text: deserialize_char deserialize_str deserialize_string deserialize_identifier;
        list: deserialize_seq deserialize_bytes deserialize_byte_buf;
        block: deserialize_map;
        deserialize_any: deserialize_unit;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(_) => self.boolean(visitor),
            Value::Number(_) => self.number(visitor),
            Value::String(_) => self.text(visitor),
            Value::Array(_) => self.list(visitor),
            Value::Object(_) => self.block(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.block(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.list(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::String(variant) => {
                let variant: StringDeserializer<Error> = variant.into_deserializer();
                visitor.visit_enum(variant)
            }
            Value::Object(block) => {
                visitor.visit_enum(MapAccessDeserializer::new(Block::new(block)))
            }
            other => Err(mismatch(&other, &visitor)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

struct List {
    items: vec::IntoIter<Value>,
    next: usize,
}

impl<'de> SeqAccess<'de> for List {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(item) = self.items.next() else {
            return Ok(None);
        };
        let index = self.next;
        self.next += 1;
        let item = seed.deserialize(Tree(item));
        item.map(Some).map_err(|error| error.below(&format!("[{index}]")))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Block {
    entries: map::IntoIter,
    current: Option<(String, Value)>,
}

impl Block {
    fn new(block: Map<String, Value>) -> Self {
        Self { entries: block.into_iter(), current: None }
    }
}

impl<'de> MapAccess<'de> for Block {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        self.current = self.entries.next();
        let Some((key, _)) = &self.current else {
            return Ok(None);
        };
        let key: StringDeserializer<Error> = key.clone().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        // Serde asks for each value right after its key.
        let (key, value) = self.current.take().unwrap_or_default();
        seed.deserialize(Tree(value)).map_err(|error| error.below(&key))
    }
}

#[cfg(test)]
mod tests {
    use crate::json::read;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "kebab-case")]
    enum Shape {
        Point,
        Circle { radius: f64 },
        Square(i8),
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Everything {
        shapes: Vec<Shape>,
        pair: (u8, Option<bool>),
        names: BTreeMap<String, char>,
        #[serde(flatten)]
        rest: BTreeMap<String, i64>,
    }

    #[test]
    fn every_shape_of_type_is_read() {
        let text = br#"{
            "shapes": ["point", {"circle": {"radius": 2}}, {"square": -3}],
            "pair": [255, null], "names": {"a": "b"}, "x": -9, "y": 10
        }"#;
        let wanted = Everything {
            shapes: vec![Shape::Point, Shape::Circle { radius: 2.0 }, Shape::Square(-3)],
            pair: (255, None),
            names: [("a".to_owned(), 'b')].into(),
            rest: [("x".to_owned(), -9), ("y".to_owned(), 10)].into(),
        };
        assert_eq!(read::<Everything>(text).unwrap(), wanted);
    }

    #[test]
    fn an_error_names_its_place() {
        let message = |text: &str| read::<Everything>(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            message(r#"{"shapes": ["point", {"circle": {"radius": "r"}}]}"#),
            "`value.shapes[1].circle.radius` is a string, but must be f64"
        );
        assert_eq!(
            message(r#"{"shapes": ["circel"]}"#),
            "`value.shapes[0]`: must be one of `point`, `circle`, `square`; did you mean `circle`?"
        );
        assert_eq!(
            message(r#"{"pair": [1, true, 3]}"#),
            "`value.pair` is a list of 3, but must be a shorter list"
        );
        assert_eq!(
            message(r#"{"pair": [300, true]}"#),
            "`value.pair[0]` is an integer that doesn't fit, but must be u8"
        );
        assert_eq!(message("[1]").split(',').next(), Some("`value` is a list"));
        assert_eq!(message("{\n  x"), "`value` is no JSON (line 2, column 3)");
    }
}
