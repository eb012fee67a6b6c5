//! What the server asks about users: a real LDAP directory and a real RADIUS server.
//!
//! Set-up has unpacked both from Debian's packages; they run as whoever runs the tests.

use std::ffi::OsString;
use std::fs::File;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::eventually::eventually;
use crate::plugins::setup_directory;
use crate::process::{self, Process};

/// Debian's slapd with one directory, on a free loopback port. Ends with this value.
pub struct Slapd {
    // Dropped in this order: the server ends before its files go.
    server: Process,
    home: TempDir,
    port: u16,
}

impl Slapd {
    /// A directory of these users, each with name and password, below [`Slapd::BASE`].
    pub fn start(users: &[(&str, &str)]) -> Self {
        started(|| Self::try_start(users))
    }

    fn try_start(users: &[(&str, &str)]) -> Option<Self> {
        let home = tempfile::tempdir().expect("a temporary directory");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = port.expect("a free port").port();
        let database = home.path().join("database");
        std::fs::create_dir(&database).expect("a directory");
        let program = Program::find("usr/sbin/slapd");
        let configuration = home.path().join("slapd.conf");
        let text = format!(
            "include {root}/etc/ldap/schema/core.schema\n\
             include {root}/etc/ldap/schema/cosine.schema\n\
             include {root}/etc/ldap/schema/inetorgperson.schema\n\
             modulepath {root}/usr/lib/ldap\n\
             moduleload back_mdb\n\
             database mdb\n\
             suffix \"{base}\"\n\
             directory {database}\n",
            root = program.root.display(),
            base = Self::BASE,
            database = database.display(),
        );
        std::fs::write(&configuration, text).expect("slapd's configuration");
        let base = Self::BASE;
        let mut entries = vec![format!(
            "dn: {base}\nobjectClass: dcObject\nobjectClass: organization\no: usher\ndc: usher\n"
        )];
        entries.extend(users.iter().map(|(name, password)| {
            format!(
                "\ndn: uid={name},{base}\nobjectClass: inetOrgPerson\ncn: {name}\nsn: {name}\n\
                 uid: {name}\nuserPassword: {password}\n"
            )
        }));
        let entries_file = home.path().join("entries.ldif");
        std::fs::write(&entries_file, entries.concat()).expect("the users");
        let filled = program
            .command(home.path())
            .args(["-T", "add", "-f"])
            .arg(&configuration)
            .arg("-l")
            .arg(&entries_file)
            .output()
            .expect("slapd can be started");
        assert!(filled.status.success(), "the users: {filled:?}");

        let log = File::create(home.path().join("log")).expect("slapd's log");
        let mut command = program.command(home.path());
        command
            // Stays in the foreground, and logs each operation with its outcome.
            .args(["-d", "stats", "-h", &format!("ldap://127.0.0.1:{port}"), "-f"])
            .arg(&configuration)
            .stdout(Stdio::null())
            .stderr(Stdio::from(log));
        let mut server = Self { server: Process::start(command), home, port };
        server.is_ready().then_some(server)
    }

    fn is_ready(&mut self) -> bool {
        eventually("slapd", START, || match self.server.status() {
            Some(_) => Some(false),
            None => TcpStream::connect(("127.0.0.1", self.port)).is_ok().then_some(true),
        })
    }

    /// Where all users are.
    pub const BASE: &str = "dc=usher,dc=test";

    /// For the server's `url`.
    pub fn address(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.port)
    }

    /// From slapd's own log: each user that somebody tried to bind as, and whether it succeeded.
    pub fn binds(&self) -> Vec<(String, bool)> {
        let log = std::fs::read_to_string(self.home.path().join("log")).expect("slapd's log");
        let mut binds: Vec<(String, String, Option<bool>)> = Vec::new();
        for line in log.lines() {
            // "… conn=1000 op=0 BIND dn="uid=…" method=128", later "… conn=1000 op=0 RESULT … err=0 …".
            let Some((_, operation)) = line.split_once("conn=") else { continue };
            let mut words = operation.splitn(3, ' ');
            let (Some(connection), Some(number), Some(what)) =
                (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let operation = format!("{connection} {number}");
            if let Some(name) = what.strip_prefix("BIND dn=\"")
                && what.contains("method=")
            {
                let name = name.split('"').next().unwrap_or_default().to_owned();
                binds.push((operation, name, None));
            } else if what.starts_with("RESULT")
                && let Some(bind) = binds.iter_mut().find(|bind| bind.0 == operation)
            {
                bind.2 = Some(what.contains(" err=0 "));
            }
        }
        binds.into_iter().filter_map(|(_, name, outcome)| Some((name, outcome?))).collect()
    }
}

/// Debian's freeradius, on a free loopback port. Ends with this value.
pub struct FreeRadius {
    server: Process,
    home: TempDir,
    port: u16,
}

