//! The engine: one wasmtime engine, its linkers, and the clock that makes guests yield.

use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use usher_grant::Protected;
use wasmtime::component::{InstancePre, Linker};

use crate::bindings::AuthMethodPlugin;
use crate::bindings::sink_world::SinkPlugin;
use crate::configuration::configuration;
use crate::egress::Egress;
use crate::error::LoadError;
use crate::places::Places;
use crate::plugin::Kind;
use crate::precompiled::Precompiled;
use crate::store::{HasState, State};
use crate::usage::Process;
use crate::uses::Uses;

/// A guest that computes is asked to yield this often.
const TICK: Duration = Duration::from_millis(10);

/// Runs plug-ins. Cheap to clone.
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) egress: Arc<Egress>,
    pub(crate) protected: Arc<Protected>,
    pub(crate) process: Arc<Process>,
    pub(crate) uses: Uses,
    ticker: Arc<Ticker>,
    pub(crate) places: Places,
    /// One for each kind, with and without the WASI floor, made when first needed.
    linkers: [OnceLock<Linker<State>>; 4],
    pub(crate) scripts: Scripts,
}

/// The script component: what it is, and linked once a script has been loaded.
#[derive(Default)]
pub(crate) struct Scripts {
    pub(crate) component: OnceLock<&'static Precompiled>,
    pub(crate) instance: OnceLock<InstancePre<State>>,
}

impl Engine {
    /// An engine that keeps every plug-in away from what `protected` names.
    ///
    /// # Errors
    /// When this machine can't run WebAssembly.
    pub fn new(protected: Protected) -> Result<Self, LoadError> {
        let wasmtime = wasmtime::Engine::new(&configuration()).map_err(|error| {
            LoadError::Compile(format!("WebAssembly can't run on this machine: {error:#}"))
        })?;
        let ticker = Arc::new(Ticker::default());
        ticker.start(&wasmtime);
        Ok(Self(Arc::new(Inner {
            wasmtime,
            egress: Arc::new(Egress::default()),
            protected: Arc::new(protected),
            process: Arc::new(Process::new()),
            uses: Uses::default(),
            ticker,
            places: Places::default(),
            linkers: Default::default(),
            scripts: Scripts::default(),
        })))
    }
}

impl Inner {
    /// The linker for a kind of plug-in. The WASI floor is linked only for those that import it.
    pub(crate) fn linker(&self, kind: Kind, wasi: bool) -> Result<&Linker<State>, LoadError> {
        let slot = &self.linkers[usize::from(kind == Kind::Sink) * 2 + usize::from(wasi)];
        if let Some(linker) = slot.get() {
            return Ok(linker);
        }
        let linker =
            self.make_linker(kind, wasi).map_err(|error| LoadError::Link(format!("{error:#}")))?;
        Ok(slot.get_or_init(|| linker))
    }

    fn make_linker(&self, kind: Kind, wasi: bool) -> wasmtime::Result<Linker<State>> {
        let mut linker = Linker::new(&self.wasmtime);
        match kind {
            Kind::AuthMethod => {
                AuthMethodPlugin::add_to_linker::<_, HasState>(&mut linker, |state| state)?;
            }
            Kind::Sink => SinkPlugin::add_to_linker::<_, HasState>(&mut linker, |state| state)?,
        }
        if wasi {
            wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
            wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        }
        Ok(linker)
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
