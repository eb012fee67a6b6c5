//! A listener under test, its services, and a client that says what it likes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use usher_listen::{Access, Limits, Manner, Peer, Place, Tally, serve};

pub(crate) type Body = BoxBody<Bytes, Infallible>;

pub(crate) fn whole(text: impl Into<Bytes>) -> Response<Body> {
    Response::new(Full::new(text.into()).boxed())
}

/// Answers with who asks for what.
pub(crate) async fn mirror(request: Request<Incoming>, peer: Peer) -> Response<Body> {
    whole(format!("{} {} {peer:?}", request.method(), request.uri()))
}

pub(crate) struct Listener {
    pub(crate) address: Option<SocketAddr>,
    pub(crate) manner: watch::Sender<Manner>,
    pub(crate) tally: Tally,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Listener {
    pub(crate) async fn start<S, F>(
        place: Place,
        manner: Manner,
        limits: Limits,
        service: S,
    ) -> Self
    where
        S: Fn(Request<Incoming>, Peer) -> F + Clone + Unpin + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let socket = Arc::new(place.bind().await.unwrap());
        let (address, tally) = (socket.address(), socket.tally().clone());
        let (manner, watched) = watch::channel(manner);
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(async move {
            let stopped = async move { drop(stopped.await) };
            serve(socket, watched, limits, service, || (), stopped).await.unwrap();
        });
        Self { address, manner, tally, stop, served }
    }

    /// On a loopback address, in plain text.
    pub(crate) async fn plain<S, F>(limits: Limits, service: S) -> Self
    where
        S: Fn(Request<Incoming>, Peer) -> F + Clone + Unpin + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::start(loopback(), Manner::default(), limits, service).await
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address.unwrap()).await.unwrap()
    }

    /// Tells it to stop, and gives what ends when it has.
    pub(crate) fn stop(self) -> JoinHandle<()> {
        self.stop.send(()).unwrap();
        self.served
    }
}

pub(crate) fn loopback() -> Place {
    Place::Tcp { address: "127.0.0.1:0".to_owned() }
}

pub(crate) fn socket(path: &Path) -> Place {
    Place::Unix { path: path.to_owned(), access: Access::default() }
}

/// Sends a request without a body and reads the answer, of which the length is known.
pub(crate) async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), path: &str) -> String {
    stream.write_all(request(path).as_bytes()).await.unwrap();
    answer(stream).await
}

pub(crate) fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")
}

/// Head and body of an answer.
pub(crate) async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut read = String::new();
    while !read.ends_with("\r\n\r\n") {
        let byte = stream.read_u8().await.unwrap_or_else(|error| panic!("{error} after {read:?}"));
        read.push(char::from(byte));
    }
    let length = read.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    read + &String::from_utf8(body).unwrap()
}

/// Everything until the other side ends.
pub(crate) async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.unwrap();
    String::from_utf8(read).unwrap()
}

/// A body of which there is always more.
pub(crate) struct Endless {
    pub(crate) taken: Arc<std::sync::atomic::AtomicUsize>,
    /// Told by being dropped.
    pub(crate) _dropped: oneshot::Sender<()>,
}

pub(crate) const PIECE: usize = 64 << 10;
pub(crate) static LETTERS: [u8; PIECE] = [b'x'; PIECE];

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.taken.fetch_add(PIECE, std::sync::atomic::Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&LETTERS)))))
    }
}

/// Waits for what comes soon.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(5), what).await.unwrap()
}
