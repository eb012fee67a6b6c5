//! The JavaScript engine without a script: made when the program is built.
//!
//! Making it takes longer than all the rest of a small script's call. So the build calls
//! `initialize` and ships the memory as it is then; each instance starts with a copy of it. The
//! host's functions can't be called from there, so neither its time nor its randomness is in it.

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;

use boa_engine::{Context, JsResult};

use crate::bindings::usher::plugin::log;
use crate::clock::{Hooks, HostClock};
use crate::globals;
use crate::modules::Contract;

/// Calls of JavaScript functions within each other; less than what the stack of an instance holds.
const DEEPEST_RECURSION: usize = 400;

/// Bytes that a small script needs beyond what the build has made. They are shipped, as zeros,
/// since the allocator writes to their end; to ask for them takes a twentieth of a call.
const SPARE_HEAP: usize = 1 << 20;

/// A context with all its globals, and where the modules that a script imports come from.
pub(crate) struct Prepared {
    pub(crate) context: Context,
    pub(crate) contract: Rc<Contract>,
}

thread_local! {
    static PREPARED: Cell<Option<Prepared>> = const { Cell::new(None) };
}

/// Called once, by the build; what is shipped doesn't export it.
#[allow(unsafe_code, reason = "no other function has this name")]
#[unsafe(no_mangle)]
extern "C" fn initialize() {
    PREPARED.set(Some(Prepared::new()));
    // A defect of the JavaScript engine is a trap: its message would be lost otherwise.
    std::panic::set_hook(Box::new(|panic| {
        log::write(log::Level::Error, &format!("the script engine failed: {panic}"), &[]);
    }));
}

impl Prepared {
    /// What the build has made. An instance is asked for one script, so it is there.
    pub(crate) fn take() -> Self {
        PREPARED.take().unwrap_or_else(Self::new)
    }

    fn new() -> Self {
        let contract = Rc::new(Contract::default());
        match context(Rc::clone(&contract)) {
            Ok(context) => Self { context, contract },
            #[allow(clippy::panic, reason = "it depends on nothing, so the build shows it")]
            Err(error) => panic!("{error}"),
        }
    }
}

fn context(contract: Rc<Contract>) -> JsResult<Context> {
    let mut context = Context::builder()
        .module_loader(contract)
        .host_hooks(Rc::new(Hooks))
        .clock(Rc::new(HostClock))
        .build()?;
    context.runtime_limits_mut().set_recursion_limit(DEEPEST_RECURSION);
    globals::define(&mut context)?;
    drop(black_box(Vec::<u8>::with_capacity(SPARE_HEAP)));
    Ok(context)
}
