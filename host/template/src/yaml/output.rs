//! Writes YAML as yaml.v2 writes it: two spaces, lists level with their key, long lines folded.

mod scalar;

use std::cmp::Ordering;

use crate::budget::too_long;
use crate::float::format_float;
use crate::json::DEPTH;
use crate::value::{Key, Value};
use scalar::Scalar;

/// The value as YAML, of no more than about `limit` bytes.
pub(crate) fn write(value: &Value, limit: usize) -> Result<Vec<u8>, String> {
    let mut writer = Writer { out: String::new(), column: 0, fresh: true, limit };
    match Node::of(value)? {
        Node::Scalar(scalar) => writer.scalar(&scalar, 2, false),
        Node::Map(entries) => writer.map(&entries, 0, 0)?,
        Node::List(items) => writer.list(&items, 0, 0)?,
    }
    writer.out.push('\n');
    Ok(writer.out.into_bytes())
}

/// A value as YAML knows it.
enum Node {
    Scalar(Scalar),
    Map(Vec<(Value, Value)>),
    List(Vec<Value>),
}

impl Node {
    fn of(value: &Value) -> Result<Self, String> {
        Ok(Self::Scalar(match value {
            Value::Missing | Value::Nil | Value::NilPointer(_) => Scalar::plain("null"),
            Value::Bool(flag) => Scalar::plain(&flag.to_string()),
            Value::Int(number, _) => Scalar::plain(&number.to_string()),
            Value::Uint(number, _) => Scalar::plain(&number.to_string()),
            Value::Float(number) => Scalar::plain(&float(*number)),
            Value::Number(text) => {
                let text = text.text();
                match (text.parse::<i64>(), crate::number::parse_float(&text)) {
                    (Ok(number), _) => Scalar::plain(&number.to_string()),
                    (Err(_), Some(number)) => Scalar::plain(&float(number)),
                    (Err(_), None) => Scalar::string(text.as_bytes()),
                }
            }
            Value::String(text) => Scalar::string(text.bytes()),
            Value::List(list) if list.items().is_empty() => Scalar::plain("[]"),
            Value::List(list) => return Ok(Self::List(list.items().to_vec())),
            Value::Map(map) if map.is_empty() => Scalar::plain("{}"),
            Value::Map(map) => {
                let mut entries = map.entries();
                entries.sort_by(|(a, _), (b, _)| compare(a, b));
                let entries = entries.into_iter().map(|(key, value)| (key.value(), value));
                return Ok(Self::Map(entries.collect()));
            }
            Value::Object(object) => {
                let Some(text) = object.json() else {
                    let fields = object.fields().iter();
                    let fields = fields
                        .map(|(name, value)| (Value::string(name.to_lowercase()), value.clone()));
                    return Ok(Self::Map(fields.collect()));
                };
                Scalar::plain(&text)
            }
            Value::Complex(..) | Value::Channel(..) => {
                return Err(format!("cannot marshal type: {}", value.type_name()));
            }
        }))
    }
}

fn float(number: f64) -> String {
    match format_float(number, 'g', None).as_str() {
        "+Inf" => ".inf".to_owned(),
        "-Inf" => "-.inf".to_owned(),
        "NaN" => ".nan".to_owned(),
        text => text.to_owned(),
    }
}

struct Writer {
    out: String,
    /// In characters, from 0.
    column: usize,
    /// Whether only indicators and indents stand on the line.
    fresh: bool,
    limit: usize,
}

/// Keys longer than this stand on a line of their own.
const SIMPLE_KEY: usize = 128;

