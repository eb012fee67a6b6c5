//! Prints values as Go's `fmt` does: `print`, `println`, `printf` and what an action shows.

mod printer;
mod verbs;

use crate::value::Value;
use printer::Printer;

pub(crate) use verbs::printf;

/// What an action prints: nothing is `<no value>`, and what a pointer points to is shown.
pub(crate) fn print_action(value: &Value, limit: usize) -> Result<Vec<u8>, String> {
    if value.is_nil() {
        return Ok(b"<no value>".to_vec());
    }
    let mut printer = Printer::new(limit);
    printer.through_pointer = true;
    printer.value(value, 'v', 0);
    printer.done()
}

/// `print`: a space between operands of which neither is a string.
pub(crate) fn print(values: &[Value], limit: usize) -> Result<Vec<u8>, String> {
    let mut printer = Printer::new(limit);
    for (index, value) in values.iter().enumerate() {
        if index > 0 && !is_string(value) && !is_string(&values[index - 1]) {
            printer.write(b" ");
        }
        printer.value(value, 'v', 0);
    }
    printer.done()
}

/// `println`: a space between all operands, and a newline.
pub(crate) fn println(values: &[Value], limit: usize) -> Result<Vec<u8>, String> {
    let mut printer = Printer::new(limit);
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            printer.write(b" ");
        }
        printer.value(value, 'v', 0);
    }
    printer.write(b"\n");
    printer.done()
}

fn is_string(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Number(_))
}
