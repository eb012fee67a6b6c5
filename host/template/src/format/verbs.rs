//! `printf`: the format with its verbs, indexes and widths from arguments.

use super::printer::{Flags, Printer};
use crate::lexer::first_char;
use crate::value::Value;

/// The most that a width or precision may be; Go's limit.
const WIDEST: i64 = 1_000_000;

/// What `printf` gives. Mistakes are written into the text, as Go does.
pub(crate) fn printf(format: &[u8], values: &[Value], limit: usize) -> Result<Vec<u8>, String> {
    let mut run = Run {
        format,
        at: 0,
        values,
        next: 0,
        reordered: false,
        indexed: false,
        good: true,
        printer: Printer::new(limit),
    };
    run.all();
    run.printer.done()
}

struct Run<'f> {
    format: &'f [u8],
    at: usize,
    values: &'f [Value],
    /// The argument that is next.
    next: usize,
    /// Whether some index was used, so that left over arguments are no mistake.
    reordered: bool,
    /// Whether an index was just read.
    indexed: bool,
    good: bool,
    printer: Printer,
}

impl Run<'_> {
    fn all(&mut self) {
        while self.at < self.format.len() {
            let rest = &self.format[self.at..];
            let text = rest.iter().position(|byte| *byte == b'%').unwrap_or(rest.len());
            self.printer.flags = Flags::default();
            self.printer.write(&rest[..text]);
            self.at += text;
            if self.at < self.format.len() {
                self.at += 1;
                self.verb();
            }
        }
        self.extra();
    }

    fn verb(&mut self) {
        self.good = true;
        self.indexed = false;
        self.printer.flags = self.flags();
        self.index();
        self.width();
        self.precision();
        if !self.indexed {
            self.index();
        }
        let Some((verb, length)) = first_char(&self.format[self.at..]) else {
            self.printer.write(b"%!(NOVERB)");
            return;
        };
        self.at += length;
        match self.values.get(self.next) {
            _ if verb == '%' => self.printer.write(b"%"),
            _ if !self.good => self.mistake(verb, "BADINDEX"),
            None => self.mistake(verb, "MISSING"),
            Some(value) => {
                self.next += 1;
                let flags = &mut self.printer.flags;
                if verb == 'v' {
                    flags.source = std::mem::take(&mut flags.sharp);
                    flags.names = std::mem::take(&mut flags.plus);
                }
                match verb {
                    'T' => self.printer.pad(value.type_name().as_bytes()),
                    'p' => self.printer.bad_verb(value, verb),
                    _ => self.printer.value(value, verb, 0),
                }
            }
        }
    }

    fn mistake(&mut self, verb: char, what: &str) {
        self.printer.write(format!("%!{verb}({what})").as_bytes());
    }

    fn flags(&mut self) -> Flags {
        let mut flags = Flags::default();
        while let Some(byte) = self.format.get(self.at) {
            match byte {
                b'#' => flags.sharp = true,
                b'0' => flags.zero = true,
                b'+' => flags.plus = true,
                b'-' => flags.minus = true,
                b' ' => flags.space = true,
                _ => break,
            }
            self.at += 1;
        }
        flags
    }

    fn width(&mut self) {
        if self.format.get(self.at) == Some(&b'*') {
            self.at += 1;
            match self.number_argument() {
                None => self.printer.write(b"%!(BADWIDTH)"),
                Some(width) => {
                    let flags = &mut self.printer.flags;
                    if width < 0 {
                        flags.minus = true;
                        flags.zero = false;
                    }
                    flags.width = usize::try_from(width.unsigned_abs()).ok();
                }
            }
            self.indexed = false;
        } else {
            self.printer.flags.width = self.number();
            if self.indexed && self.printer.flags.width.is_some() {
                self.good = false;
            }
        }
    }

    fn precision(&mut self) {
        if self.format.get(self.at) != Some(&b'.') {
            return;
        }
        self.at += 1;
        if self.indexed {
            self.good = false;
        }
        self.index();
        if self.format.get(self.at) == Some(&b'*') {
            self.at += 1;
            match self.number_argument() {
                None => self.printer.write(b"%!(BADPREC)"),
                Some(precision) => {
                    self.printer.flags.precision = usize::try_from(precision).ok();
                }
            }
            self.indexed = false;
        } else {
            self.printer.flags.precision = Some(self.number().unwrap_or(0));
        }
    }

    /// `[3]`: which argument is next.
    fn index(&mut self) {
        self.indexed = false;
        let rest = &self.format[self.at..];
        if rest.first() != Some(&b'[') {
            return;
        }
        self.reordered = true;
        let Some(end) = rest.iter().position(|byte| *byte == b']').filter(|_| rest.len() > 2)
        else {
            self.at += 1;
            self.good = false;
            return;
        };
        let number = std::str::from_utf8(&rest[1..end]).ok();
        let number = number.filter(|text| !text.starts_with('+'));
        let number = number.and_then(|text| text.parse::<usize>().ok());
        self.at += end + 1;
        match number.and_then(|number| number.checked_sub(1)) {
            Some(index) if index < self.values.len() => {
                self.next = index;
                self.indexed = true;
            }
            Some(_) => {
                self.good = false;
                self.indexed = true;
            }
            None => self.good = false,
        }
    }

    fn number(&mut self) -> Option<usize> {
        let rest = &self.format[self.at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = std::str::from_utf8(&rest[..digits]).ok()?.parse::<i64>().ok()?;
        if number > WIDEST {
            return None;
        }
        self.at += digits;
        usize::try_from(number).ok()
    }

    /// A width or precision that is an argument itself.
    fn number_argument(&mut self) -> Option<i64> {
        let value = self.values.get(self.next)?;
        self.next += 1;
        let number = match value {
            Value::Int(number, _) => *number,
            Value::Uint(number, _) => i64::try_from(*number).ok()?,
            _ => return None,
        };
        (-WIDEST..=WIDEST).contains(&number).then_some(number)
    }

    fn extra(&mut self) {
        if self.reordered || self.next >= self.values.len() {
            return;
        }
        self.printer.flags = Flags::default();
        self.printer.write(b"%!(EXTRA ");
        for (index, value) in self.values[self.next..].iter().enumerate() {
            if index > 0 {
                self.printer.write(b", ");
            }
            if value.is_nil() {
                self.printer.write(b"<nil>");
            } else {
                self.printer.write(value.type_name().as_bytes());
                self.printer.write(b"=");
                self.printer.value(value, 'v', 0);
            }
        }
        self.printer.write(b")");
    }
}
