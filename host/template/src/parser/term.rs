//! The words of a command: constants, fields, variables, functions, parentheses.

use super::{DEPTH, Parsed, Parser};
use crate::lexer::{Keyword, Kind};
use crate::node::{Operand, Term};
use crate::number;
use crate::quote::{quote, unquote};

impl Parser {
    /// The next operand with the fields behind it, if one is next.
    pub(super) fn operand(&mut self) -> Parsed<Option<Operand>> {
        let Some(mut operand) = self.term()? else { return Ok(None) };
        if self.peek().kind != Kind::Field {
            return Ok(Some(operand));
        }
        let at = self.peek().at;
        let mut fields = Vec::new();
        while self.peek().kind == Kind::Field {
            fields.push(field(&self.take().text));
        }
        match &mut operand.term {
            Term::Field(names) | Term::Variable(_, names) => {
                names.append(&mut fields);
                operand.at = at;
                Ok(Some(operand))
            }
            Term::Bool(_) | Term::String { .. } | Term::Number(_) | Term::Nil | Term::Dot => {
                let term = quote(operand.to_string().as_bytes());
                self.wrong(&format!("unexpected . after term {term}"))
            }
            Term::Function(_) | Term::Pipe(_) | Term::Chain(..) => {
                Ok(Some(Operand { at, term: Term::Chain(Box::new(operand), fields) }))
            }
        }
    }

    fn term(&mut self) -> Parsed<Option<Operand>> {
        let token = self.peek_past_space();
        let at = token.at;
        let before = self.next;
        self.take();
        let text = || String::from_utf8_lossy(&token.text).into_owned();
        let term = match token.kind {
            Kind::Identifier => Term::Function(self.function(&token)?),
            Kind::Dot => Term::Dot,
            Kind::Keyword(Keyword::Nil) => Term::Nil,
            Kind::Variable => {
                let name = text();
                if !self.variables.contains(&name) {
                    let name = quote(name.as_bytes());
                    return self.wrong(&format!("undefined variable {name}"));
                }
                Term::Variable(name, Vec::new())
            }
            Kind::Field => Term::Field(vec![field(&token.text)]),
            Kind::Bool => Term::Bool(*token.text == *b"true"),
            Kind::Number | Kind::Complex | Kind::CharConstant => {
                let number = match token.kind {
                    Kind::Number => number::number(&text()),
                    Kind::Complex => number::complex(&text()),
                    _ => number::char_constant(&token.text),
                };
                match number {
                    Ok(number) => Term::Number(number),
                    Err(message) => return self.wrong(&message),
                }
            }
            Kind::String | Kind::RawString => match unquote(&token.text) {
                Some(value) => Term::String { quoted: text(), value },
                None => return self.wrong("invalid syntax"),
            },
            Kind::Open => {
                self.depth += 1;
                if self.depth > DEPTH {
                    return self.wrong(&format!("nested more than {DEPTH} levels deep"));
                }
                let pipe = self.pipe("parenthesized pipeline", Kind::Close)?;
                self.depth -= 1;
                Term::Pipe(pipe)
            }
            _ => {
                self.next = before;
                return Ok(None);
            }
        };
        Ok(Some(Operand { at, term }))
    }
}

fn field(text: &[u8]) -> String {
    String::from_utf8_lossy(text.strip_prefix(b".").unwrap_or(text)).into_owned()
}
