//! The functions that templates call, table by table.

mod builtin;
mod consul;
mod date;
mod list;
mod markup;
mod math;
mod outside;
mod regex;
mod spew;
mod sprig;

use crate::function::Function;

/// All functions.
pub(crate) const TABLES: &[&[Function]] = &[
    builtin::FUNCTIONS,
    consul::FUNCTIONS,
    date::FUNCTIONS,
    list::FUNCTIONS,
    markup::FUNCTIONS,
    math::FUNCTIONS,
    outside::FUNCTIONS,
    regex::FUNCTIONS,
    spew::FUNCTIONS,
    sprig::CRYPTO,
    sprig::DICTS,
    sprig::ENCODINGS,
    sprig::LISTS,
    sprig::LOGIC,
    sprig::MATH,
    sprig::TEXTS,
    sprig::URLS,
    sprig::VERSIONS,
];
