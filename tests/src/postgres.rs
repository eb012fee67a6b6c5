//! A real `PostgreSQL`: what the server's database engine makes users in, whose leases end.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::eventually::eventually;
use crate::process::Process;
use crate::user_servers::{Program, START, started};

/// Debian's `PostgreSQL` on a free loopback port, with a superuser who needs no password. Ends with
/// this value.
pub struct Postgres {
    // Dropped in this order: the server ends before its files go.
    server: Process,
    home: TempDir,
    port: u16,
}

impl Postgres {
    /// With nothing in it.
    pub fn start() -> Self {
        started(Self::try_start)
    }

    /// For the engine's `connection_url`.
    pub fn url(&self) -> String {
        format!("postgresql://{SUPERUSER}@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    fn try_start() -> Option<Self> {
        let home = tempfile::tempdir().expect("a temporary directory");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = port.expect("a free port").port();
        let made = command("initdb", home.path())
            .args(["--auth=trust", "--no-sync", "-U", SUPERUSER, "-D", "data"])
            .output()
            .expect("initdb can be started");
        assert!(made.status.success(), "{made:?}");
        let log = File::create(home.path().join("log")).expect("the log");
        let mut command = command("postgres", home.path());
        command
            .args(["-F", "-D", "data", "-c", "listen_addresses=127.0.0.1"])
            .args(["-p", &port.to_string(), "-k"])
            .arg(home.path())
            .stdout(Stdio::null())
            .stderr(Stdio::from(log));
        let mut server = Self { server: Process::start(command), home, port };
        server.is_ready().then_some(server)
    }

    fn is_ready(&mut self) -> bool {
        // It writes there how far it is.
        let state = self.home.path().join("data/postmaster.pid");
        eventually("PostgreSQL", START, || {
            if self.server.status().is_some() {
                return Some(false);
            }
            let state = std::fs::read_to_string(&state).unwrap_or_default();
            state.lines().any(|line| line.trim() == "ready").then_some(true)
        })
    }
}

/// One of its programs. It doesn't run as root: there it gets a user namespace in which it isn't.
fn command(program: &str, home: &Path) -> Command {
    const ANOTHER: [&str; 4] = ["unshare", "--user", "--map-user=1000", "--map-group=1000"];
    let wrapper: &[&str] = if rustix::process::geteuid().is_root() { &ANOTHER } else { &[] };
    let wrapper: Vec<_> = wrapper.iter().map(Into::into).collect();
    let found = Program::find_newest("usr/lib/postgresql", &format!("bin/{program}"));
    found.wrapped(home, &wrapper)
}

const SUPERUSER: &str = "admin";
