//! Plug-ins under a running agent: how soon a changed file serves, and what it costs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::delivery::milliseconds_of_day;
use super::launch::{command, identity, vault};
use super::{Limit, Row, Site, Table, median};
use crate::Result;
use crate::process::{self, Running};

/// Changes of each kind.
const CHANGES: u32 = 7;

/// Measures a component of 200 kB, changed and back again, and one in JavaScript of 12 MB.
pub(super) fn measure(site: &Site<'_>, table: &mut Table) -> Result<()> {
    println!("\nPlug-ins replaced under a running agent …");
    let home = site.home.join("plugins");
    std::fs::create_dir(&home).map_err(|error| error.to_string())?;
    let component = built_in_component()?;
    let mut agent = Agent::start(site, &home, &component)?;
    let mut compiled = Vec::new();
    for number in 1..=CHANGES {
        compiled.push(agent.replace("acme", &version(&component, number))?);
    }
    let mut cached = Vec::new();
    for number in 1..=CHANGES {
        cached.push(agent.replace("acme", &version(&component, number))?);
    }
    table.add(Row {
        what: "component of 200 kB live after its rename (ms)",
        bao: None,
        usher: median(compiled),
        limit: Limit::Absolute(500.0),
    });
    table.add(Row {
        what: "… from the cache (ms)",
        bao: None,
        usher: median(cached),
        limit: Limit::Absolute(50.0),
    });
    let javascript = javascript(site.setup, &home)?;
    let (live, longest_pause) = agent.replace_and_watch("acme", &javascript)?;
    table.add(Row {
        what: "component in JavaScript, 12 MB, live (ms)",
        bao: None,
        usher: live,
        limit: Limit::Absolute(f64::INFINITY),
    });
    table.add(Row {
        what: "… the agent's longest pause meanwhile (ms)",
        bao: None,
        usher: longest_pause,
        limit: Limit::Absolute(50.0),
    });
    agent.process.stop()?;
    reloads(table)
}

/// A thousand reloads and ten thousand calls inside one process.
fn reloads(table: &mut Table) -> Result<()> {
    let example = process::target_directory().join("release/examples/plugin_reloads");
    let printed = process::output(&mut Command::new(example))?;
    let figure = |name: &str| {
        let line = printed.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.trim().parse::<f64>().ok());
        number.ok_or_else(|| format!("the example printed no {name}: {printed}"))
    };
    for (name, what, limit) in [
        ("prepare ", "fresh instance + trivial call (µs)", 100.0),
        ("replace ", "plug-in replaced from the cache, inside (ms)", 50.0),
        ("memory ", "1,000 reloads, 10,000 calls: memory, 2nd half (KiB)", 256.0),
        ("descriptors ", "… descriptors more or less", 0.0),
        ("threads ", "… threads more or less", 0.0),
        ("mappings ", "… mappings more or less", 0.0),
    ] {
        let limit = Limit::Absolute(limit);
        table.add(Row { what, bao: None, usher: figure(name)?, limit });
    }
    Ok(())
}

/// An agent that logs in with a method of its plug-in directory.
struct Agent {
    process: Running,
    directory: PathBuf,
    log: PathBuf,
    metrics: String,
}

