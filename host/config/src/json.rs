//! Reads JSON into the tree, with the place of each value.
//!
//! As the incumbents: a comma may end a list or an object, of those in a list none matters, a
//! repeated key is a repeated block, and a string may hold a tab as it is. Beyond them: `=` for
//! `:`, which their documentation prints and their agent refuses, is a warning. They read what is
//! cut off, or goes on after its end, as far as they can; here it is an error.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::characters;
use crate::diagnostic::{Diagnostic, Location, Source};
use crate::meant;
use crate::tokens::SyntaxError;
use crate::tree::{Item, MAX_DEPTH, Name, Node, Number, NumberValue, Object, Value};

/// The items of a file, and what should be written otherwise.
pub(crate) fn read(source: &Arc<Source>) -> Result<(Object, Vec<Diagnostic>), SyntaxError> {
    let mut parser = Parser { source, at: 0, depth: 0, warnings: Vec::new() };
    parser.skip_blanks();
    let node = parser.value()?;
    parser.skip_blanks();
    if parser.at < source.text.len() {
        return Err(parser.error("nothing may follow the closing }", "remove it"));
    }
    match node.value {
        Value::Object(object) => Ok((object, parser.warnings)),
        _ => Err(SyntaxError::new("a JSON configuration is an object", "start it with {", 0, 1)),
    }
}

