//! What one call carries: the use, the reason for the call, the limits and the WASI floor.

use std::sync::Arc;

use usher_grant::Limits;
use wasmtime::Store;
use wasmtime::component::{HasData, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::limits::{
    HOSTCALL_FUEL, MOST_FIELD_BYTES, MOST_HANDLES, MOST_LOG_LINES, MOST_RANDOM, MOST_RESOURCES,
    Meter,
};
use crate::places::Place;
use crate::script::Script;
use crate::stdio::{Channel, Output};
use crate::traits::Call;
use crate::usage::Usage;
use crate::wasi_http::Hooks;

/// The `T` of every store.
pub(crate) struct State {
    /// None for `describe` and `prepare` outside of any use: nothing is granted.
    pub(crate) usage: Option<Arc<Usage>>,
    pub(crate) plugin: String,
    pub(crate) call: Option<Call>,
    /// What the script component runs.
    pub(crate) script: Option<Arc<Script>>,
    pub(crate) log_lines_left: u32,
    pub(crate) output: Output,
    meter: Meter,
    wasi: Option<Box<Wasi>>,
}

/// The WASI 0.2 floor, made only for guests that touch it.
struct Wasi {
    ctx: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    table: ResourceTable,
}

/// Gives the generated code its host: the state itself.
pub(crate) struct HasState;

impl HasData for HasState {
    type Data<'a> = &'a mut State;
}

/// A store for one call, with every limit set. It keeps the call's place until it is dropped.
pub(crate) fn new_store(
    engine: &wasmtime::Engine,
    plugin: &str,
    usage: Option<Arc<Usage>>,
    call: Option<Call>,
    limits: &Limits,
    place: Place,
) -> Store<State> {
    let identity = usage.as_ref().map(|usage| usage.usage.identity.clone());
    let mut store = Store::new(
        engine,
        State {
            usage,
            plugin: plugin.to_owned(),
            call,
            script: None,
            log_lines_left: MOST_LOG_LINES,
            output: Output::new(plugin.to_owned(), identity),
            meter: Meter::new(limits, place),
            wasi: None,
        },
    );
    store.limiter(|state| &mut state.meter);
    store.set_hostcall_fuel(HOSTCALL_FUEL);
    store.set_max_component_handles(MOST_HANDLES);
    // The time-out of the call is the limit; the epoch only makes the guest yield to it.
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    store
}

impl State {
    fn wasi(&mut self) -> &mut Wasi {
        let (output, usage) = (&self.output, &self.usage);
        self.wasi.get_or_insert_with(|| {
            let mut table = ResourceTable::new();
            table.set_max_capacity(MOST_RESOURCES);
            let mut http = WasiHttpCtx::new();
            http.set_field_size_limit(MOST_FIELD_BYTES);
            // Closed as built: no arguments, no environment, no files, no sockets, no names.
            let ctx = WasiCtx::builder()
                .stdout(output.stream(Channel::Stdout))
                .stderr(output.stream(Channel::Stderr))
                .max_random_size(MOST_RANDOM.into())
                .build();
            Box::new(Wasi { ctx, http, hooks: Hooks::new(usage.clone()), table })
        })
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi();
        WasiCtxView { ctx: &mut wasi.ctx, table: &mut wasi.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let wasi = self.wasi();
        WasiHttpCtxView { ctx: &mut wasi.http, table: &mut wasi.table, hooks: &mut wasi.hooks }
    }
}
