//! What Go's reflection says of a value: its type, its kind, its truth.

use super::{IntType, ListType, MapType, UintType, Value};

impl Value {
    /// The type as `%T` prints it.
    pub(crate) fn type_name(&self) -> &str {
        match self {
            Self::Missing | Self::Nil => "<nil>",
            Self::NilPointer(name) => name,
            Self::Bool(_) => "bool",
            Self::Int(_, IntType::Int) => "int",
            Self::Int(_, IntType::Int64) => "int64",
            Self::Uint(_, UintType::Uint8) => "uint8",
            Self::Uint(_, UintType::Uint64) => "uint64",
            Self::Float(_) => "float64",
            Self::Complex(..) => "complex128",
            Self::String(_) => "string",
            Self::Number(_) => "json.Number",
            Self::List(list) => list.of.name(),
            Self::Map(map) => map.of.name(),
            Self::Channel(..) => "<-chan int64",
            Self::Object(object) => object.type_name(),
        }
    }

    /// The kind, which is the same for all types that are made alike.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Missing | Self::Nil => "invalid",
            Self::NilPointer(_) => "ptr",
            Self::Bool(_) => "bool",
            Self::Int(_, IntType::Int) => "int",
            Self::Int(_, IntType::Int64) => "int64",
            Self::Uint(_, UintType::Uint8) => "uint8",
            Self::Uint(_, UintType::Uint64) => "uint64",
            Self::Float(_) => "float64",
            Self::Complex(..) => "complex128",
            Self::String(_) | Self::Number(_) => "string",
            Self::List(_) => "slice",
            Self::Map(_) => "map",
            Self::Channel(..) => "chan",
            Self::Object(object) => object.kind(),
        }
    }

    /// Whether `if` takes the value for true: anything but zero, the empty and nil.
    pub(crate) fn truth(&self) -> bool {
        match self {
            Self::Missing | Self::Nil | Self::NilPointer(_) => false,
            Self::Bool(flag) => *flag,
            Self::Int(number, _) => *number != 0,
            Self::Uint(number, _) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Complex(real, imaginary) => *real != 0.0 || *imaginary != 0.0,
            Self::String(text) | Self::Number(text) => !text.is_empty(),
            Self::List(list) => !list.items().is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Channel(..) | Self::Object(_) => true,
        }
    }
}

impl ListType {
    /// The type as Go writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Any => "[]interface {}",
            Self::String => "[]string",
            Self::Int => "[]int",
            Self::Lists => "[][]interface {}",
            Self::Bytes => "[]uint8",
        }
    }
}

impl MapType {
    /// The type as Go writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::StringAny => "map[string]interface {}",
            Self::StringString => "map[string]string",
            Self::AnyAny => "map[interface {}]interface {}",
        }
    }
}
