//! Renders the tree, by the rules of Go's `text/template`.

mod call;
mod field;
pub(crate) use field::why_no_integer;
mod operand;
mod range;
mod reply;

use std::collections::{BTreeMap, BTreeSet};

use crate::budget::{Budget, Meter};
use crate::failure::{Failure, Within};
use crate::format;
use crate::node::{Branch, Call, Command, Node, Operand, Pipe};
use crate::outcome::FileWrite;
use crate::query::{Query, Values};
use crate::scratch::Scratch;
use crate::template::Template;
use crate::value::Value;

/// One evaluation of a template. An error is a message; where it happened is what was looked at
/// last, as in Go.
pub(crate) struct Evaluator<'a> {
    pub(crate) template: &'a Template,
    pub(crate) values: &'a dyn Values,
    pub(crate) meter: Meter,
    pub(crate) missing: BTreeSet<Query>,
    pub(crate) scratch: Value,
    pub(crate) writes: Vec<FileWrite>,
    /// What queries were answered, so that each has one value in this evaluation.
    answers: BTreeMap<Query, Value>,
    /// The name of the body that is rendered.
    body: &'a str,
    at: At<'a>,
    variables: Vec<(&'a str, Value)>,
    out: Vec<u8>,
    depth: usize,
    nesting: usize,
}

/// How deep bodies and pipelines may nest while they are rendered, over all templates.
const NESTING: usize = 200;

