//! Lets clients in at a socket, until it is time to stop; then drains.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

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
/// When most of many connections have gone, `calm` is called a while later.
///
/// # Errors
/// The socket can't be used on this runtime: too many files are open.
pub async fn serve<S, F, B>(
    socket: Arc<Socket>,
    mut manner: watch::Receiver<Manner>,
    limits: Limits,
    service: S,
    calm: impl Fn(),
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
    let mut rush = Rush::default();
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
            Some(_) = connections.join_next() => {
                rush.left(connections.len());
                continue;
            }
            () = rush.is_over() => {
                calm();
                continue;
            }
        };
        let manner = manner.borrow().clone();
        connections.spawn(converse(arrival, manner, limits, service.clone(), is_stopping.clone()));
        rush.came(connections.len());
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

/// Many connections at once, and when most of them have gone.
#[derive(Default)]
struct Rush {
    most: usize,
    over_at: Option<Instant>,
}

impl Rush {
    fn came(&mut self, connections: usize) {
        self.most = self.most.max(connections);
        if connections > self.most / 4 {
            self.over_at = None;
        }
    }

    fn left(&mut self, connections: usize) {
        if self.most >= MANY && connections <= self.most / 4 && self.over_at.is_none() {
            self.over_at = Some(Instant::now() + CALM);
        }
    }

    async fn is_over(&mut self) {
        match self.over_at {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
        *self = Self::default();
    }
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
/// Fewer take no memory worth a word.
const MANY: usize = 32;
/// Others may come as soon as the first have gone.
const CALM: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn after(steps: &[(bool, usize)]) -> bool {
        let mut rush = Rush::default();
        for &(came, connections) in steps {
            if came { rush.came(connections) } else { rush.left(connections) }
        }
        rush.over_at.is_some()
    }

    #[test]
    fn a_rush_is_over_when_three_of_four_have_gone() {
        assert!(after(&[(true, 256), (false, 64)]));
        assert!(after(&[(true, 256), (false, 64), (true, 64)]), "few come again");
        assert!(!after(&[(true, 256), (false, 65)]));
        assert!(!after(&[(true, 256), (false, 64), (true, 65)]), "others came");
        assert!(!after(&[(true, 31), (false, 0)]), "there weren't many");
    }

    #[tokio::test]
    async fn a_rush_that_is_over_is_told_once() {
        let mut rush = Rush { most: 256, over_at: Some(Instant::now()) };
        rush.is_over().await;
        assert!(rush.most == 0 && rush.over_at.is_none());
    }
}
