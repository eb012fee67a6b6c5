//! Writes JSON as Go's `encoding/json` writes it.

use super::DEPTH;
use crate::budget::too_long;
use crate::float::format_float;
use crate::format;
use crate::lexer::first_char;
use crate::value::{Key, Value};

/// How JSON is written.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    /// Whether there are lines and indents.
    pub(crate) pretty: bool,
    /// Whether `<`, `>` and `&` are written as escapes.
    pub(crate) html: bool,
}

/// The value as JSON, of no more than `limit` bytes.
pub(crate) fn write(value: &Value, style: Style, limit: usize) -> Result<Vec<u8>, String> {
    let mut writer = Writer { out: Vec::new(), style, limit };
    writer.value(value, 0)?;
    Ok(writer.out)
}

struct Writer {
    out: Vec<u8>,
    style: Style,
    limit: usize,
}

impl Writer {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        if depth > DEPTH {
            return Err("json: unsupported value: encountered a cycle".to_owned());
        }
        if self.out.len() > self.limit {
            return Err(too_long(self.limit));
        }
        match value {
            Value::Missing | Value::Nil | Value::NilPointer(_) => self.push("null"),
            Value::Bool(flag) => self.push(if *flag { "true" } else { "false" }),
            Value::Int(number, _) => self.push(&number.to_string()),
            Value::Uint(number, _) => self.push(&number.to_string()),
            Value::Float(number) => {
                if !number.is_finite() {
                    let number = format_float(*number, 'g', None);
                    return Err(format!("json: unsupported value: {number}"));
                }
                self.push(&float(*number));
            }
            Value::Number(text) if text.is_empty() => self.push("0"),
            Value::Number(text) => self.out.extend_from_slice(text.bytes()),
            Value::String(text) => self.string(text.bytes()),
            Value::List(list) => {
                self.all(*b"[]", list.items().iter(), depth, |writer, item| {
                    writer.value(item, depth + 1)
                })?;
            }
            Value::Map(map) => {
                self.all(*b"{}", map.entries().iter(), depth, |writer, (key, item)| {
                    writer.key(&key_text(key));
                    writer.value(item, depth + 1)
                })?;
            }
            Value::Object(object) => match object.json() {
                Some(text) => self.string(text.as_bytes()),
                None => {
                    self.all(*b"{}", object.fields().iter(), depth, |writer, (name, item)| {
                        writer.key(name.as_bytes());
                        writer.value(item, depth + 1)
                    })?;
                }
            },
            Value::Complex(..) | Value::Channel(..) => {
                return Err(format!("json: unsupported type: {}", value.type_name()));
            }
        }
        Ok(())
    }

    fn all<T>(
        &mut self,
        around: [u8; 2],
        items: impl ExactSizeIterator<Item = T>,
        depth: usize,
        mut write: impl FnMut(&mut Self, T) -> Result<(), String>,
    ) -> Result<(), String> {
        self.out.push(around[0]);
        let empty = items.len() == 0;
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.line(depth + 1);
            write(self, item)?;
        }
        if !empty {
            self.line(depth);
        }
        self.out.push(around[1]);
        Ok(())
    }

    fn line(&mut self, depth: usize) {
        if self.style.pretty {
            self.out.push(b'\n');
            self.out.resize(self.out.len() + 2 * depth, b' ');
        }
    }

    fn key(&mut self, key: &[u8]) {
        self.string(key);
        self.push(if self.style.pretty { ": " } else { ":" });
    }

    fn string(&mut self, mut text: &[u8]) {
        self.out.push(b'"');
        while let Some((char, length)) = first_char(text) {
            match char {
                '"' => self.push("\\\""),
                '\\' => self.push("\\\\"),
                '\n' => self.push("\\n"),
                '\r' => self.push("\\r"),
                '\t' => self.push("\\t"),
                '\x08' => self.push("\\b"),
                '\x0c' => self.push("\\f"),
                '<' | '>' | '&' if self.style.html => self.escape(char),
                '\0'..='\x1f' | '\u{2028}' | '\u{2029}' => self.escape(char),
                _ => self.push(char.encode_utf8(&mut [0; 4])),
            }
            text = &text[length..];
        }
        self.out.push(b'"');
    }

    fn escape(&mut self, char: char) {
        self.push(&format!("\\u{:04x}", u32::from(char)));
    }

    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }
}

/// An exponent only for the very small and the very large.
fn float(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format_float(number, 'e', None);
        return text.replace("e-0", "e-");
    }
    format_float(number, 'f', None)
}

fn key_text(key: &Key) -> Vec<u8> {
    match key {
        Key::String(text) => text.bytes().to_vec(),
        other => format::print(&[other.value()], usize::MAX).unwrap_or_default(),
    }
}
