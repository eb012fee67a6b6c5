//! Small servers on loopback, and bodies that are made as they are sent.

// Not every test uses all of it.
#![allow(dead_code, clippy::unwrap_used)]

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use usher_address::ServerAddress;
use usher_connector::{BoxError, Connector, Governor, Settings};

/// A connector to this address.
pub(crate) fn connector(address: &str, change: impl FnOnce(&mut Settings)) -> Connector {
    let mut settings = Settings::new(ServerAddress::parse(address).unwrap());
    change(&mut settings);
    Connector::new(settings, Governor::new()).unwrap()
}

/// Answers each request with what `answer` makes of it, with a real HTTP library.
pub(crate) async fn serve<F, A, B>(answer: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<B>> + Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let answered = answer(request);
                async { Ok::<_, BoxError>(answered.await) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

/// Keeps the heads of all requests as they stand on the wire, and answers each with the same text.
#[derive(Clone, Default, Debug)]
pub(crate) struct Raw {
    heads: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Raw {
    /// Returns the address too.
    pub(crate) async fn start(answer: &str) -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (raw, answer) = (Self::default(), answer.to_owned());
        let server = raw.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(server.clone().answer(stream, answer.clone()));
            }
        });
        (raw, address)
    }

    /// Requests have no body.
    pub(crate) async fn answer(
        self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        answer: String,
    ) {
        self.connections.fetch_add(1, Ordering::SeqCst);
        let mut head = Vec::new();
        while let Ok(byte) = stream.read_u8().await {
            head.push(byte);
            if head.ends_with(b"\r\n\r\n") {
                let head = String::from_utf8(std::mem::take(&mut head)).unwrap();
                self.heads.lock().unwrap().push(head);
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    }

    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Swallows packets: nobody accepts its connections, and there is no room for another.
pub(crate) struct Deaf {
    pub(crate) address: SocketAddr,
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl Deaf {
    pub(crate) async fn start() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        let next = || tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address));
        while let Ok(connected) = next().await {
            waiting.push(connected.unwrap());
        }
        Self { address, _listener: listener, _waiting: waiting }
    }
}

pub(crate) const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// So many bytes, in pieces of 64 KiB.
pub(crate) struct Bulk {
    left: u64,
    piece: Bytes,
}

impl Bulk {
    pub(crate) fn new(bytes: u64) -> Self {
        Self { left: bytes, piece: Bytes::from(vec![b'x'; 64 << 10]) }
    }
}

impl http_body::Body for Bulk {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let length = self.left.min(self.piece.len() as u64);
        self.left -= length;
        let piece = self.piece.slice(..usize::try_from(length).unwrap());
        Poll::Ready((length > 0).then(|| Ok(Frame::data(piece))))
    }
}

/// What is sent into a channel, as it comes.
pub(crate) struct Pieces(pub(crate) tokio::sync::mpsc::Receiver<Bytes>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// An upload that ends before its end.
pub(crate) struct BrokenOff {
    piece: Option<Bytes>,
    announced: Option<u64>,
}

impl BrokenOff {
    pub(crate) fn with_an_error() -> Self {
        Self { piece: Some(Bytes::from_static(b"first")), announced: None }
    }

    pub(crate) fn short_of(announced: u64) -> Self {
        Self { announced: Some(announced), ..Self::with_an_error() }
    }
}

impl http_body::Body for BrokenOff {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(piece) = self.piece.take() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let broken = || Err("the sender went away".into());
        Poll::Ready(self.announced.is_none().then(broken))
    }

    fn size_hint(&self) -> SizeHint {
        self.announced.map(SizeHint::with_exact).unwrap_or_default()
    }
}
