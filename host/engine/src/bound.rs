//! A plug-in at work for one use, in its two shapes as the agent's traits.
//!
//! The plug-in behind a use can be replaced while calls run: a call keeps what it began with, the
//! next one gets the new one, and what belongs to the use (its state, the files that it may write)
//! stays. A use whose plug-in isn't there yet fails each call and says why.

use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard};
use usher_secret::Secret;
use wasmtime::Store;
use zeroize::Zeroizing;

use crate::answer::accept;
use crate::bindings::sink_world::exports::usher::plugin::sink as wit_sink;
use crate::bindings::usher::plugin::types as wit_types;
use crate::call::{guarded, with_output};
use crate::failure::Failure;
use crate::kept::Item;
use crate::kind::Kind;
use crate::plugin::{Linked, Plugin};
use crate::runtime::Runtime;
use crate::stdio::Output;
use crate::store::State;
use crate::traits::{Answer, AuthMethod, Call, Delivery, Form, Sink};
use crate::usage::{Usage, Use};

/// One use, and the plug-in that serves it now.
pub(crate) struct Bound {
    pub(crate) kind: Kind,
    /// As in the configuration.
    pub(crate) name: String,
    runtime: Arc<Runtime>,
    served: RwLock<Served>,
    /// Calls for one use never overlap.
    turn: Mutex<()>,
}

/// What serves a use.
#[derive(Clone)]
pub(crate) struct Served {
    /// Or why there is none.
    pub(crate) plugin: Result<Arc<Plugin>, Failure>,
    /// With the grant that this plug-in has.
    pub(crate) usage: Arc<Usage>,
}

/// A call that may begin: it is its use's turn, and there is room for it.
struct Turn<'a> {
    store: Store<State>,
    plugin: Arc<Plugin>,
    usage: Arc<Usage>,
    output: Output,
    _turn: MutexGuard<'a, ()>,
}

impl Turn<'_> {
    fn parts(&mut self) -> (&mut Store<State>, &Linked, &Use, &Output) {
        (&mut self.store, &self.plugin.linked, &self.usage.usage, &self.output)
    }
}

impl Bound {
    pub(crate) fn new(runtime: Arc<Runtime>, kind: Kind, name: String, served: Served) -> Self {
        Self { kind, name, runtime, served: RwLock::new(served), turn: Mutex::default() }
    }

    pub(crate) fn served(&self) -> Served {
        self.served.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From the next call on this is in force.
    pub(crate) fn serve(&self, served: Served) {
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = served;
    }

    async fn turn(&self, call: Call) -> Result<Turn<'_>, Failure> {
        let turn = self.turn.lock().await;
        let Served { plugin, usage } = self.served();
        let place = self.runtime.places.for_call(&plugin?.share, &usage.usage.limits).await?;
        // It may have been replaced meanwhile.
        let Served { plugin, usage } = self.served();
        let plugin = plugin?;
        usage.begin_call();
        let limits = &usage.usage.limits;
        let store = plugin.store(Some(Arc::clone(&usage)), Some(call), limits, place);
        let output = store.data().output.clone();
        Ok(Turn { store, plugin, usage, output, _turn: turn })
    }

    async fn run<T>(
        &self,
        timeout: Duration,
        output: &Output,
        call: impl Future<Output = wasmtime::Result<Result<T, wit_types::Failure>>>,
    ) -> Result<T, Failure> {
        let answer = guarded(&self.runtime, timeout, output, call).await;
        let answer =
            answer.and_then(|answer| answer.map_err(|failure| with_output(failure.into(), output)));
        answer.map_err(|failure: Failure| {
            // It goes to the next call, and to whoever asks for the status.
            match self.served().usage.count(Item::Failure, failure.size()) {
                Ok(()) => failure,
                Err(too_much) => too_much,
            }
        })
    }

    /// The other world: a use is only served by plug-ins of its kind.
    fn wrong_kind<T>() -> wasmtime::Result<T> {
        Err(wasmtime::Error::msg("the plug-in is of the other kind"))
    }
}

