//! Arithmetic on anything that can be taken for a number, in the order of reading.

use super::convert::{to_float, to_int, to_text};
use super::decimal::Decimal;
use crate::eval::Evaluator;
use crate::function::Kind::{Any, Float, Int, Text};
use crate::function::{Arguments, Function, fixed, variadic};
use crate::value::{List, ListType, Value};

pub(crate) const FUNCTIONS: &[Function] = &[
    fixed("sprig_atoi", &[Text], |_, arguments| {
        Ok(Value::int(arguments.text(0).parse().unwrap_or(0)))
    }),
    fixed("sprig_int", &[Any], |_, arguments| Ok(Value::int(to_int(arguments.any(0))))),
    fixed("sprig_int64", &[Any], |_, arguments| Ok(Value::int64(to_int(arguments.any(0))))),
    fixed("sprig_float64", &[Any], |_, arguments| Ok(Value::Float(to_float(arguments.any(0))))),
    fixed("sprig_toDecimal", &[Any], |_, arguments| {
        let text = to_text(arguments.any(0));
        let number = i64::from_str_radix(&String::from_utf8_lossy(&text), 8);
        Ok(Value::int64(number.unwrap_or(0)))
    }),
    variadic("sprig_add", &[Any], |_, arguments| whole(arguments, i64::wrapping_add)),
    fixed("sprig_add1", &[Any], |_, arguments| {
        Ok(Value::int64(to_int(arguments.any(0)).wrapping_add(1)))
    }),
    fixed("sprig_sub", &[Any, Any], |_, arguments| whole(arguments, i64::wrapping_sub)),
    variadic("sprig_mul", &[Any, Any], |_, arguments| whole(arguments, i64::wrapping_mul)),
    fixed("sprig_div", &[Any, Any], |_, arguments| {
        divisible(arguments)?;
        whole(arguments, i64::wrapping_div)
    }),
    fixed("sprig_mod", &[Any, Any], |_, arguments| {
        divisible(arguments)?;
        whole(arguments, i64::wrapping_rem)
    }),
    variadic("sprig_max", &[Any, Any], |_, arguments| whole(arguments, i64::max)),
    variadic("sprig_biggest", &[Any, Any], |_, arguments| whole(arguments, i64::max)),
    variadic("sprig_min", &[Any, Any], |_, arguments| whole(arguments, i64::min)),
    variadic("sprig_addf", &[Any], |_, arguments| decimal(arguments, Decimal::add, |a, b| a + b)),
    fixed("sprig_add1f", &[Any], |_, arguments| {
        let one = [arguments.any(0).clone(), Value::int(1)];
        decimal(Arguments(&one), Decimal::add, |a, b| a + b)
    }),
    variadic("sprig_subf", &[Any, Any], |_, arguments| {
        decimal(arguments, Decimal::subtract, |a, b| a - b)
    }),
    variadic("sprig_mulf", &[Any, Any], |_, arguments| {
        decimal(arguments, Decimal::multiply, |a, b| a * b)
    }),
    variadic("sprig_divf", &[Any, Any], |_, arguments| {
        if arguments.rest(1).iter().any(|value| to_float(value) == 0.0) {
            return Err("decimal division by 0".to_owned());
        }
        decimal(arguments, Decimal::divide, |a, b| a / b)
    }),
    variadic("sprig_maxf", &[Any, Any], |_, arguments| {
        Ok(Value::Float(arguments.0.iter().map(to_float).fold(f64::NEG_INFINITY, f64::max)))
    }),
    variadic("sprig_minf", &[Any, Any], |_, arguments| {
        Ok(Value::Float(arguments.0.iter().map(to_float).fold(f64::INFINITY, f64::min)))
    }),
    fixed("sprig_ceil", &[Any], |_, arguments| Ok(Value::Float(to_float(arguments.any(0)).ceil()))),
    fixed("sprig_floor", &[Any], |_, arguments| {
        Ok(Value::Float(to_float(arguments.any(0)).floor()))
    }),
    variadic("sprig_round", &[Any, Int, Float], |_, arguments| {
        let on = if arguments.0.len() > 2 { arguments.float(2) } else { 0.5 };
        let power = 10_f64.powf(arguments.int(1) as f64);
        let number = to_float(arguments.any(0)) * power;
        let rounded = if number.fract() >= on { number.ceil() } else { number.floor() };
        Ok(Value::Float(rounded / power))
    }),
    fixed("sprig_randInt", &[Int, Int], |_, arguments| {
        let (least, end) = (arguments.int(0), arguments.int(1));
        if end <= least {
            return Err("invalid argument to Intn".to_owned());
        }
        Ok(Value::int(rand::random_range(least..end)))
    }),
    variadic("sprig_seq", &[Int], seq),
    fixed("sprig_until", &[Int], |evaluator, arguments| {
        let count = arguments.int(0);
        ints(evaluator, 0, count, if count < 0 { -1 } else { 1 }).map(int_list)
    }),
    fixed("sprig_untilStep", &[Int, Int, Int], |evaluator, arguments| {
        ints(evaluator, arguments.int(0), arguments.int(1), arguments.int(2)).map(int_list)
    }),
];