impl Agent {
    fn start(site: &Site<'_>, home: &Path, component: &[u8]) -> Result<Self> {
        let directory = home.join("directory");
        std::fs::create_dir(&directory).map_err(|error| error.to_string())?;
        std::fs::write(directory.join("acme.wasm"), component)
            .map_err(|error| error.to_string())?;
        let token = home.join("token");
        let text = format!(
            r#"log_format = "json"
metrics_address = "127.0.0.1:0"
plugin_directory = "{directory}"
plugin "acme" {{
  allow {{
    read = ["{credentials}/*"]
    watch = ["{credentials}/*"]
  }}
}}
{vault}{identity}"#,
            directory = directory.display(),
            credentials = site.credentials.display(),
            vault = vault(site.server.address()),
            identity = identity("auto_auth", "acme", "", site.credentials, slice::from_ref(&token)),
        );
        let configuration = home.join("agent.hcl");
        std::fs::write(&configuration, text).map_err(|error| error.to_string())?;
        let log = home.join("log");
        let file = std::fs::File::create(&log).map_err(|error| error.to_string())?;
        let mut command = command(&site.usher, home, &configuration);
        command.env("CACHE_DIRECTORY", home.join("cache"));
        let process = Running::start(command.stdout(Stdio::null()).stderr(Stdio::from(file)))?;
        process::wait_until("the token", Duration::from_secs(30), || token.exists().then_some(()))?;
        let text = std::fs::read_to_string(&log).map_err(|error| error.to_string())?;
        let metrics = text
            .split("\"metrics_address\":\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .ok_or_else(|| format!("no metrics_address in {text}"))?
            .to_owned();
        // Until the directory is watched, as a second after the start it is.
        super::pause(Duration::from_secs(1))?;
        Ok(Self { process, directory, log, metrics })
    }

    /// Milliseconds from the rename until the component serves, by the agent's own log.
    fn replace(&mut self, name: &str, component: &[u8]) -> Result<f64> {
        let read = || std::fs::read_to_string(&self.log).unwrap_or_default();
        let known = read().len();
        let unfinished = self.directory.join("unfinished");
        std::fs::write(&unfinished, component).map_err(|error| error.to_string())?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let renamed = since.as_secs_f64() * 1e3 % 86_400_000.0;
        std::fs::rename(&unfinished, self.directory.join(format!("{name}.wasm")))
            .map_err(|error| error.to_string())?;
        let line = process::wait_until("the plug-in", Duration::from_mins(2), || {
            let log = read();
            log[known..].lines().find(|line| line.contains("plug-in replaced")).map(str::to_owned)
        })?;
        Ok((milliseconds_of_day(&line)? - renamed).rem_euclid(86_400_000.0))
    }

    /// The same, and how long the agent at most didn't answer meanwhile.
    fn replace_and_watch(&mut self, name: &str, component: &[u8]) -> Result<(f64, f64)> {
        let done = AtomicBool::new(false);
        let address = self.metrics.clone();
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let mut longest = Duration::ZERO;
                while !done.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    if !is_alive(&address) {
                        return Err("the agent doesn't answer".to_owned());
                    }
                    longest = longest.max(asked.elapsed());
                    std::thread::sleep(Duration::from_millis(2));
                }
                Ok(longest.as_secs_f64() * 1e3)
            });
            let live = self.replace(name, component);
            done.store(true, Ordering::Relaxed);
            let longest = asking.join().map_err(|_| "asking failed".to_owned())??;
            Ok((live?, longest))
        })
    }
}

/// Whether the agent's run loop answers.
fn is_alive(address: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let mut answer = String::new();
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: agent\r\n\r\n").is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

/// The built-in `approle` before it was compiled, of the newest build.
fn built_in_component() -> Result<Vec<u8>> {
    let builds = process::target_directory().join("release/build");
    let newest = std::fs::read_dir(&builds)
        .map_err(|error| format!("{}: {error}", builds.display()))?
        .filter_map(std::result::Result::ok)
        .filter(|build| build.file_name().to_string_lossy().starts_with("usher-builtins-"))
        .map(|build| build.path().join("out/approle.wasm"))
        .filter_map(|file| Some((std::fs::metadata(&file).ok()?.modified().ok()?, file)))
        .max();
    let (_, file) = newest.ok_or("no approle.wasm in the build")?;
    std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))
}

/// The same component with another digest: a custom section that says nothing.
fn version(component: &[u8], number: u32) -> Vec<u8> {
    let mut bytes = component.to_vec();
    // Section 0, six bytes: a name of one byte, and the number.
    bytes.extend([0, 6, 1, b'v']);
    bytes.extend(number.to_le_bytes());
    bytes
}

/// The tests' method in JavaScript, made to take the settings of `approle`.
fn javascript(setup: &Path, home: &Path) -> Result<Vec<u8>> {
    let workspace = process::workspace();
    let source = std::fs::read_to_string(workspace.join("tests/plugins/files_login.js"))
        .map_err(|error| error.to_string())?
        .replace("role_id_file", "role_id_file_path")
        .replace("secret_id_file", "secret_id_file_path");
    let (input, output) = (home.join("acme.js"), home.join("acme.wasm"));
    std::fs::write(&input, source).map_err(|error| error.to_string())?;
    componentize(setup, &input, &output)?;
    std::fs::read(&output).map_err(|error| error.to_string())
}

/// Makes a component of an auth method in JavaScript.
pub(super) fn componentize(setup: &Path, source: &Path, output: &Path) -> Result<()> {
    process::run(
        Command::new("node")
            .arg(setup.join("node/componentize.mjs"))
            .arg(source)
            .arg(process::workspace().join("wit"))
            .arg("auth-method-plugin")
            .arg(output)
            .stdout(Stdio::null()),
    )
}