#[async_trait]
impl AuthMethod for Bound {
    async fn authenticate(&self, call: Call) -> Result<Answer, Failure> {
        let mut turn = self.turn(call).await?;
        let (store, linked, usage, output) = turn.parts();
        let answer = self
            .run(usage.limits.method_timeout, output, async {
                let Linked::AuthMethod(pre) = linked else {
                    return Self::wrong_kind();
                };
                let instance = pre.instantiate_async(&mut *store).await?;
                instance.usher_plugin_auth_method().call_authenticate(store, &usage.config).await
            })
            .await?;
        accept(&turn.usage, answer)
    }

    async fn authenticated(&self, call: Call) -> Result<(), Failure> {
        let mut turn = self.turn(call).await?;
        let (store, linked, usage, output) = turn.parts();
        self.run(usage.limits.method_timeout, output, async {
            let Linked::AuthMethod(pre) = linked else { return Self::wrong_kind() };
            let instance = pre.instantiate_async(&mut *store).await?;
            instance.usher_plugin_auth_method().call_authenticated(store, &usage.config).await
        })
        .await
    }

    fn watched(&self) -> Vec<PathBuf> {
        self.served().usage.grant.watched().map(Into::into).collect()
    }

    fn reauthenticates(&self) -> bool {
        self.served().plugin.is_ok_and(|plugin| plugin.info.reauthenticates())
    }

    fn state(&self) -> Secret<Vec<u8>> {
        Secret::new(self.served().usage.load_state())
    }

    fn restore(&self, state: Secret<Vec<u8>>) {
        // It was within the limits of the use that it comes from, whose settings were the same.
        if let Err(failure) = self.served().usage.save_state(Zeroizing::new(state.expose().clone()))
        {
            tracing::warn!(plugin = self.name, "what the method remembers is lost: {failure}");
        }
    }

    fn identifying(&self) -> Secret<String> {
        let Served { plugin, usage } = self.served();
        let config = &usage.usage.config;
        match plugin {
            Ok(plugin) => plugin.info.identifying(config),
            // It has logged nobody in.
            Err(_) => Secret::new(config.clone()),
        }
    }
}

#[async_trait]
impl Sink for Bound {
    async fn check(&self, call: Call) -> Result<(), Failure> {
        let mut turn = self.turn(call).await?;
        let (store, linked, usage, output) = turn.parts();
        self.run(usage.limits.sink_timeout, output, async {
            let Linked::Sink(pre) = linked else { return Self::wrong_kind() };
            let instance = pre.instantiate_async(&mut *store).await?;
            instance.usher_plugin_sink().call_check(store, &usage.config).await
        })
        .await
    }

    async fn deliver(&self, call: Call, delivery: Delivery) -> Result<(), Failure> {
        let mut turn = self.turn(call).await?;
        let (store, linked, usage, output) = turn.parts();
        let content = Zeroizing::new(delivery.content.expose().clone());
        let mut delivery = wit_sink::Delivery {
            content: content.to_vec(),
            form: match delivery.form {
                Form::Token => wit_sink::Form::Token,
                Form::Wrapped => wit_sink::Form::Wrapped,
                Form::Encrypted => wit_sink::Form::Encrypted,
            },
            accessor: delivery.accessor,
            expires_at_ms: delivery.expires_at.map(milliseconds),
            generation: delivery.generation,
            attributes: delivery.attributes,
        };
        let result = self
            .run(usage.limits.sink_timeout, output, async {
                let Linked::Sink(pre) = linked else { return Self::wrong_kind() };
                let instance = pre.instantiate_async(&mut *store).await?;
                instance.usher_plugin_sink().call_deliver(store, &usage.config, &delivery).await
            })
            .await;
        drop(Zeroizing::new(std::mem::take(&mut delivery.content)));
        result
    }

    async fn withdraw(&self, call: Call) -> Result<(), Failure> {
        let mut turn = self.turn(call).await?;
        let (store, linked, usage, output) = turn.parts();
        self.run(usage.limits.sink_timeout, output, async {
            let Linked::Sink(pre) = linked else { return Self::wrong_kind() };
            let instance = pre.instantiate_async(&mut *store).await?;
            instance.usher_plugin_sink().call_withdraw(store, &usage.config).await
        })
        .await
    }

    fn written(&self) -> Vec<PathBuf> {
        self.served().usage.grant.written().map(Into::into).collect()
    }
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
