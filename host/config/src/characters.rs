//! Characters that word processors and web pages put in the place of what was meant, or that
//! nobody sees.

use crate::diagnostic::{Diagnostic, Location};
use crate::fields::Report;
use crate::tree::{Name, Node, Object, Value};

/// What can't stand where it does, in words, and what to write instead.
pub(crate) fn misplaced(character: char) -> (String, &'static str) {
    let code = u32::from(character);
    if let Some(name) = invisible(character) {
        let help = match character {
            '\u{feff}' => "save the file as UTF-8 without a byte order mark",
            _ if is_blank(character) => "write an ordinary space in its place",
            _ => "delete it: write what stands around it anew",
        };
        return (format!("{name} (U+{code:04X}), which can't be seen, can't stand here"), help);
    }
    let help = match character {
        '“' | '”' | '„' | '‟' | '«' | '»' | '″' | '＂' => {
            "write strings in straight double quotes: \"…\""
        }
        '\'' | '‘' | '’' | '‚' | '‛' | '′' | '`' | '´' => {
            "write strings in double quotes"
        }
        '–' | '—' | '‐' | '‑' | '‒' | '―' | '−' => "write a plain hyphen: -",
        '＝' => "write a plain =",
        '…' => "`…` stands for something that was left out: write it",
        _ => "",
    };
    let shown = if character.is_control() {
        character.escape_unicode().to_string()
    } else {
        character.to_string()
    };
    (format!("`{shown}` can't stand here"), help)
}

/// Whether it ends a string in print, and not here.
pub(crate) fn is_typographic_quote(character: char) -> bool {
    matches!(character, '“' | '”' | '„' | '‟' | '″' | '＂')
}

/// Warns of each key and string with a character in it that nobody sees.
pub(crate) fn check(object: &Object, report: &mut Report) {
    for item in &object.items {
        for name in std::iter::once(&item.key).chain(&item.labels) {
            check_name(name, report);
        }
        check_node(&item.node, report);
    }
}

fn check_name(name: &Name, report: &mut Report) {
    check_text("this name", &name.location, report);
}

fn check_node(node: &Node, report: &mut Report) {
    match &node.value {
        Value::String(_) => check_text("this string", &node.location, report),
        Value::List(nodes) => nodes.iter().for_each(|node| check_node(node, report)),
        Value::Object(object) => check(object, report),
        Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

fn check_text(what: &str, location: &Location, report: &mut Report) {
    let text = location.text();
    // A text of several lines is for people, and may hold whatever it likes.
    if text.contains('\n') {
        return;
    }
    let Some((character, name)) = text.chars().find_map(|c| Some((c, invisible(c)?))) else {
        return;
    };
    let code = u32::from(character);
    report.push(Diagnostic::new_warning(
        "invisible-character",
        format!("{what} holds {name} (U+{code:04X}), which can't be seen"),
        format!("write it anew without that; if it is meant, write \\u{code:04x}"),
        // It may be a secret.
        Some(&location.masked()),
    ));
}

fn is_blank(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{2800}' | '\u{3164}')
}

/// The name of a character that can't be seen, or looks like a space and is none.
fn invisible(character: char) -> Option<&'static str> {
    Some(match character {
        '\u{a0}' | '\u{2007}' | '\u{202f}' => "a no-break space",
        '\u{ad}' => "a soft hyphen",
        '\u{200b}' => "a zero-width space",
        '\u{200c}' | '\u{200d}' | '\u{2060}' => "a zero-width joiner",
        '\u{feff}' => "a byte order mark",
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            "a mark of the writing direction"
        }
        '\u{2028}' | '\u{2029}' | '\u{85}' => "a line separator",
        '\u{1680}'
        | '\u{2000}'..='\u{200a}'
        | '\u{205f}'
        | '\u{3000}'
        | '\u{2800}'
        | '\u{3164}' => "a special space",
        '\u{34f}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{2061}'..='\u{2064}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{e0000}'..='\u{e01ef}' => "a formatting character",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pasted_is_named_with_what_to_write_instead() {
        for (character, message, help) in [
            ('\u{a0}', "a no-break space (U+00A0)", "ordinary space"),
            ('\u{3000}', "a special space (U+3000)", "ordinary space"),
            ('\u{200b}', "a zero-width space (U+200B)", "delete it"),
            ('\u{202e}', "writing direction (U+202E)", "delete it"),
            ('\u{feff}', "a byte order mark (U+FEFF)", "UTF-8 without"),
            ('“', "`“` can't stand here", "straight double quotes"),
            ('’', "`’` can't stand here", "double quotes"),
            ('–', "`–` can't stand here", "plain hyphen"),
            ('…', "`…` can't stand here", "left out"),
            ('\u{7}', "`\\u{7}` can't stand here", ""),
            ('%', "`%` can't stand here", ""),
        ] {
            let said = misplaced(character);
            assert!(said.0.contains(message) && said.1.contains(help), "{said:?}");
            assert_eq!(said.1.is_empty(), help.is_empty(), "{said:?}");
        }
    }
}
