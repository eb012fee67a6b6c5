//! Talks to a running agent over its admin socket, for `usher status`, `wait` and `reload`.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use http_body_util::Empty;
use hyper::{Method, Request, StatusCode};
use tokio::net::UnixStream;
use usher_config::{Overrides, load};

use crate::exchange::exchange;

/// Where the agent is.
#[derive(Args)]
pub(crate) struct SocketArguments {
    /// The agent's admin socket; default `$RUNTIME_DIRECTORY/usher.sock`.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The agent's configuration, which names its admin socket; may be given several times.
    #[arg(long, value_name = "PATH", conflicts_with = "socket")]
    config: Vec<PathBuf>,
}

/// What went wrong on the way.
#[derive(Debug)]
pub(crate) enum Unreachable {
    /// Nobody listens there (yet).
    Absent(String),
    /// Anything else.
    Broken(String),
}

impl Unreachable {
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Absent(text) | Self::Broken(text) => text,
        }
    }
}

impl SocketArguments {
    /// The path of the socket.
    ///
    /// # Errors
    /// Why none is known, and what to do.
    pub(crate) fn find(&self) -> Result<PathBuf, String> {
        const NAME_IT: &str = "set admin_socket = \"/run/usher/usher.sock\" at top level of the agent's configuration";
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        if !self.config.is_empty() {
            let environment = |name: &str| std::env::var(name).ok();
            let loaded = load(&self.config, &Overrides::default(), &environment);
            let Some(settings) = loaded.settings else {
                let problems: Vec<String> = loaded
                    .diagnostics
                    .iter()
                    .filter(|problem| problem.is_error())
                    .map(ToString::to_string)
                    .collect();
                return Err(format!(
                    "{}\nthe configuration has to be mended first; or name the socket itself with --socket",
                    problems.join("\n")
                ));
            };
            return settings.admin_socket.ok_or_else(|| {
                format!("this configuration gives the agent no admin socket: {NAME_IT}")
            });
        }
        match std::env::var_os("RUNTIME_DIRECTORY").filter(|directory| !directory.is_empty()) {
            Some(directories) => Ok(in_runtime_directory(&directories.to_string_lossy())),
            None => Err(format!(
                "it isn't known where the agent listens: {NAME_IT}, and name the same path here with --socket, or the configuration with --config"
            )),
        }
    }
}

/// systemd separates several directories by colons (systemd.exec(5)).
fn in_runtime_directory(directories: &str) -> PathBuf {
    Path::new(directories.split(':').next().unwrap_or_default()).join("usher.sock")
}

/// One request without a body; status and text of the answer.
///
/// # Errors
/// Why there is no answer, and what to do.
pub(crate) async fn ask(
    socket: &Path,
    method: Method,
    path: &str,
) -> Result<(StatusCode, String), Unreachable> {
    let stream = UnixStream::connect(socket).await.map_err(|error| explain(socket, &error))?;
    let broken = |error: String| {
        Unreachable::Broken(format!(
            "the agent at {} gave no answer: {error}; its log says more",
            socket.display()
        ))
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "usher")
        .body(Empty::new())
        .map_err(|error| broken(error.to_string()))?;
    let answer = exchange(stream, request).await.map_err(broken)?;
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    Ok((answer.status(), text))
}

/// An answer other than success, as an error.
pub(crate) fn refused(status: StatusCode, text: &str) -> String {
    match text.trim() {
        "" => format!("the agent answered {status}"),
        text => text.to_owned(),
    }
}

fn explain(socket: &Path, error: &io::Error) -> Unreachable {
    let at = socket.display();
    match error.kind() {
        io::ErrorKind::NotFound => Unreachable::Absent(format!(
            "no agent listens at {at}: there is no such socket; start `usher agent` with this admin_socket, or name the right one"
        )),
        io::ErrorKind::ConnectionRefused => Unreachable::Absent(format!(
            "no agent listens at {at}: the socket is left over from one that has ended; start `usher agent` again"
        )),
        io::ErrorKind::PermissionDenied => Unreachable::Broken(format!(
            "the admin socket {at} can't be used: {error}; run this as root or as the agent's own user"
        )),
        _ => Unreachable::Broken(format!("the admin socket {at} can't be used: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_runtime_directory_holds_the_socket() {
        for given in ["/run/usher", "/run/usher:/run/other"] {
            assert_eq!(in_runtime_directory(given), Path::new("/run/usher/usher.sock"));
        }
    }
}
