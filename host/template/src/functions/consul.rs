//! consul-template's functions for text and data.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use hmac::{Hmac, Mac as _};
use md5::Md5;
use sha2::{Digest as _, Sha256};

use crate::function::Kind::{Int, Strings, Text};
use crate::function::{Arguments, Function, fixed};
use crate::json::{self, Numbers};
use crate::lexer::{find, first_char};
use crate::value::{Key, Map, MapType, Str, Value};

pub(crate) const FUNCTIONS: &[Function] = &[
    fixed("base64Decode", &[Text], |_, arguments| {
        decode_base64(&STANDARD, arguments.bytes(0)).map_err(|why| format!("base64Decode: {why}"))
    }),
    fixed("base64Encode", &[Text], |_, arguments| {
        Ok(Value::string(STANDARD.encode(arguments.bytes(0))))
    }),
    fixed("base64URLDecode", &[Text], |_, arguments| {
        decode_base64(&URL_SAFE, arguments.bytes(0))
            .map_err(|why| format!("base64URLDecode: {why}"))
    }),
    fixed("base64URLEncode", &[Text], |_, arguments| {
        Ok(Value::string(URL_SAFE.encode(arguments.bytes(0))))
    }),
    fixed("sha256Hex", &[Text], |_, arguments| {
        Ok(Value::string(hexadecimal(&Sha256::digest(arguments.bytes(0)))))
    }),
    fixed("md5sum", &[Text], |_, arguments| {
        Ok(Value::string(hexadecimal(&Md5::digest(arguments.bytes(0)))))
    }),
    fixed("hmacSHA256Hex", &[Text, Text], |_, arguments| {
        let key = arguments.bytes(1);
        let mac = Hmac::<Sha256>::new_from_slice(key).map_err(|error| error.to_string())?;
        let mac = mac.chain_update(arguments.bytes(0)).finalize();
        Ok(Value::string(hexadecimal(&mac.into_bytes())))
    }),
    fixed("toLower", &[Text], |_, arguments| Ok(cased(arguments.bytes(0), lower))),
    fixed("toUpper", &[Text], |_, arguments| Ok(cased(arguments.bytes(0), upper))),
    fixed("trimSpace", &[Text], |_, arguments| Ok(Value::string(trim_space(arguments.bytes(0))))),
    fixed("trim", &[Text, Text], |_, arguments| {
        Ok(Value::string(trim(arguments.bytes(1), arguments.bytes(0))))
    }),
    fixed("trimPrefix", &[Text, Text], |_, arguments| {
        let text = arguments.bytes(1);
        Ok(Value::string(text.strip_prefix(arguments.bytes(0)).unwrap_or(text)))
    }),
    fixed("trimSuffix", &[Text, Text], |_, arguments| {
        let text = arguments.bytes(1);
        Ok(Value::string(text.strip_suffix(arguments.bytes(0)).unwrap_or(text)))
    }),
    fixed("replaceAll", &[Text, Text, Text], |evaluator, arguments| {
        let (from, to, text) = (arguments.bytes(0), arguments.bytes(1), arguments.bytes(2));
        evaluator.meter.afford(text.len().saturating_mul(1 + to.len() / from.len().max(1)))?;
        Ok(Value::string(replace(text, from, to)))
    }),
    fixed("indent", &[Int, Text], |evaluator, arguments| {
        let Ok(width) = usize::try_from(arguments.int(0)) else {
            return Err("indent value must be a positive integer".to_owned());
        };
        let text = arguments.bytes(1);
        evaluator.meter.afford(width.saturating_mul(text.len()))?;
        let mut out = Vec::new();
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            if line != b"\n" {
                out.resize(out.len() + width, b' ');
            }
            out.extend_from_slice(line);
        }
        Ok(Value::string(out))
    }),
    fixed("split", &[Text, Text], |_, arguments| {
        let text = trim_space(arguments.bytes(1));
        if text.is_empty() {
            return Ok(Value::strings(Vec::<Str>::new()));
        }
        Ok(Value::strings(split(text, arguments.bytes(0))))
    }),
    fixed("splitToMap", &[Text, Text, Text], |_, arguments| {
        let (between, within) = (arguments.bytes(0), arguments.bytes(1));
        let text = trim_space(arguments.bytes(2));
        let map = Map::new(MapType::StringString, []);
        for piece in split(text, between) {
            if let Some(at) = find(piece, within).filter(|_| !within.is_empty()) {
                let key = Str::from(&piece[..at]);
                map.insert(Key::String(key), Value::string(&piece[at + within.len()..]));
            }
        }
        Ok(Value::Map(map))
    }),
    fixed("join", &[Text, Strings], |_, arguments| {
        Ok(Value::string(join(arguments.list(1), arguments.bytes(0))))
    }),
    fixed("parseJSON", &[Text], |_, arguments| {
        let text = arguments.bytes(0);
        if text.is_empty() {
            return Ok(Value::dict(Vec::<(Str, Value)>::new()));
        }
        json::parse(text, Numbers::Float, is_secret(arguments))
    }),
];

