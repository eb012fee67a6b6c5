//! Functions: their names, what they take, and how they are called.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

use crate::eval::Evaluator;
use crate::functions;
use crate::value::{ListType, Map, MapType, Value};

/// A function that templates can call.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    parameters: &'static [Kind],
    /// Whether the last parameter takes any number of arguments.
    variadic: bool,
    pub(crate) run: Run,
}

/// The work of a function. Its arguments are as many and of the types that its parameters say.
pub(crate) type Run = fn(&mut Evaluator<'_>, Arguments<'_>) -> Result<Value, String>;

/// The static type of a parameter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `interface {}`
    Any,
    /// `string`
    Text,
    /// `int`
    Int,
    /// `uint32`
    Uint32,
    /// `bool`
    Bool,
    /// `float64`
    Float,
    /// `[]interface {}`
    List,
    /// `[]string`
    Strings,
    /// `map[string]interface {}`
    Dict,
    /// `time.Time`
    Time,
}

/// What a function was called with.
#[derive(Clone, Copy)]
pub(crate) struct Arguments<'a>(pub(crate) &'a [Value]);

/// A function with exactly these parameters.
pub(crate) const fn fixed(name: &'static str, parameters: &'static [Kind], run: Run) -> Function {
    Function { name, parameters, variadic: false, run }
}

/// A function whose last parameter takes any number of arguments.
pub(crate) const fn variadic(
    name: &'static str,
    parameters: &'static [Kind],
    run: Run,
) -> Function {
    Function { name, parameters, variadic: true, run }
}

/// The function of this name.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    static TABLE: OnceLock<HashMap<&'static str, &'static Function>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        functions::TABLES
            .iter()
            .flat_map(|table| table.iter())
            .map(|function| (function.name, function))
            .collect()
    });
    table.get(name).copied()
}

impl Function {
    /// Whether this many arguments are right, or what is wrong; `written` of them stand in the
    /// command itself.
    pub(crate) fn check_count(&self, count: usize, written: usize) -> Result<(), String> {
        let (name, wanted) = (self.name, self.parameters.len());
        if self.variadic {
            let least = wanted - 1;
            if count < least {
                return Err(format!(
                    "wrong number of args for {name}: want at least {least} got {written}"
                ));
            }
        } else if count != wanted {
            return Err(format!("wrong number of args for {name}: want {wanted} got {count}"));
        }
        Ok(())
    }

    /// The type of an argument.
    pub(crate) fn parameter(&self, index: usize) -> Kind {
        self.parameters.get(index).or(self.parameters.last()).copied().unwrap_or(Kind::Any)
    }
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Text => "string",
            Self::Int => "int",
            Self::Uint32 => "uint32",
            Self::Bool => "bool",
            Self::Float => "float64",
            Self::List => "[]interface {}",
            Self::Strings => "[]string",
            Self::Dict => "map[string]interface {}",
            Self::Time => "time.Time",
        }
    }

    /// Whether nil is a value of the type.
    pub(crate) fn takes_nil(self) -> bool {
        matches!(self, Self::Any | Self::List | Self::Strings | Self::Dict)
    }

    /// Whether the value is of the type.
    pub(crate) fn takes(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Any, _)
            | (Self::Text, Value::String(_))
            | (Self::Bool, Value::Bool(_))
            | (Self::Float, Value::Float(_)) => true,
            (Self::List, Value::List(list)) => list.of == ListType::Any,
            (Self::Strings, Value::List(list)) => list.of == ListType::String,
            (Self::Dict, Value::Map(map)) => map.of == MapType::StringAny,
            (Self::Int | Self::Time, value) => value.type_name() == self.name(),
            _ => false,
        }
    }
}

/// Stands for an argument that isn't there.
const NIL: &Value = &Value::Nil;

impl<'a> Arguments<'a> {
    /// The argument, nil if there is none.
    pub(crate) fn any(self, index: usize) -> &'a Value {
        self.0.get(index).unwrap_or(NIL)
    }

    /// The bytes of a string.
    pub(crate) fn bytes(self, index: usize) -> &'a [u8] {
        match self.any(index) {
            Value::String(text) | Value::Number(text) => text.bytes(),
            _ => &[],
        }
    }

    /// The text of a string.
    pub(crate) fn text(self, index: usize) -> Cow<'a, str> {
        match self.any(index) {
            Value::String(text) | Value::Number(text) => text.text(),
            _ => Cow::Borrowed(""),
        }
    }

    /// The text of a string for a message.
    pub(crate) fn shown(self, index: usize) -> Cow<'a, str> {
        match self.any(index) {
            Value::String(text) | Value::Number(text) => text.shown(),
            _ => Cow::Borrowed(""),
        }
    }

    /// An integer.
    pub(crate) fn int(self, index: usize) -> i64 {
        match self.any(index) {
            Value::Int(number, _) => *number,
            Value::Uint(number, _) => i64::try_from(*number).unwrap_or(i64::MAX),
            _ => 0,
        }
    }

    /// A truth value.
    pub(crate) fn bool(self, index: usize) -> bool {
        matches!(self.any(index), Value::Bool(true))
    }

    /// A float.
    pub(crate) fn float(self, index: usize) -> f64 {
        match self.any(index) {
            Value::Float(number) => *number,
            _ => 0.0,
        }
    }

    /// The items of a list, none of nil.
    pub(crate) fn list(self, index: usize) -> &'a [Value] {
        match self.any(index) {
            Value::List(list) => list.items(),
            _ => &[],
        }
    }

    /// A map; a new one for nil.
    pub(crate) fn map(self, index: usize) -> Map {
        match self.any(index) {
            Value::Map(map) => map.clone(),
            _ => Map::new(MapType::StringAny, []),
        }
    }

    /// The arguments from this one on.
    pub(crate) fn rest(self, from: usize) -> &'a [Value] {
        self.0.get(from..).unwrap_or(&[])
    }
}
