//! The two agents with a listener, and the server whose answers are fixed.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Result;
use crate::bench::launch::{command, identity, vault};
use crate::process::{self, Running};

/// An agent that has logged in.
pub(super) struct Agent {
    process: Running,
    home: PathBuf,
    address: SocketAddr,
}

/// Whether an agent has a listener, and a cache behind it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Listener {
    No,
    Tcp,
    TcpAndCache,
}

impl Agent {
    /// Starts a program with the credentials of an AppRole role, at home in a new directory.
    pub(super) fn start(
        program: &Path,
        server: &str,
        credentials: &Path,
        home: PathBuf,
        listener: Listener,
    ) -> Result<Self> {
        std::fs::create_dir(&home).map_err(|error| format!("{}: {error}", home.display()))?;
        let address = process::free_address()?;
        let cache = if listener == Listener::TcpAndCache { "cache {}" } else { "" };
        let listening = match listener {
            Listener::No => String::new(),
            Listener::Tcp | Listener::TcpAndCache => format!(
                r#"api_proxy {{
  use_auto_auth_token = true
}}
listener "tcp" {{
  address = "{address}"
  tls_disable = true
}}
{cache}
"#
            ),
        };
        let tokens = [home.join("token")];
        let text = vault(server)
            + &identity("auto_auth", "approle", "", credentials, &tokens)
            + &listening;
        let file = home.join("agent.hcl");
        std::fs::write(&file, text).map_err(|error| error.to_string())?;
        let mut command = command(program, &home, &file);
        let process = Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()))?;
        let agent = Self { process, home, address };
        process::wait_until("the token", Duration::from_secs(20), || agent.token().ok())?;
        if listener != Listener::No {
            answers(address)?;
        }
        Ok(agent)
    }

    /// Whether what is posted there for the second time is answered from the cache.
    pub(super) fn answers_from_cache(&self, path: &str, body: &str) -> Result<bool> {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(self.address)?;
            let length = body.len();
            write!(
                stream,
                "POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
                 Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}",
                self.address
            )?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let second = ask().and_then(|_| ask()).map_err(|error| error.to_string())?;
        Ok(second.to_ascii_lowercase().contains("x-cache: hit"))
    }

    /// Process id.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// URL, "http://127.0.0.1:PORT".
    pub(super) fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The token that it was given.
    pub(super) fn token(&self) -> Result<String> {
        let file = self.home.join("token");
        match std::fs::read_to_string(&file) {
            Ok(token) if !token.is_empty() => Ok(token),
            Ok(_) => Err(format!("{} is empty", file.display())),
            Err(error) => Err(format!("{}: {error}", file.display())),
        }
    }
}

/// A server that says to everybody the same without a thought, a login included.
pub(super) struct FixedServer {
    address: SocketAddr,
    _process: Running,
}

impl FixedServer {
    pub(super) fn start() -> Result<Self> {
        let address = process::free_address()?;
        let example = process::target_directory().join("release/examples/fixed_answers");
        let process = Running::start(Command::new(example).arg(address.to_string()))?;
        answers(address)?;
        Ok(Self { address, _process: process })
    }

    /// URL, "http://127.0.0.1:PORT".
    pub(super) fn address(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Waits until somebody listens.
fn answers(address: SocketAddr) -> Result<()> {
    let what = format!("a listener at {address}");
    process::wait_until(&what, Duration::from_secs(20), || TcpStream::connect(address).ok())
        .map(|_| ())
}