impl Writer {
    fn map(
        &mut self,
        entries: &[(Value, Value)],
        indent: usize,
        depth: usize,
    ) -> Result<(), String> {
        self.check(depth)?;
        for (key, value) in entries {
            self.indent(indent);
            match Node::of(key)? {
                Node::Scalar(scalar) if scalar.is_line() && scalar.len() <= SIMPLE_KEY => {
                    self.scalar(&scalar, indent + 2, true);
                }
                Node::Scalar(scalar) => {
                    self.put("? ");
                    self.scalar(&scalar, indent + 2, false);
                    self.fresh = false;
                    self.indent(indent);
                }
                Node::Map(_) | Node::List(_) => return Err("invalid map key".to_owned()),
            }
            self.put(":");
            self.fresh = false;
            match Node::of(value)? {
                Node::Scalar(scalar) => {
                    self.put(" ");
                    self.scalar(&scalar, indent + 2, false);
                }
                Node::Map(entries) => self.map(&entries, indent + 2, depth + 1)?,
                Node::List(items) => self.list(&items, indent, depth + 1)?,
            }
        }
        Ok(())
    }

    fn list(&mut self, items: &[Value], indent: usize, depth: usize) -> Result<(), String> {
        self.check(depth)?;
        for item in items {
            self.indent(indent);
            self.put("- ");
            self.fresh = true;
            match Node::of(item)? {
                Node::Scalar(scalar) => self.scalar(&scalar, indent + 2, false),
                Node::Map(entries) => self.map(&entries, indent + 2, depth + 1)?,
                Node::List(items) => self.list(&items, indent + 2, depth + 1)?,
            }
            self.fresh = false;
        }
        Ok(())
    }

    fn check(&self, depth: usize) -> Result<(), String> {
        if depth > DEPTH {
            return Err("the value is nested too deep".to_owned());
        }
        if self.out.len() > self.limit { Err(too_long(self.limit)) } else { Ok(()) }
    }

    /// Goes to the indent, on a new line unless this one is at it.
    fn indent(&mut self, indent: usize) {
        if !self.fresh || self.column > indent {
            self.out.push('\n');
            self.column = 0;
        }
        while self.column < indent {
            self.put(" ");
        }
        self.fresh = false;
    }

    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }
}

/// The order of keys: numbers by value, digits within strings as numbers.
fn compare(a: &Key, b: &Key) -> Ordering {
    let number = |key: &Key| match key {
        Key::Int(number) => Some(*number as f64),
        Key::Uint(number) => Some(*number as f64),
        Key::Float(number) => Some(*number),
        Key::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Key::Nil | Key::String(_) => None,
    };
    match (number(a), number(b)) {
        (Some(a), Some(b)) => return a.total_cmp(&b),
        (None, None) => (),
        _ => return a.cmp(b),
    }
    let (Key::String(a), Key::String(b)) = (a, b) else { return a.cmp(b) };
    let (a, b): (Vec<char>, Vec<char>) = (a.text().chars().collect(), b.text().chars().collect());
    let Some(at) = a.iter().zip(&b).position(|(a, b)| a != b) else {
        return a.len().cmp(&b.len());
    };
    let digits = at > 0 && a[at - 1].is_numeric();
    match (a[at].is_alphabetic(), b[at].is_alphabetic()) {
        (true, true) => return a[at].cmp(&b[at]),
        (true, false) => return if digits { Ordering::Less } else { Ordering::Greater },
        (false, true) => return if digits { Ordering::Greater } else { Ordering::Less },
        (false, false) => (),
    }
    let run = |text: &[char]| -> Vec<char> {
        text[at..].iter().copied().take_while(char::is_ascii_digit).collect()
    };
    let (left, right) = (run(&a), run(&b));
    // Zeros within a number count; at its front they don't.
    let within = a[..at].iter().rev().take_while(|char| char.is_ascii_digit()).any(|c| *c != '0');
    let strip = |digits: &[char]| -> Vec<char> {
        let zeros = if within { 0 } else { digits.iter().take_while(|c| **c == '0').count() };
        digits[zeros..].to_vec()
    };
    let (x, y) = (strip(&left), strip(&right));
    x.len()
        .cmp(&y.len())
        .then_with(|| x.cmp(&y))
        .then_with(|| left.len().cmp(&right.len()))
        .then_with(|| a[at].cmp(&b[at]))
}
