//! Independent programs that judge what the agent writes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::plugins::setup_directory;

/// Opens an envelope with Python's `cryptography`. Panics if it doesn't open.
#[track_caller]
pub fn open_envelope(private_key: &Path, derive_key: bool, aad: &str, envelope: &[u8]) -> Vec<u8> {
    envelope_tool("open", private_key, derive_key, aad, envelope)
}

/// Seals an envelope for the reader of this public key.
#[track_caller]
pub fn seal_envelope(public_key: &Path, derive_key: bool, aad: &str, plaintext: &[u8]) -> Vec<u8> {
    envelope_tool("seal", public_key, derive_key, aad, plaintext)
}

/// HMAC-SHA256 in hexadecimal, by Python's `hmac`.
#[track_caller]
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> String {
    let program = "import hmac, sys; print(hmac.digest(sys.argv[1].encode(), sys.stdin.buffer.read(), 'sha256').hex())";
    let key = str::from_utf8(key).expect("a key that is text");
    let digest = ask(python().args(["-c", program, key]), message);
    String::from_utf8_lossy(&digest).trim().to_owned()
}

/// What a program prints that is given this to read. Panics unless it succeeds.
#[track_caller]
pub fn ask(program: &mut Command, input: impl AsRef<[u8]>) -> Vec<u8> {
    let mut child = program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {program:?}: {error}"));
    child.stdin.take().expect("a pipe").write_all(input.as_ref()).expect("it reads its input");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{program:?}: {}", output.status);
    output.stdout
}

/// The same as text.
#[track_caller]
pub fn ask_for_text(program: &mut Command, input: impl AsRef<[u8]>) -> String {
    String::from_utf8(ask(program, input)).expect("text")
}

/// The Python that set-up has installed.
pub fn python() -> Command {
    Command::new(setup_directory().join("python/bin/python"))
}

/// It on a program of `oracles/`.
pub fn python_on(program: &str) -> Command {
    let mut python = python();
    python.arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("oracles").join(program));
    python
}

/// Python with the clouds' SDKs at hand, on a program of `oracles/`.
pub fn clouds_python(program: &str) -> Command {
    let mut python = python();
    python
        // The programs beside it are no modules.
        .arg("-P")
        .arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("oracles").join(program))
        .env("PYTHONPATH", setup_directory().join("clouds"));
    python
}

/// The same with Oracle Cloud's SDK, which takes seconds to start.
pub fn oracle_cloud_python(program: &str) -> Command {
    let archives = std::fs::read_dir(setup_directory().join("oci")).expect("the SDK is there");
    let mut path: Vec<PathBuf> = archives.map(|entry| entry.expect("an entry").path()).collect();
    path.retain(|file| file.extension().is_some_and(|extension| extension == "whl"));
    path.push(setup_directory().join("clouds"));
    let mut python = clouds_python(program);
    python.env("PYTHONPATH", std::env::join_paths(path).expect("paths without colons"));
    python
}

#[track_caller]
fn envelope_tool(task: &str, key: &Path, derive_key: bool, aad: &str, input: &[u8]) -> Vec<u8> {
    let derive_key = if derive_key { "true" } else { "false" };
    ask(python_on("envelope.py").arg(task).arg(key).args([derive_key, aad]), input)
}

/// A program that answers one line of JSON with one, for as long as the test runs.
pub struct Worker(Mutex<Pipes>);

struct Pipes {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Worker {
    /// The program, and the line that it begins with.
    pub fn start(program: &mut Command) -> (Self, Value) {
        let mut child = program
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {program:?}: {error}"));
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut pipes = Pipes { child, input, output };
        let first = pipes.read();
        (Self(Mutex::new(pipes)), first)
    }

    /// What it answers to this.
    pub fn ask(&self, line: &Value) -> Value {
        let mut pipes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(pipes.input, "{line}").expect("the program reads");
        pipes.read()
    }
}

impl Pipes {
    fn read(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the program answers");
        serde_json::from_str(&line).expect("the program answers in JSON")
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
