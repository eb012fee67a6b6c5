//! Calls of functions.

use super::operand::fit;
use super::{At, Evaluator};
use crate::function::{Arguments, Function, Kind};
use crate::node::Operand;
use crate::quote::quote;
use crate::value::Value;

impl<'a> Evaluator<'a> {
    /// Calls a function with what is written behind it and the result of the command before.
    pub(super) fn call(
        &mut self,
        dot: &Value,
        function: &'static Function,
        at: At<'a>,
        written: &'a [Operand],
        last: Option<Value>,
    ) -> Result<Value, String> {
        let count = written.len() + usize::from(last.is_some());
        function.check_count(count, written.len())?;
        if let "and" | "or" = function.name {
            return self.and_or(dot, function.name == "or", written, last);
        }
        let mut arguments = Vec::with_capacity(count);
        for (index, operand) in written.iter().enumerate() {
            arguments.push(self.argument(dot, operand, function.parameter(index))?);
        }
        if let Some(last) = last {
            arguments.push(fit(last, function.parameter(written.len()))?);
        }
        let result = if self.template.denied.contains(function.name) {
            Err("function is disabled".to_owned())
        } else {
            (function.run)(self, Arguments(&arguments))
        };
        match result {
            Ok(value) => {
                let value = inherit_mark(&arguments, value);
                if let Value::String(text) = &value {
                    self.meter.afford(text.len())?;
                }
                Ok(value)
            }
            Err(message) => {
                self.at = at;
                let message = without_arguments(&arguments, message);
                Err(format!("error calling {}: {message}", function.name))
            }
        }
    }

    /// The argument that decides; those behind it aren't looked at.
    fn and_or(
        &mut self,
        dot: &Value,
        or: bool,
        written: &'a [Operand],
        last: Option<Value>,
    ) -> Result<Value, String> {
        let mut value = Value::Nil;
        for operand in written {
            value = self.argument(dot, operand, Kind::Any)?;
            if value.truth() == or {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }
}

/// The message without the secrets that a function was called with.
fn without_arguments(arguments: &[Value], mut message: String) -> String {
    for argument in arguments {
        if let Value::String(text) | Value::Number(text) = argument
            && text.is_secret()
            && text.len() >= super::reply::SHORTEST
        {
            let text = text.text();
            let quoted = quote(text.as_bytes());
            message = message.replace(text.as_ref(), "[redacted]");
            message = message.replace(quoted.trim_matches('"'), "[redacted]");
        }
    }
    message
}

/// A string made of a secret is one.
fn inherit_mark(arguments: &[Value], value: Value) -> Value {
    match value {
        Value::String(text) if !text.is_secret() => {
            let mut left = LOOKED_AT;
            let secret = arguments.iter().any(|argument| has_secret(argument, &mut left));
            Value::String(if secret { text.secret() } else { text })
        }
        value => value,
    }
}

/// How many values of a list are looked at. Whatever slips through is still taken out of messages
/// by its text.
const LOOKED_AT: usize = 64;

fn has_secret(value: &Value, left: &mut usize) -> bool {
    if *left == 0 {
        return false;
    }
    *left -= 1;
    match value {
        Value::String(text) | Value::Number(text) => text.is_secret(),
        Value::List(list) => list.items().iter().any(|item| has_secret(item, left)),
        Value::Map(map) => map.entries().iter().any(|(_, value)| has_secret(value, left)),
        Value::Object(object) => object.fields().iter().any(|(_, value)| has_secret(value, left)),
        _ => false,
    }
}
