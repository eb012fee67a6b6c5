//! How a string is written: plain if it reads as itself, else in quotes or as a block.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Writer;
use crate::value::Value;
use crate::yaml::resolve::resolve;

/// A text with the style it is written in.
pub(super) struct Scalar {
    text: String,
    style: Style,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

/// After which column long texts go on in the next line.
const WIDTH: usize = 80;

impl Scalar {
    /// A text that is no string, or one of which it is known that it is plain.
    pub(super) fn plain(text: &str) -> Self {
        Self { text: text.to_owned(), style: Style::Plain }
    }

    /// A string.
    pub(super) fn string(bytes: &[u8]) -> Self {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Self::plain(&format!("!!binary {}", STANDARD.encode(bytes)));
        };
        let may = Allowed::of(text);
        let style = if text.contains('\n') {
            if may.block { Style::Literal } else { Style::Double }
        } else if !matches!(resolve(text), Value::String(_)) || is_time(text) {
            Style::Double
        } else if may.plain {
            Style::Plain
        } else if may.single {
            Style::Single
        } else {
            Style::Double
        };
        Self { text: text.to_owned(), style }
    }

    /// Whether it is one line, as a key must be.
    pub(super) fn is_line(&self) -> bool {
        !self.text.contains('\n')
    }

    pub(super) fn len(&self) -> usize {
        self.text.len()
    }
}

impl Writer {
    /// Writes a scalar; what goes on in the next line has this indent. A key is never folded.
    pub(super) fn scalar(&mut self, scalar: &Scalar, indent: usize, key: bool) {
        self.fresh = false;
        match scalar.style {
            Style::Plain => self.folded(&scalar.text, indent, key),
            Style::Single => {
                self.put("'");
                self.folded(&scalar.text.replace('\'', "''"), indent, key);
                self.put("'");
            }
            Style::Double => self.double(&scalar.text, indent, key),
            Style::Literal => self.literal(&scalar.text, indent),
        }
    }

    fn folded(&mut self, text: &str, indent: usize, key: bool) {
        let chars: Vec<char> = text.chars().collect();
        let mut spaces = false;
        for (index, char) in chars.iter().enumerate() {
            let space = *char == ' ';
            let next = chars.get(index + 1);
            let folds = !key && !spaces && self.column > WIDTH && index > 0;
            if space && folds && next.is_some_and(|next| *next != ' ') {
                self.indent(indent);
            } else {
                self.put(char.encode_utf8(&mut [0; 4]));
            }
            spaces = space;
        }
    }

    fn double(&mut self, text: &str, indent: usize, key: bool) {
        self.put("\"");
        let chars: Vec<char> = text.chars().collect();
        let mut spaces = false;
        for (index, char) in chars.iter().enumerate() {
            let space = *char == ' ';
            let folds = !key && !spaces && self.column > WIDTH && index > 0;
            if space && folds && index + 1 < chars.len() {
                self.indent(indent);
                if chars[index + 1] == ' ' {
                    self.put("\\");
                }
            } else if !is_printable(*char) || matches!(char, '\n' | '"' | '\\') {
                self.put(&escaped(*char));
            } else {
                self.put(char.encode_utf8(&mut [0; 4]));
            }
            spaces = space;
        }
        self.put("\"");
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.put("|");
        if text.starts_with([' ', '\n']) {
            self.put("2");
        }
        let body = text.strip_suffix('\n');
        match body {
            None => self.put("-"),
            Some(body) if body.is_empty() || body.ends_with('\n') => self.put("+"),
            Some(_) => (),
        }
        for line in body.unwrap_or(text).split('\n') {
            self.out.push('\n');
            self.column = 0;
            if !line.is_empty() {
                self.put(&" ".repeat(indent));
                self.put(line);
            }
        }
    }
}

/// The styles in which a text reads as itself.
struct Allowed {
    plain: bool,
    single: bool,
    block: bool,
}

impl Allowed {
    fn of(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut special, mut break_space, mut space_break) = (false, false, false);
        let mut before = None;
        for (index, char) in chars.iter().copied().enumerate() {
            let blank_before = before.is_none_or(is_blank);
            let blank_behind = chars.get(index + 1).is_none_or(|char| is_blank(*char));
            indicators |= match char {
                '#' => blank_before,
                ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%'
                | '@' | '`' => index == 0,
                '?' | '-' => index == 0 && blank_behind,
                ':' => blank_behind,
                _ => false,
            };
            special |= char != '\n' && !is_printable(char);
            break_space |= char == ' ' && before == Some('\n');
            space_break |= char == '\n' && before == Some(' ');
            before = Some(char);
        }
        let ends = [chars.first(), chars.last()];
        let blank_ends = ends.into_iter().flatten().any(|char| matches!(char, ' ' | '\n'));
        let lines = text.contains('\n');
        let readable = !special && !space_break;
        Self {
            plain: readable && !indicators && !blank_ends && !break_space && !lines,
            single: readable && !break_space,
            block: readable && !text.ends_with(' '),
        }
    }
}

fn is_blank(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\n' | '\r' | '\0' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_printable(char: char) -> bool {
    matches!(char, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
        && !matches!(char, '\u{feff}' | '\u{2028}' | '\u{2029}')
}

fn escaped(char: char) -> String {
    match char {
        '\0' => "\\0".to_owned(),
        '\x07' => "\\a".to_owned(),
        '\x08' => "\\b".to_owned(),
        '\t' => "\\t".to_owned(),
        '\n' => "\\n".to_owned(),
        '\x0b' => "\\v".to_owned(),
        '\x0c' => "\\f".to_owned(),
        '\r' => "\\r".to_owned(),
        '\x1b' => "\\e".to_owned(),
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\u{85}' => "\\N".to_owned(),
        '\u{2028}' => "\\L".to_owned(),
        '\u{2029}' => "\\P".to_owned(),
        _ => match u32::from(char) {
            number @ ..=0xff => format!("\\x{number:02X}"),
            number @ 0x100..=0xffff => format!("\\u{number:04X}"),
            number => format!("\\U{number:08X}"),
        },
    }
}

/// Whether a text looks like a date, or like a number to the base of 60: other readers would take
/// it for one.
fn is_time(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let parts: Vec<&str> = date.split('-').collect();
    let dated = matches!(&parts[..], [year, month, day]
        if year.len() == 4 && [year, month, day].into_iter().all(|part| digits(part))
            && (1..=12).contains(&month.parse().unwrap_or(0))
            && (1..=31).contains(&day.parse().unwrap_or(0)));
    if dated && time.is_none_or(|time| time.split(':').count() >= 3) {
        return true;
    }
    let number = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = number.split(':');
    let whole = parts.next().is_some_and(|part| {
        part.starts_with(|char: char| char.is_ascii_digit()) && digits(&part.replace('_', ""))
    });
    let rest: Vec<&str> = parts.collect();
    whole
        && !rest.is_empty()
        && rest.iter().enumerate().all(|(index, part)| {
            let last = index + 1 == rest.len();
            let part = if last { part.split('.').next().unwrap_or("") } else { part };
            digits(part) && part.len() <= 2 && part.parse().is_ok_and(|part: u8| part < 60)
        })
}
