//! One value with one verb and its flags.

use std::fmt::Write as _;

use crate::budget::too_long;
use crate::float::format_float;
use crate::lexer::first_char;
use crate::quote::{is_printable, quote_with};
use crate::value::{Key, List, ListType, Map, MapType, Value};

/// What stands between `%` and the verb.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) plus: bool,
    pub(super) minus: bool,
    pub(super) sharp: bool,
    pub(super) space: bool,
    pub(super) zero: bool,
    /// `%+v`: fields with their names.
    pub(super) names: bool,
    /// `%#v`: as Go source.
    pub(super) source: bool,
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
}

/// Collects what is printed, up to a limit.
pub(super) struct Printer {
    out: Vec<u8>,
    limit: usize,
    pub(super) flags: Flags,
    /// Whether a pointer is shown as what it points to, without `&`.
    pub(super) through_pointer: bool,
}

/// How deep values are printed; a map may hold itself.
const DEPTH: usize = 200;

impl Printer {
    pub(super) fn new(limit: usize) -> Self {
        Self { out: Vec::new(), limit, flags: Flags::default(), through_pointer: false }
    }

    pub(super) fn done(self) -> Result<Vec<u8>, String> {
        if self.is_full() { Err(too_long(self.limit)) } else { Ok(self.out) }
    }

    fn is_full(&self) -> bool {
        self.out.len() > self.limit
    }

    pub(super) fn write(&mut self, text: &[u8]) {
        if !self.is_full() {
            self.out.extend_from_slice(text);
        }
    }

    /// Prints a value; `depth` says in how many lists, maps or structs it is.
    pub(super) fn value(&mut self, value: &Value, verb: char, depth: usize) {
        if depth > DEPTH {
            self.write(b"...");
            return;
        }
        if self.is_full() {
            return;
        }
        match value {
            Value::Missing | Value::Nil if depth > 0 && self.flags.source => {
                self.write(b"interface {}(nil)");
            }
            Value::Missing | Value::Nil if depth > 0 => self.write(b"<nil>"),
            Value::NilPointer(name) if verb == 'v' && self.flags.source => {
                self.write(format!("({name})(nil)").as_bytes());
            }
            Value::Missing | Value::Nil | Value::NilPointer(_) if verb == 'v' => {
                self.pad(b"<nil>");
            }
            Value::Bool(flag) if matches!(verb, 'v' | 't') => {
                self.pad(if *flag { b"true" } else { b"false" });
            }
            Value::Int(number, _) => {
                self.integer(value, number.unsigned_abs(), *number < 0, verb);
            }
            Value::Uint(number, _) => self.integer(value, *number, false, verb),
            Value::Float(number) => self.float(value, *number, verb),
            Value::Complex(real, imaginary) => self.complex(value, *real, *imaginary, verb),
            Value::String(text) | Value::Number(text) => self.string(value, text.bytes(), verb),
            Value::List(list) => self.list(list, verb, depth),
            Value::Map(map) => self.map(map, verb, depth),
            Value::Object(object) => match object.text() {
                Some(text) if !self.flags.source => self.string(value, text.as_bytes(), verb),
                _ => self.fields(object.as_ref(), verb, depth),
            },
            Value::Channel(..) if verb == 'v' => self.write(b"0xc000000000"),
            Value::Missing
            | Value::Nil
            | Value::NilPointer(_)
            | Value::Bool(_)
            | Value::Channel(..) => self.bad_verb(value, verb),
        }
    }

    fn fields(&mut self, object: &dyn crate::value::Object, verb: char, depth: usize) {
        let pointer = object.type_name().starts_with('*');
        if pointer && depth > 0 && !self.through_pointer {
            // Go prints an address, which is another each time.
            self.write(b"0xc000000000");
            return;
        }
        if pointer && !self.through_pointer {
            self.write(b"&");
        }
        if self.flags.source {
            self.write(object.type_name().trim_start_matches('*').as_bytes());
        }
        self.write(b"{");
        for (index, (name, field)) in object.fields().iter().enumerate() {
            if index > 0 {
                self.write(if self.flags.source { b", " } else { b" " });
            }
            if self.flags.names || self.flags.source {
                self.write(name.as_bytes());
                self.write(b":");
            }
            self.value(field, verb, depth + 1);
        }
        self.write(b"}");
    }

    fn list(&mut self, list: &List, verb: char, depth: usize) {
        if list.of == ListType::Bytes && matches!(verb, 's' | 'q' | 'x' | 'X') {
            let bytes: Vec<u8> = list.items().iter().filter_map(as_byte).collect();
            self.string(&Value::List(list.clone()), &bytes, verb);
            return;
        }
        let source = self.flags.source;
        if source {
            self.write(list.of.name().as_bytes());
        }
        self.write(if source { b"{" } else { b"[" });
        for (index, item) in list.items().iter().enumerate() {
            if index > 0 {
                self.write(if source { b", " } else { b" " });
            }
            self.value(item, verb, depth + 1);
        }
        self.write(if source { b"}" } else { b"]" });
    }

