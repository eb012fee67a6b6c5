//! Reads JSON as Go's `encoding/json` reads it, and tells what is wrong in its words; `output` writes it.

mod output;

use std::borrow::Cow;

use crate::lexer::first_char;
use crate::quote::quote_with;
use crate::value::{Key, Map, MapType, Str, Value};

pub(crate) use output::{Style, write};

/// What becomes of numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// `float64`, as `parseJSON` has it.
    Float,
    /// `json.Number`, as secrets have it.
    Text,
}

/// How deep values may nest.
pub(crate) const DEPTH: usize = 200;

/// The value of a whole text. With `secret`, its strings are marked.
pub(crate) fn parse(text: &[u8], numbers: Numbers, secret: bool) -> Result<Value, String> {
    let mut reader = Reader { text, at: 0, numbers, secret };
    reader.skip_space();
    let value = reader.value(0)?;
    reader.skip_space();
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.invalid("after top-level value")),
    }
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    numbers: Numbers,
    secret: bool,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > DEPTH {
            return Err("exceeded max depth".to_owned());
        }
        match self.peek() {
            None => Err(end()),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Nil),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err(self.invalid("looking for beginning of value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, String> {
        let map = Map::new(MapType::StringAny, []);
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Map(map));
        }
        loop {
            self.skip_space();
            match self.peek() {
                Some(b'"') => (),
                None => return Err(end()),
                Some(_) => {
                    return Err(self.invalid("looking for beginning of object key string"));
                }
            }
            let key = self.string()?;
            self.skip_space();
            self.expect(b':', "after object key")?;
            self.skip_space();
            let value = self.value(depth + 1)?;
            map.insert(Key::String(Str::from(key.bytes())), value);
            self.skip_space();
            if self.peek() == Some(b'}') {
                self.at += 1;
                return Ok(Value::Map(map));
            }
            self.expect(b',', "after object key:value pair")?;
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::list(items));
        }
        loop {
            self.skip_space();
            items.push(self.value(depth + 1)?);
            self.skip_space();
            if self.peek() == Some(b']') {
                self.at += 1;
                return Ok(Value::list(items));
            }
            self.expect(b',', "after array element")?;
        }
    }

    fn string(&mut self) -> Result<Str, String> {
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            match self.peek() {
                None => return Err(end()),
                Some(b'"') => {
                    self.at += 1;
                    let text = match String::from_utf8_lossy(&bytes) {
                        Cow::Borrowed(_) => Str::from(bytes),
                        Cow::Owned(_) => Str::from(crate::value::decode(&bytes).into_owned()),
                    };
                    return Ok(if self.secret { text.secret() } else { text });
                }
                Some(b'\\') => self.escape(&mut bytes)?,
                Some(0..=0x1f) => return Err(self.invalid("in string literal")),
                Some(byte) => {
                    bytes.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), String> {
        self.at += 1;
        let byte = match self.peek().ok_or_else(end)? {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'u' => {
                self.at += 1;
                let mut number = self.four_digits()?;
                if (0xd800..0xdc00).contains(&number) && self.text[self.at..].starts_with(b"\\u") {
                    let before = self.at;
                    self.at += 2;
                    let low = self.four_digits()?;
                    if (0xdc00..0xe000).contains(&low) {
                        number = 0x10000 + ((number - 0xd800) << 10) + (low - 0xdc00);
                    } else {
                        self.at = before;
                    }
                }
                let char = char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER);
                bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(self.invalid("in string escape code")),
        };
        bytes.push(byte);
        self.at += 1;
        Ok(())
    }

    fn four_digits(&mut self) -> Result<u32, String> {
        let mut number = 0;
        for _ in 0..4 {
            let byte = self.peek().ok_or_else(end)?;
            let Some(digit) = char::from(byte).to_digit(16) else {
                return Err(self.invalid("in \\u hexadecimal character escape"));
            };
            number = number * 16 + digit;
            self.at += 1;
        }
        Ok(number)
    }

    fn number(&mut self) -> Result<Value, String> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        let text = String::from_utf8_lossy(&self.text[start..self.at]);
        match self.numbers {
            Numbers::Text => {
                let text = Str::from(text.as_ref());
                Ok(Value::Number(if self.secret { text.secret() } else { text }))
            }
            Numbers::Float => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Value::Float(number)),
                _ => Err(format!(
                    "json: cannot unmarshal number {text} into Go value of type float64"
                )),
            },
        }
    }

    fn digits(&mut self, place: &str) -> Result<(), String> {
        match self.peek() {
            Some(b'0'..=b'9') => (),
            None => return Err(end()),
            Some(_) => return Err(self.invalid(place)),
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, String> {
        for expected in word.bytes() {
            match self.peek() {
                Some(byte) if byte == expected => self.at += 1,
                None => return Err(end()),
                Some(_) => {
                    let expected = char::from(expected);
                    return Err(
                        self.invalid(&format!("in literal {word} (expecting '{expected}')"))
                    );
                }
            }
        }
        Ok(value)
    }

    fn expect(&mut self, expected: u8, place: &str) -> Result<(), String> {
        match self.peek() {
            Some(byte) if byte == expected => {
                self.at += 1;
                Ok(())
            }
            None => Err(end()),
            Some(_) => Err(self.invalid(place)),
        }
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn invalid(&self, place: &str) -> String {
        let rest = &self.text[self.at..];
        let length = first_char(rest).map_or(0, |(_, length)| length);
        let char = if self.secret {
            "at byte ".to_owned() + &self.at.to_string()
        } else {
            quote_with(&rest[..length], '\'', false)
        };
        format!("invalid character {char} {place}")
    }
}

fn end() -> String {
    "unexpected end of JSON input".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_in_gos_words() {
        for (text, message) in [
            ("{bad}", "invalid character 'b' looking for beginning of object key string"),
            ("1 2", "invalid character '2' after top-level value"),
            ("[1", "unexpected end of JSON input"),
            ("trux", "invalid character 'x' in literal true (expecting 'e')"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("01", "invalid character '1' after top-level value"),
        ] {
            assert_eq!(
                parse(text.as_bytes(), Numbers::Float, false).err().as_deref(),
                Some(message)
            );
        }
        let deep = "[".repeat(100_000);
        assert!(parse(deep.as_bytes(), Numbers::Float, false).is_err());
    }
}
