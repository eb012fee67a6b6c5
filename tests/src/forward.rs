//! An HTTP proxy as companies have them: tunnels with CONNECT, forwards the rest, wants a password.

use std::io::{self, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::http::{self, Message};

/// On a free loopback port. Its thread ends with the test.
pub struct ForwardProxy {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request as the proxy sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// "CONNECT 127.0.0.1:8200 HTTP/1.1".
    pub first_line: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// It came with user and password.
    pub let_in: bool,
}

impl ForwardProxy {
    /// Lets in this user with this password.
    pub fn start(user: &str, password: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let authorization = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let (authorization, seen) = (authorization.clone(), Arc::clone(&shared));
                std::thread::spawn(move || {
                    // Either side may be gone at any time; that is its affair.
                    let _ = serve(client, &authorization, &seen);
                });
            }
        });
        Self { port, seen }
    }

    /// "127.0.0.1:PORT".
    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What it was asked so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(mut client: TcpStream, authorization: &str, seen: &Mutex<Vec<Seen>>) -> io::Result<()> {
    let Some(mut request) = Message::read(&client)? else { return Ok(()) };
    let let_in = request.header("proxy-authorization") == Some(authorization);
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(Seen {
        first_line: request.first_line.clone(),
        headers: request.headers.clone(),
        let_in,
    });
    if !let_in {
        let first_line = "HTTP/1.1 407 Proxy Authentication Required".into();
        return Message { first_line, ..Message::default() }.write(&client);
    }
    let words: Vec<String> = request.first_line.split(' ').map(str::to_owned).collect();
    if words[0] == "CONNECT" {
        let server = TcpStream::connect(&words[1])?;
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        let (from_client, to_server) = (client.try_clone()?, server.try_clone()?);
        std::thread::spawn(move || copy(&from_client, &to_server));
        copy(&server, &client);
        return Ok(());
    }
    // "PUT http://127.0.0.1:8200/v1/… HTTP/1.1"
    let whole = words[1].strip_prefix("http://").expect("an absolute http URL");
    let (authority, path) = whole.split_once('/').expect("a path");
    request.first_line = format!("{} /{path} HTTP/1.1", words[0]);
    request.headers.retain(|(name, _)| name != "proxy-authorization");
    http::exchange(authority, &request)?.write(&client)
}

/// Until either side ends.
fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
