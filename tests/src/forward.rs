//! An HTTP proxy as companies have them: tunnels with CONNECT, forwards the rest, wants a password.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::http::{self, Message};
use crate::http_server::{Connection, HttpServer};

/// On a free loopback port, until it is dropped.
pub struct ForwardProxy {
    server: HttpServer,
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
        let authorization = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let shared = Arc::clone(&seen);
        let server = HttpServer::http(move |connection| serve(connection, &authorization, &shared));
        Self { server, seen }
    }

    /// "127.0.0.1:PORT".
    pub fn authority(&self) -> String {
        self.server.authority()
    }

    /// What it was asked so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(mut client: Connection, authorization: &str, seen: &Mutex<Vec<Seen>>) -> io::Result<()> {
    let Some(mut request) = client.request()? else { return Ok(()) };
    let let_in = request.header("proxy-authorization") == Some(authorization);
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(Seen {
        first_line: request.first_line.clone(),
        headers: request.headers.clone(),
        let_in,
    });
    if !let_in {
        let first_line = "HTTP/1.1 407 Proxy Authentication Required".into();
        return client.answer(&Message { first_line, ..Message::default() });
    }
    let words: Vec<String> = request.first_line.split(' ').map(str::to_owned).collect();
    if words[0] == "CONNECT" {
        let server = TcpStream::connect(&words[1])?;
        let client = client.tcp();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        // A tunnel may be silent.
        client.set_read_timeout(None)?;
        let (from_client, to_server) = (client.try_clone()?, server.try_clone()?);
        std::thread::spawn(move || copy(&from_client, &to_server));
        copy(&server, client);
        return Ok(());
    }
    // "PUT http://127.0.0.1:8200/v1/… HTTP/1.1"
    let whole = words[1].strip_prefix("http://").expect("an absolute http URL");
    let (authority, path) = whole.split_once('/').expect("a path");
    request.first_line = format!("{} /{path} HTTP/1.1", words[0]);
    request.headers.retain(|(name, _)| name != "proxy-authorization");
    client.answer(&http::exchange(authority, &request)?)
}

/// Until either side ends.
fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
