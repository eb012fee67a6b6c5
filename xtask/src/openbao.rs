//! A real OpenBao server for the demo and the benchmark, spoken to through its own command line.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Result;
use crate::process::{self, Running};

/// An in-memory server on a free loopback port; ends with this value.
pub(crate) struct OpenBao {
    program: PathBuf,
    home: PathBuf,
    address: String,
    root_token: String,
    server: Running,
}

impl OpenBao {
    /// Starts the server with its files in `home`, and makes sure that who answers is it.
    pub(crate) fn start(program: &Path, home: &Path) -> Result<Self> {
        let address = process::free_address()?;
        let root_token = format!("root-{}", process::random_hex()?);
        let log = File::create(home.join("openbao.log")).map_err(|error| error.to_string())?;
        let log_too = log.try_clone().map_err(|error| error.to_string())?;
        let server = Running::start(
            clean(&mut Command::new(program), home)
                .args(["server", "-dev", "-dev-no-store-token", "-log-level=warn"])
                .arg(format!("-dev-listen-address={address}"))
                .env("BAO_DEV_ROOT_TOKEN_ID", &root_token)
                .stdout(Stdio::from(log))
                .stderr(Stdio::from(log_too)),
        )?;
        let bao = Self {
            program: program.to_owned(),
            home: home.to_owned(),
            address: format!("http://{address}"),
            root_token,
            server,
        };
        process::wait_until("the OpenBao server", Duration::from_secs(30), || {
            bao.run(&["token", "lookup"]).ok()
        })?;
        Ok(bao)
    }

    /// URL, "http://127.0.0.1:PORT".
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Runs `bao ARGUMENTS` as root of the server; returns what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String> {
        self.run_as(&self.root_token, arguments)
    }

    /// Runs `bao ARGUMENTS` with a token.
    pub(crate) fn run_as(&self, token: &str, arguments: &[&str]) -> Result<String> {
        process::output(
            clean(&mut Command::new(&self.program), &self.home)
                .args(arguments)
                .env("BAO_ADDR", &self.address)
                .env("BAO_TOKEN", token),
        )
    }

    /// Sets up an AppRole role with `settings` (`token_ttl=6s`); writes its role-id and a
    /// secret-id to files of these names in the server's home.
    pub(crate) fn approle(&self, settings: &[&str]) -> Result<()> {
        self.run(&["auth", "enable", "approle"])?;
        let mut write = vec!["write", "auth/approle/role/app"];
        write.extend(settings);
        self.run(&write)?;
        let role_id = self.run(&["read", "-field=role_id", "auth/approle/role/app/role-id"])?;
        let secret_id =
            self.run(&["write", "-f", "-field=secret_id", "auth/approle/role/app/secret-id"])?;
        for (name, value) in [("role-id", role_id), ("secret-id", secret_id)] {
            std::fs::write(self.home.join(name), value).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Ends the server.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.server.stop().map(|_| ())
    }
}

/// The command without the caller's server settings, at home in `home`.
pub(crate) fn clean<'a>(command: &'a mut Command, home: &Path) -> &'a mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("BAO_") || text.starts_with("VAULT_") {
            command.env_remove(&name);
        }
    }
    command.env("HOME", home).current_dir(home)
}
