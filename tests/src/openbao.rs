//! A real OpenBao server of the test's own.

use std::cell::RefCell;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::eventually::eventually;
use crate::http::{self, Message};
use crate::plugins::setup_directory;
use crate::process::{self, Process};

/// A server in dev mode (in memory) on a free loopback port. Ends with this value.
pub struct OpenBao {
    // Dropped in this order: the server ends before its files go.
    server: Process,
    home: TempDir,
    address: String,
    /// Plain HTTP for the harness, also when the agent's listener speaks TLS.
    administration: String,
    root_token: String,
    handed_out: RefCell<Vec<String>>,
}

/// What the server answered.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Null if the body was empty or no JSON.
    pub body: Value,
}

impl OpenBao {
    /// Starts a server that speaks plain HTTP.
    pub fn start() -> Self {
        Self::launch(NEWEST, "http")
    }

    /// Starts a server of the last version whose own methods include `ldap` and `radius`.
    pub fn start_2_6() -> Self {
        Self::launch("bao-2.6", "http")
    }

    /// Starts a server that speaks TLS with a certificate of its own authority.
    pub fn start_with_tls() -> Self {
        Self::launch(NEWEST, "https")
    }

    fn launch(program: &str, scheme: &str) -> Self {
        // Another process may take a port between the choice and the server's bind; then the
        // server that answers, if any, is not ours and refuses our root token: start again.
        for _ in 0..3 {
            if let Some(server) = Self::try_launch(program, scheme) {
                return server;
            }
        }
        panic!("OpenBao could not be started");
    }

