//! Takes a module's initialization into the build: the module that is shipped starts with the
//! memory that it would have afterwards.
//!
//! Making a JavaScript engine takes longer than all the rest of a small script's call.

use std::future::{Future, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use wasmtime::{Config, Instance, Linker, Module, OptLevel, Store, Val};
use wasmtime_wizer::{InstanceState, SnapshotVal, ValType, Wizer};

/// The function that a module exports for it: without parameters and result. What is shipped no
/// longer exports it.
const INITIALIZE: &str = "initialize";

/// Calls the `initialize` of a core module, and makes a module that starts with the memory and the
/// globals as they are then. `initialize` can call nothing that the module imports, so neither
/// time nor randomness comes into what is shipped, and the same module gives the same bytes.
///
/// # Errors
/// When the bytes are no module, it has no `initialize`, or that traps.
pub fn preinitialize(module: &[u8]) -> Result<Vec<u8>, String> {
    run(module).map_err(|error| format!("{error:#}"))
}

fn run(module: &[u8]) -> wasmtime::Result<Vec<u8>> {
    let mut wizer = Wizer::new();
    wizer.init_func(INITIALIZE);
    let (context, instrumented) = wizer.instrument(module)?;
    let mut config = Config::new();
    // It runs once.
    config.cranelift_opt_level(OptLevel::None);
    let engine = wasmtime::Engine::new(&config)?;
    let module = Module::new(&engine, &instrumented)?;
    let mut linker = Linker::new(&engine);
    linker.define_unknown_imports_as_traps(&module)?;
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module)?;
    instance.get_typed_func::<(), ()>(&mut store, INITIALIZE)?.call(&mut store, ())?;
    let mut initialized = Initialized { store, instance };
    let snapshot = pin!(wizer.snapshot(&context, &mut initialized));
    match snapshot.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(module) => module,
        Poll::Pending => {
            Err(wasmtime::Error::msg("the snapshot waits, and there is nothing to wait for"))
        }
    }
}

/// An instance whose `initialize` has returned.
struct Initialized {
    store: Store<()>,
    instance: Instance,
}

impl InstanceState for Initialized {
    #[allow(clippy::panic, reason = "what the interface prescribes")]
    fn global_get(&mut self, name: &str, _: ValType) -> impl Future<Output = SnapshotVal> + Send {
        let value = self
            .instance
            .get_global(&mut self.store, name)
            .map(|global| global.get(&mut self.store));
        ready(match value {
            Some(Val::I32(value)) => SnapshotVal::I32(value),
            Some(Val::I64(value)) => SnapshotVal::I64(value),
            Some(Val::F32(bits)) => SnapshotVal::F32(bits),
            Some(Val::F64(bits)) => SnapshotVal::F64(bits),
            Some(Val::V128(value)) => SnapshotVal::V128(value.as_u128()),
            _ => panic!("{name} is no global of a number"),
        })
    }

    #[allow(clippy::panic, reason = "what the interface prescribes")]
    fn memory_contents(
        &mut self,
        name: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) -> impl Future<Output = ()> + Send {
        let Some(memory) = self.instance.get_memory(&mut self.store, name) else {
            panic!("{name} is no memory");
        };
        contents(memory.data(&self.store));
        ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTER: &str = r#"(module
        (import "host" "now" (func $now (result i32)))
        (memory (export "memory") 1)
        (global $count (mut i32) (i32.const 0))
        (func (export "initialize")
            (global.set $count (i32.const 41))
            (i32.store (i32.const 60000) (i32.const 7)))
        (func (export "next") (result i32)
            (i32.add (i32.add (global.get $count) (call $now)) (i32.load (i32.const 60000)))))"#;

    #[test]
    fn a_module_starts_as_its_initialization_left_it() {
        let module = wat::parse_str(COUNTER).unwrap();
        let shipped = preinitialize(&module).unwrap();
        assert_eq!(shipped, preinitialize(&module).unwrap(), "the same bytes each time");
        let engine = wasmtime::Engine::default();
        let mut store = Store::new(&engine, ());
        let module = Module::new(&engine, shipped).unwrap();
        let mut linker = Linker::new(&engine);
        linker.func_wrap("host", "now", || 1).unwrap();
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let next = instance.get_typed_func::<(), i32>(&mut store, "next").unwrap();
        assert_eq!(next.call(&mut store, ()).unwrap(), 41 + 7 + 1);
        assert!(instance.get_func(&mut store, INITIALIZE).is_none());
    }

    #[test]
    fn an_initialization_that_asks_the_host_fails() {
        let text = COUNTER.replace("(i32.const 41)", "(call $now)");
        let error = preinitialize(&wat::parse_str(text).unwrap()).unwrap_err();
        assert!(error.contains("host") && error.contains("now"), "{error}");
    }
}
