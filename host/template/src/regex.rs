//! Go's regular expressions, run by the `regex` crate: what the two write alike means the same,
//! and the rest is translated.

use std::fmt::Write as _;

use regex::{Regex, RegexBuilder};

use crate::lexer::first_char;

/// The most memory that a compiled expression may take.
const SIZE: usize = 1 << 20;

/// Compiles an expression; the error is in Go's words.
pub(crate) fn compile(expression: &str) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(&translate(expression));
    builder.size_limit(SIZE).dfa_size_limit(SIZE);
    builder.build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            format!("error parsing regexp: expression too large: `{expression}`")
        }
        error => {
            let text = error.to_string();
            let cause = text.lines().last().unwrap_or("").trim_start_matches("error: ");
            let (cause, part) = match cause {
                "unclosed group" => ("missing closing )", expression),
                "unopened group" => ("unexpected )", expression),
                "unclosed character class" => ("missing closing ]", expression),
                "repetition operator missing expression" => {
                    ("missing argument to repetition operator", expression)
                }
                cause if cause.starts_with("look-around") => {
                    ("invalid or unsupported Perl syntax", expression)
                }
                cause => (cause, expression),
            };
            format!("error parsing regexp: {cause}: `{part}`")
        }
    })
}

/// The expression as the `regex` crate reads it: Go's classes are ASCII's, and what stands for
/// itself in Go is escaped where it doesn't here.
fn translate(expression: &str) -> String {
    let mut out = String::with_capacity(expression.len() + 16);
    let mut rest = expression;
    let mut in_class = false;
    let mut class_start = 0;
    while let Some((char, length)) = first_char(rest.as_bytes()) {
        let after = &rest[length..];
        if char == '\\' {
            let taken = escape(after, in_class, &mut out);
            rest = &after[taken..];
            continue;
        }
        match char {
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                class_start = out.len() + usize::from(after.starts_with('^'));
            }
            '[' if after.starts_with(':') && after.contains(":]") => {
                let end = after.find(":]").map_or(0, |at| at + 2);
                out.push('[');
                out.push_str(&after[..end]);
                rest = &after[end..];
                continue;
            }
            '[' => out.push_str("\\["),
            ']' if in_class && out.len() == class_start => out.push_str("\\]"),
            ']' => {
                out.push_str(if in_class { "]" } else { "\\]" });
                in_class = false;
            }
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(char);
            }
            '-' if in_class && after.starts_with('-') => out.push_str("\\-"),
            '{' if !in_class && !is_count(after) => out.push_str("\\{"),
            '}' if !in_class && !out_ends_count(&out) => out.push_str("\\}"),
            _ => out.push(char),
        }
        rest = after;
    }
    out
}

/// Writes what stands behind a backslash and says how many bytes of it were taken.
fn escape(after: &str, in_class: bool, out: &mut String) -> usize {
    let Some((char, length)) = first_char(after.as_bytes()) else {
        out.push('\\');
        return 0;
    };
    let class = match char {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        's' => "[\\t\\n\\f\\r ]",
        'S' => "[^\\t\\n\\f\\r ]",
        'b' if !in_class => "(?-u:\\b)",
        'Q' => {
            let text = &after[1..];
            let end = text.find("\\E");
            out.push_str(&regex::escape(&text[..end.unwrap_or(text.len())]));
            return 1 + end.map_or(text.len(), |end| end + 2);
        }
        '0'..='7' => {
            let digits = after.bytes().take(3).take_while(|byte| matches!(byte, b'0'..=b'7'));
            let count = digits.count();
            if char == '0' || count > 1 {
                let number = u32::from_str_radix(&after[..count], 8).unwrap_or(0);
                let _ = write!(out, "\\x{{{number:x}}}");
                return count;
            }
            "\\1"
        }
        _ => {
            out.push('\\');
            out.push(char);
            return length;
        }
    };
    out.push_str(class);
    length
}

/// Whether a count such as `2}` or `2,3}` is next.
fn is_count(text: &str) -> bool {
    let Some((inside, _)) = text.split_once('}') else { return false };
    let (least, most) = inside.split_once(',').unwrap_or((inside, "0"));
    !least.is_empty() && least.bytes().chain(most.bytes()).all(|byte| byte.is_ascii_digit())
}

/// Whether a count is open at the end: then a brace closes it. Names and codes are too.
fn out_ends_count(out: &str) -> bool {
    let Some(at) = out.rfind('{') else { return false };
    !out[..at].ends_with('\\') && !out[at..].contains('}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_mean_what_they_mean_in_go() {
        for (expression, text, found) in [
            (r"\d+", "٣ 42", Some("42")),
            (r"[\w-]+", "é a-b", Some("a-b")),
            (r"\Qa.b\E+", "a.bb", Some("a.bb")),
            (r"a{,2}", "a{,2}", Some("a{,2}")),
            (r"a{2}", "aaa", Some("aa")),
            (r"[[]x", "[x", Some("[x")),
            (r"[]a]+", "]a", Some("]a")),
            (r"[^]]+", "]ab", Some("ab")),
            (r"[a&&b]+", "&b", Some("&b")),
            (r"[[:alpha:]]+", "1ab", Some("ab")),
            (r"\x{61}\101", "aA", Some("aA")),
            (r"\bb", "éb", Some("b")),
            (r"(?i)É", "é", Some("é")),
            (r"\pL+", "1é", Some("é")),
        ] {
            let regex = compile(expression).unwrap();
            assert_eq!(regex.find(text).map(|found| found.as_str()), found, "{expression}");
        }
        let error = compile("(").unwrap_err();
        assert_eq!(error, "error parsing regexp: missing closing ): `(`");
        assert!(compile("(?=a)").is_err());
        assert!(compile(r"(a)\1").is_err());
    }
}
