//! Makes a tree of a template's tokens, by the rules of Go's `text/template/parse`.

mod term;

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::function::{self, Function};
use crate::lexer::{Delimiters, Keyword, Kind, Token, tokens};
use crate::node::{Body, Branch, Call, Command, Node, Operand, Pipe, Term, is_blank};
use crate::quote::{quote, unquote};

/// What is wrong with a template, and at which byte.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) at: usize,
    pub(crate) message: String,
}

/// How deep statements and parentheses may nest: each level takes some of the stack.
const DEPTH: usize = 200;

/// The bodies of a template by their names; the main one's is empty.
pub(crate) fn parse(
    source: &[u8],
    delimiters: &Delimiters,
) -> Result<BTreeMap<String, Body>, Wrong> {
    let mut parser = Parser {
        tokens: tokens(source, delimiters),
        next: 0,
        variables: vec!["$".to_owned()],
        ranges: 0,
        depth: 0,
        bodies: BTreeMap::new(),
    };
    let body = parser.main()?;
    parser.add(String::new(), body)?;
    Ok(parser.bodies)
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    /// Names of the variables in scope.
    variables: Vec<String>,
    /// In how many ranges this is.
    ranges: usize,
    depth: usize,
    bodies: BTreeMap<String, Body>,
}

/// A statement, or what ends a list of them.
enum Item {
    Node(Node),
    Else,
    End,
}

type Parsed<T> = Result<T, Wrong>;

impl Parser {
    fn main(&mut self) -> Parsed<Body> {
        let mut body = Body::new();
        while self.peek().kind != Kind::End {
            if self.peek().kind == Kind::Left {
                let before = self.next;
                self.take();
                if self.take_past_space().kind == Kind::Keyword(Keyword::Define) {
                    self.definition()?;
                    continue;
                }
                self.next = before;
            }
            match self.item()? {
                Item::Node(node) => body.push(node),
                Item::Else => return self.wrong("unexpected {{else}}"),
                Item::End => return self.wrong("unexpected {{end}}"),
            }
        }
        Ok(body)
    }

    fn definition(&mut self) -> Parsed<()> {
        const CONTEXT: &str = "define clause";
        let name = self.take_past_space();
        let name = self.template_name(&name, CONTEXT)?;
        self.expect_right(CONTEXT)?;
        let body = self.apart(CONTEXT)?;
        self.add(name, body)
    }

