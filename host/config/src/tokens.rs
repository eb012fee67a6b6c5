//! Splits HCL 1 text into tokens, with the incumbents' rules for strings, heredocs and numbers.
//!
//! The rules were checked against `bao agent -test-verify-only`. They are not HCL 2's: `${…}` is
//! plain text in which quotes don't end the string, and `0640` is octal.

use crate::characters;
use crate::tree::NumberValue;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Identifier(String),
    /// Quoted, or a heredoc.
    String(String),
    Number(NumberValue),
    Bool(bool),
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Assign,
    Comma,
    End,
}

/// `start..end` are offsets in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Why a text can't be read, and where.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SyntaxError {
    pub(crate) message: String,
    pub(crate) help: String,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl SyntaxError {
    pub(crate) fn new(
        message: impl Into<String>,
        help: impl Into<String>,
        start: usize,
        end: usize,
    ) -> Self {
        Self { message: message.into(), help: help.into(), start, end }
    }
}

/// All tokens of a file; the last one is `End`.
pub(crate) fn tokenize(text: &str) -> Result<Vec<Token>, SyntaxError> {
    let mut scanner = Scanner { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        scanner.skip_blanks_and_comments()?;
        let start = scanner.at;
        let kind = scanner.token()?;
        let done = kind == Kind::End;
        tokens.push(Token { kind, start, end: scanner.at });
        if done {
            return Ok(tokens);
        }
    }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl Scanner<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn peek_second(&self) -> Option<char> {
        self.rest().chars().nth(1)
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += character.len_utf8();
        Some(character)
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> String {
        let taken: String = self.rest().chars().take_while(|c| accept(*c)).collect();
        self.at += taken.len();
        taken
    }

    fn error(
        &self,
        message: impl Into<String>,
        help: impl Into<String>,
        start: usize,
    ) -> SyntaxError {
        SyntaxError::new(message, help, start, self.at.max(start))
    }

    fn skip_blanks_and_comments(&mut self) -> Result<(), SyntaxError> {
        loop {
            self.take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
            let start = self.at;
            if self.rest().starts_with('#') || self.rest().starts_with("//") {
                self.take_while(|c| c != '\n');
            } else if self.rest().starts_with("/*") {
                // "/*/" opens a comment and doesn't close it.
                let Some(length) = self.rest().get(2..).and_then(|rest| rest.find("*/")) else {
                    return Err(SyntaxError::new(
                        "this comment has no end",
                        "close it with */",
                        start,
                        start + 2,
                    ));
                };
                self.at += length + 4;
            } else {
                return Ok(());
            }
        }
    }

    fn token(&mut self) -> Result<Kind, SyntaxError> {
        let start = self.at;
        let Some(character) = self.peek() else { return Ok(Kind::End) };
        if is_letter(character) {
            let name =
                self.take_while(|c| is_letter(c) || c.is_numeric() || matches!(c, '-' | '.'));
            return Ok(match name.as_str() {
                "true" => Kind::Bool(true),
                "false" => Kind::Bool(false),
                _ => Kind::Identifier(name),
            });
        }
        let digit_follows = self.peek_second().is_some_and(|c| c.is_ascii_digit());
        if character.is_ascii_digit() || (matches!(character, '-' | '.') && digit_follows) {
            return self.number();
        }
        if character == '"' {
            return self.string();
        }
        if self.rest().starts_with("<<") {
            return self.heredoc();
        }
        self.next();
        Ok(match character {
            '{' => Kind::LeftBrace,
            '}' => Kind::RightBrace,
            '[' => Kind::LeftBracket,
            ']' => Kind::RightBracket,
            '=' => Kind::Assign,
            ',' => Kind::Comma,
            other => {
                let (message, help) = characters::misplaced(other);
                let help = match other {
                    ';' => "put the next item on a line of its own, or a comma between the two",
                    ':' => {
                        "write `=` between key and value; a file is JSON only if nothing, no comment either, stands before its `{`"
                    }
                    '/' => "comments start with #, // or /*",
                    '(' | ')' => "HCL 1 has no functions",
                    _ => help,
                };
                return Err(self.error(message, help, start));
            }
        })
    }

    fn number(&mut self) -> Result<Kind, SyntaxError> {
        let start = self.at;
        let negative = self.rest().starts_with('-');
        if negative {
            self.next();
        }
        let digits_start = self.at;
        if self.rest().starts_with("0x") || self.rest().starts_with("0X") {
            self.at += 2;
            let digits = self.take_while(|c| c.is_ascii_hexdigit());
            if digits.is_empty() {
                return Err(self.error("this hexadecimal number has no digits", "", start));
            }
            return self.integer(&digits, 16, negative, start);
        }
        let whole = self.take_while(|c| c.is_ascii_digit());
        let mut float = false;
        if self.rest().starts_with('.') {
            float = true;
            self.next();
            self.take_while(|c| c.is_ascii_digit());
        }
        if self.rest().starts_with(['e', 'E']) {
            float = true;
            self.next();
            if self.rest().starts_with(['+', '-']) {
                self.next();
            }
            if self.take_while(|c| c.is_ascii_digit()).is_empty() {
                return Err(self.error("this number's exponent has no digits", "", start));
            }
        }
        if float {
            let text = self.text.get(digits_start..self.at).unwrap_or_default();
            return match text.parse::<f64>() {
                Ok(value) if value.is_finite() => {
                    Ok(Kind::Number(NumberValue::Float(if negative { -value } else { value })))
                }
                _ => Err(self.error("this number is out of range", "", start)),
            };
        }
        match whole.strip_prefix('0') {
            Some(octal) if !octal.is_empty() => {
                if octal.contains(['8', '9']) {
                    return Err(self.error(
                        format!("`{whole}` is no number: a leading 0 makes it octal"),
                        "drop the leading 0, or use the digits 0 to 7 only",
                        start,
                    ));
                }
                self.integer(octal, 8, negative, start)
            }
            _ => self.integer(&whole, 10, negative, start),
        }
    }

    fn integer(
        &self,
        digits: &str,
        radix: u32,
        negative: bool,
        start: usize,
    ) -> Result<Kind, SyntaxError> {
        let signed = if negative { format!("-{digits}") } else { digits.to_owned() };
        i64::from_str_radix(&signed, radix)
            .map(|value| Kind::Number(NumberValue::Integer(value)))
            .map_err(|_| self.error("this number is out of range", "", start))
    }

    fn string(&mut self) -> Result<Kind, SyntaxError> {
        let start = self.at;
        self.next();
        let mut value = String::new();
        let mut interpolation_depth = 0_usize;
        loop {
            let at = self.at;
            let Some(character) = self.next() else {
                return Err(self.unterminated(start, interpolation_depth));
            };
            if interpolation_depth > 0 {
                // Verbatim to the brace that closes it, quotes and line ends included.
                match character {
                    '{' => interpolation_depth += 1,
                    '}' => interpolation_depth -= 1,
                    _ => {}
                }
                if !(character == '\r' && self.peek() == Some('\n')) {
                    value.push(character);
                }
                continue;
            }
            match character {
                '"' => return Ok(Kind::String(value)),
                '\n' | '\r' => return Err(self.unterminated(start, 0)),
                '$' if self.peek() == Some('{') => {
                    self.next();
                    value.push_str("${");
                    interpolation_depth = 1;
                }
                '\\' => value.push(self.escape(at)?),
                other => value.push(other),
            }
        }
    }

    fn unterminated(&self, start: usize, interpolation_depth: usize) -> SyntaxError {
        let line = self.text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let help = if interpolation_depth > 0 {
            "`${` reaches to the next `}`, and quotes between the two don't end the string"
        } else if line.contains(characters::is_typographic_quote) {
            "close it with a straight double quote: \""
        } else {
            "close it with \" on the same line; for several lines write <<EOF … EOF"
        };
        SyntaxError::new("this string has no end", help, start, start + 1)
    }

    fn escape(&mut self, start: usize) -> Result<char, SyntaxError> {
        let escaped = self.next();
        let code = match escaped {
            Some('a') => return Ok('\u{7}'),
            Some('b') => return Ok('\u{8}'),
            Some('f') => return Ok('\u{c}'),
            Some('n') => return Ok('\n'),
            Some('r') => return Ok('\r'),
            Some('t') => return Ok('\t'),
            Some('v') => return Ok('\u{b}'),
            Some(same @ ('\\' | '"')) => return Ok(same),
            Some('x') => self.digits(2, 16),
            Some('u') => self.digits(4, 16),
            Some('U') => self.digits(8, 16),
            Some('0'..='7') => {
                self.at -= 1;
                self.digits(3, 8)
            }
            _ => None,
        };
        // \x and octal escapes above 7F would be single bytes, no characters.
        let byte_sized = matches!(escaped, Some('x' | '0'..='7'));
        match code.filter(|code| !byte_sized || *code < 0x80).and_then(char::from_u32) {
            Some(character) => Ok(character),
            None => {
                Err(self.error("this escape is not known", "write \\\\ for a backslash", start))
            }
        }
    }

    fn digits(&mut self, count: usize, radix: u32) -> Option<u32> {
        let digits: String = self.rest().chars().take(count).collect();
        let complete = digits.chars().count() == count && digits.chars().all(|c| c.is_digit(radix));
        if !complete {
            return None;
        }
        self.at += digits.len();
        u32::from_str_radix(&digits, radix).ok()
    }

    fn heredoc(&mut self) -> Result<Kind, SyntaxError> {
        let start = self.at;
        self.at += 2;
        let indented = self.rest().starts_with('-');
        if indented {
            self.next();
        }
        let anchor = self.take_while(|c| is_letter(c) || c.is_numeric());
        self.take_while(|c| c == '\r');
        if anchor.is_empty() || self.peek() != Some('\n') {
            return Err(self.error(
                "a heredoc starts with a word of letters and digits and the end of the line",
                "write <<EOF, without quotes or blanks after it",
                start,
            ));
        }
        self.next();
        let mut lines: Vec<&str> = Vec::new();
        let mut at = self.at;
        for line in self.text.get(self.at..).unwrap_or_default().split_inclusive('\n') {
            let content = line.strip_suffix('\n').unwrap_or(line).trim_end_matches('\r');
            let unindented = content.trim_start();
            if unindented == anchor {
                let margin = content.strip_suffix(unindented).unwrap_or_default();
                self.at = at + content.len();
                return Ok(Kind::String(heredoc_value(&lines, margin, indented)));
            }
            lines.push(content);
            at += line.len();
        }
        Err(SyntaxError::new(
            format!("this heredoc has no end: no line holds only {anchor}"),
            format!("write {anchor} on a line of its own, nothing after it"),
            start,
            start + 2 + usize::from(indented) + anchor.len(),
        ))
    }
}

/// `<<-` takes the closing word's margin off every line, or off none if a line has less; without
/// the dash the closing margin belongs to the text.
fn heredoc_value(lines: &[&str], margin: &str, indented: bool) -> String {
    let shift = indented && lines.iter().all(|line| line.starts_with(margin));
    let mut value = String::new();
    for line in lines {
        value.push_str(if shift { line.strip_prefix(margin).unwrap_or(line) } else { line });
        value.push('\n');
    }
    if !indented {
        value.push_str(margin);
    }
    value
}

fn is_letter(character: char) -> bool {
    character == '_' || character.is_alphabetic()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn single(text: &str) -> Kind {
        let tokens = tokenize(text).unwrap_or_else(|error| panic!("{text:?}: {error:?}"));
        assert_eq!(tokens.len(), 2, "{text:?}: {tokens:?}");
        tokens[0].kind.clone()
    }

    fn string(text: &str) -> String {
        match single(text) {
            Kind::String(value) => value,
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn strings_are_read_as_the_incumbents_read_them() {
        for (text, value) in [
            (r#""a\\d""#, "a\\d"),
            (r#""a\n\t\"""#, "a\n\t\""),
            (r#""\u00e9\x41\101""#, "éAA"),
            (r#""${b}%{c}""#, "${b}%{c}"),
            (r#""${ "x" }z""#, "${ \"x\" }z"),
            (r#""${b\n}""#, "${b\\n}"),
            (r#""${a{b}c}""#, "${a{b}c}"),
            (r#""$${x}$""#, "$${x}$"),
            ("\"a\tb é\"", "a\tb é"),
            ("<<EOF\na\\nb\n${x}\n  EOF\n", "a\\nb\n${x}\n  "),
            ("<<-EOF\n    a\n      b\n    EOF\n", "a\n  b\n"),
            ("<<-EOF\n    a\n  b\n    EOF\n", "    a\n  b\n"),
            ("<<EOF\nEOF\n", ""),
            ("<<EOF\r\nx\r\nEOF\r\n", "x\n"),
            ("<<EOF\nx\nEOF", "x\n"),
        ] {
            assert_eq!(string(text), value, "{text:?}");
        }
    }

    #[test]
    fn numbers_are_read_as_the_incumbents_read_them() {
        for (text, value) in [
            ("0", 0),
            ("00", 0),
            ("0640", 416),
            ("640", 640),
            ("0x1F", 31),
            ("-5", -5),
            ("-010", -8),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(single(text), Kind::Number(NumberValue::Integer(value)), "{text}");
        }
        for (text, value) in [
            ("1.5", 1.5),
            (".5", 0.5),
            ("1e3", 1e3),
            ("01e2", 100.0),
            ("0640.5", 640.5),
            ("1.", 1.0),
        ] {
            assert_eq!(single(text), Kind::Number(NumberValue::Float(value)), "{text}");
        }
    }

    #[test]
    fn names_may_hold_dots_and_dashes_and_comments_vanish() {
        let kinds: Vec<Kind> = tokenize("a.b-c /* x\n*/ é1 # y\n// z\n/*/ w */ true TRUE")
            .unwrap()
            .into_iter()
            .map(|token| token.kind)
            .collect();
        let name = |text: &str| Kind::Identifier(text.to_owned());
        assert_eq!(kinds, [name("a.b-c"), name("é1"), Kind::Bool(true), name("TRUE"), Kind::End]);
    }

    #[test]
    fn typographic_quotes_around_a_string_are_named() {
        for text in ["k = “a”", "k = \"a”\n", "k = „a“"] {
            let error = tokenize(text).expect_err(text);
            assert!(error.help.contains("straight double quote"), "{text}: {error:?}");
        }
    }

    #[test]
    fn what_the_incumbents_refuse_is_refused_at_its_place() {
        for (text, offset) in [
            (r#"k = "a\d""#, 6),
            ("k = \"a\nb\"", 4),
            ("k = \"a", 4),
            ("k = \"${b\"", 4),
            ("k = \"\\400\"", 5),
            ("k = 09", 4),
            ("k = 0x", 4),
            ("k = 99999999999999999999", 4),
            ("k = 1;", 5),
            ("k = 'a'", 4),
            ("k = “a”", 4),
            ("k = \"a”", 4),
            ("k –k = 1", 2),
            ("k: 1", 1),
            ("k = - 5", 4),
            ("k = 1 / 2", 6),
            ("/* x", 0),
            ("/*/", 0),
            ("\u{feff}k = 1", 0),
            ("k\u{a0}= 1", 1),
            ("k = <<E-F\nx\nE-F\n", 4),
            ("k = <<EOF \nx\nEOF\n", 4),
            ("k = <<EOF\nx\nEOF }", 4),
        ] {
            let error = tokenize(text).expect_err(text);
            assert_eq!(error.start, offset, "{text:?}: {error:?}");
        }
    }
}