    fn try_launch(program: &str, scheme: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let home = tempfile::tempdir().expect("a temporary directory");
        let [port, administration] = free_ports();
        let root_token =
            format!("root-{}-{}-{port}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let configuration = home.path().join("extra.hcl");
        let text = format!(
            r#"listener "tcp" {{
  address = "127.0.0.1:{administration}"
  tls_disable = true
}}
listener "unix" {{
  address = "{home}/openbao.sock"
  tls_disable = true
}}
audit "file" "log" {{
  options {{
    file_path = "{home}/audit.log"
  }}
}}
"#,
            home = home.path().display()
        );
        std::fs::write(&configuration, text).expect("the server's configuration");
        let log = File::create(home.path().join("openbao.log")).expect("the server's log");
        let program = setup_directory().join(program);
        let mut command = process::command(program.as_os_str(), home.path(), &[]);
        command
            .args(["server", "-dev", "-dev-no-store-token", "-log-level=warn"])
            .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
            .arg(format!("-config={}", configuration.display()))
            .env("BAO_DEV_ROOT_TOKEN_ID", &root_token)
            .stdout(Stdio::from(log.try_clone().expect("a second handle")))
            .stderr(Stdio::from(log));
        if scheme == "https" {
            command.arg("-dev-tls").arg(format!("-dev-tls-cert-dir={}", home.path().display()));
        }
        let mut server = Self {
            server: Process::start(command),
            home,
            address: format!("{scheme}://127.0.0.1:{port}"),
            administration: format!("127.0.0.1:{administration}"),
            root_token,
            handed_out: RefCell::default(),
        };
        let is_ours = |server: &Self| server.is_valid(&server.root_token);
        eventually("the OpenBao server", Duration::from_mins(1), || match server.server.status() {
            Some(_) => Some(false),
            None => is_ours(&server).then_some(true),
        })
        .then_some(server)
    }

    /// URL for the agent: "http://127.0.0.1:PORT" or "https://…".
    pub fn address(&self) -> &str {
        &self.address
    }

    /// URL of the same server without TLS: "http://127.0.0.1:PORT".
    pub fn plain_address(&self) -> String {
        format!("http://{}", self.administration)
    }

    /// URL of the same server on a Unix socket: "unix:///…".
    pub fn socket_address(&self) -> String {
        format!("unix://{}", self.home.path().join("openbao.sock").display())
    }

    /// The authority's certificate of a server with TLS.
    pub fn ca_file(&self) -> PathBuf {
        self.home.path().join("vault-ca.pem")
    }

    /// The operator's token.
    pub fn root_token(&self) -> &str {
        &self.root_token
    }

    /// One request to the API: `path` without "/v1/"; `body` null for none.
    pub fn request(&self, method: &str, path: &str, token: &str, body: &Value) -> Answer {
        self.request_with(method, path, token, body, &[]).expect("the server answers")
    }

    fn request_with(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> std::io::Result<Answer> {
        let mut request = Message {
            first_line: format!("{method} /v1/{path} HTTP/1.1"),
            headers: vec![
                ("host".into(), self.administration.clone()),
                ("x-vault-request".into(), "true".into()),
                ("x-vault-token".into(), token.into()),
            ],
            body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
        };
        request
            .headers
            .extend(headers.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        let answer = http::exchange(&self.administration, &request)?;
        let status = answer.first_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok(Answer {
            status: status.expect("a status line"),
            body: serde_json::from_slice(&answer.body).unwrap_or(Value::Null),
        })
    }

    /// Writes as root; panics unless the server takes it. Returns its answer.
    #[track_caller]
    pub fn write(&self, path: &str, body: Value) -> Value {
        let answer = self.request("POST", path, &self.root_token, &body);
        assert!(answer.status < 300, "write {path}: {answer:?}");
        answer.body
    }

    /// Reads as root; panics unless there is something.
    #[track_caller]
    pub fn read(&self, path: &str) -> Value {
        let answer = self.request("GET", path, &self.root_token, &Value::Null);
        assert!(answer.status < 300, "read {path}: {answer:?}");
        answer.body
    }

    /// Writes an ACL policy.
    pub fn policy(&self, name: &str, rules: &str) {
        self.write(&format!("sys/policies/acl/{name}"), json!({ "policy": rules }));
    }

    /// Mounts `approle` at "auth/MOUNT".
    pub fn enable_approle(&self, mount: &str) {
        self.write(&format!("sys/auth/{mount}"), json!({ "type": "approle" }));
    }

    /// Creates or changes a role of `auth/approle`: `{"token_ttl": "6s", …}`.
    pub fn create_role(&self, name: &str, settings: Value) {
        self.write(&format!("auth/approle/role/{name}"), settings);
    }

    /// The role's id.
    pub fn role_id(&self, role: &str) -> String {
        let answer = self.read(&format!("auth/approle/role/{role}/role-id"));
        text(&answer["data"]["role_id"])
    }

    /// A new secret-id of the role.
    pub fn secret_id(&self, role: &str) -> String {
        let answer = self.write(&format!("auth/approle/role/{role}/secret-id"), json!({}));
        self.remember(text(&answer["data"]["secret_id"]))
    }

    /// A new secret-id of the role, in a response-wrapping token that lives ten minutes.
    pub fn wrapped_secret_id(&self, role: &str) -> String {
        self.wrapped(&format!("auth/approle/role/{role}/secret-id"), &json!({}))
    }

    /// The answer to a write as root, in a response-wrapping token that lives ten minutes.
    pub fn wrapped(&self, path: &str, body: &Value) -> String {
        let headers = [("x-vault-wrap-ttl", "10m")];
        let answer = self
            .request_with("POST", path, &self.root_token, body, &headers)
            .expect("the server answers");
        assert!(answer.status < 300, "wrap {path}: {answer:?}");
        self.remember(text(&answer.body["wrap_info"]["token"]))
    }

    /// Unwraps as anybody could who holds the token.
    pub fn unwrap(&self, wrapping_token: &str) -> Answer {
        self.request("POST", "sys/wrapping/unwrap", wrapping_token, &Value::Null)
    }

    /// Whether a response-wrapping token can still be unwrapped.
    pub fn is_wrapped(&self, wrapping_token: &str) -> bool {
        let body = json!({ "token": wrapping_token });
        self.request("POST", "sys/wrapping/lookup", &self.root_token, &body).status == 200
    }

    /// What the server knows about a token; `None` when it isn't valid.
    pub fn lookup(&self, token: &str) -> Option<Value> {
        let body = json!({ "token": token });
        let answer = self.request("POST", "auth/token/lookup", &self.root_token, &body);
        (answer.status == 200).then(|| answer.body["data"].clone())
    }

    /// Whether the token is valid now.
    pub fn is_valid(&self, token: &str) -> bool {
        let body = json!({ "token": token });
        self.request_with("POST", "auth/token/lookup", &self.root_token, &body, &[])
            .is_ok_and(|answer| answer.status == 200)
    }

    /// Revokes a token as an operator does, by its accessor.
    pub fn revoke(&self, token: &str) {
        let accessor = text(&self.lookup(token).expect("a valid token")["accessor"]);
        self.write("auth/token/revoke-accessor", json!({ "accessor": accessor }));
        assert!(!self.is_valid(token));
    }

    /// How many tokens are alive that came from `auth/approle`.
    pub fn living_approle_tokens(&self) -> usize {
        let list = self.request("LIST", "auth/token/accessors", &self.root_token, &Value::Null);
        let keys = list.body["data"]["keys"].as_array().cloned().unwrap_or_default();
        keys.iter()
            .filter(|accessor| {
                let body = json!({ "accessor": accessor });
                let answer =
                    self.request("POST", "auth/token/lookup-accessor", &self.root_token, &body);
                answer.body["data"]["path"] == "auth/approle/login"
            })
            .count()
    }

    /// How many logins at `auth/approle` the server has answered with a token: from its own
    /// audit log.
    pub fn logins(&self) -> usize {
        self.answered("auth/approle/login")
    }

    /// How many requests to a path the server has answered with a token: from its own audit log.
    pub fn answered(&self, path: &str) -> usize {
        let is_answered = |entry: &&Value| {
            entry["type"] == "response"
                && entry["request"]["path"] == path
                && entry["auth"]["accessor"].is_string()
        };
        self.audit_log().iter().filter(is_answered).count()
    }

    /// The requests to a path as the server's own audit log has them: each text hashed.
    pub fn audited(&self, path: &str) -> Vec<Value> {
        let is_request =
            |entry: &Value| entry["type"] == "request" && entry["request"]["path"] == path;
        let entries = self.audit_log().into_iter().filter(is_request);
        entries.map(|mut entry| entry["request"].take()).collect()
    }

    /// How the audit log shows this text.
    pub fn audit_hash(&self, secret: &str) -> String {
        let answer = self.write("sys/audit-hash/log", json!({ "input": secret }));
        text(&answer["data"]["hash"])
    }

    fn audit_log(&self) -> Vec<Value> {
        let log = std::fs::read_to_string(self.home.path().join("audit.log")).unwrap_or_default();
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Every one-shot secret that this server handed out to the test.
    pub fn secrets(&self) -> Vec<String> {
        self.handed_out.borrow().clone()
    }

    /// The server's own directory, for a test that looks for what it left.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    fn remember(&self, secret: String) -> String {
        self.handed_out.borrow_mut().push(secret.clone());
        secret
    }
}

/// Two different ports that were free a moment ago.
fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}

/// The text in a JSON value.
#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// In the directory of set-up.
const NEWEST: &str = "bao";
