//! Text.

mod case;
mod layout;

use super::convert::to_text;
use crate::eval::Evaluator;
use crate::function::Kind::{Any, Int, Text};
use crate::function::{Arguments, Function, Run, fixed, variadic};
use crate::functions::consul;
use crate::lexer::find;
use crate::quote::quote;
use crate::value::Value;

pub(crate) const FUNCTIONS: &[Function] = &[
    fixed("sprig_trim", &[Text], |_, arguments| {
        Ok(Value::string(consul::trim_space(arguments.bytes(0))))
    }),
    fixed("sprig_trimAll", &[Text, Text], TRIM_ALL),
    fixed("sprig_trimall", &[Text, Text], TRIM_ALL),
    fixed("sprig_trimPrefix", &[Text, Text], |_, arguments| {
        let text = arguments.bytes(1);
        Ok(Value::string(text.strip_prefix(arguments.bytes(0)).unwrap_or(text)))
    }),
    fixed("sprig_trimSuffix", &[Text, Text], |_, arguments| {
        let text = arguments.bytes(1);
        Ok(Value::string(text.strip_suffix(arguments.bytes(0)).unwrap_or(text)))
    }),
    fixed("sprig_upper", &[Text], |_, arguments| {
        Ok(consul::cased(arguments.bytes(0), consul::upper))
    }),
    fixed("sprig_lower", &[Text], |_, arguments| {
        Ok(consul::cased(arguments.bytes(0), consul::lower))
    }),
    fixed("toTitle", &[Text], |_, arguments| {
        Ok(Value::string(case::full_title(&arguments.text(0))))
    }),
    fixed("sprig_title", &[Text], |_, arguments| {
        Ok(Value::string(case::title(&arguments.text(0))))
    }),
    fixed("sprig_untitle", &[Text], |_, arguments| {
        Ok(Value::string(case::untitle(&arguments.text(0))))
    }),
    fixed("sprig_swapcase", &[Text], |_, arguments| {
        Ok(Value::string(case::swap(&arguments.text(0))))
    }),
    fixed("sprig_snakecase", &[Text], |_, arguments| {
        Ok(Value::string(case::separated(&arguments.text(0), '_')))
    }),
    fixed("sprig_kebabcase", &[Text], |_, arguments| {
        Ok(Value::string(case::separated(&arguments.text(0), '-')))
    }),
    fixed("sprig_camelcase", &[Text], |_, arguments| {
        Ok(Value::string(case::camel(&arguments.text(0))))
    }),
    fixed("sprig_initials", &[Text], |_, arguments| {
        let text = arguments.text(0);
        let words = text.split(char::is_whitespace);
        Ok(Value::string(words.filter_map(|word| word.chars().next()).collect::<String>()))
    }),
    fixed("sprig_nospace", &[Text], |_, arguments| {
        let text = arguments.text(0);
        Ok(Value::string(text.chars().filter(|char| !char.is_whitespace()).collect::<String>()))
    }),
    fixed("sprig_abbrev", &[Int, Text], |_, arguments| {
        Ok(Value::string(layout::abbreviate(arguments.bytes(1), 0, arguments.int(0))))
    }),
    fixed("sprig_abbrevboth", &[Int, Int, Text], |_, arguments| {
        let (left, right) = (arguments.int(0), arguments.int(1));
        let text = arguments.bytes(2);
        if left > 0 && right < 7 {
            return Ok(Value::string(text));
        }
        Ok(Value::string(layout::abbreviate(text, left, right)))
    }),
    fixed("sprig_trunc", &[Int, Text], |_, arguments| {
        let text = arguments.bytes(1);
        let count = usize::try_from(arguments.int(0).unsigned_abs()).unwrap_or(usize::MAX);
        Ok(Value::string(if count >= text.len() {
            text
        } else if arguments.int(0) < 0 {
            &text[text.len() - count..]
        } else {
            &text[..count]
        }))
    }),
    fixed("sprig_substr", &[Int, Int, Text], |_, arguments| {
        let text = arguments.bytes(2);
        let start = usize::try_from(arguments.int(0)).unwrap_or(0);
        let end = match usize::try_from(arguments.int(1)) {
            Ok(end) if end <= text.len() || arguments.int(0) < 0 => end,
            _ => text.len(),
        };
        match text.get(start..end) {
            Some(part) => Ok(Value::string(part)),
            None => Err(format!("slice bounds out of range [{start}:{end}]")),
        }
    }),
    fixed("sprig_repeat", &[Int, Text], |evaluator, arguments| {
        let Ok(count) = usize::try_from(arguments.int(0)) else {
            return Err("strings: negative Repeat count".to_owned());
        };
        let text = arguments.bytes(1);
        evaluator.meter.afford(text.len().saturating_mul(count))?;
        Ok(Value::string(text.repeat(count)))
    }),
    fixed("sprig_replace", &[Text, Text, Text], |evaluator, arguments| {
        let (from, to, text) = (arguments.bytes(0), arguments.bytes(1), arguments.bytes(2));
        evaluator.meter.afford(text.len().saturating_mul(1 + to.len() / from.len().max(1)))?;
        Ok(Value::string(consul::replace(text, from, to)))
    }),
    fixed("sprig_contains", &[Text, Text], |_, arguments| {
        let part = arguments.bytes(0);
        Ok(Value::Bool(part.is_empty() || find(arguments.bytes(1), part).is_some()))
    }),
    fixed("sprig_hasPrefix", &[Text, Text], |_, arguments| {
        Ok(Value::Bool(arguments.bytes(1).starts_with(arguments.bytes(0))))
    }),
    fixed("sprig_hasSuffix", &[Text, Text], |_, arguments| {
        Ok(Value::Bool(arguments.bytes(1).ends_with(arguments.bytes(0))))
    }),
    variadic("sprig_quote", &[Any], |_, arguments| {
        let given = arguments.0.iter().filter(|value| !value.is_nil());
        let quoted: Vec<String> = given.map(|value| quote(&to_text(value))).collect();
        Ok(Value::string(quoted.join(" ")))
    }),
    variadic("sprig_squote", &[Any], |_, arguments| {
        let given = arguments.0.iter().filter(|value| !value.is_nil());
        let quoted: Vec<Vec<u8>> =
            given.map(|value| [b"'", &to_text(value)[..], b"'"].concat()).collect();
        Ok(Value::string(quoted.join(&b' ')))
    }),
    variadic("sprig_cat", &[Any], |_, arguments| {
        let given = arguments.0.iter().filter(|value| !value.is_nil());
        let texts: Vec<Vec<u8>> = given.map(|value| to_text(value).into_owned()).collect();
        Ok(Value::string(texts.join(&b' ')))
    }),
    fixed("sprig_indent", &[Int, Text], |evaluator, arguments| {
        indent(evaluator, arguments).map(Value::string)
    }),
    fixed("sprig_nindent", &[Int, Text], |evaluator, arguments| {
        let mut text = indent(evaluator, arguments)?;
        text.insert(0, b'\n');
        Ok(Value::string(text))
    }),
    fixed("sprig_plural", &[Text, Text, Int], |_, arguments| {
        Ok(arguments.any(usize::from(arguments.int(2) != 1)).clone())
    }),
    fixed("sprig_wrap", &[Int, Text], |_, arguments| {
        Ok(Value::string(layout::wrap(arguments.bytes(1), arguments.int(0), b"\n", false)))
    }),
    fixed("sprig_wrapWith", &[Int, Text, Text], |evaluator, arguments| {
        let (between, text) = (arguments.bytes(1), arguments.bytes(2));
        evaluator.meter.afford(text.len().saturating_mul(1 + between.len()))?;
        Ok(Value::string(layout::wrap(text, arguments.int(0), between, true)))
    }),
    fixed("sprig_base", &[Text], BASE),
    fixed("sprig_osBase", &[Text], BASE),
    fixed("sprig_dir", &[Text], DIR),
    fixed("sprig_osDir", &[Text], DIR),
    fixed("sprig_clean", &[Text], CLEAN),
    fixed("sprig_osClean", &[Text], CLEAN),
    fixed("sprig_ext", &[Text], EXT),
    fixed("sprig_osExt", &[Text], EXT),
    fixed("sprig_isAbs", &[Text], IS_ABSOLUTE),
    fixed("sprig_osIsAbs", &[Text], IS_ABSOLUTE),
];

