//! A listener as a part: served on the proxies' runtime until it is told to end, and what was asked
//! before is answered.

use std::sync::Arc;
use std::time::Duration;

use hyper::Response;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use usher_listen::{Limits, Manner, Socket, serve};

use crate::part::{Ending, Leaves, Part, PartId, Seat, Tier, Work};
use crate::reception::Reception;
use crate::spare_memory;

/// A listener that is bound, and serves nobody yet.
pub(crate) struct ListenerPart {
    pub(crate) id: PartId,
    pub(crate) socket: Arc<Socket>,
    pub(crate) manner: watch::Receiver<Manner>,
    pub(crate) reception: watch::Receiver<Reception>,
    pub(crate) runtime: Handle,
}

impl Part for ListenerPart {
    fn id(&self) -> PartId {
        self.id.clone()
    }

    fn tier(&self) -> Tier {
        Tier::Listener
    }

    fn run(self: Box<Self>, mut seat: Seat) -> Work {
        let Self { socket, manner, reception, runtime, .. } = *self;
        let name = socket.to_string();
        tracing::info!(listener = name, tls = manner.borrow().tls.is_some(), "listening");
        Box::pin(async move {
            let (stop, stopped) = oneshot::channel::<()>();
            let current = reception.clone();
            let service = move |request, _peer| {
                let reception = reception.borrow().clone();
                async move {
                    let response: Response<usher_connector::Body> = reception.answer(request).await;
                    response
                }
            };
            let limits = Limits { drain: LONGEST_DRAIN, ..Limits::default() };
            let serving = serve(socket, manner, limits, service, spare_memory::give_back, async {
                let _ = stopped.await;
            });
            let mut serving = Serving(runtime.spawn(serving));
            let ending = tokio::select! {
                how = seat.end() => how,
                served = &mut serving.0 => {
                    match served {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::error!(listener = name, %error, "the listener can't be served"),
                        Err(error) => tracing::error!(listener = name, %error, "a defect ended the listener"),
                    }
                    return Leaves::Nothing;
                }
            };
            drop(stop);
            let drained = async {
                let _ = (&mut serving.0).await;
            };
            // What was asked before is answered.
            let drained = tokio::time::timeout(LONGEST_DRAIN, drained);
            match ending {
                Ending::HandOver { .. } => tokio::select! {
                    _ = drained => {}
                    () = seat.end_for_good() => {}
                },
                Ending::Leave | Ending::Final => {
                    let _ = drained.await;
                }
            }
            current.borrow().close();
            Leaves::Nothing
        })
    }
}

/// What runs on the proxy's runtime, and ends with the part.
struct Serving(JoinHandle<std::io::Result<()>>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is under way when a listener closes has so long to end: less than the agent has as a whole.
const LONGEST_DRAIN: Duration = Duration::from_secs(5);
