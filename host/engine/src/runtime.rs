//! What all plug-ins run on: one wasmtime engine, its linkers, the room for calls, and the clock
//! that makes guests yield.

use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use wasmtime::component::{InstancePre, Linker};

use crate::bindings::AuthMethodPlugin;
use crate::bindings::script_world::ScriptPlugin;
use crate::bindings::sink_world::SinkPlugin;
use crate::configuration::configuration;
use crate::error::LoadError;
use crate::kind::Kind;
use crate::places::Places;
use crate::precompiled::Precompiled;
use crate::process::Process;
use crate::store::{HasState, State};

/// A guest that computes is asked to yield this often.
const TICK: Duration = Duration::from_millis(10);

/// Knows nothing of plug-ins or of who uses them.
pub(crate) struct Runtime {
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) process: Arc<Process>,
    pub(crate) places: Places,
    ticker: Arc<Ticker>,
    /// Made when first needed.
    methods: Linkers,
    sinks: Linkers,
    scripts: Scripts,
}

/// Of one kind of plug-in, by what is below it.
#[derive(Default)]
struct Linkers {
    contract: OnceLock<Linker<State>>,
    wasi: OnceLock<Linker<State>>,
}

/// What a plug-in stands on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Floor {
    /// The contract and nothing else.
    Contract,
    /// WASI too, for those that import it.
    Wasi,
}

/// The script component: what it is, and linked once a script has been loaded.
#[derive(Default)]
struct Scripts {
    component: OnceLock<&'static Precompiled>,
    instance: OnceLock<InstancePre<State>>,
}

impl Runtime {
    /// # Errors
    /// When this machine can't run WebAssembly.
    pub(crate) fn new() -> Result<Self, LoadError> {
        let wasmtime = wasmtime::Engine::new(&configuration()).map_err(|error| {
            LoadError::Compile(format!("WebAssembly can't run on this machine: {error:#}"))
        })?;
        let ticker = Arc::new(Ticker::default());
        ticker.start(&wasmtime);
        Ok(Self {
            wasmtime,
            process: Arc::new(Process::new()),
            places: Places::default(),
            ticker,
            methods: Linkers::default(),
            sinks: Linkers::default(),
            scripts: Scripts::default(),
        })
    }

    /// The linker for a kind of plug-in.
    pub(crate) fn linker(&self, kind: Kind, floor: Floor) -> Result<&Linker<State>, LoadError> {
        let linkers = match kind {
            Kind::AuthMethod => &self.methods,
            Kind::Sink => &self.sinks,
        };
        let slot = match floor {
            Floor::Contract => &linkers.contract,
            Floor::Wasi => &linkers.wasi,
        };
        if let Some(linker) = slot.get() {
            return Ok(linker);
        }
        let linker =
            self.make_linker(kind, floor).map_err(|error| LoadError::Link(format!("{error:#}")))?;
        Ok(slot.get_or_init(|| linker))
    }

    fn make_linker(&self, kind: Kind, floor: Floor) -> wasmtime::Result<Linker<State>> {
        let mut linker = Linker::new(&self.wasmtime);
        match kind {
            Kind::AuthMethod => {
                AuthMethodPlugin::add_to_linker::<_, HasState>(&mut linker, |state| state)?;
            }
            Kind::Sink => SinkPlugin::add_to_linker::<_, HasState>(&mut linker, |state| state)?,
        }
        if floor == Floor::Wasi {
            wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
            wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        }
        Ok(linker)
    }

    /// What runs scripts from now on, unless something does already.
    pub(crate) fn run_scripts_with(&self, component: &'static Precompiled) {
        self.scripts.component.get_or_init(|| component);
    }

    /// The script component, linked. None: there is none.
    pub(crate) fn scripts(&self) -> Option<wasmtime::Result<&InstancePre<State>>> {
        if let Some(instance) = self.scripts.instance.get() {
            return Some(Ok(instance));
        }
        let component = self.scripts.component.get()?;
        let instance = self.link_scripts(component);
        Some(instance.map(|instance| self.scripts.instance.get_or_init(|| instance)))
    }

    /// With everything that either kind may import.
    fn link_scripts(&self, component: &Precompiled) -> wasmtime::Result<InstancePre<State>> {
        let mut linker = Linker::new(&self.wasmtime);
        ScriptPlugin::add_to_linker::<_, HasState>(&mut linker, |state| state)?;
        linker.instantiate_pre(&component.load(&self.wasmtime)?)
    }

    /// Keeps the ticker going for as long as the guard exists.
    pub(crate) fn running(&self) -> Running {
        self.ticker.enter();
        Running(Arc::clone(&self.ticker))
    }
}

/// An OS thread that advances the epoch while any guest runs and is parked otherwise. A task of
/// the async runtime would not run while guests keep its threads busy.
#[derive(Default)]
struct Ticker {
    running: Mutex<usize>,
    wake: Condvar,
}

/// A guest is running.
pub(crate) struct Running(Arc<Ticker>);

impl Ticker {
    fn start(self: &Arc<Self>, engine: &wasmtime::Engine) {
        let (ticker, engine) = (Arc::downgrade(self), engine.weak());
        let spawned = thread::Builder::new()
            .name("usher-epoch".to_owned())
            .stack_size(128 << 10)
            .spawn(move || {
                loop {
                    let Some(ticker) = ticker.upgrade() else { return };
                    {
                        let running = ticker.running.lock().unwrap_or_else(PoisonError::into_inner);
                        let idle = ticker.wake.wait_while(running, |running| *running == 0);
                        drop(idle.unwrap_or_else(PoisonError::into_inner));
                    }
                    drop(ticker);
                    thread::sleep(TICK);
                    let Some(engine) = engine.upgrade() else { return };
                    engine.increment_epoch();
                }
            });
        if let Err(error) = spawned {
            tracing::warn!(
                "no thread for the epoch ticker ({error}): a plug-in that loops will block the agent"
            );
        }
    }

    fn enter(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        *running += 1;
        if *running == 1 {
            self.wake.notify_one();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    }
}
