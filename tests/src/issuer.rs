//! An issuer of JWTs: an independent program signs what the test claims.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::oracle::{ask_for_text, python_on};

/// Holds a key and signs with it.
pub struct Issuer {
    home: TempDir,
    public_pem: String,
}

impl Issuer {
    /// With a key of its own, for ES256.
    pub fn new() -> Self {
        Self::with_key("ES256")
    }

    /// With a key of its own, for RS256, as clouds have them.
    pub fn rs256() -> Self {
        Self::with_key("RS256")
    }

    fn with_key(algorithm: &str) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let public_pem = run(algorithm, &home.path().join("key.pem"), "");
        Self { home, public_pem }
    }

    /// What the server verifies with.
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// A JWT of these claims.
    pub fn sign(&self, claims: &Value) -> String {
        run("sign", &self.home.path().join("key.pem"), &claims.to_string())
    }
}

impl Default for Issuer {
    fn default() -> Self {
        Self::new()
    }
}

/// Claims of "workload" for the audience "usher", good for an hour from now.
pub fn claims() -> Value {
    json!({
        "iss": "https://issuer.test",
        "sub": "workload",
        "aud": "usher",
        "iat": in_seconds(0),
        "nbf": in_seconds(0),
        "exp": in_seconds(3600),
    })
}

/// A time as JWTs have it.
pub fn in_seconds(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_secs()).expect("a time") + seconds
}

fn run(task: &str, key: &Path, input: &str) -> String {
    ask_for_text(python_on("jwt.py").arg(task).arg(key), input)
}