/// Whether the first argument came from a secret.
pub(in crate::functions) fn is_secret(arguments: Arguments<'_>) -> bool {
    matches!(arguments.any(0), Value::String(text) if text.is_secret())
}

/// Bytes as hexadecimal digits.
pub(in crate::functions) fn hexadecimal(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// Base64 with padding, as Go takes it: newlines don't count.
pub(in crate::functions) fn decode_base64(
    engine: &base64::engine::GeneralPurpose,
    text: &[u8],
) -> Result<Value, String> {
    let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let plain: Vec<u8> = text.iter().copied().filter(|byte| !is_break(byte)).collect();
    match engine.decode(&plain) {
        Ok(bytes) => Ok(Value::string(bytes)),
        Err(error) => {
            let at = match error {
                base64::DecodeError::InvalidByte(at, _)
                | base64::DecodeError::InvalidLastSymbol(at, _) => at,
                // Go tells where the last, partial group begins.
                _ => plain.len() / 4 * 4,
            };
            Err(format!("illegal base64 data at input byte {at}"))
        }
    }
}

/// Each character by its simple mapping: one stays one.
pub(in crate::functions) fn cased(text: &[u8], case: fn(char) -> char) -> Value {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((char, length)) = first_char(rest) {
        out.extend_from_slice(case(char).encode_utf8(&mut [0; 4]).as_bytes());
        rest = &rest[length..];
    }
    Value::string(out)
}

/// The one capital of a letter.
pub(in crate::functions) fn upper(char: char) -> char {
    one(char.to_uppercase()).unwrap_or(char)
}

/// The one small letter of a letter.
pub(in crate::functions) fn lower(char: char) -> char {
    // The small form of the dotted capital I is its first part.
    if char == 'İ' { 'i' } else { one(char.to_lowercase()).unwrap_or(char) }
}

fn one(mut chars: impl Iterator<Item = char>) -> Option<char> {
    let first = chars.next()?;
    chars.next().is_none().then_some(first)
}

/// The text without Unicode's space at its ends.
pub(in crate::functions) fn trim_space(text: &[u8]) -> &[u8] {
    trim_by(text, char::is_whitespace)
}

/// The text without these characters at its ends.
pub(in crate::functions) fn trim<'t>(text: &'t [u8], cutset: &[u8]) -> &'t [u8] {
    let cutset = crate::value::decode(cutset);
    trim_by(text, |char| cutset.contains(char))
}

fn trim_by(mut text: &[u8], cut: impl Fn(char) -> bool) -> &[u8] {
    while let Some((char, length)) = first_char(text).filter(|(char, _)| cut(*char)) {
        debug_assert!(char.len_utf8() >= length);
        text = &text[length..];
    }
    while !text.is_empty() {
        let mut start = text.len() - 1;
        while start > 0 && text.len() - start < 4 && text[start] & 0xc0 == 0x80 {
            start -= 1;
        }
        match first_char(&text[start..]) {
            Some((char, length)) if length == text.len() - start && cut(char) => {
                text = &text[..start];
            }
            _ => break,
        }
    }
    text
}

/// The text with each of the one replaced by the other; nothing is found before each character.
pub(in crate::functions) fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    if from.is_empty() {
        out.extend_from_slice(to);
        while let Some((_, length)) = first_char(rest) {
            out.extend_from_slice(&rest[..length]);
            out.extend_from_slice(to);
            rest = &rest[length..];
        }
        return out;
    }
    while let Some(at) = find(rest, from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// The pieces between separators; each character, if there is none.
pub(in crate::functions) fn split<'t>(text: &'t [u8], separator: &[u8]) -> Vec<&'t [u8]> {
    let mut pieces = Vec::new();
    let mut rest = text;
    if separator.is_empty() {
        while let Some((_, length)) = first_char(rest) {
            pieces.push(&rest[..length]);
            rest = &rest[length..];
        }
        return pieces;
    }
    while let Some(at) = find(rest, separator) {
        pieces.push(&rest[..at]);
        rest = &rest[at + separator.len()..];
    }
    pieces.push(rest);
    pieces
}

/// Strings with a separator between them.
pub(in crate::functions) fn join(items: &[Value], separator: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(separator);
        }
        if let Value::String(text) = item {
            out.extend_from_slice(text.bytes());
        }
    }
    out
}
