//! The contract's types and functions, generated from `wit/`.
//!
//! `auth-method-plugin` imports every interface, so it is bound first; the sink world takes its
//! imports from there, and one set of host implementations serves both.
//!
//! The generated types derive `Debug` and some carry secrets: they are converted at once and
//! never formatted.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

wasmtime::component::bindgen!({
    world: "auth-method-plugin",
    path: "../../wit",
    imports: { default: async | trappable },
    exports: { default: async },
});

pub mod sink_world {
    wasmtime::component::bindgen!({
        world: "sink-plugin",
        path: "../../wit",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "usher:plugin/types": crate::bindings::usher::plugin::types,
            "usher:plugin/context": crate::bindings::usher::plugin::context,
            "usher:plugin/state": crate::bindings::usher::plugin::state,
            "usher:plugin/log": crate::bindings::usher::plugin::log,
            "usher:plugin/clock": crate::bindings::usher::plugin::clock,
            "usher:plugin/random": crate::bindings::usher::plugin::random,
            "usher:plugin/env": crate::bindings::usher::plugin::env,
            "usher:plugin/files": crate::bindings::usher::plugin::files,
            "usher:plugin/http": crate::bindings::usher::plugin::http,
            "usher:plugin/crypto": crate::bindings::usher::plugin::crypto,
        },
    });
}

/// The private world of the script component.
pub mod script_world {
    wasmtime::component::bindgen!({
        world: "usher:script/script-plugin",
        path: ["../../wit", "../../plugins/script/wit"],
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "usher:plugin/types": crate::bindings::usher::plugin::types,
            "usher:plugin/context": crate::bindings::usher::plugin::context,
            "usher:plugin/state": crate::bindings::usher::plugin::state,
            "usher:plugin/log": crate::bindings::usher::plugin::log,
            "usher:plugin/clock": crate::bindings::usher::plugin::clock,
            "usher:plugin/random": crate::bindings::usher::plugin::random,
            "usher:plugin/env": crate::bindings::usher::plugin::env,
            "usher:plugin/files": crate::bindings::usher::plugin::files,
            "usher:plugin/http": crate::bindings::usher::plugin::http,
            "usher:plugin/crypto": crate::bindings::usher::plugin::crypto,
            "usher:plugin/server": crate::bindings::usher::plugin::server,
            "usher:plugin/kdc": crate::bindings::usher::plugin::kdc,
        },
    });
}
