//! Writes TOML as the `BurntSushi` library writes it: tables indented, scalars before them.

use std::fmt::Write as _;

use crate::budget::too_long;
use crate::float::format_float;
use crate::json::DEPTH;
use crate::value::{Key, Map, Value};

/// The value as TOML, of no more than about `limit` bytes.
pub(crate) fn write(value: &Value, limit: usize) -> Result<Vec<u8>, String> {
    let mut writer = Writer { out: String::new(), limit };
    match value {
        Value::Map(map) => writer.table(map, &[])?,
        other => writer.element(other, 0)?,
    }
    Ok(writer.out.into_bytes())
}

struct Writer {
    out: String,
    limit: usize,
}

impl Writer {
    /// The entries of a table, those that are tables themselves behind the others.
    fn table(&mut self, map: &Map, path: &[String]) -> Result<(), String> {
        if path.len() > DEPTH {
            return Err("toml: the value is nested too deep".to_owned());
        }
        let mut entries = Vec::new();
        for (key, value) in map.entries() {
            match key {
                _ if value.is_nil() => (),
                Key::String(key) => entries.push((quoted_key(&key.text()), value)),
                _ => return Err("toml: cannot encode a map with non-string key type".to_owned()),
            }
        }
        let (tables, plain): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|(_, value)| is_table(value) || is_tables(value));
        let indent = "  ".repeat(path.len());
        for (key, value) in plain {
            let _ = write!(self.out, "{indent}{key} = ");
            self.element(&value, 0)?;
            self.out.push('\n');
        }
        for (key, value) in tables {
            let path = [path, &[key]].concat();
            let name = path.join(".");
            match &value {
                Value::Map(map) => {
                    if path.len() == 1 {
                        self.blank();
                    }
                    let _ = writeln!(self.out, "{indent}[{name}]");
                    self.table(map, &path)?;
                }
                Value::List(list) => {
                    for item in list.items() {
                        self.blank();
                        let _ = writeln!(self.out, "{indent}[[{name}]]");
                        if let Value::Map(map) = item {
                            self.table(map, &path)?;
                        }
                    }
                }
                _ => (),
            }
        }
        Ok(())
    }

    fn blank(&mut self) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
    }

    fn element(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        if depth > DEPTH {
            return Err("toml: the value is nested too deep".to_owned());
        }
        if self.out.len() > self.limit {
            return Err(too_long(self.limit));
        }
        match value {
            Value::Bool(flag) => self.out.push_str(&flag.to_string()),
            Value::Int(number, _) => self.out.push_str(&number.to_string()),
            Value::Uint(number, _) => self.out.push_str(&number.to_string()),
            Value::Float(number) => self.out.push_str(&float(*number)),
            Value::Number(text) if text.is_empty() => self.out.push('0'),
            Value::Number(text) => self.out.push_str(&text.text()),
            Value::String(text) => self.out.push_str(&quoted(&text.text())),
            Value::List(list) => {
                self.out.push('[');
                for (index, item) in list.items().iter().enumerate() {
                    if index > 0 {
                        self.out.push_str(", ");
                    }
                    self.element(item, depth + 1)?;
                }
                self.out.push(']');
            }
            Value::Map(map) => {
                self.out.push('{');
                for (index, (key, item)) in map.entries().iter().enumerate() {
                    if index > 0 {
                        self.out.push_str(", ");
                    }
                    if let Key::String(key) = key {
                        self.out.push_str(&quoted_key(&key.text()));
                    }
                    self.out.push_str(" = ");
                    self.element(item, depth + 1)?;
                }
                self.out.push('}');
            }
            Value::Object(object) if object.json().is_some() => {
                self.out.push_str(&object.json().unwrap_or_default());
            }
            Value::Missing | Value::Nil | Value::NilPointer(_) => {
                return Err("toml: cannot encode array with nil element".to_owned());
            }
            other => return Err(format!("toml: unsupported type: {}", other.type_name())),
        }
        Ok(())
    }
}

fn is_table(value: &Value) -> bool {
    matches!(value, Value::Map(_))
}

/// Whether this is a list of tables and nothing else.
fn is_tables(value: &Value) -> bool {
    matches!(value, Value::List(list)
        if !list.items().is_empty() && list.items().iter().all(is_table))
}

fn float(number: f64) -> String {
    match format_float(number, 'f', None).as_str() {
        "+Inf" => "inf".to_owned(),
        "-Inf" => "-inf".to_owned(),
        "NaN" => "nan".to_owned(),
        text if text.contains('.') => text.to_owned(),
        text => format!("{text}.0"),
    }
}

fn quoted_key(key: &str) -> String {
    let bare = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
    if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { quoted(key) }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\x08' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\x0c' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\0'..='\x1f' | '\x7f' => {
                let _ = write!(out, "\\u{:04x}", u32::from(char));
            }
            _ => out.push(char),
        }
    }
    out.push('"');
    out
}