fn whole(arguments: Arguments<'_>, operation: fn(i64, i64) -> i64) -> Result<Value, String> {
    let numbers = arguments.0.iter().map(to_int);
    Ok(Value::int64(numbers.reduce(operation).unwrap_or(0)))
}

fn divisible(arguments: Arguments<'_>) -> Result<(), String> {
    if to_int(arguments.any(1)) == 0 {
        return Err("runtime error: integer divide by zero".to_owned());
    }
    Ok(())
}

/// The result in decimal digits, or in binary if there are too many of them.
fn decimal(
    arguments: Arguments<'_>,
    exact: fn(Decimal, Decimal) -> Option<Decimal>,
    binary: fn(f64, f64) -> f64,
) -> Result<Value, String> {
    let mut numbers = arguments.0.iter().map(to_float);
    let mut result = numbers.next().unwrap_or(0.0);
    let mut digits = Decimal::new(result);
    for number in numbers {
        digits = digits.and_then(|digits| exact(digits, Decimal::new(number)?));
        result = binary(result, number);
    }
    Ok(Value::Float(digits.and_then(Decimal::float).unwrap_or(result)))
}

fn ints(
    evaluator: &mut Evaluator<'_>,
    start: i64,
    stop: i64,
    step: i64,
) -> Result<Vec<i64>, String> {
    let mut numbers = Vec::new();
    let mut at = start;
    while if stop < start { step < 0 && at > stop } else { step > 0 && at < stop } {
        evaluator.meter.spend(1)?;
        numbers.push(at);
        match at.checked_add(step) {
            Some(next) => at = next,
            None => break,
        }
    }
    Ok(numbers)
}

fn int_list(numbers: Vec<i64>) -> Value {
    Value::List(List::new(ListType::Int, numbers.into_iter().map(Value::int).collect()))
}

/// The numbers with spaces between them, as one text.
fn seq(evaluator: &mut Evaluator<'_>, arguments: Arguments<'_>) -> Result<Value, String> {
    let (start, step, end) = match arguments.0.len() {
        1 => (1, None, arguments.int(0)),
        2 => (arguments.int(0), None, arguments.int(1)),
        3 => (arguments.int(0), Some(arguments.int(1)), arguments.int(2)),
        _ => return Ok(Value::string("")),
    };
    let direction = if end < start { -1 } else { 1 };
    if direction < 0 && step.is_some_and(|step| step > 0) {
        return Ok(Value::string(""));
    }
    let end = end.saturating_add(direction);
    let numbers = ints(evaluator, start, end, step.unwrap_or(direction))?;
    let texts: Vec<String> = numbers.iter().map(i64::to_string).collect();
    Ok(Value::string(texts.join(" ")))
}