    fn map(&mut self, map: &Map, verb: char, depth: usize) {
        let source = self.flags.source;
        if source {
            self.write(map.of.name().as_bytes());
        }
        self.write(if source { b"{" } else { b"map[" });
        for (index, (key, item)) in map.entries().iter().enumerate() {
            if index > 0 {
                self.write(if source { b", " } else { b" " });
            }
            match key {
                Key::String(text) if map.of != MapType::AnyAny => {
                    self.string(&Value::String(text.clone()), text.bytes(), verb);
                }
                key => self.value(&key.value(), verb, depth + 1),
            }
            self.write(b":");
            self.value(item, verb, depth + 1);
        }
        self.write(if source { b"}" } else { b"]" });
    }

    /// `%!d(string=x)`
    pub(super) fn bad_verb(&mut self, value: &Value, verb: char) {
        self.write(format!("%!{verb}(").as_bytes());
        if value.is_nil() {
            self.write(b"<nil>");
        } else {
            self.write(value.type_name().as_bytes());
            self.write(b"=");
            self.value(value, 'v', 0);
        }
        self.write(b")");
    }

    fn integer(&mut self, value: &Value, number: u64, negative: bool, verb: char) {
        match verb {
            'v' if self.flags.source && matches!(value, Value::Uint(..)) => {
                let sharp = std::mem::replace(&mut self.flags.sharp, true);
                self.digits(number, negative, 16, 'v');
                self.flags.sharp = sharp;
            }
            'v' | 'd' => self.digits(number, negative, 10, verb),
            'b' => self.digits(number, negative, 2, verb),
            'o' | 'O' => self.digits(number, negative, 8, verb),
            'x' | 'X' => self.digits(number, negative, 16, verb),
            'c' | 'q' | 'U' => {
                let char = u32::try_from(number).ok().filter(|_| !negative);
                let char = char.and_then(char::from_u32);
                let shown = char.unwrap_or(char::REPLACEMENT_CHARACTER);
                match verb {
                    'c' => self.pad(shown.encode_utf8(&mut [0; 4]).as_bytes()),
                    'q' => {
                        let mut buffer = [0; 4];
                        let text = shown.encode_utf8(&mut buffer).as_bytes();
                        let text = quote_with(text, '\'', self.flags.plus);
                        self.pad(text.as_bytes());
                    }
                    _ => self.unicode(number, char),
                }
            }
            _ => self.bad_verb(value, verb),
        }
    }

    fn unicode(&mut self, number: u64, char: Option<char>) {
        let digits = self.flags.precision.unwrap_or(4).max(4).min(self.limit);
        let mut text = format!("U+{number:0digits$X}");
        if let Some(char) = char.filter(|char| self.flags.sharp && is_printable(*char)) {
            let _ = write!(text, " '{char}'");
        }
        let zero = std::mem::take(&mut self.flags.zero);
        self.pad(text.as_bytes());
        self.flags.zero = zero;
    }

    fn digits(&mut self, number: u64, negative: bool, base: u32, verb: char) {
        let flags = self.flags;
        let zero = std::mem::take(&mut self.flags.zero);
        let mut least = flags.precision.unwrap_or(0);
        if flags.precision == Some(0) && number == 0 {
            self.pad(b"");
            self.flags.zero = zero;
            return;
        }
        if let (None, true, false, Some(width)) = (flags.precision, zero, flags.minus, flags.width)
        {
            let sign = negative || flags.plus || flags.space;
            least = width.saturating_sub(usize::from(sign));
        }
        let digits = match base {
            2 => format!("{number:b}"),
            8 => format!("{number:o}"),
            16 if verb == 'X' => format!("{number:X}"),
            16 => format!("{number:x}"),
            _ => number.to_string(),
        };
        let zeros = least.min(self.limit).saturating_sub(digits.len());
        let mut digits = "0".repeat(zeros) + &digits;
        if flags.sharp {
            match base {
                2 => digits.insert_str(0, "0b"),
                8 if !digits.starts_with('0') => digits.insert(0, '0'),
                16 if verb == 'X' => digits.insert_str(0, "0X"),
                16 => digits.insert_str(0, "0x"),
                _ => (),
            }
        }
        if verb == 'O' {
            digits.insert_str(0, "0o");
        }
        if negative {
            digits.insert(0, '-');
        } else if flags.plus {
            digits.insert(0, '+');
        } else if flags.space {
            digits.insert(0, ' ');
        }
        self.pad(digits.as_bytes());
        self.flags.zero = zero;
    }

