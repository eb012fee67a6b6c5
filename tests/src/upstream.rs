//! A server in place of the real one: it shows what reaches it byte for byte, and answers as the test
//! says: in parts, late, broken off, or not as HTTP has it. Only the agent's own login it knows.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{Message, read_chunk, read_headers};
use crate::http_server::{Connection, HttpServer};
use crate::site::file_sink;

/// On a free loopback port, until it is dropped.
pub struct Upstream {
    server: HttpServer,
    heads: Heads,
    home: TempDir,
}

/// The beginning of a request, as it came.
#[derive(Clone, Debug)]
pub struct Head {
    /// "GET", …
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

/// Who asks. Closed when the answer is given; what follows in the connection is the test's affair.
pub struct Peer(BufReader<Connection>);

/// Holds an answer back until the test opens it.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

type Heads = Arc<Mutex<Vec<Head>>>;

impl Upstream {
    /// Answers like this whatever isn't the agent's own; the peer may be gone at any time, so what
    /// `serve` returns is nobody's business.
    pub fn start(
        serve: impl Fn(&Head, &mut Peer) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let heads = Heads::default();
        let shared = Arc::clone(&heads);
        let server = HttpServer::http(move |connection| {
            let mut peer = Peer(BufReader::new(connection));
            let Some(head) = peer.head()? else { return Ok(()) };
            if let Some((status, answer)) = login(&head) {
                peer.read_body(&head)?;
                let headers = [("Content-Type", "application/json")];
                return peer.answer(status, &headers, answer.to_string());
            }
            shared.lock().unwrap_or_else(PoisonError::into_inner).push(head.clone());
            serve(&head, &mut peer)
        });
        let home = tempfile::tempdir().expect("a temporary directory");
        for credential in ["role-id", "secret-id"] {
            std::fs::write(home.path().join(credential), credential).expect("a credential");
        }
        Self { server, heads, home }
    }

    /// Answers 200 with what came, as JSON: `method`, `target`, `headers` (pairs) and `body`.
    pub fn echo() -> Self {
        Self::start(|head, peer| {
            let body = peer.read_body(head)?;
            let Head { method, target, headers } = head;
            let body = String::from_utf8_lossy(&body);
            let echo =
                json!({ "method": method, "target": target, "headers": headers, "body": body });
            peer.answer(200, &[("Content-Type", "application/json")], echo.to_string())
        })
    }

    /// "http://127.0.0.1:PORT".
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// "127.0.0.1:PORT".
    pub fn authority(&self) -> String {
        self.server.authority()
    }

    /// Connections are refused, as when the server isn't running.
    pub fn down(&mut self) {
        self.server.down();
    }

    /// Connections are accepted again, on the same port.
    pub fn up(&mut self) {
        self.server.up();
    }

    /// What has arrived for this target; not what the agent asks on its own behalf.
    pub fn heads(&self, target: &str) -> Vec<Head> {
        let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.iter().filter(|head| head.target == target).cloned().collect()
    }

    /// What has arrived for any target.
    pub fn count(&self) -> usize {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// A configuration with these blocks and no identity: callers bring their tokens.
    pub fn configuration(&self, blocks: &str) -> String {
        format!(
            "vault {{\n  address = \"{}\"\n  retry {{\n    num_retries = -1\n  }}\n}}\n{blocks}",
            self.url()
        )
    }

    /// The same with an identity, which is given [`Upstream::TOKEN`] at its login.
    pub fn configuration_with_login(&self, blocks: &str) -> String {
        let file = |name: &str| self.home.path().join(name).display().to_string();
        let (sink, path) = file_sink(&self.home.path().join("token"));
        format!(
            "{}\nauto_auth {{\n  token_check_interval = \"1h\"\n  method \"approle\" {{\n    config = {{\n\
             role_id_file_path = \"{}\"\nsecret_id_file_path = \"{}\"\n\
             remove_secret_id_file_after_reading = false\n}}\n  }}\n  sink \"{sink}\" {{\n    \
             config = {{\n{path}\n}}\n  }}\n}}\n",
            self.configuration(blocks),
            file("role-id"),
            file("secret-id"),
        )
    }

    /// The token of every login.
    pub const TOKEN: &str = "s.canaryOfTheUpstream4f2a9d0c7b1e";
}

impl Head {
    /// Value of a header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| &**value)
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked"))
    }
}

impl Peer {
    fn head(&mut self) -> io::Result<Option<Head>> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.trim_end().split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        Ok(Some(Head { method, target, headers: read_headers(&mut self.0)? }))
    }

