//! Go's way of writing strings and characters between quotes, and of reading them.

use std::fmt::Write as _;

use crate::lexer::first_char;

/// The bytes as a Go string in double quotes.
pub(crate) fn quote(bytes: &[u8]) -> String {
    quote_with(bytes, '"', false)
}

/// The bytes between these quotes; with `ascii`, each character beyond it as an escape.
pub(crate) fn quote_with(mut bytes: &[u8], mark: char, ascii: bool) -> String {
    let mut text = String::with_capacity(bytes.len() + 2);
    text.push(mark);
    while let Some((char, length)) = first_char(bytes) {
        if char == char::REPLACEMENT_CHARACTER && length == 1 {
            let _ = write!(text, "\\x{:02x}", bytes[0]);
        } else {
            push_escaped(&mut text, char, mark, ascii);
        }
        bytes = &bytes[length..];
    }
    text.push(mark);
    text
}

fn push_escaped(text: &mut String, char: char, mark: char, ascii: bool) {
    if char == mark || char == '\\' {
        text.push('\\');
        text.push(char);
        return;
    }
    if char.is_ascii_graphic() || char == ' ' || !ascii && is_printable(char) {
        text.push(char);
        return;
    }
    let number = u32::from(char);
    let _ = match char {
        '\x07' => write!(text, "\\a"),
        '\x08' => write!(text, "\\b"),
        '\x0c' => write!(text, "\\f"),
        '\n' => write!(text, "\\n"),
        '\r' => write!(text, "\\r"),
        '\t' => write!(text, "\\t"),
        '\x0b' => write!(text, "\\v"),
        _ if number < 0x20 || number == 0x7f => write!(text, "\\x{number:02x}"),
        _ if number < 0x1_0000 => write!(text, "\\u{number:04x}"),
        _ => write!(text, "\\U{number:08x}"),
    };
}

/// Whether Go prints the character as it is: letters, marks, numbers, signs and the plain space.
pub(crate) fn is_printable(char: char) -> bool {
    if char == ' ' {
        return true;
    }
    // The standard library's escape of a character is as it is exactly if it is printable; marks
    // that extend another character are the exception that Go doesn't make.
    let printable = char.escape_debug().eq([char]) || matches!(char, '\'' | '"' | '\\');
    let mark = matches!(u32::from(char), 0x300..=0x36f | 0x483..=0x489 | 0x591..=0x5bd | 0x1ab0..=0x1aff | 0x20d0..=0x20f0 | 0xfe00..=0xfe0f);
    (printable || mark) && !(char.is_whitespace() || char.is_control())
}

/// A character for a message: `U+00A3 '£'`.
pub(crate) fn quoted_char(char: char) -> String {
    let number = u32::from(char);
    if is_printable(char) { format!("U+{number:04X} '{char}'") } else { format!("U+{number:04X}") }
}

/// What stands between the quotes of a Go string, quotes included in `text`.
pub(crate) fn unquote(text: &[u8]) -> Option<Vec<u8>> {
    let (first, inner) = text.split_first()?;
    let (last, mut inner) = inner.split_last()?;
    if first != last {
        return None;
    }
    if *first == b'`' {
        return Some(inner.iter().copied().filter(|byte| *byte != b'\r').collect());
    }
    let mut found = Vec::with_capacity(inner.len());
    while !inner.is_empty() {
        let (piece, length) = unescape(inner, *first)?;
        match piece {
            Piece::Byte(byte) => found.push(byte),
            Piece::Char(char) => found.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            Piece::Raw => found.extend_from_slice(&inner[..length]),
        }
        inner = &inner[length..];
    }
    Some(found)
}

/// The number of a character constant, quotes included in `text`.
pub(crate) fn unquote_char(text: &[u8]) -> Option<Result<u32, ()>> {
    let inner = text.get(1..)?;
    let (piece, length) = unescape(inner, b'\'')?;
    if &inner[length..] != b"'" {
        return Some(Err(()));
    }
    Some(Ok(match piece {
        Piece::Byte(byte) => u32::from(byte),
        Piece::Char(char) => u32::from(char),
        Piece::Raw => u32::from(first_char(inner)?.0),
    }))
}

enum Piece {
    Byte(u8),
    Char(char),
    Raw,
}

fn unescape(text: &[u8], mark: u8) -> Option<(Piece, usize)> {
    let first = *text.first()?;
    if first == mark || first == b'\n' {
        return None;
    }
    if first != b'\\' {
        let (_, length) = first_char(text)?;
        return Some((Piece::Raw, length));
    }
    let escaped = *text.get(1)?;
    let simple = |byte| Some((Piece::Byte(byte), 2));
    let digits = |count: usize, base: u32| {
        let digits = text.get(2..2 + count)?;
        let digits = std::str::from_utf8(digits).ok()?;
        if digits.starts_with(['+', '-']) {
            return None;
        }
        u32::from_str_radix(digits, base).ok()
    };
    match escaped {
        b'a' => simple(7),
        b'b' => simple(8),
        b'f' => simple(12),
        b'n' => simple(b'\n'),
        b'r' => simple(b'\r'),
        b't' => simple(b'\t'),
        b'v' => simple(11),
        b'\\' => simple(b'\\'),
        b'\'' | b'"' if escaped == mark => simple(mark),
        b'x' => Some((Piece::Byte(u8::try_from(digits(2, 16)?).ok()?), 4)),
        b'u' => Some((Piece::Char(char::from_u32(digits(4, 16)?)?), 6)),
        b'U' => Some((Piece::Char(char::from_u32(digits(8, 16)?)?), 10)),
        b'0'..=b'7' => {
            let number = u32::from_str_radix(std::str::from_utf8(text.get(1..4)?).ok()?, 8).ok()?;
            Some((Piece::Byte(u8::try_from(number).ok()?), 4))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_and_reading_are_each_others_reverse() {
        for text in ["", "a\"b\\c", "\u{200b}é\t\n\x00\x7f", "世界 \u{301}"] {
            let quoted = quote(text.as_bytes());
            assert_eq!(unquote(quoted.as_bytes()).as_deref(), Some(text.as_bytes()), "{quoted}");
        }
        assert_eq!(quote(b"\xff\x00a"), r#""\xff\x00a""#);
        assert_eq!(unquote(br#""\xff\101""#).as_deref(), Some(&b"\xffA"[..]));
        assert_eq!(unquote(br#""\z""#), None);
    }
}
