//! Capitals and small letters, and words written together or apart.

use crate::functions::consul::{lower, upper};

/// The first letter of each word as a capital.
pub(super) fn title(text: &str) -> String {
    let mut before = ' ';
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        let within = before == '_'
            || before.is_alphanumeric()
            || !before.is_ascii() && !before.is_whitespace();
        out.push(if within { char } else { upper(char) });
        before = char;
    }
    out
}

/// The first letter of each of Unicode's words as a capital by the full mapping: `ß` is `Ss`.
pub(super) fn full_title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut within = false;
    let chars: Vec<char> = text.chars().collect();
    for (index, char) in chars.iter().copied().enumerate() {
        let next_to_letter = |other: Option<&char>| other.is_some_and(|char| char.is_alphabetic());
        let between = matches!(char, '\'' | '’' | '.' | ':' | '·')
            && index > 0
            && next_to_letter(chars.get(index - 1))
            && next_to_letter(chars.get(index + 1));
        if within || !(char.is_lowercase() || char.is_uppercase()) {
            out.push(char);
            let cased = char.is_lowercase() || char.is_uppercase();
            within = within && (char.is_alphanumeric() || char == '_' || between) || cased;
            continue;
        }
        within = true;
        match char {
            'Ǆ' | 'ǆ' => out.push('ǅ'),
            'Ǉ' | 'ǉ' => out.push('ǈ'),
            'Ǌ' | 'ǌ' => out.push('ǋ'),
            'Ǳ' | 'ǳ' => out.push('ǲ'),
            _ => {
                let mut capitals = char.to_uppercase();
                out.extend(capitals.next());
                out.extend(capitals.flat_map(char::to_lowercase));
            }
        }
    }
    out
}

/// The first letter of each word as a small one.
pub(super) fn untitle(text: &str) -> String {
    let mut first = true;
    let change = |char: char| {
        let changed = if first { lower(char) } else { char };
        first = char.is_whitespace();
        changed
    };
    text.chars().map(change).collect()
}

/// Capitals as small letters and the reverse.
pub(super) fn swap(text: &str) -> String {
    text.chars().map(|char| if char.is_uppercase() { lower(char) } else { upper(char) }).collect()
}

/// `http_server` as `HttpServer`. Connectors at the ends and doubled ones stay.
pub(super) fn camel(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    let mut before = None;
    for char in chars.by_ref() {
        if !is_connector(char) {
            before = Some(upper(char));
            break;
        }
        out.push(char);
    }
    let Some(mut before) = before else { return out };
    for char in chars {
        let mut char = char;
        if is_connector(before) {
            if is_connector(char) {
                out.push(before);
            } else {
                char = upper(char);
            }
        } else {
            out.push(before);
        }
        before = char;
    }
    out.push(before);
    out
}

/// `HTTPServer2Go` as `http_server2_go`.
pub(super) fn separated(text: &str, connector: char) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut words = Words { chars: &chars, at: 0 };
    let mut out = String::with_capacity(text.len() + 8);
    let mut current = words.next_word();
    while words.at < chars.len() {
        let (kind, word) = current;
        if kind != Word::Connector {
            push(&mut out, kind, word, connector);
        }
        let mut next = words.next_word();
        match kind {
            Word::Number => {
                while matches!(next.0, Word::Small | Word::Number) {
                    push(&mut out, next.0, next.1, connector);
                    next = words.next_word();
                }
                separate(&mut out, next.0, connector);
            }
            Word::Connector => push(&mut out, kind, word, connector),
            Word::Other | Word::None => (),
            Word::Capital | Word::Small if next.0 != Word::Number => {
                separate(&mut out, next.0, connector);
            }
            Word::Capital | Word::Small if words.at >= chars.len() => (),
            Word::Capital | Word::Small => {
                let number = next.1;
                next = words.next_word();
                if next.0 == Word::Small {
                    // Small letters behind a number belong to it: `HTTP2xx` is `http_2xx`.
                    out.push(connector);
                    push(&mut out, Word::Number, number, connector);
                    while matches!(next.0, Word::Small | Word::Number) {
                        push(&mut out, next.0, next.1, connector);
                        next = words.next_word();
                    }
                } else {
                    push(&mut out, Word::Number, number, connector);
                }
                separate(&mut out, next.0, connector);
            }
        }
        current = next;
    }
    push(&mut out, current.0, current.1, connector);
    out
}

fn separate(out: &mut String, next: Word, connector: char) {
    if matches!(next, Word::Capital | Word::Small | Word::Number) {
        out.push(connector);
    }
}

fn push(out: &mut String, kind: Word, word: &[char], connector: char) {
    let change = |char: &char| if kind == Word::Connector { connector } else { lower(*char) };
    out.extend(word.iter().map(change));
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    None,
    Connector,
    Capital,
    Small,
    Number,
    Other,
}

struct Words<'t> {
    chars: &'t [char],
    at: usize,
}

impl<'t> Words<'t> {
    fn next_word(&mut self) -> (Word, &'t [char]) {
        let start = self.at;
        let Some(first) = self.chars.get(start).copied() else { return (Word::None, &[]) };
        let kind = kind(first);
        self.at += 1;
        if kind == Word::Capital {
            self.skip(char::is_uppercase);
            let small = self.chars.get(self.at).is_some_and(|char| is_small(*char));
            if small && self.at > start + 1 {
                // The last capital begins the next word: `HTTP` and `Status`.
                self.at -= 1;
            } else if small {
                self.skip(is_small);
            }
        } else {
            self.skip(|char| self::kind(char) == kind);
        }
        (kind, &self.chars[start..self.at])
    }

    fn skip(&mut self, wanted: impl Fn(char) -> bool) {
        while self.chars.get(self.at).is_some_and(|char| wanted(*char)) {
            self.at += 1;
        }
    }
}

fn kind(char: char) -> Word {
    if is_connector(char) {
        Word::Connector
    } else if char.is_uppercase() {
        Word::Capital
    } else if is_small(char) {
        Word::Small
    } else if char.is_numeric() {
        Word::Number
    } else {
        Word::Other
    }
}

fn is_small(char: char) -> bool {
    char.is_alphabetic() && !char.is_uppercase()
}

fn is_connector(char: char) -> bool {
    matches!(char, '-' | '_') || char.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart_by_their_capitals() {
        for (text, snake) in [
            ("HTTPServer2Go", "http_server2_go"),
            ("FirstName", "first_name"),
            ("HTTP20xOK", "http_20x_ok"),
            ("Bld4Floor3rd", "bld4_floor_3rd"),
            ("some words", "some_words"),
            ("", ""),
        ] {
            assert_eq!(separated(text, '_'), snake, "{text}");
        }
        assert_eq!(camel("http_server"), "HttpServer");
        assert_eq!(camel("_complex__case_"), "_Complex_Case_");
        assert_eq!(title("hello wORLD foo-bar"), "Hello WORLD Foo-Bar");
        assert_eq!(full_title("o'neil foo-bar ß"), "O'neil Foo-Bar Ss");
    }
}
