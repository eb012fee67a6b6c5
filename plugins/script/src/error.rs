//! What a script threw, as a failure of the contract: with file, line and stack.

use std::fmt::Write as _;

use boa_engine::object::JsObject;
use boa_engine::{Context, JsError, JsNativeError, JsValue, js_string};

use crate::bindings::usher::plugin::types::{Failure, FailureKind};
use crate::convert::{Values, to_failure};

/// Frames shown of a stack.
const MOST_FRAMES: usize = 8;

/// A failure that the script threw on purpose (an object of that shape, or an error that carries
/// one as `payload`), or `internal` with all that is known of what went wrong.
pub(crate) fn failure(error: &JsError, script: &str, context: &mut Context) -> Failure {
    let shown = error.to_string();
    let thrown = error.as_opaque().and_then(JsValue::as_object);
    if let Some(payload) = thrown.as_ref().and_then(|thrown| payload(thrown, context)) {
        return match to_failure(&payload, &mut Values::new(context, "the thrown failure")) {
            Ok(failure) => failure,
            Err(error) => internal("script.answer", place(script, &error.to_string(), None)),
        };
    }
    let stack = thrown.and_then(|thrown| {
        let stack = thrown.get(js_string!("stack"), context).ok()?.as_string()?;
        Some(stack.to_std_string_lossy())
    });
    internal("script.error", place(script, &shown, stack.as_deref()))
}

/// Says where a text ends that ends too early; of all that the parser finds wrong, it says only
/// of this not where.
pub(crate) fn with_end(error: JsError, text: &str) -> JsError {
    if error.as_native().is_none_or(|error| error.message() != "abrupt end") {
        return error;
    }
    let text = text.trim_end();
    let line = text.lines().count().max(1);
    let column = text.lines().last().unwrap_or_default().chars().count() + 1;
    JsNativeError::syntax()
        .with_message(format!(
            "the file ends too early, perhaps for a bracket that isn't closed, at line {line}, col {column}"
        ))
        .into()
}

fn internal(code: &str, message: String) -> Failure {
    Failure {
        kind: FailureKind::Internal,
        code: code.to_owned(),
        message,
        retry_after_ms: None,
        details: Vec::new(),
    }
}

/// The value that is meant as a failure; None for an error that is only an error.
fn payload(thrown: &JsObject, context: &mut Context) -> Option<JsValue> {
    if thrown.has_own_property(js_string!("payload"), context).ok()? {
        return thrown.get(js_string!("payload"), context).ok();
    }
    let is_error = thrown.is::<boa_engine::builtins::error::Error>();
    (!is_error).then(|| thrown.clone().into())
}

/// `acme.js:12:3: TypeError: … (at token acme.js:12:3, authenticate acme.js:20:9)`.
fn place(script: &str, shown: &str, stack: Option<&str>) -> String {
    let mut lines = shown.lines();
    let what = lines.next().unwrap_or_default();
    let what = without_place(what, script);
    let mut frames: Vec<String> = lines.filter_map(frame).collect();
    if frames.is_empty() {
        frames = stack.unwrap_or_default().lines().filter_map(frame).collect();
    }
    let position = frames.iter().find_map(|frame| position(script, frame));
    let mut message = match position.or_else(|| syntax_position(script, what)) {
        Some(position) => format!("{position}: {what}"),
        None => format!("{script}: {what}"),
    };
    if !frames.is_empty() {
        frames.truncate(MOST_FRAMES);
        let _ = write!(message, " (at {})", frames.join(", "));
    }
    message
}

/// An error as the engine shows it, without the place that it may append.
fn without_place<'a>(what: &'a str, script: &str) -> &'a str {
    match what.rsplit_once(" (") {
        Some((error, "native)")) => error,
        Some((error, place))
            if place.strip_prefix(script).is_some_and(|rest| rest.starts_with(':')) =>
        {
            error
        }
        _ => what,
    }
}

/// "    at token (acme.js:12:3)" as "token acme.js:12:3"; frames of the engine's own are left out.
fn frame(line: &str) -> Option<String> {
    let (function, place) = line.trim().strip_prefix("at ")?.rsplit_once(" (")?;
    let place = place.strip_suffix(')')?;
    // The engine doesn't know every position.
    let place = place.strip_suffix(":?:?").unwrap_or(place);
    (!place.starts_with("native")).then(|| format!("{function} {place}"))
}

/// "acme.js:12:3" out of "token acme.js:12:3".
fn position(script: &str, frame: &str) -> Option<String> {
    let (_, place) = frame.rsplit_once(' ')?;
    let numbers = place.strip_prefix(script)?.strip_prefix(':')?;
    numbers.starts_with(|first: char| first.is_ascii_digit()).then(|| place.to_owned())
}

/// The parser writes "… at line 12, col 3".
fn syntax_position(script: &str, message: &str) -> Option<String> {
    let (_, rest) = message.rsplit_once("line ")?;
    let (line, rest) = rest.split_once(", col ")?;
    let column: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(line) && is_number(&column)).then(|| format!("{script}:{line}:{column}"))
}
