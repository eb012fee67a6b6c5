//! One exchange of HTTP over a [`Way`]: connections kept for the next one, and an end to patience.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use tokio::time::Instant;

use crate::body::{Body, BoxError, Interrupted};
use crate::patience::{Awaited, Limit, Patience, Progress};
use crate::resolve::{Resolve, Unresolved};
use crate::way::{Means, TooSlow, Way};

/// Sends requests over connections of its own. A clone shares them.
#[derive(Clone)]
pub struct Transport(Client<Way, Body>);

/// How connections are kept.
#[derive(Clone, Copy)]
pub(crate) struct Keeping {
    /// At most so many that are not in use.
    pub(crate) most_idle: usize,
    /// For so long.
    pub(crate) idle: Duration,
    /// At most so many bytes of an answer are read ahead, headers included.
    pub(crate) read_ahead: Option<usize>,
}

/// Why there is no answer. The causes say more.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// No connection: name, network, proxy or TLS.
    #[error("no connection")]
    Connect(#[source] BoxError),
    /// No connection in time.
    #[error("no connection in time")]
    ConnectTimeout,
    /// The request's body broke off or stood still before its end, which is its sender's affair.
    #[error("the request's body broke off")]
    Body(#[source] BoxError),
    /// The connection broke before there was an answer.
    #[error("the connection broke")]
    Broken(#[source] BoxError),
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
}

impl Failed {
    /// From the one nearest to here to the innermost.
    pub fn causes(&self) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
        let mut cause = std::error::Error::source(self);
        std::iter::from_fn(move || {
            let this = cause?;
            cause = this.source();
            Some(this)
        })
    }

    /// What it is by its causes.
    fn by_causes(self) -> Self {
        let late = self.causes().take_while(|cause| !cause.is::<Unresolved>()).any(is_late);
        let by_the_sender = self.causes().any(is_of_the_request_body);
        match self {
            Self::Broken(error) if by_the_sender => Self::Body(error),
            Self::Connect(_) if late => Self::ConnectTimeout,
            Self::Broken(_) if late => Self::Timeout,
            other => other,
        }
    }
}

impl Transport {
    /// For requests to anywhere: no proxy, and no connection is kept for the next request.
    /// `resolver` has a say in where a name may lead to. Without `tls` only http is spoken.
    pub fn direct(
        resolver: Arc<dyn Resolve>,
        tls: Option<ClientConfig>,
        connect_timeout: Duration,
    ) -> Self {
        let way = Way::new(Means {
            resolver,
            socket: None,
            proxy: None,
            tls: tls.map(Arc::new),
            server_name: None,
            connect_timeout,
        });
        Self::new(way, Keeping { most_idle: 0, idle: Duration::ZERO, read_ahead: None })
    }

    pub(crate) fn new(way: Way, keeping: Keeping) -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(keeping.idle)
            .pool_max_idle_per_host(keeping.most_idle);
        if let Some(read_ahead) = keeping.read_ahead {
            builder.http1_max_buf_size(read_ahead);
        }
        Self(builder.build(way))
    }

    /// Sends a request for a whole URL. Its body is sent as it comes, and so is the answer's.
    pub async fn send(
        &self,
        request: Request<Body>,
        patience: Patience,
    ) -> Result<Response<Body>, Failed> {
        let answered = match patience.bounded() {
            Patience::Whole(whole) => {
                let deadline = Instant::now() + whole;
                let answered = tokio::time::timeout_at(deadline, self.0.request(request)).await;
                let answered = answered.map_err(|_| Failed::Timeout)?;
                answered
                    .map(|response| response.map(|body| Body::answer(body, Limit::until(deadline))))
            }
            Patience::EachPiece(piece) => {
                let progress = Arc::new(Progress::new());
                let request = request.map(|body| body.followed(Arc::clone(&progress)));
                let answered = tokio::select! {
                    answered = self.0.request(request) => answered,
                    awaited = progress.stands_still(piece) => {
                        return Err(match awaited {
                            Awaited::Sender => Failed::Body(Interrupted::Timeout.into()),
                            Awaited::Server => Failed::Timeout,
                        });
                    }
                };
                answered.map(|response| {
                    response.map(|body| Body::answer(body, Limit::each_piece(piece)))
                })
            }
        };
        answered.map_err(|error| {
            let failed = if error.is_connect() { Failed::Connect } else { Failed::Broken };
            failed(error.into()).by_causes()
        })
    }
}

/// The body itself says so, or it is shorter than was announced.
fn is_of_the_request_body(cause: &(dyn std::error::Error + 'static)) -> bool {
    let is_short =
        cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_body_write_aborted);
    is_short || cause.is::<Interrupted>()
}

/// Our own patience, or the system's with packets that nobody acknowledges, has ended.
fn is_late(cause: &(dyn std::error::Error + 'static)) -> bool {
    let by_the_system = cause
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
    by_the_system || cause.is::<TooSlow>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed_out() -> io::Error {
        io::ErrorKind::TimedOut.into()
    }

    #[test]
    fn a_peer_that_the_system_gives_up_on_is_late() {
        let connecting = Failed::Connect(timed_out().into()).by_causes();
        assert!(matches!(connecting, Failed::ConnectTimeout), "{connecting:?}");
        let connected = Failed::Broken(timed_out().into()).by_causes();
        assert!(matches!(connected, Failed::Timeout), "{connected:?}");
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let refused = Failed::Connect(refused.into()).by_causes();
        assert!(matches!(refused, Failed::Connect(_)), "{refused:?}");
        let of_the_sender = Interrupted::Broken(timed_out().into());
        let of_the_sender = Failed::Broken(of_the_sender.into()).by_causes();
        assert!(matches!(of_the_sender, Failed::Body(_)), "{of_the_sender:?}");
        // Of a name it isn't the peer that is late.
        let unresolved = Failed::Connect(Unresolved(timed_out()).into()).by_causes();
        assert!(matches!(unresolved, Failed::Connect(_)), "{unresolved:?}");
    }
}
