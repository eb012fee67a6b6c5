//! The agent's two doors: HTTP on the admin socket for `usher status`, `wait` and `reload`, and on
//! `metrics_address` for Prometheus and probes.
//!
//! The socket is the agent's user's and root's: its mode is 0600 from the moment it exists, and
//! each peer's uid is checked again. The address is open to whoever reaches it, so nothing there
//! is secret and nothing changes the agent.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream as BlockingUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::fs::{Mode, fchmod};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixSocket, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use usher_config::{Diagnostic, Settings};
use usher_secret::redactor::redact;

use crate::metrics;
use crate::status::Board;

/// What a door asks the agent's run loop.
pub(crate) enum Request {
    /// Whether it still runs: `/livez`.
    Pulse(oneshot::Sender<()>),
    /// `usher reload`.
    Reload(oneshot::Sender<ReloadAnswer>),
}

/// What a reload did, or why it did nothing, for people to read.
pub(crate) type ReloadAnswer = Result<String, String>;

/// The open doors. They close, and the socket goes, when this is dropped.
pub(crate) struct Doors {
    _servers: JoinSet<()>,
    _socket: Option<SocketFile>,
}

impl Doors {
    /// Opens the doors that the settings name. `requests` leads to the run loop.
    ///
    /// # Errors
    /// Each door that can't be opened, by its key.
    pub(crate) async fn open(
        settings: &Settings,
        board: &Board,
        requests: mpsc::Sender<Request>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        let mut servers = JoinSet::new();
        let mut socket_file = None;
        let desk = Desk { board: board.clone(), requests };
        if let Some(path) = &settings.admin_socket {
            match listen_on_socket(path) {
                Ok((listener, file)) => {
                    tracing::info!(admin_socket = %path.display(), "listening");
                    socket_file = Some(file);
                    servers.spawn(serve_socket(listener, Arc::new(desk.clone())));
                }
                Err(error) => problems.push(Diagnostic::new_error(
                    "admin_socket",
                    format!(
                        "the admin socket {} can't be opened: {}",
                        path.display(),
                        error.reason
                    ),
                    error.cure,
                    None,
                )),
            }
        }
        if let Some(address) = settings.metrics_address {
            match TcpListener::bind(address).await {
                Ok(listener) => {
                    let bound = listener.local_addr().unwrap_or(address);
                    tracing::info!(metrics_address = %bound, "listening");
                    servers.spawn(serve_address(listener, Arc::new(desk)));
                }
                Err(error) => problems.push(Diagnostic::new_error(
                    "metrics_address",
                    format!("metrics_address {address} can't be listened on: {error}"),
                    "write an address of this machine and a port that is free",
                    None,
                )),
            }
        }
        if problems.is_empty() {
            Ok(Self { _servers: servers, _socket: socket_file })
        } else {
            Err(problems)
        }
    }
}

/// A socket that is in place; removed when dropped, unless another one has taken its place.
struct SocketFile {
    path: PathBuf,
    device_and_inode: (u64, u64),
}

/// Why there is no socket, and what to do.
struct SocketError {
    reason: String,
    cure: &'static str,
}

impl From<io::Error> for SocketError {
    fn from(error: io::Error) -> Self {
        let cure = match error.kind() {
            io::ErrorKind::NotFound => "create its directory, or correct admin_socket",
            io::ErrorKind::PermissionDenied => {
                "let the agent's user write in its directory, or correct admin_socket"
            }
            _ => "correct admin_socket",
        };
        Self { reason: error.to_string(), cure }
    }
}

