//! Makes text that a plug-in wrote fit for logs and errors.

use std::fmt::Write as _;

use usher_secret::redactor;

/// The longest line taken from a plug-in, in bytes.
const LONGEST_LINE: usize = 4096;
/// The most fields taken with one line.
const MOST_FIELDS: usize = 64;
/// The most text taken with one line in all its fields, in bytes.
const MOST_IN_FIELDS: usize = 16 << 10;
/// The longest failure code, in bytes.
const LONGEST_CODE: usize = 64;

/// One printable line: cut at 4 KiB, live secrets redacted, control and bidirectional characters
/// replaced. It is cut first: a plug-in chooses how long it is.
pub(crate) fn line(text: &str) -> String {
    let redacted = redactor::redact_beginning(text, LONGEST_LINE);
    let mut line: String = redacted
        .chars()
        .map(|character| if is_unsafe(character) { '\u{FFFD}' } else { character })
        .collect();
    if text.len() > LONGEST_LINE || line.len() > LONGEST_LINE {
        line.truncate(line.floor_char_boundary(LONGEST_LINE));
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

/// Names and values, each made a line; at most 64, and 16 KiB of them.
pub(crate) fn fields(fields: &[(String, String)]) -> Vec<(String, String)> {
    let mut left = MOST_IN_FIELDS;
    let mut taken = Vec::new();
    for (name, value) in fields.iter().take(MOST_FIELDS) {
        let (name, value) = (line(name), line(value));
        let Some(rest) = left.checked_sub(name.len() + value.len()) else { break };
        left = rest;
        taken.push((name, value));
    }
    taken
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
    // A character of a code takes one byte, but another may stand in its place.
    let code: String = redactor::redact_beginning(text, LONGEST_CODE * char::MAX.len_utf8())
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
    fn a_secret_is_hidden_where_a_line_is_cut() {
        let secret = "a-secret-where-the-line-is-cut";
        let _live = redactor::keep_text_out_of_logs(secret);
        for before in [LONGEST_LINE - 40, LONGEST_LINE - 20, LONGEST_LINE - 1, LONGEST_LINE] {
            let text = format!("{}{secret}{}", "x".repeat(before), "y".repeat(1 << 20));
            let line = line(&text);
            assert!(line.len() <= LONGEST_LINE + '…'.len_utf8(), "{before}");
            assert!(!line.contains("a-se"), "{before}: {}", &line[before..]);
        }
    }

    #[test]
    fn all_fields_together_have_a_ceiling() {
        let long = vec![("name".to_owned(), "x".repeat(100_000)); 64];
        let bytes: usize = fields(&long).iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!((8 << 10..=MOST_IN_FIELDS).contains(&bytes), "{bytes}");
        let short = vec![("name".to_owned(), "value".to_owned()); 100];
        assert_eq!(fields(&short).len(), MOST_FIELDS);
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