    /// The whole body of this request.
    pub fn read_body(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        self.read_parts(head, |part| body.extend_from_slice(part))?;
        Ok(body)
    }

    /// The body of this request as it comes, none of it kept.
    pub fn read_parts(&mut self, head: &Head, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        if head.is_chunked() {
            while let Some(chunk) = read_chunk(&mut self.0)? {
                each(&chunk);
            }
            read_headers(&mut self.0)?;
            return Ok(());
        }
        let length = head.header("content-length").and_then(|length| length.parse().ok());
        let mut left: usize = length.unwrap_or(0);
        let mut buffer = vec![0; 1 << 16];
        while left > 0 {
            let part = left.min(buffer.len());
            let length = self.0.read(&mut buffer[..part])?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            each(&buffer[..length]);
            left -= length;
        }
        Ok(())
    }

    /// The next chunk of the body. `None`: the last one.
    pub fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        read_chunk(&mut self.0)
    }

    /// A whole answer, after which the connection is closed.
    pub fn answer(
        &mut self,
        status: u16,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> io::Result<()> {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let first_line = format!("HTTP/1.1 {status} Answer");
        let answer = Message { first_line, headers: headers.collect(), body: body.into() };
        self.0.get_mut().answer(&answer)
    }

    /// Writes a chunk of a body.
    pub fn write_chunk(&mut self, chunk: &[u8]) -> io::Result<()> {
        write!(self, "{:x}\r\n", chunk.len())?;
        self.write_all(chunk)?;
        self.write_all(b"\r\n")?;
        self.flush()
    }

    /// Waits until the peer closes the connection or resets it. `false`: it says something, or nothing
    /// for a minute.
    pub fn is_gone(&mut self) -> bool {
        match self.0.fill_buf() {
            Ok(rest) => rest.is_empty(),
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

impl Read for Peer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Peer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.get_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.get_mut().flush()
    }
}

impl Gate {
    /// Lets through whoever waits and comes.
    pub fn open(&self) {
        let (is_open, changed) = &*self.0;
        *is_open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    /// Waits until it is open; an error if that takes a minute.
    pub fn pass(&self) -> io::Result<()> {
        let (is_open, changed) = &*self.0;
        let is_open = is_open.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = Duration::from_mins(1);
        let waited = changed.wait_timeout_while(is_open, minute, |is_open| !*is_open);
        let (is_open, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if *is_open { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
    }
}

/// What the agent's own requests are answered.
fn login(head: &Head) -> Option<(u16, Value)> {
    let auth = json!({
        "client_token": Upstream::TOKEN,
        "accessor": "accessorOfTheUpstream",
        "policies": ["default"],
        "token_policies": ["default"],
        "metadata": {},
        "lease_duration": 3600,
        "renewable": true,
        "entity_id": "",
        "token_type": "service",
        "orphan": true,
    });
    match &*head.target {
        "/v1/auth/approle/login" | "/v1/auth/token/renew-self" => {
            Some((200, json!({ "auth": auth })))
        }
        "/v1/auth/token/lookup-self" => {
            let data = json!({
                "id": Upstream::TOKEN,
                "accessor": "accessorOfTheUpstream",
                "ttl": 3600,
                "creation_ttl": 3600,
                "renewable": true,
                "num_uses": 0,
                "policies": ["default"],
                "type": "service",
            });
            Some((200, json!({ "data": data })))
        }
        _ => None,
    }
}