impl FreeRadius {
    /// Knows these users, each with name and password.
    pub fn start(users: &[(&str, &str)]) -> Self {
        started(|| Self::try_start(users))
    }

    fn try_start(users: &[(&str, &str)]) -> Option<Self> {
        let home = tempfile::tempdir().expect("a temporary directory");
        let port = UdpSocket::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = port.expect("a free port").port();
        let program = Program::find("usr/sbin/freeradius");
        let text = format!(
            r"
prefix = {home}
libdir = {root}/usr/lib/freeradius
security {{
  allow_vulnerable_openssl = yes
}}
client openbao {{
  ipaddr = 127.0.0.1
  secret = {secret}
  require_message_authenticator = no
}}
modules {{
  pap {{
  }}
  files {{
    usersfile = ${{prefix}}/users
  }}
}}
server default {{
  listen {{
    type = auth
    ipaddr = 127.0.0.1
    port = {port}
  }}
  authorize {{
    files
    pap
  }}
  authenticate {{
    Auth-Type PAP {{
      pap
    }}
  }}
}}
",
            home = home.path().display(),
            root = program.root.display(),
            secret = Self::SECRET,
        );
        std::fs::write(home.path().join("radiusd.conf"), text).expect("a configuration");
        let of_user = |(name, password): &(&str, &str)| {
            format!("{name} Cleartext-Password := \"{password}\"\n")
        };
        let users: Vec<String> = users.iter().map(of_user).collect();
        std::fs::write(home.path().join("users"), users.concat()).expect("the users");
        let log = File::create(home.path().join("log")).expect("a log");
        let mut command = program.command(home.path());
        command
            .args(["-f", "-x", "-l", "stdout", "-d"])
            .arg(home.path())
            .arg("-D")
            .arg(program.root.join("usr/share/freeradius"))
            .stdout(Stdio::from(log.try_clone().expect("a second handle")))
            .stderr(Stdio::from(log));
        let mut server = Self { server: Process::start(command), home, port };
        server.is_ready().then_some(server)
    }

    fn is_ready(&mut self) -> bool {
        eventually("freeradius", START, || {
            if self.server.status().is_some() {
                return Some(false);
            }
            self.log().contains("Ready to process requests").then_some(true)
        })
    }

    /// Shared with the server that asks.
    pub const SECRET: &str = "shared-with-openbao";

    /// On 127.0.0.1, UDP.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many requests it has accepted, and how many rejected.
    pub fn answers(&self) -> (usize, usize) {
        let log = self.log();
        let count = |what: &str| log.matches(&format!("Sent {what} Id")).count();
        (count("Access-Accept"), count("Access-Reject"))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).expect("freeradius's log")
    }
}

/// A server on a port that was free; once more if another process took it meanwhile.
pub(crate) fn started<T>(start: impl Fn() -> Option<T>) -> T {
    (0..3).find_map(|_| start()).expect("the server starts")
}

/// A program below a directory with the layout of "/".
pub(crate) struct Program {
    path: PathBuf,
    /// Below which it is.
    pub(crate) root: PathBuf,
}

impl Program {
    /// Unpacked by set-up, unless the system has it.
    pub(crate) fn find(path: &str) -> Self {
        let roots = [unpacked(), PathBuf::from("/")];
        let root = roots.into_iter().find(|root| root.join(path).exists());
        let root = root.unwrap_or_else(|| panic!("no {path}; run cargo xtask setup"));
        Self { path: root.join(path), root }
    }

    /// The same, where a directory with the version's name lies between the two parts of the path.
    pub(crate) fn find_newest(directory: &str, path: &str) -> Self {
        let versions = [unpacked(), PathBuf::from("/")].into_iter().flat_map(|root| {
            let entries = std::fs::read_dir(root.join(directory)).into_iter().flatten();
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned())
        });
        let newest = versions.max().unwrap_or_default();
        Self::find(&format!("{directory}/{newest}/{path}"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn command(&self, home: &Path) -> Command {
        self.wrapped(home, &[])
    }

    /// The same, started by another program: the first of these words.
    pub(crate) fn wrapped(&self, home: &Path, wrapper: &[OsString]) -> Command {
        let architecture = architecture();
        let libraries = [
            format!("usr/lib/{architecture}"),
            format!("lib/{architecture}"),
            "usr/lib/freeradius".to_owned(),
        ];
        let libraries = libraries.map(|directory| unpacked().join(directory));
        let mut command = process::command(self.path.as_os_str(), home, wrapper);
        let path = std::env::join_paths(libraries).expect("no colon in a path");
        command.env("LD_LIBRARY_PATH", path);
        command
    }
}

/// As in "usr/lib/x86_64-linux-gnu".
pub(crate) fn architecture() -> String {
    format!("{}-linux-gnu", std::env::consts::ARCH)
}

fn unpacked() -> PathBuf {
    setup_directory().join("debian")
}

pub(crate) const START: Duration = Duration::from_mins(1);