/// What is looked at.
#[derive(Clone, Copy)]
enum At<'a> {
    Start,
    Pipe(&'a Pipe),
    Command(&'a Command),
    Operand(&'a Operand),
    Call(&'a Call),
}

/// How a statement ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(template: &'a Template, values: &'a dyn Values, budget: Budget) -> Self {
        Self {
            template,
            values,
            meter: Meter::new(budget),
            missing: BTreeSet::new(),
            scratch: Scratch::value(),
            writes: Vec::new(),
            answers: BTreeMap::new(),
            body: "",
            at: At::Start,
            variables: Vec::new(),
            out: Vec::new(),
            depth: 0,
            nesting: 0,
        }
    }

    /// Renders the main body.
    pub(crate) fn run(&mut self) -> Result<Vec<u8>, Failure> {
        let done = self.render("", Value::Missing);
        done.map(|()| std::mem::take(&mut self.out)).map_err(|message| self.failure(message))
    }

    /// Renders a body apart and gives its text.
    pub(crate) fn render_apart(&mut self, name: &str, dot: Value) -> Result<Vec<u8>, String> {
        let out = std::mem::take(&mut self.out);
        let at = self.at;
        self.render(name, dot)?;
        self.at = at;
        Ok(std::mem::replace(&mut self.out, out))
    }

    /// Whether there is a body of this name.
    pub(crate) fn has_body(&self, name: &str) -> bool {
        self.template.bodies.contains_key(name)
    }

    fn render(&mut self, name: &str, dot: Value) -> Result<(), String> {
        let template = self.template;
        let Some((name, body)) = template.bodies.get_key_value(name) else {
            return Err(format!("template {} not defined", crate::quote::quote(name.as_bytes())));
        };
        if self.depth >= self.meter.depth() {
            return Err(format!("exceeded maximum template depth ({})", self.meter.depth()));
        }
        self.depth += 1;
        let around = std::mem::replace(&mut self.body, name);
        // A body sees no variables but its argument.
        let variables = std::mem::replace(&mut self.variables, vec![("$", dot.clone())]);
        self.statements(&dot, body)?;
        self.variables = variables;
        self.body = around;
        self.depth -= 1;
        Ok(())
    }

    fn statements(&mut self, dot: &Value, body: &'a [Node]) -> Result<Flow, String> {
        self.nest()?;
        for node in body {
            let flow = self.statement(dot, node)?;
            if flow != Flow::On {
                self.nesting -= 1;
                return Ok(flow);
            }
        }
        self.nesting -= 1;
        Ok(Flow::On)
    }

    /// Goes one level deeper, into a body or a pipeline; each takes some of the stack.
    fn nest(&mut self) -> Result<(), String> {
        self.nesting += 1;
        if self.nesting > NESTING {
            return Err(format!("nested more than {NESTING} levels deep"));
        }
        Ok(())
    }

    fn statement(&mut self, dot: &Value, node: &'a Node) -> Result<Flow, String> {
        self.meter.spend(1)?;
        match node {
            Node::Text(text) => self.write(text)?,
            Node::Action(pipe) => {
                let value = self.pipe(dot, pipe)?;
                if pipe.declared.is_empty() {
                    self.at = At::Pipe(pipe);
                    self.print(&value, pipe)?;
                }
            }
            Node::If(branch) => return self.branch(dot, branch, false),
            Node::With(branch) => return self.branch(dot, branch, true),
            Node::Range(branch) => return self.range(dot, branch),
            Node::Template(call) => {
                self.at = At::Call(call);
                if !self.has_body(&call.name) {
                    let name = crate::quote::quote(call.name.as_bytes());
                    return Err(format!("template {name} not defined"));
                }
                let dot = match &call.pipe {
                    Some(pipe) => self.pipe(dot, pipe)?,
                    None => Value::Missing,
                };
                self.at = At::Call(call);
                self.render(&call.name, dot)?;
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn branch(&mut self, dot: &Value, branch: &'a Branch, with: bool) -> Result<Flow, String> {
        let variables = self.variables.len();
        let value = self.pipe(dot, &branch.pipe)?;
        let flow = if value.truth() {
            self.statements(if with { &value } else { dot }, &branch.body)?
        } else {
            self.statements(dot, &branch.otherwise)?
        };
        self.variables.truncate(variables);
        Ok(flow)
    }

    /// The value of a pipeline; its variables are set.
    fn pipe(&mut self, dot: &Value, pipe: &'a Pipe) -> Result<Value, String> {
        self.at = At::Pipe(pipe);
        self.nest()?;
        let mut value = None;
        for command in &pipe.commands {
            self.meter.spend(1)?;
            value = Some(match self.command(dot, command, value)? {
                Value::Nil => Value::Missing,
                value => value,
            });
        }
        self.nesting -= 1;
        let value = value.unwrap_or(Value::Missing);
        for name in &pipe.declared {
            if pipe.assigns {
                self.assign(name, value.clone())?;
            } else {
                self.variables.push((name, value.clone()));
            }
        }
        Ok(value)
    }

    fn assign(&mut self, name: &str, value: Value) -> Result<(), String> {
        match self.variables.iter_mut().rev().find(|(variable, _)| *variable == name) {
            Some((_, variable)) => {
                *variable = value;
                Ok(())
            }
            None => Err(format!("undefined variable: {name}")),
        }
    }

    fn variable(&self, name: &str) -> Result<Value, String> {
        match self.variables.iter().rev().find(|(variable, _)| *variable == name) {
            Some((_, value)) => Ok(value.clone()),
            None => Err(format!("undefined variable: {name}")),
        }
    }

    fn print(&mut self, value: &Value, pipe: &Pipe) -> Result<(), String> {
        match value {
            Value::Missing | Value::Nil => self.write(b"<no value>"),
            Value::String(text) | Value::Number(text) => self.write(text.bytes()),
            Value::Channel(..) => {
                Err(format!("can't print {{{{{pipe}}}}} of type {}", value.type_name()))
            }
            _ => {
                let text = format::print_action(value, self.meter.bytes())?;
                self.write(&text)
            }
        }
    }

    fn write(&mut self, text: &[u8]) -> Result<(), String> {
        if self.out.len() + text.len() > self.meter.bytes() {
            return Err(crate::budget::too_long(self.meter.bytes()));
        }
        self.out.extend_from_slice(text);
        Ok(())
    }

    fn failure(&self, message: String) -> Failure {
        let (at, expression) = match self.at {
            At::Start => (0, String::new()),
            At::Pipe(pipe) => (pipe.at, pipe.to_string()),
            At::Command(command) => (command.at(), command.to_string()),
            At::Operand(operand) => (operand.at, operand.to_string()),
            At::Call(call) => (call.at, call.to_string()),
        };
        let within = Within { template: self.body.to_owned(), expression };
        let message = self.without_secrets(message);
        Failure::new(&self.template.source, at, Some(within), message)
    }
}
