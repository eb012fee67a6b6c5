//! The tree of a parsed template, and how messages write its parts.

use std::fmt;

use crate::function::Function;
use crate::quote::quote;

/// Statements that follow one another.
pub(crate) type Body = Vec<Node>;

/// One statement.
pub(crate) enum Node {
    Text(Vec<u8>),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template(Call),
    Break,
    Continue,
}

/// A condition or a list, and what is rendered with it or without.
pub(crate) struct Branch {
    pub(crate) pipe: Pipe,
    pub(crate) body: Body,
    pub(crate) otherwise: Body,
}

/// `{{template "name" pipe}}`
pub(crate) struct Call {
    pub(crate) at: usize,
    pub(crate) name: String,
    pub(crate) pipe: Option<Pipe>,
}

/// Commands, each with the result of the one before as its last argument.
pub(crate) struct Pipe {
    pub(crate) at: usize,
    pub(crate) declared: Vec<String>,
    /// Whether the variables are there already: `=` instead of `:=`.
    pub(crate) assigns: bool,
    pub(crate) commands: Vec<Command>,
}

/// A function, a method or a value, with arguments. There is at least one operand.
pub(crate) struct Command {
    pub(crate) operands: Vec<Operand>,
}

/// One word of a command.
pub(crate) struct Operand {
    pub(crate) at: usize,
    pub(crate) term: Term,
}

/// What a word is.
pub(crate) enum Term {
    Dot,
    Nil,
    Bool(bool),
    Number(Number),
    String { quoted: String, value: Vec<u8> },
    Field(Vec<String>),
    Variable(String, Vec<String>),
    Function(&'static Function),
    Pipe(Pipe),
    Chain(Box<Operand>, Vec<String>),
}

/// A constant, whose type depends on where it stands: each of its forms that is exact.
pub(crate) struct Number {
    pub(crate) text: String,
    pub(crate) int: Option<i64>,
    pub(crate) uint: Option<u64>,
    pub(crate) float: Option<f64>,
    pub(crate) complex: Option<(f64, f64)>,
}

impl Command {
    pub(crate) fn at(&self) -> usize {
        self.operands.first().map_or(0, |operand| operand.at)
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.declared.is_empty() {
            let sign = if self.assigns { "=" } else { ":=" };
            write!(formatter, "{} {sign} ", self.declared.join(", "))?;
        }
        for (index, command) in self.commands.iter().enumerate() {
            if index > 0 {
                formatter.write_str(" | ")?;
            }
            command.fmt(formatter)?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, operand) in self.operands.iter().enumerate() {
            if index > 0 {
                formatter.write_str(" ")?;
            }
            operand.fmt(formatter)?;
        }
        Ok(())
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.term {
            Term::Dot => formatter.write_str("."),
            Term::Nil => formatter.write_str("nil"),
            Term::Bool(flag) => flag.fmt(formatter),
            Term::Number(number) => formatter.write_str(&number.text),
            Term::String { quoted, .. } => formatter.write_str(quoted),
            Term::Field(names) => write!(formatter, ".{}", names.join(".")),
            Term::Variable(name, fields) => {
                formatter.write_str(name)?;
                fields.iter().try_for_each(|field| write!(formatter, ".{field}"))
            }
            Term::Function(function) => formatter.write_str(function.name),
            Term::Pipe(pipe) => write!(formatter, "({pipe})"),
            Term::Chain(operand, fields) => {
                operand.fmt(formatter)?;
                fields.iter().try_for_each(|field| write!(formatter, ".{field}"))
            }
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{{{{template {}", quote(self.name.as_bytes()))?;
        if let Some(pipe) = &self.pipe {
            write!(formatter, " {pipe}")?;
        }
        formatter.write_str("}}")
    }
}

/// Whether there is nothing but space: such a definition may be replaced.
pub(crate) fn is_blank(body: &[Node]) -> bool {
    body.iter().all(|node| match node {
        Node::Text(text) => text.trim_ascii().is_empty(),
        _ => false,
    })
}
