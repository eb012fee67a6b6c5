//! A stand-in for the one thing that the server asks of Kubernetes: whose token is this?
//!
//! The server's `kubernetes` method is real; only `TokenReview` is answered here, over HTTPS, for
//! tokens that the test has registered, to a caller with the reviewer's token.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::{Value, json};

use crate::http::Message;

/// Answers on a free loopback port until it is dropped.
pub struct TokenReview {
    port: u16,
    ca_pem: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// What is said of each token: user name, uid, audiences.
    known: Mutex<HashMap<String, Value>>,
    asked: Mutex<Vec<String>>,
    stopping: AtomicBool,
}

/// The token with which the server asks.
pub const REVIEWER: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyZXZpZXdlciJ9.c2ln";

impl TokenReview {
    /// Starts with a certificate of its own.
    pub fn start() -> Self {
        let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()])
            .expect("a self-signed certificate");
        let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key.into())
            .expect("a certificate with its key");
        let tls = Arc::new(tls);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if of_thread.stopping.load(Ordering::SeqCst) {
                    break;
                }
                let (shared, tls) = (Arc::clone(&of_thread), Arc::clone(&tls));
                std::thread::spawn(move || {
                    // The server may close the connection at any time.
                    let _ = shared.serve(stream, tls);
                });
            }
        });
        Self { port, ca_pem: certified.cert.pem(), shared, thread: Some(thread) }
    }

    /// For the server's `kubernetes_host`.
    pub fn address(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// For the server's `kubernetes_ca_cert`.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// From now on this token is the service account's.
    pub fn register(&self, token: &str, namespace: &str, account: &str, audience: &str) {
        let status = json!({
            "authenticated": true,
            "user": {
                "username": format!("system:serviceaccount:{namespace}:{account}"),
                "uid": uid(account),
                "groups": ["system:serviceaccounts"],
            },
            "audiences": [audience],
        });
        self.shared.known.lock().expect("no panic").insert(token.to_owned(), status);
    }

    /// The tokens that were asked about so far.
    pub fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().expect("no panic").clone()
    }
}

impl Drop for TokenReview {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Of a service account, as its tokens have it too.
pub fn uid(account: &str) -> String {
    format!("uid-of-{account}")
}

impl Shared {
    fn serve(&self, stream: TcpStream, tls: Arc<rustls::ServerConfig>) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let session = rustls::ServerConnection::new(tls).map_err(std::io::Error::other)?;
        let mut stream = rustls::StreamOwned::new(session, stream);
        let Some(request) = Message::read(&mut stream)? else { return Ok(()) };
        let is_review =
            request.first_line.starts_with("POST /apis/authentication.k8s.io/v1/tokenreviews");
        let may_ask = request.header("authorization") == Some(&format!("Bearer {REVIEWER}"));
        let (status, body) = if is_review && may_ask {
            let mut review: Value = serde_json::from_slice(&request.body)?;
            let token = review["spec"]["token"].as_str().unwrap_or_default().to_owned();
            let known = self.known.lock().expect("no panic").get(&token).cloned();
            self.asked.lock().expect("no panic").push(token);
            review["status"] = known.unwrap_or_else(
                || json!({ "authenticated": false, "error": "the token is unknown" }),
            );
            ("201 Created", review)
        } else {
            ("403 Forbidden", json!({ "kind": "Status", "status": "Failure", "code": 403 }))
        };
        let answer = Message {
            first_line: format!("HTTP/1.1 {status}"),
            headers: vec![("content-type".into(), "application/json".into())],
            body: body.to_string().into_bytes(),
        };
        answer.write(&mut stream)?;
        stream.conn.send_close_notify();
        stream.flush()
    }
}
