//! Tells the service manager how far the agent is: systemd's `sd_notify(3)` protocol.
//!
//! Without `NOTIFY_SOCKET` nothing is sent and nothing runs. Until the agent is ready it asks for
//! more time again and again, so that a unit of `Type=notify` outlasts a server that is away;
//! afterwards only changes are told.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::part::{Leaves, Part, PartId, Seat, Tier, Work};
use crate::status::{Board, Readiness};

/// Between two requests for more time, and between two texts, until the agent is ready.
const REPEAT: Duration = Duration::from_secs(30);

/// What each of them asks for. systemd gives up if the next one stays away.
const EXTENSION: Duration = Duration::from_secs(90);

/// The way to the service manager, if there is one. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Notifier(Option<Arc<Manager>>);

/// Tells the service manager what becomes of the board.
pub(crate) struct Following {
    pub(crate) notifier: Notifier,
    pub(crate) board: Board,
}

impl Part for Following {
    fn id(&self) -> PartId {
        PartId::Notifier
    }

    fn tier(&self) -> Tier {
        Tier::Process
    }

    fn run(self: Box<Self>, mut seat: Seat) -> Work {
        Box::pin(async move {
            tokio::select! {
                () = self.notifier.follow(self.board) => {
                    // Nobody is told, and that is no reason to end before the others.
                    seat.end().await;
                }
                _ = seat.end() => {}
            }
            Leaves::Nothing
        })
    }
}

struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
    /// READY=1 has been said.
    ready: AtomicBool,
    stopping: AtomicBool,
}

impl Notifier {
    /// The service manager that `NOTIFY_SOCKET` names.
    pub(crate) fn from_environment() -> Self {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Self::default();
        };
        Self::at(&name).unwrap_or_else(|error| {
            tracing::warn!(
                NOTIFY_SOCKET = %name.display(),
                "the service manager can't be told anything: {error}"
            );
            Self::default()
        })
    }

    fn at(name: &OsString) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "neither an absolute path nor an abstract socket (@name)",
                ));
            }
        };
        let socket = UnixDatagram::unbound()?;
        // A manager that reads nothing must not stop the agent.
        socket.set_nonblocking(true)?;
        Ok(Self(Some(Arc::new(Manager {
            socket,
            address,
            ready: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        }))))
    }

    /// Follows the board until the agent ends: asks for time, then says READY=1 once every sink
    /// has its token, and from then on what becomes of that. Ends at once without a manager.
    async fn follow(self, board: Board) {
        let Some(manager) = &self.0 else { return };
        let mut readiness = board.readiness();
        loop {
            let now = *readiness.borrow_and_update();
            if now.is_complete() {
                break;
            }
            manager.send(&format!(
                "EXTEND_TIMEOUT_USEC={}\nSTATUS={}",
                EXTENSION.as_micros(),
                waiting(now)
            ));
            let complete = readiness.wait_for(|readiness| readiness.is_complete());
            if let Ok(Err(_)) = tokio::time::timeout(REPEAT, complete).await {
                return;
            }
        }
        let now = *readiness.borrow_and_update();
        manager.ready.store(true, Ordering::Relaxed);
        manager.send(&format!("READY=1\nSTATUS={}", delivered(now)));
        while readiness.changed().await.is_ok() {
            let now = *readiness.borrow_and_update();
            let status = if now.is_complete() { delivered(now) } else { waiting(now) };
            manager.send(&format!("STATUS={status}"));
        }
    }

    /// A reload begins. Say [`Self::reloaded`] when it has ended, however it did.
    pub(crate) fn reloading(&self) {
        let Some(manager) = &self.0 else { return };
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        manager
            .send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=reloading configuration"));
    }

    /// A reload has ended, and how: one line.
    pub(crate) fn reloaded(&self, how: &str) {
        let Some(manager) = &self.0 else { return };
        let ready = if manager.ready.load(Ordering::Relaxed) { "READY=1\n" } else { "" };
        let how: String = how.lines().next().unwrap_or_default().chars().take(200).collect();
        manager.send(&format!("{ready}STATUS={how}"));
    }

    /// The agent ends.
    pub(crate) fn stopping(&self) {
        let Some(manager) = &self.0 else { return };
        manager.send("STOPPING=1\nSTATUS=shutting down");
        manager.stopping.store(true, Ordering::Relaxed);
    }
}

impl Manager {
    fn send(&self, message: &str) {
        if self.stopping.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.socket.send_to_addr(message.as_bytes(), &self.address) {
            tracing::debug!(
                NOTIFY_SOCKET = %name(&self.address),
                "the service manager can't be told: {error}"
            );
        }
    }
}

fn name(address: &SocketAddr) -> String {
    let path = address.as_pathname().map(|path| path.display().to_string());
    let abstract_name =
        || address.as_abstract_name().map(|name| format!("@{}", OsStr::from_bytes(name).display()));
    path.or_else(abstract_name).unwrap_or_default()
}

fn waiting(readiness: Readiness) -> String {
    match readiness.identities {
        0 => "starting".to_owned(),
        1 => "waiting for a token in every sink".to_owned(),
        all => format!("{} of {all} identities have delivered their token", readiness.ready),
    }
}

fn delivered(readiness: Readiness) -> String {
    match readiness.identities {
        0 => "listening".to_owned(),
        1 => "the token is delivered".to_owned(),
        all => format!("the tokens of all {all} identities are delivered"),
    }
}
