//! The functions that templates call, table by table.

mod builtin;
mod consul;
mod list;
mod math;
mod outside;

use crate::function::Function;

/// All functions.
pub(crate) const TABLES: &[&[Function]] = &[
    builtin::FUNCTIONS,
    consul::FUNCTIONS,
    list::FUNCTIONS,
    math::FUNCTIONS,
    outside::FUNCTIONS,
];
