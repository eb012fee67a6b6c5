//! Commands and their words, and what a word is for a parameter of a known type.

use super::{At, Evaluator};
use crate::function::Kind;
use crate::node::{Command, Number, Operand, Term};
use crate::value::{UintType, Value};

impl<'a> Evaluator<'a> {
    /// The value of a command; `last` is what the command before gave.
    pub(super) fn command(
        &mut self,
        dot: &Value,
        command: &'a Command,
        last: Option<Value>,
    ) -> Result<Value, String> {
        let Some((first, arguments)) = command.operands.split_first() else {
            return Err("empty command".to_owned());
        };
        let has_arguments = !arguments.is_empty() || last.is_some();
        match &first.term {
            Term::Function(function) => {
                self.at = At::Operand(first);
                return self.call(dot, function, At::Command(command), arguments, last);
            }
            Term::Field(names) => {
                self.at = At::Operand(first);
                return self.chain(dot, dot.clone(), first, names, Some((arguments, last)));
            }
            Term::Chain(operand, names) => {
                let receiver = self.chained(dot, first, operand)?;
                return self.chain(dot, receiver, first, names, Some((arguments, last)));
            }
            Term::Variable(name, fields) => {
                self.at = At::Operand(first);
                let value = self.variable(name)?;
                if !fields.is_empty() {
                    return self.chain(dot, value, first, fields, Some((arguments, last)));
                }
                if !has_arguments {
                    return Ok(value);
                }
            }
            Term::Pipe(pipe) if !has_arguments => return self.pipe(dot, pipe),
            Term::Pipe(_) => (),
            Term::Dot | Term::Nil | Term::Bool(_) | Term::Number(_) | Term::String { .. } => {
                self.at = At::Operand(first);
            }
        }
        if has_arguments {
            return Err(format!("can't give argument to non-function {first}"));
        }
        match &first.term {
            Term::Dot => Ok(dot.clone()),
            Term::Nil => Err("nil is not a command".to_owned()),
            _ => constant(first, Kind::Any),
        }
    }

    /// The value of an argument for a parameter of this type.
    pub(super) fn argument(
        &mut self,
        dot: &Value,
        operand: &'a Operand,
        kind: Kind,
    ) -> Result<Value, String> {
        self.at = At::Operand(operand);
        let value = match &operand.term {
            Term::Nil if kind.takes_nil() => return Ok(Value::Nil),
            Term::Nil => return Err(format!("cannot assign nil to {}", kind.name())),
            Term::Bool(_) | Term::Number(_) | Term::String { .. } => {
                return constant(operand, kind);
            }
            _ => self.word(dot, operand)?,
        };
        fit(value, kind)
    }

    /// What stands before the fields of a chain.
    pub(super) fn chained(
        &mut self,
        dot: &Value,
        chain: &'a Operand,
        operand: &'a Operand,
    ) -> Result<Value, String> {
        self.at = At::Operand(chain);
        if matches!(operand.term, Term::Nil) {
            return Err(format!("indirection through explicit nil in {chain}"));
        }
        self.at = At::Operand(operand);
        self.word(dot, operand)
    }

    /// The value of a word that is no constant.
    fn word(&mut self, dot: &Value, operand: &'a Operand) -> Result<Value, String> {
        match &operand.term {
            Term::Dot => Ok(dot.clone()),
            Term::Field(names) => self.chain(dot, dot.clone(), operand, names, None),
            Term::Variable(name, fields) => {
                let value = self.variable(name)?;
                self.chain(dot, value, operand, fields, None)
            }
            Term::Pipe(pipe) => self.pipe(dot, pipe),
            Term::Function(function) => self.call(dot, function, At::Operand(operand), &[], None),
            Term::Chain(before, fields) => {
                let receiver = self.chained(dot, operand, before)?;
                self.chain(dot, receiver, operand, fields, None)
            }
            Term::Nil | Term::Bool(_) | Term::Number(_) | Term::String { .. } => {
                constant(operand, Kind::Any)
            }
        }
    }
}

/// The value as an argument for a parameter of this type, which it must be already.
pub(super) fn fit(value: Value, kind: Kind) -> Result<Value, String> {
    match value {
        Value::Missing | Value::Nil if kind.takes_nil() => Ok(Value::Nil),
        Value::Missing => Err(format!("invalid value; expected {}", kind.name())),
        Value::Nil => {
            Err(format!("wrong type for value; expected {}; got interface {{}}", kind.name()))
        }
        value if kind.takes(&value) => Ok(value),
        value => Err(format!(
            "wrong type for value; expected {}; got {}",
            kind.name(),
            value.type_name()
        )),
    }
}

fn constant(operand: &Operand, kind: Kind) -> Result<Value, String> {
    let value = match (&operand.term, kind) {
        (Term::Bool(flag), Kind::Any | Kind::Bool) => Some(Value::Bool(*flag)),
        (Term::String { value, .. }, Kind::Any | Kind::Text) => {
            Some(Value::string(value.as_slice()))
        }
        (Term::Number(number), Kind::Any) => return ideal(number),
        (Term::Number(number), Kind::Int) => number.int.map(Value::int),
        (Term::Number(number), Kind::Float) => number.float.map(Value::Float),
        (Term::Number(number), Kind::Uint32) => {
            number.uint.map(|number| Value::Uint(number, UintType::Uint64))
        }
        _ => None,
    };
    value.ok_or_else(|| match kind {
        Kind::Text => format!("expected string; found {operand}"),
        Kind::Bool => format!("expected bool; found {operand}"),
        Kind::Int => format!("expected integer; found {operand}"),
        Kind::Uint32 => format!("expected unsigned integer; found {operand}"),
        Kind::Float => format!("expected float; found {operand}"),
        _ => format!("can't handle {operand} for arg of type {}", kind.name()),
    })
}

/// The type of a number for which nothing else decides: its writing does.
fn ideal(number: &Number) -> Result<Value, String> {
    if let Some((real, imaginary)) = number.complex {
        return Ok(Value::Complex(real, imaginary));
    }
    let text = &number.text;
    let hexadecimal = text.len() > 2 && text.starts_with("0x") && !text.contains(['p', 'P']);
    let char = text.starts_with('\'');
    if let Some(float) = number.float
        && !hexadecimal
        && !char
        && text.contains(['.', 'e', 'E', 'p', 'P'])
    {
        return Ok(Value::Float(float));
    }
    match number.int {
        Some(int) => Ok(Value::int(int)),
        None => Err(format!("{text} overflows int")),
    }
}
