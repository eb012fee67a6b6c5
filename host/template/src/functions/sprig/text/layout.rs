//! Text cut and wrapped, and paths made short.

/// The text with dots for what doesn't fit the width, from this byte on.
pub(super) fn abbreviate(text: &[u8], offset: i64, width: i64) -> Vec<u8> {
    const DOTS: &[u8] = b"...";
    let Some(width) = usize::try_from(width).ok().filter(|width| *width >= 4) else {
        return text.to_vec();
    };
    if text.len() <= width {
        return text.to_vec();
    }
    let kept = width - DOTS.len();
    let offset = usize::try_from(offset).unwrap_or(0).min(text.len() - kept);
    if offset <= 4 {
        return [&text[..kept], DOTS].concat();
    }
    if offset + kept < text.len() {
        return [DOTS, &abbreviate(&text[offset..], 0, kept as i64)].concat();
    }
    [DOTS, &text[text.len() - kept..]].concat()
}

/// The text in lines of this many bytes; words that are longer are cut, or not.
pub(super) fn wrap(text: &[u8], width: i64, between: &[u8], cut_words: bool) -> Vec<u8> {
    let between = if between.is_empty() { b"\n" } else { between };
    let width = usize::try_from(width).unwrap_or(1).max(1);
    let mut out = Vec::new();
    let mut at = 0;
    while text.len() - at > width {
        if text[at] == b' ' {
            at += 1;
            continue;
        }
        let is_space = |byte: &u8| *byte == b' ';
        let end = if let Some(space) = text[at..=at + width].iter().rposition(is_space) {
            at + space
        } else if cut_words {
            out.extend_from_slice(&text[at..at + width]);
            out.extend_from_slice(between);
            at += width;
            continue;
        } else if let Some(space) = text[at + width..].iter().position(is_space) {
            at + width + space
        } else {
            break;
        };
        out.extend_from_slice(&text[at..end]);
        out.extend_from_slice(between);
        at = end + 1;
    }
    out.extend_from_slice(&text[at..]);
    out
}

/// The shortest path that leads to the same.
pub(super) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => (),
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => (),
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    match (rooted, path.is_empty()) {
        (true, _) => format!("/{path}"),
        (false, true) => ".".to_owned(),
        (false, false) => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_cleans_them() {
        for (path, cleaned) in
            [("a//b/../c/.", "a/c"), ("", "."), ("/../a", "/a"), ("../../a", "../../a"), ("/", "/")]
        {
            assert_eq!(clean(path), cleaned);
        }
    }

    #[test]
    fn text_is_wrapped_at_spaces() {
        assert_eq!(wrap(b"Hello World ab", 5, b"\n", false), b"Hello\nWorld\nab");
        assert_eq!(wrap(b"abcdefgh", 3, b"|", true), b"abc|def|gh");
        assert_eq!(wrap(b"abcdefgh ij", 3, b"\n", false), b"abcdefgh\nij");
    }
}
