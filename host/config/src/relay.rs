//! Lays HCL 1 tokens out again as HCL 2, which has a parser, and remembers where each stood.
//!
//! HCL 1 is laxer: items need no separator, `name = {` opens a block, keys may be quoted, hold
//! dots and repeat, and objects in lists may hold labelled blocks. Here each item gets a line of
//! its own and each key a name that HCL 2 accepts once; the reader takes keys and numbers from
//! the tokens again.

use std::collections::HashSet;
use std::fmt::Write;

use crate::meant;
use crate::tokens::{Kind, SyntaxError, Token};
use crate::tree::{MAX_DEPTH, NumberValue};

/// HCL 2 text and the tokens behind it.
pub(crate) struct Relaid {
    pub(crate) text: String,
    places: Vec<Place>,
}

/// What stands at an offset of the HCL 2 text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    at: usize,
    /// Index of the token.
    pub(crate) token: usize,
    /// Of a block; in an object of a list it looks like a key.
    pub(crate) label: bool,
}

impl Relaid {
    /// What stands at, or nearest before, an offset of the HCL 2 text.
    pub(crate) fn place(&self, at: usize) -> Option<Place> {
        let after = self.places.partition_point(|place| place.at <= at);
        after.checked_sub(1).and_then(|index| self.places.get(index)).copied()
    }
}

/// Fails where the incumbents' parser fails.
pub(crate) fn relay(tokens: &[Token]) -> Result<Relaid, SyntaxError> {
    let relaid = Relaid { text: String::new(), places: Vec::new() };
    let mut layout = Layout { tokens, at: 0, depth: 0, relaid };
    layout.items(Style::Body)?;
    match layout.peek().kind {
        Kind::End => Ok(layout.relaid),
        _ => Err(layout.error("this closes nothing", "remove it, or open a block before it")),
    }
}

/// How items are written.
#[derive(Clone, Copy, PartialEq)]
enum Style {
    /// A file or a block: `key = …` and `key "label" { … }`.
    Body,
    /// An object in a list: `"key" = …`, also for blocks.
    Object,
}

struct Layout<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    relaid: Relaid,
}

/// A key or label: its token and text.
type Key = (usize, String);

/// Stands for the end when there are no tokens at all.
const END: Token = Token { kind: Kind::End, start: 0, end: 0 };

