//! A proxy in front of the real server that records every request and injects faults.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::{self, Message};
use crate::http_server::{Connection, HttpServer};

/// Plain HTTP on a free loopback port, passed on to a server.
pub struct Proxy {
    server: HttpServer,
    shared: Arc<Shared>,
}

/// What happens to a request instead of an undisturbed answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answered with this status and a body as the server's own errors have; never passed on.
    Status(u16),
    /// The same with a `Retry-After` of so many seconds.
    RetryAfter(u16, u32),
    /// Answered with this status and exactly this body; never passed on.
    Body(u16, String),
    /// Answered as by something in between that is shut for maintenance: a web page, with this status
    /// and this `Retry-After`.
    Page(u16, String),
    /// The answer is no HTTP.
    Garbage,
    /// The connection is reset before the request is read.
    Reset,
    /// There is no answer until the client gives up; never passed on.
    Hang,
    /// Passed on at once, answered after this time.
    LateAnswer(Duration),
}

/// A request that arrived, with the answer that went back.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// "GET", "PUT", …
    pub method: String,
    /// "/v1/auth/approle/login".
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The request's body; null if empty or no JSON.
    pub body: Value,
    /// When the request had been read.
    pub at: Instant,
    /// Status of the answer; `None`: no answer (yet).
    pub status: Option<u16>,
    /// The answer's body; null if empty or no JSON.
    pub answer: Value,
}

