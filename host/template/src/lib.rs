//! The template language of Vault Agent and OpenBao Agent: Go's `text/template` with the functions
//! of consul-template and Sprig, without any input or output of its own.

#![forbid(unsafe_code)]

pub mod value;

pub use value::Value;
