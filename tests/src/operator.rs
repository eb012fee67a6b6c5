//! What an operator does to a running agent: asks its admin socket, and listens as systemd does.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::agent::{Ended, Launch};
use crate::eventually::eventually;

/// `usher COMMAND --socket SOCKET …`, run to its end.
#[track_caller]
pub fn command(name: &str, socket: &Path, arguments: &[&str]) -> Ended {
    let mut launch = Launch::command(&[name, "--socket"]).argument(socket);
    for argument in arguments {
        launch = launch.argument(argument);
    }
    launch.run(LIMIT)
}

/// `usher status --json`, once the agent answers.
#[track_caller]
pub fn status(socket: &Path) -> Value {
    eventually("an answer on the admin socket", LIMIT, || {
        let ended = command("status", socket, &["--json"]);
        (ended.status == 0).then(|| serde_json::from_str(&ended.results).expect("JSON"))
    })
}

/// Waits until `usher status --json` shows what `wanted` wants, and returns that.
#[track_caller]
pub fn status_when(socket: &Path, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually(what, LIMIT, || Some(status(socket)).filter(|status| wanted(status)))
}

/// How many seconds lie between two times of day, of which only the hours, minutes and seconds
/// count: "2026-11-22T04:17:21.632Z".
#[track_caller]
pub fn seconds_apart(one: &Value, other: &Value) -> i64 {
    let second = |time: &Value| {
        let time = time.as_str().and_then(|time| time.get(11..19)).expect("a time");
        time.split(':').fold(0, |sum, part| sum * 60 + part.parse::<i64>().expect("a number"))
    };
    let difference = (second(one) - second(other)).abs();
    difference.min(86_400 - difference)
}

/// A directory into which everybody may look.
pub fn open_directory() -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).expect("its mode");
    directory
}

/// A service manager that listens for `sd_notify` messages.
pub struct ServiceManager {
    socket: UnixDatagram,
    name: String,
    _home: TempDir,
}

impl ServiceManager {
    /// On a socket in the file system.
    pub fn at_path() -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let path: PathBuf = home.path().join("notify.sock");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        Self { socket, name: path.display().to_string(), _home: home }
    }

    /// On an abstract socket.
    pub fn abstract_socket() -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let name = format!("usher-test{}", home.path().display());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let socket = UnixDatagram::bind_addr(&address).expect("a socket");
        Self { socket, name: format!("@{name}"), _home: home }
    }

    /// For `NOTIFY_SOCKET`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next message, within `limit`.
    pub fn message(&self, limit: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(limit)).expect("a time-out");
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).expect("UTF-8"))
    }

    /// Waits for a message with this line and returns it.
    #[track_caller]
    pub fn message_with(&self, line: &str) -> String {
        let mut seen = Vec::new();
        while let Some(message) = self.message(LIMIT) {
            if message.lines().any(|candidate| candidate == line) {
                return message;
            }
            seen.push(message);
        }
        panic!("no message with {line:?}: {seen:?}")
    }
}

const LIMIT: Duration = Duration::from_secs(30);
