//! A service beside the secrets server, for a sink or a method: answers each request as the test
//! says, and remembers it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::http::Message;
use crate::http_server::{Connection, HttpServer};

/// On a free loopback port, until it is dropped.
pub struct StandIn {
    server: HttpServer,
    requests: Requests,
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

impl StandIn {
    /// Plain HTTP; `answer` gives the answer, or its status.
    pub fn http<A: Into<Answer>>(answer: impl Fn(&Received) -> A + Send + Sync + 'static) -> Self {
        let requests = Requests::default();
        let answer = Box::new(move |request: &Received| -> Answer { answer(request).into() });
        Self { server: HttpServer::http(serving(answer, Arc::clone(&requests))), requests }
    }

    /// HTTPS with a certificate of its own, which [`StandIn::ca_pem`] vouches for.
    pub fn https<A: Into<Answer>>(answer: impl Fn(&Received) -> A + Send + Sync + 'static) -> Self {
        let requests = Requests::default();
        let answer = Box::new(move |request: &Received| -> Answer { answer(request).into() });
        Self { server: HttpServer::https(serving(answer, Arc::clone(&requests))), requests }
    }

    /// "https://127.0.0.1:PORT", without slash.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// What vouches for it, PEM.
    pub fn ca_pem(&self) -> &str {
        self.server.ca_pem()
    }

    /// What it was asked so far.
    pub fn requests(&self) -> Vec<Received> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

type Requests = Arc<Mutex<Vec<Received>>>;

type Respond = dyn Fn(&Received) -> Answer + Send + Sync;

fn serving(
    answer: Box<Respond>,
    requests: Requests,
) -> impl Fn(Connection) -> io::Result<()> + Send + Sync {
    move |mut connection| {
        let Some(message) = connection.request()? else { return Ok(()) };
        let mut words = message.first_line.split(' ').map(str::to_owned);
        let received = Received {
            method: words.next().unwrap_or_default(),
            target: words.next().unwrap_or_default(),
            headers: message.headers,
            body: message.body,
        };
        let Answer { status, headers, body } = answer(&received);
        requests.lock().unwrap_or_else(PoisonError::into_inner).push(received);
        let first_line = format!("HTTP/1.1 {status} Answer");
        connection.answer(&Message { first_line, headers, body })
    }
}