    fn float(&mut self, value: &Value, number: f64, verb: char) {
        let (format, precision) = match verb {
            'v' => ('g', None),
            'g' | 'G' => (verb, None),
            'e' | 'E' | 'f' | 'F' => (verb, Some(6)),
            _ => return self.bad_verb(value, verb),
        };
        let precision = self.flags.precision.or(precision).map(|digits| digits.min(self.limit));
        let mut text = format_float(number, format, precision);
        if !text.starts_with(['+', '-']) {
            text.insert(0, '+');
        }
        let flags = self.flags;
        if flags.space && text.starts_with('+') && !flags.plus {
            text.replace_range(..1, " ");
        }
        if !number.is_finite() {
            // These don't look like numbers, so no zeros before them.
            let zero = std::mem::take(&mut self.flags.zero);
            if number.is_nan() && !flags.space && !flags.plus {
                text.remove(0);
            }
            self.pad(text.as_bytes());
            self.flags.zero = zero;
            return;
        }
        if flags.sharp {
            text = with_point(&text, format, precision);
        }
        if !flags.plus && text.starts_with('+') {
            text.remove(0);
            self.pad(text.as_bytes());
            return;
        }
        match flags.width {
            // The sign stands before the zeros.
            Some(width) if flags.zero && !flags.minus && width > text.len() => {
                let (sign, digits) = text.split_at(1);
                let zeros = "0".repeat((width - text.len()).min(self.limit));
                self.write(format!("{sign}{zeros}{digits}").as_bytes());
            }
            _ => self.pad(text.as_bytes()),
        }
    }

    fn complex(&mut self, value: &Value, real: f64, imaginary: f64, verb: char) {
        if !matches!(verb, 'v' | 'g' | 'G' | 'f' | 'F' | 'e' | 'E') {
            return self.bad_verb(value, verb);
        }
        let plus = self.flags.plus;
        self.write(b"(");
        self.float(&Value::Float(real), real, verb);
        // The second always has its sign.
        self.flags.plus = true;
        self.float(&Value::Float(imaginary), imaginary, verb);
        self.write(b"i)");
        self.flags.plus = plus;
    }

    fn string(&mut self, value: &Value, text: &[u8], verb: char) {
        match verb {
            'v' if self.flags.source => {
                let text = quote_with(text, '"', false);
                self.pad(text.as_bytes());
            }
            'v' | 's' => {
                let text = self.cut(text);
                self.pad(text);
            }
            'x' | 'X' => self.hexadecimal(text, verb == 'X'),
            'q' => {
                let text = self.cut(text);
                let quoted = match std::str::from_utf8(text) {
                    Ok(plain) if self.flags.sharp && fits_back_quotes(plain) => {
                        format!("`{plain}`")
                    }
                    _ => quote_with(text, '"', self.flags.plus),
                };
                self.pad(quoted.as_bytes());
            }
            _ => self.bad_verb(value, verb),
        }
    }

    fn hexadecimal(&mut self, text: &[u8], upper: bool) {
        let flags = self.flags;
        let text = &text[..flags.precision.unwrap_or(text.len()).min(text.len())];
        let prefix = if upper { "0X" } else { "0x" };
        let mut out = String::new();
        for (index, byte) in text.iter().enumerate() {
            if index > 0 && flags.space {
                out.push(' ');
            }
            if flags.sharp && (index == 0 || flags.space) {
                out.push_str(prefix);
            }
            let _ = if upper { write!(out, "{byte:02X}") } else { write!(out, "{byte:02x}") };
        }
        self.pad(out.as_bytes());
    }

    /// As many characters as the precision says.
    fn cut<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        let Some(precision) = self.flags.precision else { return text };
        let mut end = 0;
        for _ in 0..precision {
            match first_char(&text[end..]) {
                Some((_, length)) => end += length,
                None => break,
            }
        }
        &text[..end]
    }

    /// Writes with as many spaces or zeros as the width says.
    pub(super) fn pad(&mut self, text: &[u8]) {
        let Some(width) = self.flags.width.filter(|width| *width > 0) else {
            return self.write(text);
        };
        let mut length = 0;
        let mut rest = text;
        while let Some((_, bytes)) = first_char(rest) {
            length += 1;
            rest = &rest[bytes..];
        }
        let missing = width.saturating_sub(length).min(self.limit + 1);
        if self.flags.minus {
            self.write(text);
            self.write(&vec![b' '; missing]);
        } else {
            self.write(&vec![if self.flags.zero { b'0' } else { b' ' }; missing]);
            self.write(text);
        }
    }
}

/// `%#g` and the like: a point in any case, and for `g` all the digits.
fn with_point(text: &str, verb: char, precision: Option<usize>) -> String {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(index) => text.split_at(index),
        None => (text, ""),
    };
    let mut mantissa = mantissa.to_owned();
    let has_point = mantissa.contains('.');
    if !has_point {
        mantissa.push('.');
    }
    if matches!(verb, 'g' | 'G') {
        let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
        mantissa.push_str(&"0".repeat(precision.unwrap_or(6).saturating_sub(digits)));
    }
    mantissa + exponent
}

fn fits_back_quotes(text: &str) -> bool {
    text.chars().all(|char| {
        !matches!(char, '`' | '\u{feff}' | '\x7f') && (char == '\t' || u32::from(char) >= 0x20)
    })
}

fn as_byte(value: &Value) -> Option<u8> {
    match value {
        Value::Uint(number, _) => u8::try_from(*number).ok(),
        _ => None,
    }
}