/// Takes the place of a socket on which nobody listens any more, and of nothing else.
fn listen_on_socket(path: &Path) -> Result<(UnixListener, SocketFile), SocketError> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(SocketError {
                reason: "there is something else than a socket at this path".to_owned(),
                cure: "it is left alone: remove it yourself, or write another path in admin_socket",
            });
        }
        Ok(_) => match BlockingUnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path)?;
            }
            Err(error) => return Err(error.into()),
            Ok(_) => {
                return Err(SocketError {
                    reason: "another process listens on it, probably another agent".to_owned(),
                    cure: "stop that one, or write another path in admin_socket",
                });
            }
        },
    }
    let socket = UnixSocket::new_stream()?;
    // Linux gives the file the mode that the socket has (unix(7)), so there is no moment in which
    // others could connect.
    fchmod(&socket, Mode::RUSR | Mode::WUSR).map_err(io::Error::from)?;
    socket.bind(path)?;
    let listener = socket.listen(BACKLOG)?;
    let metadata = std::fs::symlink_metadata(path)?;
    let file =
        SocketFile { path: path.to_owned(), device_and_inode: (metadata.dev(), metadata.ino()) };
    Ok((listener, file))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let own = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == self.device_and_inode);
        if own && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the admin socket can't be removed");
        }
    }
}

/// Who is at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Visitor {
    /// Root or the agent's own user, on the socket.
    Operator,
    /// Anyone else on the socket: this uid.
    Stranger(u32),
    /// Anyone on the address.
    Public,
}

async fn serve_socket(listener: UnixListener, desk: Arc<Desk>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let Some((stream, _)) = accepted(listener.accept().await).await else { continue };
        let visitor = visitor(&stream);
        let talk = converse(stream, visitor, Arc::clone(&desk));
        tokio::spawn(async move {
            talk.await;
            drop(place);
        });
    }
}

async fn serve_address(listener: TcpListener, desk: Arc<Desk>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let Some((stream, _)) = accepted(listener.accept().await).await else { continue };
        let talk = converse(stream, Visitor::Public, Arc::clone(&desk));
        tokio::spawn(async move {
            talk.await;
            drop(place);
        });
    }
}

/// Out of file descriptors, most likely: others may end soon.
async fn accepted<T>(result: io::Result<T>) -> Option<T> {
    match result {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            tracing::warn!("a connection can't be accepted: {error}");
            tokio::time::sleep(Duration::from_secs(1)).await;
            None
        }
    }
}

fn visitor(stream: &UnixStream) -> Visitor {
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == 0 || peer.uid() == rustix::process::geteuid().as_raw() => {
            Visitor::Operator
        }
        Ok(peer) => Visitor::Stranger(peer.uid()),
        Err(_) => Visitor::Stranger(u32::MAX),
    }
}

