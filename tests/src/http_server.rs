//! The server under all stand-ins: a free loopback port, a thread for each connection, with TLS or
//! without. What a connection comes to is the stand-in's affair.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::http::Message;

/// Accepts connections until it is dropped; those that are open then go on to their end.
pub(crate) struct HttpServer {
    port: u16,
    ca_pem: Option<String>,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    tls: Option<Arc<ServerConfig>>,
    serve: Box<Serve>,
    stopping: AtomicBool,
}

type Serve = dyn Fn(Connection) -> io::Result<()> + Send + Sync;

impl HttpServer {
    /// Without TLS. The peer may be gone at any time, so what `serve` returns is nobody's business.
    pub(crate) fn http(
        serve: impl Fn(Connection) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::start(None, Box::new(serve))
    }

    /// With a certificate of its own for "127.0.0.1", which [`HttpServer::ca_pem`] vouches for.
    pub(crate) fn https(
        serve: impl Fn(Connection) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::start(Some(identity()), Box::new(serve))
    }

    fn start(identity: Option<(Arc<ServerConfig>, String)>, serve: Box<Serve>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (tls, ca_pem) = identity.unzip();
        let shared = Arc::new(Shared { tls, serve, stopping: AtomicBool::new(false) });
        let mut server = Self { port, ca_pem, shared, acceptor: None };
        server.accept(listener);
        server
    }

    /// "127.0.0.1:PORT".
    pub(crate) fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// "https://127.0.0.1:PORT", without slash.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.ca_pem.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }

    /// What vouches for it, PEM.
    pub(crate) fn ca_pem(&self) -> &str {
        self.ca_pem.as_deref().expect("a server with TLS")
    }

    /// Connections are refused, as when no server is running.
    pub(crate) fn down(&mut self) {
        let Some(acceptor) = self.acceptor.take() else { return };
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        acceptor.join().expect("the accepting thread ends");
    }

    /// Connections are accepted again, on the same port.
    pub(crate) fn up(&mut self) {
        self.shared.stopping.store(false, Ordering::SeqCst);
        let listener = TcpListener::bind(("127.0.0.1", self.port)).expect("our port again");
        self.accept(listener);
    }

    fn accept(&mut self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        self.acceptor = Some(std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if shared.stopping.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || {
                    let _ = shared.connection(client).and_then(&*shared.serve);
                });
            }
        }));
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.down();
    }
}

impl Shared {
    fn connection(&self, client: TcpStream) -> io::Result<Connection> {
        client.set_read_timeout(Some(SILENCE))?;
        let Some(tls) = &self.tls else { return Ok(Connection::Plain(client)) };
        let session = ServerConnection::new(Arc::clone(tls)).map_err(io::Error::other)?;
        Ok(Connection::Tls(Box::new(StreamOwned::new(session, client))))
    }
}

/// What came from a client. Closed with this value: reset, if something is unread.
pub(crate) enum Connection {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Connection {
    /// The request. `None`: the client closed the connection first.
    pub(crate) fn request(&mut self) -> io::Result<Option<Message>> {
        Message::read(self)
    }

    /// Answers, which is the last that this connection is for.
    pub(crate) fn answer(&mut self, answer: &Message) -> io::Result<()> {
        answer.write(&mut *self)?;
        if let Self::Tls(stream) = self {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        Ok(())
    }

    /// The connection below, for what is no HTTP.
    pub(crate) fn tcp(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &mut stream.sock,
        }
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// A certificate that vouches for itself, with its key; and the certificate in PEM.
fn identity() -> (Arc<ServerConfig>, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .expect("a certificate with its key");
    (Arc::new(config), made.cert.pem())
}

/// How long a client may say nothing.
const SILENCE: Duration = Duration::from_mins(1);