struct Parser<'a> {
    source: &'a Arc<Source>,
    at: usize,
    depth: usize,
    warnings: Vec<Diagnostic>,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.source.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_blanks(&mut self) {
        self.at +=
            self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn error(&self, message: impl Into<String>, help: impl Into<String>) -> SyntaxError {
        let length = self.peek().map_or(0, char::len_utf8);
        SyntaxError::new(message, help, self.at, self.at + length)
    }

    fn location(&self, start: usize) -> Location {
        Location::new(self.source, start, self.at)
    }

    /// What is there instead of what should be.
    fn unexpected(&self, expected: &str) -> SyntaxError {
        let help = match self.peek() {
            Some('/' | '#') => "JSON has no comments; write the file as HCL to have some",
            Some(other) => characters::misplaced(other).1,
            None => "",
        };
        match self.peek() {
            None => self.error(format!("the file ends where {expected} should follow"), help),
            Some(other) if !other.is_ascii() => {
                let (message, _) = characters::misplaced(other);
                self.error(format!("{message}; {expected} should"), help)
            }
            Some(_) => self.error(format!("{expected} should stand here"), help),
        }
    }

    fn value(&mut self) -> Result<Node, SyntaxError> {
        let start = self.at;
        let value = match self.peek() {
            Some('{') => {
                self.enter()?;
                let object = self.object()?;
                self.depth -= 1;
                return Ok(Node {
                    value: Value::Object(object),
                    location: Location::new(self.source, start, start + 1),
                });
            }
            Some('[') => {
                self.enter()?;
                let list = self.list()?;
                self.depth -= 1;
                return Ok(Node {
                    value: Value::List(list),
                    location: Location::new(self.source, start, start + 1),
                });
            }
            Some('"') => Value::String(self.string()?),
            Some('-' | '0'..='9') => Value::Number(self.number()?),
            Some(c) if c.is_alphabetic() => self.word()?,
            _ => return Err(self.unexpected("a value")),
        };
        Ok(Node { value, location: self.location(start) })
    }

    fn enter(&mut self) -> Result<(), SyntaxError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(format!("nested deeper than {MAX_DEPTH} levels"), ""));
        }
        Ok(())
    }

    fn object(&mut self) -> Result<Object, SyntaxError> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_blanks();
        if self.peek() == Some('}') {
            self.at += 1;
            return Ok(Object { items });
        }
        loop {
            let start = self.at;
            if self.peek() != Some('"') {
                return Err(self.unexpected("a key in double quotes"));
            }
            let key = Name { text: self.string()?, location: self.location(start) };
            self.skip_blanks();
            match self.peek() {
                Some(':') => self.at += 1,
                Some('=') => {
                    let at = self.at;
                    self.at += 1;
                    self.warnings.push(Diagnostic::new_warning(
                        "json.equals-sign",
                        "JSON takes `:` between key and value",
                        "write `:`; other agents refuse this file",
                        Some(&self.location(at)),
                    ));
                }
                _ => return Err(self.unexpected("`:`")),
            }
            self.skip_blanks();
            let node = self.value()?;
            self.skip_blanks();
            if let Value::Number(number) = &node.value {
                self.refuse_unit(number)?;
            }
            items.push(Item { key, labels: Vec::new(), node });
            match self.peek() {
                Some(',') => self.at += 1,
                Some('}') => {}
                _ => return Err(self.unexpected("`,` or `}`")),
            }
            self.skip_blanks();
            if self.peek() == Some('}') {
                self.at += 1;
                return Ok(Object { items });
            }
        }
    }

    fn list(&mut self) -> Result<Vec<Node>, SyntaxError> {
        self.at += 1;
        let mut nodes = Vec::new();
        loop {
            self.skip_blanks();
            match self.peek() {
                Some(',') => self.at += 1,
                Some(']') => {
                    self.at += 1;
                    return Ok(nodes);
                }
                None => return Err(self.unexpected("`,` or `]`")),
                Some(_) => nodes.push(self.value()?),
            }
        }
    }

    /// `serde_json` knows the escapes; only the end of the string is found here.
    fn string(&mut self) -> Result<String, SyntaxError> {
        let start = self.at;
        let mut escaped = false;
        for (offset, character) in self.rest().char_indices().skip(1) {
            match character {
                '"' if !escaped => {
                    let end = start + offset + 1;
                    let literal = self.source.text.get(start..end).unwrap_or_default();
                    let text =
                        serde_json::from_str(&with_escaped_controls(literal)).map_err(|_| {
                            SyntaxError::new(
                                "this string holds an escape that JSON doesn't know",
                                "write \\\\ for a backslash",
                                start,
                                end,
                            )
                        })?;
                    self.at = end;
                    return Ok(text);
                }
                '\n' => break,
                '\\' => escaped = !escaped,
                _ => escaped = false,
            }
        }
        Err(SyntaxError::new(
            "this string has no end",
            "close it with \" on the same line; write \\n for a new line",
            start,
            start + 1,
        ))
    }

    fn number(&mut self) -> Result<Number, SyntaxError> {
        let start = self.at;
        let length = self
            .rest()
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')))
            .unwrap_or(self.rest().len());
        let end = start + length;
        let text = self.source.text.get(start..end).unwrap_or_default().to_owned();
        let error = |message: &str, help: String| SyntaxError::new(message, help, start, end);
        let digits = text.trim_start_matches('-');
        if digits.len() > 1 && digits.starts_with('0') && digits.chars().all(|c| c.is_ascii_digit())
        {
            let help = i64::from_str_radix(digits, 8)
                .map(|value| format!("write {value}, which is octal {digits}"))
                .unwrap_or_default();
            return Err(error("JSON numbers don't start with 0", help));
        }
        let Ok(number) = serde_json::from_str::<serde_json::Number>(&text) else {
            let (message, help) = no_number(&text);
            return Err(error(message, help));
        };
        let value = match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => NumberValue::Integer(integer),
            (None, Some(float)) if !number.is_u64() && text.contains(['.', 'e', 'E']) => {
                NumberValue::Float(float)
            }
            _ => return Err(error("this number is out of range", String::new())),
        };
        self.at = end;
        Ok(Number { text, value })
    }

    /// `30 s` is neither a number nor a string.
    fn refuse_unit(&self, number: &Number) -> Result<(), SyntaxError> {
        let length = self.rest().find(|c: char| !c.is_alphabetic()).unwrap_or(self.rest().len());
        let (word, _) = self.rest().split_at(length);
        match meant::help_for_unit(&number.text, word) {
            Some(help) => Err(SyntaxError::new(meant::UNIT, help, self.at, self.at + length)),
            None => Ok(()),
        }
    }

    fn word(&mut self) -> Result<Value, SyntaxError> {
        let length = self.rest().find(|c: char| !c.is_alphanumeric()).unwrap_or(self.rest().len());
        let end = self.at + length;
        let word = self.source.text.get(self.at..end).unwrap_or_default();
        let value = match word {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            _ => {
                return Err(SyntaxError::new(
                    format!("`{word}` is no value"),
                    meant::help_for_word(word),
                    self.at,
                    end,
                ));
            }
        };
        self.at = end;
        Ok(value)
    }
}

/// Why this is no number, and what to write.
fn no_number(text: &str) -> (&'static str, String) {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, word) = text.split_at(split);
    if let Some(digits) = meant::octal(number, word) {
        let value = i64::from_str_radix(digits, 8).map_or_else(
            |_| String::new(),
            |value| format!("write {value}, or the string \"0{digits}\""),
        );
        return ("JSON has no octal numbers", value);
    }
    if text.ends_with(|c: char| c.is_ascii_alphabetic()) {
        let quoted = || format!("put the whole in double quotes: \"{text}\"");
        return (meant::UNIT, meant::help_for_unit(number, word).unwrap_or_else(quoted));
    }
    ("this is no JSON number", String::new())
}

