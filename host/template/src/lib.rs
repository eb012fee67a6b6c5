//! The template language of Vault Agent and OpenBao Agent: Go's `text/template` with the functions
//! of consul-template and Sprig, without any input or output of its own.
//!
//! A [`Template`] is parsed once. [`render`] evaluates it against [`Values`], which answer the
//! queries that the template makes or say that they have no answer yet; then the pass was not
//! ready, and whoever rendered finds the answers and renders again.

#![forbid(unsafe_code)]
// Go's conversions between numbers cut off, and templates rely on it.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::float_cmp
)]
// What a function runs gives a result, whether it can fail or not.
#![allow(clippy::unnecessary_wraps)]

mod budget;
mod compare;
mod escape;
mod eval;
mod failure;
mod float;
mod format;
mod function;
mod functions;
mod json;
mod lexer;
mod node;
mod number;
mod outcome;
mod parser;
mod query;
mod quote;
mod regex;
mod scratch;
mod template;
mod time;
mod toml;
mod value;
mod yaml;

pub use budget::Budget;
pub use failure::{Failure, Within};
pub use outcome::{FileWrite, Outcome, Rendered, render};
pub use query::{Answer, Certificate, Query, Values};
pub use template::{Options, Template};