/// One request and its answer; whoever reads or writes too slowly is left.
async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, visitor: Visitor, desk: Arc<Desk>) {
    let answer = service_fn(|request: hyper::Request<Incoming>| {
        let desk = &desk;
        async move { Ok::<_, Infallible>(desk.answer(visitor, &request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .keep_alive(false)
        .max_buf_size(LONGEST_HEADER)
        .max_headers(64)
        .serve_connection(TokioIo::new(stream), answer);
    let limit = if visitor == Visitor::Operator { LONGEST_OPERATION } else { LONGEST_ANSWER };
    // What goes wrong here is the peer's trouble.
    let _ = tokio::time::timeout(limit, connection).await;
}

/// Answers requests.
#[derive(Clone)]
struct Desk {
    board: Board,
    requests: mpsc::Sender<Request>,
}

impl Desk {
    async fn answer(
        &self,
        visitor: Visitor,
        request: &hyper::Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        let reading = matches!(*request.method(), Method::GET | Method::HEAD);
        match (visitor, request.uri().path()) {
            (Visitor::Stranger(uid), _) => text(
                StatusCode::FORBIDDEN,
                format!(
                    "uid {uid} may not use the admin socket; only root and the agent's own user, uid {}, may\n",
                    rustix::process::geteuid().as_raw()
                ),
            ),
            (_, "/livez" | "/readyz" | "/metrics")
            | (Visitor::Operator, "/v1/status" | "/v1/wait")
                if !reading =>
            {
                not_allowed("GET, HEAD")
            }
            (_, "/livez") => self.alive().await,
            (_, "/readyz") => self.ready(),
            (_, "/metrics") => {
                respond(StatusCode::OK, metrics::CONTENT_TYPE, metrics::text(&self.board.report()))
            }
            (Visitor::Operator, "/v1/status") => self.status(),
            (Visitor::Operator, "/v1/wait") => {
                let mut readiness = self.board.readiness();
                let complete = readiness.wait_for(|readiness| readiness.is_complete());
                let _ = tokio::time::timeout(LONGEST_WAIT, complete).await;
                self.status()
            }
            (Visitor::Operator, "/v1/reload") if request.method() != Method::POST => {
                not_allowed("POST")
            }
            (Visitor::Operator, "/v1/reload") => self.reload().await,
            _ => text(StatusCode::NOT_FOUND, "there is nothing at this path\n".to_owned()),
        }
    }

    fn status(&self) -> Response<Full<Bytes>> {
        match serde_json::to_string_pretty(&self.board.report()) {
            Ok(json) => {
                let json = redact(&json).into_owned() + "\n";
                respond(StatusCode::OK, "application/json", json)
            }
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }

    async fn alive(&self) -> Response<Full<Bytes>> {
        let (pulse, felt) = oneshot::channel();
        let ask = async {
            self.requests.send(Request::Pulse(pulse)).await.ok()?;
            felt.await.ok()
        };
        match tokio::time::timeout(LONGEST_PULSE, ask).await {
            Ok(Some(())) => text(StatusCode::OK, "ok\n".to_owned()),
            Ok(None) => {
                text(StatusCode::SERVICE_UNAVAILABLE, "the agent is shutting down\n".to_owned())
            }
            Err(_) => {
                text(StatusCode::SERVICE_UNAVAILABLE, "the agent doesn't respond\n".to_owned())
            }
        }
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        let report = self.board.report();
        if report.ready {
            return text(StatusCode::OK, "ok\n".to_owned());
        }
        let mut body = String::new();
        if report.identities.is_empty() {
            body.push_str("starting\n");
        }
        for identity in report.identities.iter().filter(|identity| !identity.ready) {
            let pending: Vec<&str> =
                identity.sinks.iter().filter(|sink| sink.pending).map(|sink| &*sink.name).collect();
            let _ = writeln!(
                body,
                "{}: {}, without its token: {}",
                identity.name,
                identity.state,
                pending.join(", ")
            );
        }
        text(StatusCode::SERVICE_UNAVAILABLE, body)
    }

    async fn reload(&self) -> Response<Full<Bytes>> {
        let (answer, answered) = oneshot::channel();
        let asked = self.requests.send(Request::Reload(answer)).await;
        let answer = match asked {
            Ok(()) => answered.await.ok(),
            Err(_) => None,
        };
        let (status, message) = match answer {
            Some(Ok(done)) => (StatusCode::OK, done),
            Some(Err(reason)) => (StatusCode::UNPROCESSABLE_ENTITY, reason),
            None => (StatusCode::SERVICE_UNAVAILABLE, "the agent is shutting down".to_owned()),
        };
        text(status, redact(&message).into_owned())
    }
}

fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", text)
}

fn not_allowed(methods: &'static str) -> Response<Full<Bytes>> {
    let mut response =
        text(StatusCode::METHOD_NOT_ALLOWED, format!("only {methods} can be asked here\n"));
    response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static(methods));
    response
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    response
}

/// At once, for each door.
const CONNECTIONS: usize = 32;
const BACKLOG: u32 = 128;
/// In bytes, with the request line.
const LONGEST_HEADER: usize = 16 << 10;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// From the connection to the end of the answer.
const LONGEST_ANSWER: Duration = Duration::from_mins(1);
/// The same for operators: a reload may compile plug-ins.
const LONGEST_OPERATION: Duration = Duration::from_mins(15);
/// `usher wait` asks again after this.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// The prober has a patience of its own; this one only ends the question.
const LONGEST_PULSE: Duration = Duration::from_secs(5);
