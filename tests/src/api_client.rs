//! A client of the agent's listeners: HTTP/1.1 byte for byte, over TCP, a Unix socket or TLS.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use crate::authority::ClientCertificate;
use crate::eventually::eventually_true;
use crate::http::{read_chunk, read_headers};

/// Knows where a listener is and how it is spoken to.
#[derive(Clone)]
pub struct ApiClient(Way);

#[derive(Clone)]
enum Way {
    Tcp(String),
    Unix(PathBuf),
    Tls(String, Arc<ClientConfig>),
}

/// A request, sent as it stands here. What is missing is added: `Host`, and the length of the body.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// 200, …
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Without chunks.
    pub body: Vec<u8>,
    /// What followed a body in chunks.
    pub trailers: Vec<(String, String)>,
}

/// A connection, for one request after another and for what is no whole request.
pub struct Conversation {
    stream: BufReader<Stream>,
    host: String,
}

impl ApiClient {
    /// Over TCP, to "127.0.0.1:PORT".
    pub fn tcp(authority: &str) -> Self {
        Self(Way::Tcp(authority.into()))
    }

    /// Over a Unix socket.
    pub fn unix(path: &Path) -> Self {
        Self(Way::Unix(path.into()))
    }

    /// Over TLS, to "127.0.0.1:PORT", for which the authority must vouch; perhaps with a certificate.
    pub fn tls(authority: &str, ca_pem: &str, certificate: Option<&ClientCertificate>) -> Self {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(ca_pem.as_bytes()).expect("a certificate");
        roots.add(root).expect("an authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_root_certificates(roots);
        let config = match certificate {
            None => builder.with_no_client_auth(),
            Some(ClientCertificate { certificate, key }) => {
                let chain = CertificateDer::from_pem_slice(certificate.as_bytes());
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
                builder
                    .with_client_auth_cert(vec![chain.expect("a certificate")], key)
                    .expect("a certificate with its key")
            }
        };
        Self(Way::Tls(authority.into(), Arc::new(config)))
    }

    /// Waits until connections are accepted.
    #[track_caller]
    pub fn wait_until_open(&self) {
        eventually_true("an open listener", PATIENCE, || self.is_open());
    }

    /// Whether connections are accepted; with TLS nothing is said of the handshake.
    pub fn is_open(&self) -> bool {
        self.connect().is_ok()
    }

    /// A new connection.
    pub fn connect(&self) -> io::Result<Conversation> {
        let tcp = |authority: &str| {
            let stream = TcpStream::connect(authority)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_nodelay(true)?;
            Ok::<_, io::Error>(stream)
        };
        let (stream, host) = match &self.0 {
            Way::Tcp(authority) => (Stream::Tcp(tcp(authority)?), authority.clone()),
            Way::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                (Stream::Unix(stream), "localhost".to_owned())
            }
            Way::Tls(authority, config) => {
                let (name, _) = authority.rsplit_once(':').expect("a port");
                let name = ServerName::try_from(name.to_owned()).expect("a name");
                let session =
                    ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
                let stream = StreamOwned::new(session, tcp(authority)?);
                (Stream::Tls(Box::new(stream)), authority.clone())
            }
        };
        Ok(Conversation { stream: BufReader::new(stream), host })
    }

    /// Sends a request on a connection of its own; panics unless there is an answer.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Reply {
        self.try_send(request).unwrap_or_else(|error| panic!("{request:?}: {error}"))
    }

    /// The same; an error if there is no answer, or none that is whole.
    pub fn try_send(&self, request: &Request) -> io::Result<Reply> {
        self.connect()?.ask(request)
    }

    /// A GET without token.
    #[track_caller]
    pub fn get(&self, target: &str) -> Reply {
        self.send(&Request::get(target))
    }

    /// A GET with a token of the caller's own.
    #[track_caller]
    pub fn get_as(&self, token: &str, target: &str) -> Reply {
        self.send(&Request::get(target).token(token))
    }

    /// A POST without token.
    #[track_caller]
    pub fn post(&self, target: &str, body: &Value) -> Reply {
        self.send(&Request::new("POST", target).json(body))
    }
}

