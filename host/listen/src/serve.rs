//! Lets clients in at a socket, until it is time to stop; then drains.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::answer::BoxError;
use crate::connection::{Arrival, converse};
use crate::limits::Limits;
use crate::log_throttle::LogThrottle;
use crate::manner::Manner;
use crate::peer::Peer;
use crate::socket::{Acceptor, Socket};
use crate::tally::{Tally, Visit};

/// Serves what comes to the socket, on the runtime that this is polled on.
///
/// When `stop` comes, nobody is let in any more and idle connections are closed; requests under way
/// are finished, with `Connection: close`, within [`Limits::drain`]. The socket is let go before
/// that: without another owner its place is free, with one (whom it was handed over to) clients
/// find that one. Who is dropped instead of stopped cuts everything.
///
/// A change of the [`Manner`] is for connections that come after it, and the others end in the same
/// way: nobody keeps asking who wouldn't be let in any more. A service that answers with
/// 101 gets the connection by [`hyper::upgrade::on`], and from then on it is the service's.
///
/// # Errors
/// The socket can't be used on this runtime: too many files are open.
pub async fn serve<S, F, B>(
    socket: Arc<Socket>,
    mut manner: watch::Receiver<Manner>,
    limits: Limits,
    service: S,
    stop: impl Future<Output = ()>,
) -> io::Result<()>
where
    S: Fn(Request<Incoming>, Peer) -> F + Clone + Unpin + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let name = socket.to_string();
    let entrance = Entrance {
        acceptor: socket.acceptor()?,
        places: Arc::new(Semaphore::new(limits.connections)),
        tally: socket.tally().clone(),
        name: &name,
        full: LogThrottle::default(),
        failing: LogThrottle::default(),
    };
    let (mut stopping, mut is_stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let arrival = tokio::select! {
            biased;
            () = &mut stop => break,
            Ok(()) = manner.changed() => {
                stopping.send_replace(true);
                (stopping, is_stopping) = watch::channel(false);
                continue;
            }
            arrival = entrance.next() => arrival,
            // So that what is over takes no memory.
            Some(_) = connections.join_next() => continue,
        };
        let manner = manner.borrow().clone();
        connections.spawn(converse(arrival, manner, limits, service.clone(), is_stopping.clone()));
    }
    drop(entrance);
    drop(socket);
    stopping.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.drain, all).await.is_err() {
        let cut = connections.len();
        tracing::warn!(listener = name, connections = cut, "requests under way were cut");
        connections.shutdown().await;
    }
    Ok(())
}

struct Entrance<'a> {
    acceptor: Acceptor,
    places: Arc<Semaphore>,
    tally: Tally,
    name: &'a str,
    full: LogThrottle,
    failing: LogThrottle,
}

impl Entrance<'_> {
    /// The next one to be let in. Nothing is lost when this is given up.
    async fn next(&self) -> Arrival {
        loop {
            let place = self.place().await;
            match self.acceptor.accept().await {
                Ok((stream, origin)) => {
                    let visit = Visit::begin(self.tally.clone(), place);
                    return Arrival { stream, origin, visit };
                }
                // Out of file descriptors, most likely: others may end soon.
                Err(error) => {
                    self.failing.say(|| {
                        tracing::warn!(listener = self.name, %error, "a connection can't be accepted");
                    });
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn place(&self) -> OwnedSemaphorePermit {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return place;
        }
        self.full.say(|| {
            tracing::warn!(
                listener = self.name,
                "the listener has as many connections as it may; others wait"
            );
        });
        match Arc::clone(&self.places).acquire_owned().await {
            Ok(place) => place,
            // It is never closed.
            Err(_) => std::future::pending().await,
        }
    }
}

const PAUSE: Duration = Duration::from_secs(1);