const TRIM_ALL: Run =
    |_, arguments| Ok(Value::string(consul::trim(arguments.bytes(1), arguments.bytes(0))));

const BASE: Run = |_, arguments| {
    let path = arguments.text(0);
    let trimmed = path.trim_end_matches('/');
    Ok(Value::string(match trimmed.rsplit('/').next() {
        _ if path.is_empty() => ".",
        None | Some("") => "/",
        Some(name) => name,
    }))
};

const DIR: Run = |_, arguments| {
    let path = arguments.text(0);
    let end = path.rfind('/').map_or(0, |at| at + 1);
    Ok(Value::string(layout::clean(&path[..end])))
};

const CLEAN: Run = |_, arguments| Ok(Value::string(layout::clean(&arguments.text(0))));

const EXT: Run = |_, arguments| {
    let path = arguments.text(0);
    let name = path.rsplit('/').next().unwrap_or("");
    Ok(Value::string(name.rfind('.').map_or("", |at| &name[at..])))
};

const IS_ABSOLUTE: Run = |_, arguments| Ok(Value::Bool(arguments.bytes(0).starts_with(b"/")));

/// Every line with spaces before it, the empty ones too.
fn indent(evaluator: &mut Evaluator<'_>, arguments: Arguments<'_>) -> Result<Vec<u8>, String> {
    let Ok(width) = usize::try_from(arguments.int(0)) else {
        return Err("strings: negative Repeat count".to_owned());
    };
    let text = arguments.bytes(1);
    evaluator.meter.afford(width.saturating_mul(text.len() + 1))?;
    let spaces = vec![b' '; width];
    let lines: Vec<Vec<u8>> =
        text.split(|byte| *byte == b'\n').map(|line| [&spaces[..], line].concat()).collect();
    Ok(lines.join(&b'\n'))
}
