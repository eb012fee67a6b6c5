//! A service beside the secrets server, for a sink or a method: answers each request as the test
//! says, and remembers it.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::http::Message;

/// On a free loopback port. Its threads end with the test.
pub struct StandIn {
    port: u16,
    ca_pem: Option<String>,
    requests: Arc<Mutex<Vec<Received>>>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Received {
    /// "PATCH".
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// As it was sent.
    pub body: Vec<u8>,
}

impl Received {
    /// Value of a header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| &**value)
    }
}

/// What it answers; of a bare status the body is `{}`.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// 200, …
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// As it is sent.
    pub body: Vec<u8>,
}

impl From<u16> for Answer {
    fn from(status: u16) -> Self {
        Self::json(status, &serde_json::json!({}))
    }
}

impl Answer {
    /// With a body of JSON.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, body.to_string()).header("content-type", "application/json")
    }

    /// With this body and no headers.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// One more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

type Respond = dyn Fn(&Received) -> Answer + Send + Sync;

impl StandIn {
    /// Plain HTTP; `answer` gives the answer, or its status.
    pub fn http<A: Into<Answer>>(answer: impl Fn(&Received) -> A + Send + Sync + 'static) -> Self {
        Self::start(None, Arc::new(move |request: &Received| answer(request).into()))
    }

    /// HTTPS with a certificate of its own, which [`StandIn::ca_pem`] vouches for.
    pub fn https<A: Into<Answer>>(answer: impl Fn(&Received) -> A + Send + Sync + 'static) -> Self {
        Self::start(Some(identity()), Arc::new(move |request: &Received| answer(request).into()))
    }

    fn start(identity: Option<(Arc<ServerConfig>, String)>, answer: Arc<Respond>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let requests: Arc<Mutex<Vec<Received>>> = Arc::default();
        let (config, ca_pem) = identity.unzip();
        let shared = Arc::clone(&requests);
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let (config, answer, requests) =
                    (config.clone(), Arc::clone(&answer), Arc::clone(&shared));
                std::thread::spawn(move || {
                    // The client may be gone at any time; that is its affair.
                    let _ = serve(client, config, &*answer, &requests);
                });
            }
        });
        Self { port, ca_pem, requests }
    }

    /// "https://127.0.0.1:PORT", without slash.
    pub fn url(&self) -> String {
        let scheme = if self.ca_pem.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// What vouches for it, PEM.
    pub fn ca_pem(&self) -> &str {
        self.ca_pem.as_deref().expect("a stand-in with HTTPS")
    }

    /// What it was asked so far.
    pub fn requests(&self) -> Vec<Received> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn identity() -> (Arc<ServerConfig>, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let pem = made.cert.pem();
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes())
        .expect("a private key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a certificate with its key");
    (Arc::new(config), pem)
}

fn serve(
    client: TcpStream,
    config: Option<Arc<ServerConfig>>,
    answer: &Respond,
    requests: &Mutex<Vec<Received>>,
) -> io::Result<()> {
    client.set_read_timeout(Some(Duration::from_mins(1)))?;
    match config {
        None => respond(&client, answer, requests),
        Some(config) => {
            let connection = ServerConnection::new(config).map_err(io::Error::other)?;
            let mut stream = StreamOwned::new(connection, client);
            respond(&mut stream, answer, requests)?;
            stream.conn.send_close_notify();
            stream.flush()
        }
    }
}

fn respond(
    mut stream: impl Read + Write,
    answer: &Respond,
    requests: &Mutex<Vec<Received>>,
) -> io::Result<()> {
    let Some(message) = Message::read(&mut stream)? else { return Ok(()) };
    let mut words = message.first_line.split(' ').map(str::to_owned);
    let received = Received {
        method: words.next().unwrap_or_default(),
        target: words.next().unwrap_or_default(),
        headers: message.headers,
        body: message.body,
    };
    let Answer { status, headers, body } = answer(&received);
    requests.lock().unwrap_or_else(PoisonError::into_inner).push(received);
    Message { first_line: format!("HTTP/1.1 {status} Answer"), headers, body }.write(&mut stream)
}
