//! The functions that templates call, table by table.

mod builtin;
mod consul;
mod list;
mod math;
mod outside;
mod sprig;

use crate::function::Function;

/// All functions.
pub(crate) const TABLES: &[&[Function]] = &[
    builtin::FUNCTIONS,
    consul::FUNCTIONS,
    list::FUNCTIONS,
    math::FUNCTIONS,
    outside::FUNCTIONS,
    sprig::DICTS,
    sprig::ENCODINGS,
    sprig::LISTS,
    sprig::LOGIC,
    sprig::MATH,
    sprig::TEXTS,
];
