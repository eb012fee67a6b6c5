//! The parts of a JSON text as they are written: numbers keep their form.

use std::collections::BTreeMap;

/// The entries of an object, each value as its text.
pub(crate) fn entries(object: &str) -> BTreeMap<String, &str> {
    parts(object)
        .into_iter()
        .map(|part| {
            let end = string_end(part);
            let key = serde_json::from_str(&part[..end]).unwrap();
            (key, part[end..].trim_start().strip_prefix(':').unwrap().trim())
        })
        .collect()
}

/// The items of an array or the entries of an object, each as its text.
pub(crate) fn parts(text: &str) -> Vec<&str> {
    let inner = &text.trim()[1..text.trim().len() - 1];
    let mut parts = Vec::new();
    let (mut depth, mut start, mut at) = (0, 0, 0);
    while let Some(byte) = inner.as_bytes().get(at) {
        match byte {
            b'"' => at += string_end(&inner[at..]) - 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(inner[start..at].trim());
                start = at + 1;
            }
            _ => (),
        }
        at += 1;
    }
    parts.push(inner[start..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => (),
        }
    }
    text.len()
}
