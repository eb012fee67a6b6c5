//! Cuts a template into tokens, by the rules of Go's `text/template/parse`.
//!
//! Every source gives a list that ends with [`Kind::End`] or [`Kind::Error`]; the parser decides
//! what comes first, so that the first thing wrong is the one that is told.

use std::rc::Rc;

use crate::quote::quoted_char;

/// What marks an action.
#[derive(Clone, Debug)]
pub(crate) struct Delimiters {
    pub(crate) left: String,
    pub(crate) right: String,
}

/// One token.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// Where it begins, in bytes.
    pub(crate) at: usize,
    /// Its bytes; of an error, the message.
    pub(crate) text: Rc<[u8]>,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    End,
    Error,
    Text,
    Left,
    Right,
    Space,
    Assign,
    Declare,
    Pipe,
    Open,
    Close,
    Char,
    String,
    RawString,
    Number,
    Complex,
    CharConstant,
    Bool,
    Dot,
    Field,
    Variable,
    Identifier,
    Keyword(Keyword),
}

/// The words that no function can have as its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keyword {
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

/// The tokens of a source.
pub(crate) fn tokens(source: &[u8], delimiters: &Delimiters) -> Vec<Token> {
    let mut lexer = Lexer {
        source,
        left: delimiters.left.as_bytes(),
        right: delimiters.right.as_bytes(),
        start: 0,
        at: 0,
        open: 0,
        found: Vec::new(),
    };
    let mut state = State::Text;
    while state != State::Done {
        state = match state {
            State::Text => lexer.text(),
            State::Inside => lexer.inside(),
            State::Right => lexer.right(),
            State::Done => State::Done,
        };
    }
    lexer.found
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Text,
    Inside,
    Right,
    Done,
}

struct Lexer<'s> {
    source: &'s [u8],
    left: &'s [u8],
    right: &'s [u8],
    start: usize,
    at: usize,
    open: usize,
    found: Vec<Token>,
}

/// The bytes of `- ` and ` -`.
const MARKER: usize = 2;

