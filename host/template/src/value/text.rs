//! A Go string: bytes, shared by its copies and wiped with the last one, which knows whether it
//! came from a secret.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use zeroize::Zeroizing;

/// A string of bytes, by custom UTF-8. It has no `Debug` or `Display`, because of the secrets.
#[derive(Clone)]
pub(crate) struct Str {
    bytes: Rc<Zeroizing<Vec<u8>>>,
    secret: bool,
}

impl Str {
    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its text, with U+FFFD for each byte that isn't part of a character, as Go ranges over it.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        decode(&self.bytes)
    }

    /// Whether it came from a secret, or was made of something that did. No message prints it.
    pub(crate) fn is_secret(&self) -> bool {
        self.secret
    }

    /// The same string, known as a secret.
    #[must_use]
    pub(crate) fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// How many bytes it has.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it has none.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The text for a message: as it is, or `[redacted]`.
    pub(crate) fn shown(&self) -> Cow<'_, str> {
        if self.secret { Cow::Borrowed("[redacted]") } else { self.text() }
    }
}

/// The text of bytes with one U+FFFD for each byte that isn't part of a character; the standard
/// library writes one for several.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Cow::Owned(text)
}

impl From<Vec<u8>> for Str {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes: Rc::new(Zeroizing::new(bytes)), secret: false }
    }
}

impl From<&[u8]> for Str {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl PartialEq for Str {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Str {}

impl PartialOrd for Str {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Str {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes().cmp(other.bytes())
    }
}
