//! JSON as Go's `encoding/json` writes and reads it, as far as the formats here need it.

use std::borrow::Cow;
use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use serde_json::ser::Formatter;
use zeroize::Zeroizing;

use crate::error::{Document, Error};

/// A text of the document, wiped if it had to be copied out of it.
#[derive(Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Drop for Text<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            zeroize::Zeroize::zeroize(text);
        }
    }
}

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes that this standard, padded base64 stands for. Like Go's decoder it takes line
    /// breaks inside.
    pub(crate) fn bytes(
        &self,
        document: Document,
        member: &'static str,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let text: Zeroizing<Vec<u8>> =
            Zeroizing::new(self.0.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect());
        let mut bytes =
            Zeroizing::new(Vec::with_capacity(base64::decoded_len_estimate(text.len())));
        STANDARD
            .decode_vec(&*text, &mut bytes)
            .map_err(|_| Error::Member(document, member, "is not base64 (standard, padded)"))?;
        Ok(bytes)
    }
}

/// The document, which must be one JSON object.
pub(crate) fn read<'a, T: Deserialize<'a>>(document: Document, text: &'a [u8]) -> Result<T, Error> {
    let trimmed = text.trim_ascii();
    if trimmed.is_empty() {
        return Err(Error::Empty(document));
    }
    if trimmed.starts_with(b"-----BEGIN") {
        return Err(Error::Form(document, "it is a PEM file"));
    }
    if !trimmed.starts_with(b"{") {
        return Err(Error::Form(document, "it is not a JSON object"));
    }
    // The parser's own message may quote a value.
    serde_json::from_slice(trimmed).map_err(|error| {
        Error::Form(
            document,
            match error.classify() {
                Category::Eof => "its JSON is cut short",
                Category::Data => "its JSON has another shape",
                Category::Syntax | Category::Io => "it is not JSON",
            },
        )
    })
}

/// One line with a line break, as Go's `json.Encoder` writes it. `capacity` is enough to hold
/// it: growing would leave copies of secrets behind.
pub(crate) fn line(value: &impl Serialize, capacity: usize) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(capacity));
    let mut serializer = serde_json::Serializer::with_formatter(&mut *text, GoStyle);
    // Texts and numbers can always be written to memory.
    let written = value.serialize(&mut serializer);
    debug_assert!(written.is_ok());
    text.push(b'\n');
    text
}

pub(crate) fn base64(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(STANDARD.encode(bytes))
}

/// Escapes what Go escapes lest a browser take JSON for HTML or JavaScript.
struct GoStyle;

impl Formatter for GoStyle {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (before, from) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            let mut characters = from.chars();
            if let Some(character) = characters.next() {
                write!(writer, "\\u{:04x}", u32::from(character))?;
            }
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_gos_encoder_writes() {
        // Printed by Go's json.NewEncoder(os.Stdout).Encode of the same text.
        let line = line(&"<a&b>\u{2028}\u{2029}\"\\/\n\t\u{1}\u{8}\u{c}\u{7f}é", 64);
        let expected =
            "\"\\u003ca\\u0026b\\u003e\\u2028\\u2029\\\"\\\\/\\n\\t\\u0001\\b\\f\u{7f}é\"\n";
        assert_eq!(String::from_utf8_lossy(&line), expected);
    }
}
