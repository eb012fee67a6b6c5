//! Independent programs that judge what the agent writes.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
    let mut child = Command::new(setup_directory().join("python/bin/python"))
        .args(["-c", program, key])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("Python can be started");
    child.stdin.take().expect("a pipe").write_all(message).expect("Python reads its input");
    let output = child.wait_with_output().expect("Python ends");
    assert!(output.status.success(), "{}", output.status);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Python with the clouds' SDKs at hand, on a program of `oracles/`.
pub fn clouds_python(program: &str) -> Command {
    let mut python = Command::new(setup_directory().join("python/bin/python"));
    python
        // The programs beside it are no modules.
        .arg("-P")
        .arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("oracles").join(program))
        .env("PYTHONPATH", setup_directory().join("clouds"));
    python
}

#[track_caller]
fn envelope_tool(task: &str, key: &Path, derive_key: bool, aad: &str, input: &[u8]) -> Vec<u8> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("oracles/envelope.py");
    let mut child = Command::new(setup_directory().join("python/bin/python"))
        .arg(script)
        .arg(task)
        .arg(key)
        .args([if derive_key { "true" } else { "false" }, aad])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("Python can be started");
    child.stdin.take().expect("a pipe").write_all(input).expect("Python reads its input");
    let output = child.wait_with_output().expect("Python ends");
    assert!(output.status.success(), "{task}: {}", output.status);
    output.stdout
}
