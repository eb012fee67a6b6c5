//! Reads YAML: the events of a parser, with what scalars, anchors and merges mean in 1.1.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::resolve::resolve;
use crate::format;
use crate::json::DEPTH;
use crate::value::{Key, Map, MapType, Str, Value};

/// How many values a text may come to; aliases make many of few.
const VALUES: usize = 1_000_000;

/// The value of the first document. With `secret`, its strings are marked.
pub(crate) fn parse(text: &str, secret: bool) -> Result<Value, String> {
    let mut reader =
        Reader { events: Parser::new_from_str(text), anchors: HashMap::new(), secret, values: 0 };
    loop {
        match reader.next()? {
            Event::StreamEnd => return Ok(Value::Nil),
            Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => (),
            event => return reader.value(event, 0),
        }
    }
}

struct Reader<'t> {
    events: Parser<'t, saphyr_parser::StrInput<'t>>,
    /// Values by their anchors, with how many values each comes to.
    anchors: HashMap<usize, (Value, usize)>,
    secret: bool,
    values: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Event<'t>, String> {
        match self.events.next() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => {
                let line = error.marker().line();
                let cause = error.info();
                // The words that people know, for the mistake that is made most.
                if cause.contains("mapping values") {
                    return Err("yaml: mapping values are not allowed in this context".to_owned());
                }
                Err(format!("yaml: line {line}: {cause}"))
            }
            None => Ok(Event::StreamEnd),
        }
    }

    fn value(&mut self, event: Event<'t>, depth: usize) -> Result<Value, String> {
        if depth > DEPTH {
            return Err("yaml: exceeded max depth".to_owned());
        }
        let before = self.values;
        self.values += 1;
        let (value, anchor) = match event {
            Event::Alias(anchor) => {
                let Some((value, count)) = self.anchors.get(&anchor).cloned() else {
                    return Err("yaml: anchor value contains itself".to_owned());
                };
                self.values += count;
                (value, 0)
            }
            Event::Scalar(text, style, anchor, tag) => {
                (self.scalar(&text, style, tag.as_deref())?, anchor)
            }
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => break,
                        event => items.push(self.value(event, depth + 1)?),
                    }
                }
                (Value::list(items), anchor)
            }
            Event::MappingStart(anchor, _) => (self.mapping(depth)?, anchor),
            _ => return Err("yaml: the document ends too early".to_owned()),
        };
        if self.values > VALUES {
            return Err("yaml: document contains excessive aliasing".to_owned());
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (value.clone(), self.values - before));
        }
        Ok(value)
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, String> {
        let map = Map::new(MapType::AnyAny, []);
        let mut merged = Vec::new();
        loop {
            let event = self.next()?;
            let merges = match &event {
                Event::MappingEnd => break,
                Event::Scalar(text, ScalarStyle::Plain, _, None) => text == "<<",
                _ => false,
            };
            let key = self.value(event, depth + 1)?;
            let event = self.next()?;
            let value = self.value(event, depth + 1)?;
            if merges {
                merged.push(value);
            } else {
                map.insert(as_key(&key)?, value);
            }
        }
        for value in merged {
            merge(&map, &value)?;
        }
        Ok(Value::Map(map))
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
        let string = || {
            let text = Str::from(text);
            Value::String(if self.secret { text.secret() } else { text })
        };
        let suffix = match tag {
            Some(tag) if tag.handle == "tag:yaml.org,2002:" || tag.handle == "!!" => {
                Some(tag.suffix.as_str())
            }
            Some(tag) => tag.suffix.strip_prefix("tag:yaml.org,2002:"),
            None => None,
        };
        let plain = style == ScalarStyle::Plain;
        match suffix {
            Some("str") => Ok(string()),
            Some("binary") => Err("yaml: !!binary is not supported".to_owned()),
            Some(kind @ ("int" | "float" | "bool" | "null")) => match (kind, resolve(text)) {
                ("float", Value::Int(number, _)) => Ok(Value::Float(number as f64)),
                ("int", value @ (Value::Int(..) | Value::Uint(..)))
                | ("float", value @ Value::Float(_))
                | ("bool", value @ Value::Bool(_))
                | ("null", value @ Value::Nil) => Ok(value),
                _ => Err(format!("yaml: cannot decode a scalar as a !!{kind}")),
            },
            _ if !plain => Ok(string()),
            _ => Ok(match resolve(text) {
                Value::String(_) => string(),
                value => value,
            }),
        }
    }
}

fn as_key(value: &Value) -> Result<Key, String> {
    Ok(match value {
        Value::String(text) => Key::String(text.clone()),
        Value::Int(number, _) => Key::Int(*number),
        Value::Uint(number, _) => Key::Uint(*number),
        Value::Float(number) => Key::Float(*number),
        Value::Bool(flag) => Key::Bool(*flag),
        Value::Nil | Value::Missing => Key::Nil,
        other => {
            let text = format::print_action(other, 100).unwrap_or_default();
            return Err(format!("yaml: invalid map key: {}", String::from_utf8_lossy(&text)));
        }
    })
}

/// Entries of other maps, where there is none yet.
fn merge(map: &Map, value: &Value) -> Result<(), String> {
    match value {
        Value::Map(from) => {
            for (key, value) in from.entries() {
                if map.get(&key).is_none() {
                    map.insert(key, value);
                }
            }
            Ok(())
        }
        Value::List(list) => list.items().iter().try_for_each(|item| match item {
            Value::Map(_) => merge(map, item),
            _ => Err("yaml: map merge requires map or sequence of maps as the value".to_owned()),
        }),
        _ => Err("yaml: map merge requires map or sequence of maps as the value".to_owned()),
    }
}
