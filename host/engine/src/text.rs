//! Makes text that a plug-in wrote fit for logs and errors.

use std::fmt::Write as _;

use usher_secret::redactor;

/// The longest line taken from a plug-in, in bytes.
const LONGEST_LINE: usize = 4096;
/// The most fields taken with one line.
const MOST_FIELDS: usize = 64;
/// The longest failure code, in bytes.
const LONGEST_CODE: usize = 64;

/// One printable line: control and bidirectional characters replaced, live secrets redacted, cut
/// at 4 KiB.
pub(crate) fn line(text: &str) -> String {
    let redacted = redactor::redact(text);
    let mut line: String = redacted
        .chars()
        .map(|character| if is_unsafe(character) { '\u{FFFD}' } else { character })
        .collect();
    if line.len() > LONGEST_LINE {
        let mut end = LONGEST_LINE;
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        line.push('…');
    }
    line
}

/// Without live secrets.
pub(crate) fn redacted(text: &str) -> String {
    redactor::redact(text).into_owned()
}

/// Without the sequences that drive a terminal (ECMA-48): colours, titles, links. To be called
/// before the text is redacted: such a sequence may stand in the middle of a secret.
pub(crate) fn without_escapes(text: &str) -> String {
    const ESCAPE: char = '\u{1b}';
    let mut result = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let introducer = match character {
            ESCAPE => characters.next(),
            '\u{9b}' => Some('['),
            '\u{9d}' => Some(']'),
            _ => {
                result.push(character);
                continue;
            }
        };
        match introducer {
            // A control sequence ends with its first character from "@" to "~".
            Some('[') => {
                let _ = characters.by_ref().find(|next| ('@'..='~').contains(next));
            }
            // A string ends with BEL or ST.
            Some(']' | 'P' | 'X' | '^' | '_') => {
                let mut last = ' ';
                let _ = characters.by_ref().find(|&next| {
                    let ends = matches!(next, '\u{7}' | '\u{9c}') || (last, next) == (ESCAPE, '\\');
                    last = next;
                    ends
                });
            }
            // Two characters, with those between them.
            Some(' '..='/') => {
                let _ = characters.by_ref().find(|next| !(' '..='/').contains(next));
            }
            _ => {}
        }
    }
    result
}

/// Names and values, each made a line; at most 64.
pub(crate) fn fields(fields: &[(String, String)]) -> Vec<(String, String)> {
    fields.iter().take(MOST_FIELDS).map(|(name, value)| (line(name), line(value))).collect()
}

/// `name=value` pairs for one log field; values with spaces are quoted.
pub(crate) fn joined(pairs: &[(String, String)]) -> String {
    let mut joined = String::new();
    for (name, value) in pairs {
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(name);
        joined.push('=');
        if value.is_empty() || value.contains([' ', '"', '=']) {
            let _ = write!(joined, "{value:?}");
        } else {
            joined.push_str(value);
        }
    }
    joined
}

/// A failure code: lower-case letters, digits, dots and hyphens; anything else becomes a hyphen.
pub(crate) fn code(text: &str) -> String {
    let code: String = redactor::redact(text)
        .chars()
        .take(LONGEST_CODE)
        .map(|character| match character {
            'a'..='z' | '0'..='9' | '.' | '-' => character,
            'A'..='Z' => character.to_ascii_lowercase(),
            _ => '-',
        })
        .collect();
    if code.is_empty() { "unknown".to_owned() } else { code }
}

fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{2028}' | '\u{2029}')
        || ('\u{202A}'..='\u{202E}').contains(&character)
        || ('\u{2066}'..='\u{2069}').contains(&character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_forge_another_log_line() {
        assert_eq!(
            line("a\nlevel=error b\u{1b}[31m\u{202e}"),
            "a\u{FFFD}level=error b\u{FFFD}[31m\u{FFFD}"
        );
    }

    #[test]
    fn long_lines_are_cut_at_a_character() {
        let cut = line(&"ä".repeat(5000));
        assert!(cut.len() <= LONGEST_LINE + '…'.len_utf8());
        assert!(cut.ends_with('…'));
    }

    #[test]
    fn a_code_is_made_of_words() {
        assert_eq!(code("Imds Hop_limit"), "imds-hop-limit");
        assert_eq!(code(""), "unknown");
    }

    #[test]
    fn values_with_spaces_are_quoted() {
        assert_eq!(
            joined(&[("a".into(), "b c".into()), ("d".into(), "e".into())]),
            "a=\"b c\" d=e"
        );
    }
}
