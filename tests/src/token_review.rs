//! A stand-in for the one thing that the server asks of Kubernetes: whose token is this?
//!
//! The server's `kubernetes` method is real; only `TokenReview` is answered here, over HTTPS, for
//! tokens that the test has registered, to a caller with the reviewer's token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::http::Message;
use crate::http_server::{Connection, HttpServer};

/// Answers on a free loopback port until it is dropped.
pub struct TokenReview {
    server: HttpServer,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// What is said of each token: user name, uid, audiences.
    known: Mutex<HashMap<String, Value>>,
    asked: Mutex<Vec<String>>,
}

/// The token with which the server asks.
pub const REVIEWER: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyZXZpZXdlciJ9.c2ln";

impl TokenReview {
    /// Starts with a certificate of its own.
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        Self { server: HttpServer::https(move |connection| serving.serve(connection)), shared }
    }

    /// For the server's `kubernetes_host`.
    pub fn address(&self) -> String {
        self.server.url()
    }

    /// For the server's `kubernetes_ca_cert`.
    pub fn ca_pem(&self) -> &str {
        self.server.ca_pem()
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

/// Of a service account, as its tokens have it too.
pub fn uid(account: &str) -> String {
    format!("uid-of-{account}")
}

impl Shared {
    fn serve(&self, mut connection: Connection) -> std::io::Result<()> {
        let Some(request) = connection.request()? else { return Ok(()) };
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
        connection.answer(&Message {
            first_line: format!("HTTP/1.1 {status}"),
            headers: vec![("content-type".into(), "application/json".into())],
            body: body.to_string().into_bytes(),
        })
    }
}