impl Layout<'_> {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).or(self.tokens.last()).unwrap_or(&END)
    }

    fn error(&self, message: impl Into<String>, help: impl Into<String>) -> SyntaxError {
        let token = self.peek();
        SyntaxError::new(message, help, token.start, token.end)
    }

    /// Writes text that stands for a token.
    fn put(&mut self, token: usize, label: bool, text: &str) {
        self.relaid.places.push(Place { at: self.relaid.text.len(), token, label });
        self.relaid.text.push_str(text);
    }

    fn enter(&mut self) -> Result<(), SyntaxError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(format!("nested deeper than {MAX_DEPTH} levels"), ""));
        }
        Ok(())
    }

    /// Items up to a closing brace or the end, which stays.
    fn items(&mut self, style: Style) -> Result<(), SyntaxError> {
        let mut used = HashSet::new();
        while !matches!(self.peek().kind, Kind::RightBrace | Kind::End) {
            self.item(style, &mut used)?;
            if self.peek().kind == Kind::Comma {
                self.at += 1;
            }
        }
        Ok(())
    }

    fn item(&mut self, style: Style, used: &mut HashSet<String>) -> Result<(), SyntaxError> {
        let keys = self.keys()?;
        let (Some((first, labels)), assigned) =
            (keys.split_first(), self.peek().kind == Kind::Assign)
        else {
            return Err(self.missing_key());
        };
        if assigned {
            if !labels.is_empty() {
                if let Some(error) = self.number_with_unit(&keys) {
                    return Err(error);
                }
                return Err(self.error(
                    "a labelled block takes no `=`",
                    "write it without: key \"label\" { … }",
                ));
            }
            self.at += 1;
        }
        let name = unique_name(first, used);
        match style {
            Style::Body => {
                self.put(first.0, false, &name);
                if !assigned || self.peek().kind == Kind::LeftBrace {
                    for (token, text) in labels {
                        self.relaid.text.push(' ');
                        self.put(*token, true, &quoted(text));
                    }
                    self.relaid.text.push(' ');
                    self.block(Style::Body)?;
                } else {
                    self.relaid.text.push_str(" = ");
                    self.value()?;
                }
                self.relaid.text.push('\n');
            }
            Style::Object => {
                self.put(first.0, false, &quoted(&name));
                self.relaid.text.push_str(" = ");
                let outer = self.depth;
                for (token, text) in labels {
                    self.enter()?;
                    self.relaid.text.push_str("{ ");
                    self.put(*token, true, &quoted(text));
                    self.relaid.text.push_str(" = ");
                }
                if assigned {
                    self.value()?;
                } else {
                    self.block(Style::Object)?;
                }
                self.relaid.text.push_str(&" }".repeat(labels.len()));
                self.depth = outer;
                self.relaid.text.push_str(",\n");
            }
        }
        Ok(())
    }

    /// Key and labels, up to `=` or `{`, which stays.
    fn keys(&mut self) -> Result<Vec<Key>, SyntaxError> {
        let mut keys: Vec<Key> = Vec::new();
        loop {
            match &self.peek().kind {
                Kind::Identifier(text) | Kind::String(text) => {
                    keys.push((self.at, text.clone()));
                    self.at += 1;
                }
                Kind::Assign | Kind::LeftBrace => return Ok(keys),
                _ => return Err(self.misplaced(&keys)),
            }
        }
    }

    fn missing_key(&self) -> SyntaxError {
        if self.peek().kind == Kind::LeftBrace && self.relaid.text.is_empty() {
            return self.error(
                "a block without a name",
                "if this file is JSON, nothing may stand before its `{`, no comment either",
            );
        }
        self.error("a name is missing here", "write: key = value, or: key { … }")
    }

    /// What follows a number and isn't meant as a key: `0o640`, `5s`, `30 s`.
    fn number_with_unit(&self, keys: &[Key]) -> Option<SyntaxError> {
        let (at, word) = keys.first()?;
        let token = self.tokens.get(*at)?;
        let number = self.tokens.get(at.checked_sub(1)?)?;
        let Kind::Number(value) = &number.kind else { return None };
        let text = match value {
            NumberValue::Integer(value) => value.to_string(),
            NumberValue::Float(value) => value.to_string(),
        };
        let is_one_word = number.end == token.start;
        if let Some(digits) = meant::octal(&text, word).filter(|_| is_one_word) {
            return Some(SyntaxError::new(
                format!("`{text}{word}` is no number here: a leading 0 alone makes it octal"),
                format!("write 0{digits}"),
                number.start,
                token.end,
            ));
        }
        let quoted = || format!("put the whole in double quotes: \"{text}{word}\"");
        let help = meant::help_for_unit(&text, word).or_else(|| is_one_word.then(quoted))?;
        Some(SyntaxError::new(meant::UNIT, help, token.start, token.end))
    }

    fn misplaced(&self, keys: &[Key]) -> SyntaxError {
        if let Some(error) = self.number_with_unit(keys) {
            return error;
        }
        let Some((token, name)) = keys.first() else {
            return match self.peek().kind {
                Kind::Comma => self.error("one comma too many", "remove it"),
                Kind::Number(_) | Kind::Bool(_) => {
                    self.error("a name can't be a number, true or false", "put it in double quotes")
                }
                _ => self.error("a name is missing here", "write: key = value, or: key { … }"),
            };
        };
        let start = self.tokens.get(*token).map_or(0, |token| token.start);
        let end = self.tokens.get(*token).map_or(start, |token| token.end);
        SyntaxError::new(
            format!("`{name}` is followed by neither `=` nor `{{`"),
            "write: key = value, or: key { … }; strings take double quotes",
            start,
            end,
        )
    }

    fn block(&mut self, style: Style) -> Result<(), SyntaxError> {
        let opened = self.at;
        self.enter()?;
        self.put(opened, false, "{\n");
        self.at += 1;
        self.items(style)?;
        if self.peek().kind != Kind::RightBrace {
            let (start, end) = self.tokens.get(opened).map_or((0, 0), |t| (t.start, t.end));
            return Err(SyntaxError::new("this block has no end", "close it with }", start, end));
        }
        self.put(self.at, false, "}");
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }

    fn value(&mut self) -> Result<(), SyntaxError> {
        let text = match &self.peek().kind {
            Kind::String(value) => quoted(value),
            Kind::Bool(value) => value.to_string(),
            Kind::Number(NumberValue::Integer(value)) => value.to_string(),
            Kind::Number(NumberValue::Float(value)) => format!("{value:?}"),
            Kind::LeftBrace => return self.block(Style::Object),
            Kind::LeftBracket => return self.list(),
            Kind::Identifier(name) => {
                let help = match name.to_ascii_lowercase().as_str() {
                    "null" => "leave the key out".to_owned(),
                    _ => meant::help_for_word(name),
                };
                return Err(self.error(format!("`{name}` is no value"), help));
            }
            _ => return Err(self.error("a value is missing here", "")),
        };
        self.put(self.at, false, &text);
        self.at += 1;
        Ok(())
    }

    fn list(&mut self) -> Result<(), SyntaxError> {
        let opened = self.at;
        self.enter()?;
        self.put(opened, false, "[");
        self.at += 1;
        let mut comma_due = false;
        loop {
            match self.peek().kind {
                Kind::RightBracket => break,
                // As lax as the incumbents: [,,1,] is a list of one.
                Kind::Comma => {
                    comma_due = false;
                    self.at += 1;
                }
                Kind::End => {
                    let (start, end) = self.tokens.get(opened).map_or((0, 0), |t| (t.start, t.end));
                    return Err(SyntaxError::new(
                        "this list has no end",
                        "close it with ]",
                        start,
                        end,
                    ));
                }
                _ if comma_due => {
                    return Err(
                        self.error("a comma is missing before this", "list items take commas")
                    );
                }
                _ => {
                    self.value()?;
                    self.relaid.text.push_str(", ");
                    comma_due = true;
                }
            }
        }
        self.put(self.at, false, "]");
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }
}

/// An HCL 2 identifier for a key, unlike the others of its block.
fn unique_name((token, key): &Key, used: &mut HashSet<String>) -> String {
    let mut name: String = key
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' })
        .collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        name.insert(0, '_');
    }
    if used.contains(&name) {
        let _ = write!(name, "-{token}");
        while used.contains(&name) {
            name.push('_');
        }
    }
    used.insert(name.clone());
    name
}

/// A quoted HCL 2 string that means exactly this text.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            // `$${` would be an escaped `${` to HCL 2: no `$` or `%` before a brace, or before
            // another of its kind, is left to its reading.
            '$' | '%' if matches!(characters.peek(), Some('{' | '$' | '%')) => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