impl Request {
    /// Without headers and body.
    pub fn new(method: &str, target: &str) -> Self {
        let (headers, body) = (Vec::new(), Vec::new());
        Self { method: method.into(), target: target.into(), headers, body }
    }

    /// A GET.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// One more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// A token of the caller's own.
    #[must_use]
    pub fn token(self, token: &str) -> Self {
        self.header("X-Vault-Token", token)
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// With a body of JSON.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.body(body.to_string())
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
    }

    /// Request line and headers, with the empty line.
    fn head(&self, host: &str) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.has("host") {
            write!(head, "Host: {host}\r\n").expect("text can be written");
        }
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").expect("text can be written");
        }
        let may_have_body = ["POST", "PUT", "PATCH"].contains(&&*self.method);
        let is_framed = self.has("content-length") || self.has("transfer-encoding");
        if !is_framed && (may_have_body || !self.body.is_empty()) {
            write!(head, "Content-Length: {}\r\n", self.body.len()).expect("text can be written");
        }
        head + "\r\n"
    }
}

impl Reply {
    /// Value of a header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| &**value)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body; null if it is no JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// What `{"errors": […]}` says. Panics unless that is the body, with something in it.
    #[track_caller]
    pub fn errors(&self) -> String {
        let body = self.json();
        let errors = body["errors"].as_array().unwrap_or_else(|| panic!("no errors: {self:?}"));
        let errors: Vec<_> = errors.iter().map(|error| error.as_str().expect("text")).collect();
        assert!(!errors.concat().is_empty(), "{self:?}");
        errors.join("\n")
    }

    /// Whether a body can follow this head.
    fn may_have_body(&self, method: &str) -> bool {
        method != "HEAD" && self.status >= 200 && self.status != 204 && self.status != 304
    }
}

impl Conversation {
    /// Sends a request and reads the answer; interim answers are passed over.
    pub fn ask(&mut self, request: &Request) -> io::Result<Reply> {
        self.send(request)?;
        self.reply(&request.method)
    }

    /// Sends a request.
    pub fn send(&mut self, request: &Request) -> io::Result<()> {
        let head = request.head(&self.host);
        self.write_all(head.as_bytes())?;
        self.write_all(&request.body)?;
        self.flush()
    }

    /// The answer to a request of this method; interim answers are passed over.
    pub fn reply(&mut self, method: &str) -> io::Result<Reply> {
        let mut reply = self.head()?;
        while reply.status < 200 && reply.status != 101 {
            reply = self.head()?;
        }
        if !reply.may_have_body(method) {
            return Ok(reply);
        }
        if reply.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            while let Some(chunk) = self.chunk()? {
                reply.body.extend(chunk);
            }
            reply.trailers = read_headers(&mut self.stream)?;
        } else if let Some(length) = reply.header("content-length") {
            let length = length.parse().map_err(io::Error::other)?;
            reply.body.resize(length, 0);
            self.stream.read_exact(&mut reply.body)?;
        } else {
            self.stream.read_to_end(&mut reply.body)?;
        }
        Ok(reply)
    }

    /// Status and headers of the next answer, be it an interim one.
    pub fn head(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let status = line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 "));
        let status = status.and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status: {line:?}")))?;
        let headers = read_headers(&mut self.stream)?;
        Ok(Reply { status, headers, ..Reply::default() })
    }

    /// The next chunk of the body. `None`: the last one, after which trailers follow.
    pub fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        read_chunk(&mut self.stream)
    }

    /// Waits until the other side closes the connection or resets it. `false`: it says something.
    pub fn is_closed(&mut self) -> bool {
        match self.stream.fill_buf() {
            Ok(rest) => rest.is_empty(),
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// Says that nothing more is to come.
    pub fn finish(&self) -> io::Result<()> {
        match self.stream.get_ref() {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
            Stream::Tls(stream) => stream.sock.shutdown(Shutdown::Write),
        }
    }
}

impl Read for Conversation {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Conversation {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.get_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.get_mut().flush()
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Unix(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// How long a listener may say nothing.
const PATIENCE: Duration = Duration::from_secs(30);