impl Proxy {
    /// Starts in front of `upstream`: "http://127.0.0.1:PORT".
    pub fn start(upstream: &str) -> Self {
        let authority = upstream.strip_prefix("http://").expect("plain HTTP").to_owned();
        let shared = Arc::new(Shared {
            upstream: authority,
            rules: Mutex::default(),
            judges: Mutex::default(),
            exchanges: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        Self { server: HttpServer::http(move |client| serving.serve(client)), shared }
    }

    /// URL for the agent: "http://127.0.0.1:PORT".
    pub fn address(&self) -> String {
        self.server.url()
    }

    /// From now on every request whose path contains `path` meets the fault.
    pub fn fail(&self, path: &str, fault: Fault) {
        lock(&self.shared.rules).push(Rule { path: path.into(), fault, left: usize::MAX });
    }

    /// The next `times` requests whose path contains `path` meet the fault.
    pub fn fail_times(&self, path: &str, fault: Fault, times: usize) {
        lock(&self.shared.rules).push(Rule { path: path.into(), fault, left: times });
    }

    /// Stands in for an auth method that the server lacks: a login to `path` is good if `judge` finds
    /// nothing wrong with its body. The token is the server's own, of the policy "app", for an hour,
    /// and wrapped if that was asked for.
    pub fn judge_logins(
        &self,
        path: &str,
        root_token: &str,
        judge: impl Fn(&Value) -> Result<(), String> + Send + Sync + 'static,
    ) {
        lock(&self.shared.judges).push(Judged {
            path: path.into(),
            root_token: root_token.into(),
            judge: Arc::new(judge),
        });
    }

    /// No more faults.
    pub fn heal(&self) {
        lock(&self.shared.rules).clear();
    }

    /// Connections are refused, as when the server isn't running.
    pub fn down(&mut self) {
        self.server.down();
    }

    /// Connections are accepted again, on the same port.
    pub fn up(&mut self) {
        self.server.up();
    }

    /// Everything that arrived so far.
    pub fn exchanges(&self) -> Vec<Exchange> {
        lock(&self.shared.exchanges).clone()
    }

    /// What arrived so far with a path that contains `path`.
    pub fn requests(&self, path: &str) -> Vec<Exchange> {
        self.exchanges().into_iter().filter(|exchange| exchange.path.contains(path)).collect()
    }

    /// How many requests arrived so far with a path that contains `path`.
    pub fn count(&self, path: &str) -> usize {
        self.requests(path).len()
    }

    /// Every token that the server has put into an answer: of logins and of wrapping.
    pub fn tokens(&self) -> Vec<String> {
        self.exchanges()
            .iter()
            .flat_map(|exchange| {
                let answer = &exchange.answer;
                [&answer["auth"]["client_token"], &answer["wrap_info"]["token"]]
                    .map(|token| token.as_str().map(str::to_owned))
            })
            .flatten()
            .collect()
    }

    /// Sends a request of the test's own through the proxy: the status and the answer's JSON.
    /// `None`: no answer, or none that is HTTP.
    pub fn send(&self, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        let authority = self.server.authority();
        let request = Message {
            first_line: format!("{method} {path} HTTP/1.1"),
            headers: vec![("host".into(), authority.clone())],
            body: body.to_string().into_bytes(),
        };
        let answer = http::exchange(&authority, &request).ok()?;
        let status = answer.first_line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        Some((status, serde_json::from_slice(&answer.body).unwrap_or_default()))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
    }
}

struct Shared {
    upstream: String,
    rules: Mutex<Vec<Rule>>,
    judges: Mutex<Vec<Judged>>,
    exchanges: Mutex<Vec<Exchange>>,
    /// The proxy is no more: nobody waits for an answer.
    ended: AtomicBool,
}

struct Rule {
    path: String,
    fault: Fault,
    left: usize,
}

#[derive(Clone)]
struct Judged {
    path: String,
    root_token: String,
    judge: Arc<Judge>,
}

type Judge = dyn Fn(&Value) -> Result<(), String> + Send + Sync;

impl Judged {
    /// What the login becomes: a request for a token, or a refusal.
    fn request(&self, login: &Message) -> Result<Message, Message> {
        let body = serde_json::from_slice(&login.body).unwrap_or(Value::Null);
        (self.judge)(&body).map_err(|refusal| Message {
            first_line: "HTTP/1.1 400 Bad Request".into(),
            headers: vec![("content-type".into(), "application/json".into())],
            body: json!({ "errors": [refusal] }).to_string().into_bytes(),
        })?;
        let mut headers = vec![
            ("host".into(), "127.0.0.1".into()),
            ("x-vault-token".into(), self.root_token.clone()),
        ];
        let wrap_ttl = login.header("x-vault-wrap-ttl");
        headers.extend(wrap_ttl.map(|ttl| ("x-vault-wrap-ttl".into(), ttl.into())));
        Ok(Message {
            first_line: "POST /v1/auth/token/create HTTP/1.1".into(),
            headers,
            body: json!({ "policies": ["app"], "ttl": "1h" }).to_string().into_bytes(),
        })
    }
}

impl Shared {
    fn serve(&self, mut client: Connection) -> std::io::Result<()> {
        let Some(head) = peek_first_line(client.tcp())? else { return Ok(()) };
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let fault = self.fault(&path);
        if matches!(fault, Some(Fault::Reset)) {
            self.record(&Message { first_line: head, ..Message::default() });
            // Closing with unread data resets the connection.
            return Ok(());
        }
        let Some(request) = client.request()? else { return Ok(()) };
        let index = self.record(&request);
        let error = |status: u16| Message {
            first_line: format!("HTTP/1.1 {status} Injected"),
            headers: vec![("content-type".into(), "application/json".into())],
            body: br#"{"errors":["injected fault"]}"#.to_vec(),
        };
        let answer = match fault {
            None => match self.judged(&path).map(|judged| judged.request(&request)) {
                None => http::exchange(&self.upstream, &request)?,
                Some(Ok(for_token)) => http::exchange(&self.upstream, &for_token)?,
                Some(Err(refusal)) => refusal,
            },
            Some(Fault::Status(status)) => error(status),
            Some(Fault::RetryAfter(status, seconds)) => {
                let mut answer = error(status);
                answer.headers.push(("retry-after".into(), seconds.to_string()));
                answer
            }
            Some(Fault::Page(status, retry_after)) => Message {
                headers: vec![
                    ("content-type".into(), "text/html".into()),
                    ("retry-after".into(), retry_after),
                ],
                body: b"<html><h1>Down for maintenance</h1></html>".to_vec(),
                ..error(status)
            },
            Some(Fault::Body(status, body)) => Message { body: body.into_bytes(), ..error(status) },
            Some(Fault::Garbage) => {
                client.write_all(b"\x15\x03\x01 this is no HTTP\r\n\r\n")?;
                return client.tcp().shutdown(Shutdown::Both);
            }
            Some(Fault::Hang) => {
                // Ends when the client closes its side.
                client.tcp().set_read_timeout(Some(Duration::from_millis(100)))?;
                while !self.ended.load(Ordering::SeqCst) {
                    match client.read(&mut [0; 64]) {
                        Ok(0) => break,
                        Ok(_) => {}
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error),
                    }
                }
                return Ok(());
            }
            Some(Fault::LateAnswer(delay)) => {
                let answer = http::exchange(&self.upstream, &request)?;
                std::thread::sleep(delay);
                answer
            }
            Some(Fault::Reset) => return Ok(()),
        };
        self.record_answer(index, &answer);
        client.answer(&answer)
    }

    fn judged(&self, path: &str) -> Option<Judged> {
        lock(&self.judges).iter().find(|judged| judged.path == path).cloned()
    }

    /// The first rule for this path that is not used up.
    fn fault(&self, path: &str) -> Option<Fault> {
        let mut rules = lock(&self.rules);
        let rule = rules.iter_mut().find(|rule| rule.left > 0 && path.contains(&rule.path))?;
        rule.left -= 1;
        Some(rule.fault.clone())
    }

    fn record(&self, request: &Message) -> usize {
        let mut words = request.first_line.split(' ');
        let mut exchanges = lock(&self.exchanges);
        exchanges.push(Exchange {
            method: words.next().unwrap_or_default().into(),
            path: words.next().unwrap_or_default().into(),
            headers: request.headers.clone(),
            body: serde_json::from_slice(&request.body).unwrap_or(Value::Null),
            at: Instant::now(),
            status: None,
            answer: Value::Null,
        });
        exchanges.len() - 1
    }

    fn record_answer(&self, index: usize, answer: &Message) {
        let mut exchanges = lock(&self.exchanges);
        exchanges[index].status = answer.first_line.split(' ').nth(1).and_then(|s| s.parse().ok());
        exchanges[index].answer = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    }
}

/// The request line, left unread.
fn peek_first_line(client: &TcpStream) -> std::io::Result<Option<String>> {
    let mut buffer = [0; 8192];
    loop {
        let length = client.peek(&mut buffer)?;
        if length == 0 {
            return Ok(None);
        }
        if let Some(end) = buffer[..length].iter().position(|byte| *byte == b'\r') {
            return Ok(Some(String::from_utf8_lossy(&buffer[..end]).into_owned()));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