/// JSON forbids control characters in strings, and the incumbents take them.
fn with_escaped_controls(literal: &str) -> Cow<'_, str> {
    if !literal.contains(char::is_control) {
        return Cow::Borrowed(literal);
    }
    let mut escaped = String::with_capacity(literal.len());
    for character in literal.chars() {
        if character.is_control() {
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(serde_json::Value, usize), SyntaxError> {
        let source = Arc::new(Source { path: "agent.json".into(), text: text.to_owned() });
        let (object, warnings) = read(&source)?;
        let json = object.to_json(&mut Vec::new(), &mut |_, _| {});
        Ok((json.into(), warnings.len()))
    }

    #[test]
    fn what_serde_json_reads_is_read_alike() {
        for text in [
            "{}",
            r#" {"a": {"b": [1, -2.5, 1e3, true, false, null, "x\n\u00e9\ud83d\ude00\/\\\""]}} "#,
            r#"{"a":[[],[{}]],"":0,"b":-9223372036854775808}"#,
        ] {
            let expected: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(parse(text).unwrap(), (expected, 0), "{text}");
        }
    }

    #[test]
    fn an_equals_sign_loads_with_a_warning() {
        let (json, warnings) = parse(r#"{"a" = {"b" = 1}, "c": [1,]}"#).unwrap();
        assert_eq!(json, serde_json::json!({"a": {"b": 1}, "c": [1]}));
        assert_eq!(warnings, 2);
    }

    #[test]
    fn commas_too_many_and_tabs_load_as_the_incumbents_load_them() {
        for (text, expected) in [
            (r#"{"a": 1,}"#, serde_json::json!({"a": 1})),
            ("{\"a\": {\"b\": 1 ,\n},\n}", serde_json::json!({"a": {"b": 1}})),
            (r#"{"a": [{"b": 1,},],}"#, serde_json::json!({"a": [{"b": 1}]})),
            (
                r#"{"a": [1,,2], "b": [,], "c": [1 2]}"#,
                serde_json::json!({"a": [1, 2], "b": [], "c": [1, 2]}),
            ),
            ("{\"a\": \"x\ty\"}", serde_json::json!({"a": "x\ty"})),
        ] {
            assert_eq!(parse(text).unwrap(), (expected, 0), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused_at_its_place() {
        for (text, offset, said) in [
            (r#"{"a": 0640}"#, 6, "write 416"),
            (r#"{"a": 30s}"#, 6, "double quotes"),
            (r#"{"a": yes}"#, 6, "write true; as a string it takes double quotes"),
            (r#"{"a": 0o640}"#, 6, "write 416, or the string \"0640\""),
            (r#"{"a": 0o9}"#, 6, "no JSON number"),
            (r#"{"a": 5min}"#, 6, "double quotes: \"5m\""),
            (r#"{"a": 30 s}"#, 9, "double quotes: \"30s\""),
            ("{\"a\":\u{a0}1}", 5, "no-break space (U+00A0)"),
            ("{“a”: 1}", 1, "straight double quotes"),
            ("{\"a\": “x”}", 6, "straight double quotes"),
            (r#"{"a": 1,,}"#, 8, "a key"),
            ("{,}", 1, "a key"),
            (r#"{"a": 1,"#, 8, "ends"),
            ("{ # x\n}", 2, "no comments"),
            ("{\"a\": 1 /* x */}", 8, "no comments"),
            ("{\"a\": 1} // x", 9, "remove it"),
            (r#"{"a": 'x'}"#, 6, "double quotes"),
            (r#"{"a": 1"#, 7, "ends"),
            (r#"{"a": 1 "b": 2}"#, 8, "`,` or `}`"),
            (r#"{"a": 1} x"#, 9, "remove it"),
            ("{ // x\n}", 2, "no comments"),
            (r#"{"a": "x\q"}"#, 6, "backslash"),
            ("{\"a\": \"x\n\"}", 6, "no end"),
            (r#"{"a": 99999999999999999999}"#, 6, "out of range"),
            (r#"{"a": 9223372036854775808}"#, 6, "out of range"),
            (r#"{"a""#, 4, "`:`"),
            (r#"{"a": [1"#, 8, "ends"),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.start, offset, "{text}: {error:?}");
            assert!(
                format!("{} {}", error.message, error.help).contains(said),
                "{text}: {error:?}"
            );
        }
    }

    #[test]
    fn endless_nesting_is_refused() {
        let text = format!("{{\"a\": {}", "[".repeat(100_000));
        assert!(parse(&text).expect_err("deep").message.contains("nested deeper"));
    }
}