impl Lexer<'_> {
    fn text(&mut self) -> State {
        let Some(offset) = find(self.rest(), self.left) else {
            self.at = self.source.len();
            if self.at > self.start {
                self.emit(Kind::Text);
            }
            self.emit(Kind::End);
            return State::Done;
        };
        let delimiter = self.at + offset;
        let action = delimiter + self.left.len();
        let trims = is_left_marker(&self.source[action..]);
        let mut end = delimiter;
        if trims {
            while end > self.at && is_space(self.source[end - 1]) {
                end -= 1;
            }
        }
        self.at = end;
        if end > self.start {
            self.emit(Kind::Text);
        }
        self.at = action;
        let marker = if trims { MARKER } else { 0 };
        if self.source[action + marker..].starts_with(b"/*") {
            self.at += marker;
            return self.comment();
        }
        self.start = delimiter;
        self.emit(Kind::Left);
        self.at += marker;
        self.start = self.at;
        self.open = 0;
        State::Inside
    }

    fn comment(&mut self) -> State {
        self.start = self.at;
        let Some(offset) = find(&self.rest()[2..], b"*/") else {
            return self.error("unclosed comment");
        };
        self.at += 2 + offset + 2;
        let Some(trims) = self.at_right() else {
            return self.error("comment ends before closing delimiter");
        };
        self.pass_right(trims);
        State::Text
    }

    fn right(&mut self) -> State {
        let trims = self.at_right().unwrap_or(false);
        if trims {
            self.at += MARKER;
        }
        self.start = self.at;
        self.at += self.right.len();
        self.emit(Kind::Right);
        if trims {
            self.skip_spaces();
        }
        State::Text
    }

    fn pass_right(&mut self, trims: bool) {
        self.at += self.right.len() + if trims { MARKER } else { 0 };
        if trims {
            self.skip_spaces();
        }
        self.start = self.at;
    }

    fn skip_spaces(&mut self) {
        while self.source.get(self.at).is_some_and(|byte| is_space(*byte)) {
            self.at += 1;
        }
        self.start = self.at;
    }

    fn inside(&mut self) -> State {
        if self.at_right().is_some() {
            if self.open == 0 {
                return State::Right;
            }
            return self.error("unclosed left paren");
        }
        let Some(char) = self.peek() else { return self.error("unclosed action") };
        if char.is_ascii() && is_space(char as u8) {
            return self.space();
        }
        self.next();
        match char {
            '=' => self.emit(Kind::Assign),
            ':' => {
                if self.next() != Some('=') {
                    return self.error("expected :=");
                }
                self.emit(Kind::Declare)
            }
            '|' => self.emit(Kind::Pipe),
            '"' => self.quoted('"', Kind::String, "unterminated quoted string"),
            '\'' => self.quoted('\'', Kind::CharConstant, "unterminated character constant"),
            '`' => self.raw(),
            '$' => self.field_or_variable(Kind::Variable),
            '.' if !self.peek().is_some_and(|next| next.is_ascii_digit()) => {
                self.field_or_variable(Kind::Field)
            }
            '+' | '-' | '.' | '0'..='9' => {
                self.at = self.start;
                self.number()
            }
            '(' => {
                self.open += 1;
                self.emit(Kind::Open)
            }
            ')' => {
                if self.open == 0 {
                    return self.error("unexpected right paren");
                }
                self.open -= 1;
                self.emit(Kind::Close)
            }
            _ if is_word(char) => self.identifier(),
            _ if char.is_ascii_graphic() => self.emit(Kind::Char),
            _ => self.error(&format!("unrecognized character in action: {}", quoted_char(char))),
        }
    }

    fn space(&mut self) -> State {
        while self.peek().is_some_and(|char| char.is_ascii() && is_space(char as u8)) {
            self.at += 1;
        }
        // The last space may belong to the marker before a right delimiter.
        let last = self.at - 1;
        let before = &self.source[last..];
        if is_right_marker(before) && before[MARKER..].starts_with(self.right) {
            self.at = last;
            if last == self.start {
                return State::Right;
            }
        }
        self.emit(Kind::Space)
    }

    fn identifier(&mut self) -> State {
        self.word();
        if !self.at_terminator() {
            return self.bad_character();
        }
        let kind = match &self.source[self.start..self.at] {
            b"true" | b"false" => Kind::Bool,
            b"block" => Kind::Keyword(Keyword::Block),
            b"break" => Kind::Keyword(Keyword::Break),
            b"continue" => Kind::Keyword(Keyword::Continue),
            b"define" => Kind::Keyword(Keyword::Define),
            b"else" => Kind::Keyword(Keyword::Else),
            b"end" => Kind::Keyword(Keyword::End),
            b"if" => Kind::Keyword(Keyword::If),
            b"nil" => Kind::Keyword(Keyword::Nil),
            b"range" => Kind::Keyword(Keyword::Range),
            b"template" => Kind::Keyword(Keyword::Template),
            b"with" => Kind::Keyword(Keyword::With),
            _ => Kind::Identifier,
        };
        self.emit(kind)
    }

    fn field_or_variable(&mut self, kind: Kind) -> State {
        if self.at_terminator() {
            return self.emit(if kind == Kind::Variable { kind } else { Kind::Dot });
        }
        self.word();
        if !self.at_terminator() {
            return self.bad_character();
        }
        self.emit(kind)
    }

    fn bad_character(&mut self) -> State {
        let char = self.peek().map(quoted_char).unwrap_or_default();
        self.error(&format!("bad character {char}"))
    }

    fn quoted(&mut self, end: char, kind: Kind, unterminated: &str) -> State {
        loop {
            match self.next() {
                Some('\\') if !matches!(self.peek(), None | Some('\n')) => {
                    self.next();
                }
                None | Some('\\' | '\n') => return self.error(unterminated),
                Some(char) if char == end => return self.emit(kind),
                Some(_) => (),
            }
        }
    }

    fn raw(&mut self) -> State {
        match find(self.rest(), b"`") {
            Some(offset) => {
                self.at += offset + 1;
                self.emit(Kind::RawString)
            }
            None => self.error("unterminated raw quoted string"),
        }
    }

    fn number(&mut self) -> State {
        let mut whole = self.scan_number();
        let mut kind = Kind::Number;
        if whole && matches!(self.peek(), Some('+' | '-')) {
            whole = self.scan_number() && self.source[self.at - 1] == b'i';
            kind = Kind::Complex;
        }
        if whole {
            return self.emit(kind);
        }
        let text = crate::quote::quote(&self.source[self.start..self.at]);
        self.error(&format!("bad number syntax: {text}"))
    }

    fn scan_number(&mut self) -> bool {
        self.accept(b"+-");
        let mut digits: &[u8] = b"0123456789_";
        let (mut decimal, mut hexadecimal) = (true, false);
        if self.accept(b"0") {
            if self.accept(b"xX") {
                digits = b"0123456789abcdefABCDEF_";
                (decimal, hexadecimal) = (false, true);
            } else if self.accept(b"oO") {
                digits = b"01234567_";
                decimal = false;
            } else if self.accept(b"bB") {
                digits = b"01_";
                decimal = false;
            }
        }
        self.accept_run(digits);
        if self.accept(b".") {
            self.accept_run(digits);
        }
        if decimal && self.accept(b"eE") || hexadecimal && self.accept(b"pP") {
            self.accept(b"+-");
            self.accept_run(b"0123456789_");
        }
        self.accept(b"i");
        if self.peek().is_some_and(is_word) {
            self.next();
            return false;
        }
        true
    }

    fn accept(&mut self, any: &[u8]) -> bool {
        let found = self.source.get(self.at).is_some_and(|byte| any.contains(byte));
        if found {
            self.at += 1;
        }
        found
    }

    fn accept_run(&mut self, any: &[u8]) {
        while self.accept(any) {}
    }

    fn word(&mut self) {
        while self.peek().is_some_and(is_word) {
            self.next();
        }
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some(' ' | '\t' | '\r' | '\n' | '.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(_) => self.rest().starts_with(self.right),
        }
    }

    /// Whether a right delimiter is next, and whether it trims.
    fn at_right(&self) -> Option<bool> {
        let rest = self.rest();
        if is_right_marker(rest) && rest[MARKER..].starts_with(self.right) {
            return Some(true);
        }
        rest.starts_with(self.right).then_some(false)
    }

    fn rest(&self) -> &[u8] {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        first_char(self.rest()).map(|(char, _)| char)
    }

    fn next(&mut self) -> Option<char> {
        let (char, length) = first_char(self.rest())?;
        self.at += length;
        Some(char)
    }

    fn emit(&mut self, kind: Kind) -> State {
        let text = self.source[self.start..self.at].into();
        self.found.push(Token { kind, at: self.start, text });
        self.start = self.at;
        State::Inside
    }

    fn error(&mut self, message: &str) -> State {
        let text = message.as_bytes().into();
        self.found.push(Token { kind: Kind::Error, at: self.start, text });
        State::Done
    }
}

/// The first character and its length; a byte that begins none counts as U+FFFD.
pub(crate) fn first_char(bytes: &[u8]) -> Option<(char, usize)> {
    let first = *bytes.first()?;
    if first.is_ascii() {
        return Some((first as char, 1));
    }
    let head = &bytes[..bytes.len().min(4)];
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default(),
    };
    Some(match valid.chars().next() {
        Some(char) => (char, char.len_utf8()),
        None => (char::REPLACEMENT_CHARACTER, 1),
    })
}

/// Where the wanted bytes begin.
pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn is_word(char: char) -> bool {
    char == '_' || char.is_alphabetic() || char.is_numeric()
}

fn is_left_marker(bytes: &[u8]) -> bool {
    matches!(bytes, [b'-', space, ..] if is_space(*space))
}

fn is_right_marker(bytes: &[u8]) -> bool {
    matches!(bytes, [space, b'-', ..] if is_space(*space))
}