    /// The body of a template of its own: it sees no variables or ranges around it.
    fn apart(&mut self, context: &str) -> Parsed<Body> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let ranges = std::mem::replace(&mut self.ranges, 0);
        let (body, ended) = self.body()?;
        if !ended {
            return self.wrong(&format!("unexpected {{{{else}}}} in {context}"));
        }
        self.variables = variables;
        self.ranges = ranges;
        Ok(body)
    }

    fn add(&mut self, name: String, body: Body) -> Parsed<()> {
        match self.bodies.get(&name) {
            Some(before) if !is_blank(before) => {
                if is_blank(&body) {
                    return Ok(());
                }
                let name = quote(name.as_bytes());
                self.wrong(&format!("template: multiple definition of template {name}"))
            }
            _ => {
                self.bodies.insert(name, body);
                Ok(())
            }
        }
    }

    /// Statements up to an `else` or `end`, and whether it is `end`.
    fn body(&mut self) -> Parsed<(Body, bool)> {
        self.depth += 1;
        if self.depth > DEPTH {
            return self.wrong(&format!("nested more than {DEPTH} levels deep"));
        }
        let mut body = Body::new();
        while self.peek_past_space().kind != Kind::End {
            let ended = match self.item()? {
                Item::Node(node) => {
                    body.push(node);
                    continue;
                }
                Item::Else => false,
                Item::End => true,
            };
            self.depth -= 1;
            return Ok((body, ended));
        }
        self.wrong("unexpected EOF")
    }

    fn item(&mut self) -> Parsed<Item> {
        let token = self.take_past_space();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(token.text.to_vec()))),
            Kind::Left => self.action(),
            _ => unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Parsed<Item> {
        let before = self.next;
        let token = self.take_past_space();
        Ok(Item::Node(match token.kind {
            Kind::Keyword(Keyword::Block) => self.block()?,
            Kind::Keyword(Keyword::Break) => self.leave(Node::Break, "{{break}}")?,
            Kind::Keyword(Keyword::Continue) => self.leave(Node::Continue, "{{continue}}")?,
            Kind::Keyword(Keyword::Else) => {
                // `else if` and `else with` stand for an `if` or `with` within the `else`.
                if !matches!(
                    self.peek_past_space().kind,
                    Kind::Keyword(Keyword::If | Keyword::With)
                ) {
                    self.expect_right("else")?;
                }
                return Ok(Item::Else);
            }
            Kind::Keyword(Keyword::End) => {
                self.expect_right("end")?;
                return Ok(Item::End);
            }
            Kind::Keyword(Keyword::If) => Node::If(self.branch("if")?),
            Kind::Keyword(Keyword::Range) => Node::Range(self.branch("range")?),
            Kind::Keyword(Keyword::Template) => self.template()?,
            Kind::Keyword(Keyword::With) => Node::With(self.branch("with")?),
            _ => {
                self.next = before;
                // Its variables are there until the end of what is around it.
                Node::Action(self.pipe("command", Kind::Right)?)
            }
        }))
    }

    fn leave(&mut self, node: Node, written: &str) -> Parsed<Node> {
        let token = self.take_past_space();
        if token.kind != Kind::Right {
            return unexpected(&token, written);
        }
        if self.ranges == 0 {
            return self.wrong(&format!("{written} outside {{{{range}}}}"));
        }
        Ok(node)
    }

    fn branch(&mut self, context: &'static str) -> Parsed<Branch> {
        let variables = self.variables.len();
        let pipe = self.pipe(context, Kind::Right)?;
        let ranges = usize::from(context == "range");
        self.ranges += ranges;
        let (body, ended) = self.body()?;
        self.ranges -= ranges;
        let otherwise = if ended { Body::new() } else { self.otherwise(context)? };
        self.variables.truncate(variables);
        Ok(Branch { pipe, body, otherwise })
    }

    fn otherwise(&mut self, context: &'static str) -> Parsed<Body> {
        let again = match (context, self.peek().kind) {
            ("if", Kind::Keyword(Keyword::If)) => Some(Node::If as fn(Branch) -> Node),
            ("with", Kind::Keyword(Keyword::With)) => Some(Node::With as fn(Branch) -> Node),
            _ => None,
        };
        if let Some(node) = again {
            self.take();
            self.depth += 1;
            if self.depth > DEPTH {
                return self.wrong(&format!("more than {DEPTH} branches"));
            }
            let branch = self.branch(context)?;
            self.depth -= 1;
            return Ok(vec![node(branch)]);
        }
        let (body, ended) = self.body()?;
        if ended { Ok(body) } else { self.wrong("expected end; found {{else}}") }
    }

    fn block(&mut self) -> Parsed<Node> {
        const CONTEXT: &str = "block clause";
        let token = self.take_past_space();
        let name = self.template_name(&token, CONTEXT)?;
        let pipe = self.pipe(CONTEXT, Kind::Right)?;
        let body = self.apart(CONTEXT)?;
        self.add(name.clone(), body)?;
        Ok(Node::Template(Call { at: token.at, name, pipe: Some(pipe) }))
    }

    fn template(&mut self) -> Parsed<Node> {
        const CONTEXT: &str = "template clause";
        let token = self.take_past_space();
        let name = self.template_name(&token, CONTEXT)?;
        let pipe = if self.peek_past_space().kind == Kind::Right {
            self.take_past_space();
            None
        } else {
            Some(self.pipe(CONTEXT, Kind::Right)?)
        };
        Ok(Node::Template(Call { at: token.at, name, pipe }))
    }

    fn template_name(&mut self, token: &Token, context: &str) -> Parsed<String> {
        if !matches!(token.kind, Kind::String | Kind::RawString) {
            return unexpected(token, context);
        }
        match unquote(&token.text) {
            Some(name) => Ok(String::from_utf8_lossy(&name).into_owned()),
            None => self.wrong("invalid syntax"),
        }
    }

    fn pipe(&mut self, context: &'static str, end: Kind) -> Parsed<Pipe> {
        let at = self.peek_past_space().at;
        let (declared, assigns) = self.declarations(context)?;
        let mut pipe = Pipe { at, declared, assigns, commands: Vec::new() };
        loop {
            let before = self.next;
            let token = self.take_past_space();
            match token.kind {
                kind if kind == end => break,
                Kind::Bool
                | Kind::CharConstant
                | Kind::Complex
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Keyword(Keyword::Nil)
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::Open => {
                    self.next = before;
                    pipe.commands.push(self.command()?);
                }
                _ => return unexpected(&token, context),
            }
        }
        if pipe.commands.is_empty() {
            return self.wrong(&format!("missing value for {context}"));
        }
        for (index, command) in pipe.commands.iter().enumerate().skip(1) {
            if let Some(Operand {
                term: Term::Bool(_) | Term::Dot | Term::Nil | Term::Number(_) | Term::String { .. },
                ..
            }) = command.operands.first()
            {
                let stage = index + 1;
                return self.wrong(&format!("non executable command in pipeline stage {stage}"));
            }
        }
        Ok(pipe)
    }

    /// The variables before `:=` or `=`, and whether it is `=`.
    fn declarations(&mut self, context: &str) -> Parsed<(Vec<String>, bool)> {
        let mut declared = Vec::new();
        loop {
            let before = self.next;
            if self.peek_past_space().kind != Kind::Variable {
                return Ok((declared, false));
            }
            let name = String::from_utf8_lossy(&self.take_past_space().text).into_owned();
            let sign = self.peek_past_space();
            let comma = sign.kind == Kind::Char && *sign.text == *b",";
            if !comma && !matches!(sign.kind, Kind::Assign | Kind::Declare) {
                self.next = before;
                return Ok((declared, false));
            }
            self.take_past_space();
            self.variables.push(name.clone());
            declared.push(name);
            if !comma {
                return Ok((declared, sign.kind == Kind::Assign));
            }
            if context != "range" || declared.len() > 1 {
                return self.wrong(&format!("too many declarations in {context}"));
            }
            if !matches!(self.peek_past_space().kind, Kind::Variable | Kind::Right | Kind::Close) {
                return self.wrong("range can only initialize variables");
            }
        }
    }

    fn command(&mut self) -> Parsed<Command> {
        let mut operands = Vec::new();
        loop {
            self.peek_past_space();
            operands.extend(self.operand()?);
            let before = self.next;
            let token = self.take();
            match token.kind {
                Kind::Space => continue,
                Kind::Right | Kind::Close => self.next = before,
                Kind::Pipe => (),
                _ => return unexpected(&token, "operand"),
            }
            break;
        }
        if operands.is_empty() { self.wrong("empty command") } else { Ok(Command { operands }) }
    }

    fn function(&mut self, token: &Token) -> Parsed<&'static Function> {
        let name = String::from_utf8_lossy(&token.text).into_owned();
        match function::find(&name) {
            Some(function) => Ok(function),
            None => self.wrong(&format!("function {} not defined", quote(name.as_bytes()))),
        }
    }

    fn expect_right(&mut self, context: &str) -> Parsed<()> {
        let token = self.take_past_space();
        if token.kind == Kind::Right { Ok(()) } else { unexpected(&token, context) }
    }

    /// An error at the token that was taken last.
    fn wrong<T>(&self, message: &str) -> Parsed<T> {
        let at = self.tokens.get(self.next.saturating_sub(1)).map_or(0, |token| token.at);
        Err(Wrong { at, message: message.to_owned() })
    }

    fn peek(&self) -> Token {
        // The list ends with an end or an error; whoever asks on gets that again.
        let last = Token { kind: Kind::End, at: 0, text: Rc::default() };
        self.tokens.get(self.next).or(self.tokens.last()).cloned().unwrap_or(last)
    }

    fn take(&mut self) -> Token {
        let token = self.peek();
        if self.next < self.tokens.len() {
            self.next += 1;
        }
        token
    }

    /// The next token that isn't space, which is the next to be taken then.
    fn peek_past_space(&mut self) -> Token {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
        self.peek()
    }

    fn take_past_space(&mut self) -> Token {
        self.peek_past_space();
        self.take()
    }
}

/// An error at a token that has no place here.
fn unexpected<T>(token: &Token, context: &str) -> Parsed<T> {
    let message = match token.kind {
        Kind::Error => String::from_utf8_lossy(&token.text).into_owned(),
        Kind::End => format!("unexpected EOF in {context}"),
        Kind::Keyword(_) => {
            format!("unexpected <{}> in {context}", String::from_utf8_lossy(&token.text))
        }
        _ if token.text.len() > 10 => {
            let text = String::from_utf8_lossy(&token.text);
            let start: String = text.chars().take(10).collect();
            format!("unexpected {}... in {context}", quote(start.as_bytes()))
        }
        _ => format!("unexpected {} in {context}", quote(&token.text)),
    };
    Err(Wrong { at: token.at, message })
}
