//! Functions for regular expressions, of consul-template and of Sprig.

use regex::Regex;

use crate::eval::Evaluator;
use crate::function::Kind::{Int, Text};
use crate::function::{Arguments, Function, Run, fixed};
use crate::value::{Str, Value};

pub(crate) const FUNCTIONS: &[Function] = &[
    fixed("regexMatch", &[Text, Text], MATCH),
    fixed("regexReplaceAll", &[Text, Text, Text], |evaluator, arguments| {
        let regex = compiled(evaluator, arguments)?;
        replace(evaluator, &regex, &arguments.text(2), &arguments.text(1), false)
    }),
    fixed("sprig_regexMatch", &[Text, Text], |evaluator, arguments| {
        let found =
            compiled(evaluator, arguments).is_ok_and(|regex| regex.is_match(&arguments.text(1)));
        Ok(Value::Bool(found))
    }),
    fixed("sprig_mustRegexMatch", &[Text, Text], MATCH),
    fixed("sprig_regexFind", &[Text, Text], |evaluator, arguments| {
        find(&must_compile(evaluator, arguments)?, arguments)
    }),
    fixed("sprig_mustRegexFind", &[Text, Text], |evaluator, arguments| {
        find(&compiled(evaluator, arguments)?, arguments)
    }),
    fixed("sprig_regexFindAll", &[Text, Text, Int], |evaluator, arguments| {
        find_all(&must_compile(evaluator, arguments)?, arguments)
    }),
    fixed("sprig_mustRegexFindAll", &[Text, Text, Int], |evaluator, arguments| {
        find_all(&compiled(evaluator, arguments)?, arguments)
    }),
    fixed("sprig_regexReplaceAll", &[Text, Text, Text], |evaluator, arguments| {
        let regex = must_compile(evaluator, arguments)?;
        replace(evaluator, &regex, &arguments.text(1), &arguments.text(2), false)
    }),
    fixed("sprig_mustRegexReplaceAll", &[Text, Text, Text], |evaluator, arguments| {
        let regex = compiled(evaluator, arguments)?;
        replace(evaluator, &regex, &arguments.text(1), &arguments.text(2), false)
    }),
    fixed("sprig_regexReplaceAllLiteral", &[Text, Text, Text], |evaluator, arguments| {
        let regex = must_compile(evaluator, arguments)?;
        replace(evaluator, &regex, &arguments.text(1), &arguments.text(2), true)
    }),
    fixed("sprig_mustRegexReplaceAllLiteral", &[Text, Text, Text], |evaluator, arguments| {
        let regex = compiled(evaluator, arguments)?;
        replace(evaluator, &regex, &arguments.text(1), &arguments.text(2), true)
    }),
    fixed("sprig_regexSplit", &[Text, Text, Int], |evaluator, arguments| {
        split(&must_compile(evaluator, arguments)?, arguments)
    }),
    fixed("sprig_mustRegexSplit", &[Text, Text, Int], |evaluator, arguments| {
        split(&compiled(evaluator, arguments)?, arguments)
    }),
    fixed("sprig_regexQuoteMeta", &[Text], |_, arguments| {
        let mut out = String::new();
        for char in arguments.text(0).chars() {
            if r"\.+*?()|[]{}^$".contains(char) {
                out.push('\\');
            }
            out.push(char);
        }
        Ok(Value::string(out))
    }),
];

const MATCH: Run = |evaluator, arguments| {
    let regex = compiled(evaluator, arguments)?;
    Ok(Value::Bool(regex.is_match(&arguments.text(1))))
};

/// What compiling an expression costs, in steps.
const COMPILING: u64 = 1000;

fn compiled(evaluator: &mut Evaluator<'_>, arguments: Arguments<'_>) -> Result<Regex, String> {
    evaluator.meter.spend(COMPILING)?;
    crate::regex::compile(&arguments.text(0))
}

/// For the functions that panic in Go, whose message has more words.
fn must_compile(evaluator: &mut Evaluator<'_>, arguments: Arguments<'_>) -> Result<Regex, String> {
    compiled(evaluator, arguments)
        .map_err(|why| format!("regexp: Compile(`{}`): {why}", arguments.text(0)))
}

fn find(regex: &Regex, arguments: Arguments<'_>) -> Result<Value, String> {
    let text = arguments.text(1);
    Ok(Value::string(regex.find(&text).map_or("", |found| found.as_str())))
}

fn find_all(regex: &Regex, arguments: Arguments<'_>) -> Result<Value, String> {
    let text = arguments.text(1);
    let count = usize::try_from(arguments.int(2)).unwrap_or(usize::MAX);
    Ok(Value::strings(regex.find_iter(&text).take(count).map(|found| found.as_str())))
}

fn replace(
    evaluator: &mut Evaluator<'_>,
    regex: &Regex,
    text: &str,
    by: &str,
    literal: bool,
) -> Result<Value, String> {
    let mut out = String::new();
    let mut at = 0;
    for captures in regex.captures_iter(text) {
        let Some(found) = captures.get(0) else { continue };
        out.push_str(&text[at..found.start()]);
        if literal {
            out.push_str(by);
        } else {
            captures.expand(by, &mut out);
        }
        at = found.end();
        if out.len() > evaluator.meter.bytes() {
            return Err(crate::budget::too_long(evaluator.meter.bytes()));
        }
    }
    out.push_str(&text[at..]);
    Ok(Value::string(out))
}

fn split(regex: &Regex, arguments: Arguments<'_>) -> Result<Value, String> {
    let text = arguments.text(1);
    let count = arguments.int(2);
    if count == 0 {
        return Ok(Value::strings(Vec::<Str>::new()));
    }
    let mut pieces = Vec::new();
    let mut at = 0;
    for found in regex.find_iter(&text) {
        if count > 0 && pieces.len() as i64 >= count - 1 {
            break;
        }
        // Nothing found at the very start separates nothing.
        if found.end() != 0 {
            pieces.push(&text[at..found.start()]);
            at = found.end();
        }
    }
    if at < text.len() || regex.as_str().is_empty() || !regex.is_match("") {
        pieces.push(&text[at..]);
    }
    Ok(Value::strings(pieces))
}
