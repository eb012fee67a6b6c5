//! Rust's text as words and signs, without comments and the contents of texts: enough to find imports.

/// Names whole, every other sign alone; "::" is two. A text or a character is one `"`.
pub(crate) fn tokens(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            comment(rest)
        } else if let Some(length) = quoted(rest) {
            tokens.push("\"");
            length
        } else if is_of_name(bytes[at]) {
            let length = rest.bytes().take_while(|byte| is_of_name(*byte)).count();
            tokens.push(&rest[..length]);
            length
        } else {
            let length = rest.chars().next().map_or(1, char::len_utf8);
            if !bytes[at].is_ascii_whitespace() {
                tokens.push(&rest[..length]);
            }
            length
        };
        at += length;
    }
    tokens
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Length of a comment between `/*` and `*/`, in which there may be others.
fn comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let pair = text.as_bytes().get(at..at + 2).unwrap_or_default();
        match pair {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            break;
        }
    }
    at.min(text.len())
}

/// Length of the text or character that begins here. A lifetime is none.
fn quoted(text: &str) -> Option<usize> {
    let prefix = text.bytes().take_while(|byte| matches!(byte, b'b' | b'c' | b'r')).count();
    let after = &text[prefix..];
    let hashes = after.bytes().take_while(|byte| *byte == b'#').count();
    if prefix > 0 && text[..prefix].ends_with('r') && after[hashes..].starts_with('"') {
        let end = format!("\"{}", "#".repeat(hashes));
        let start = prefix + hashes + 1;
        return Some(
            text[start..].find(&end).map_or(text.len(), |found| start + found + end.len()),
        );
    }
    if prefix > 1 {
        return None;
    }
    if let Some(content) = after.strip_prefix('"') {
        return Some(prefix + 1 + ended(content, b'"'));
    }
    let character = after.strip_prefix('\'')?;
    let first = character.chars().next()?;
    let is_character = first == '\\' || character[first.len_utf8()..].starts_with('\'');
    is_character.then(|| prefix + 1 + ended(character, b'\''))
}

/// How far it is to after the quote that ends it, past what is escaped.
fn ended(text: &str, quote: u8) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}
