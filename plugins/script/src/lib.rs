//! The built-in script component: runs one JavaScript module against the plug-in contract.
//!
//! The same file, unchanged, is a component with componentize-js: the module exports `plugin` and
//! `authMethod` or `sink`, imports the contract's interfaces by their names, and values map as
//! they do there. Each call of the host is a new instance, so a new JavaScript engine: nothing
//! that a script leaves behind is seen by its next call.

mod bindings;
mod clock;
mod convert;
mod error;
mod exports;
mod globals;
mod modules;
mod prepared;
mod random;
mod script;
