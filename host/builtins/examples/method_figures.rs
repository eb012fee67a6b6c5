//! What one login costs inside: a fresh instance of each auth method and its `authenticate`.
//!
//! Prints a line for each: its name, the median in microseconds beyond the file reads, and the size
//! of its component in kilobytes. `approle` reads one file or two, so that the difference is what a
//! file read costs; it is taken off for each file. `azure` asks a metadata service, which stands
//! where the environment says; that one exchange over loopback is counted. Of `kerberos`, whose time
//! is that of the realm's answers, and of `cf` and `oci`, whose time is that of one RSA signature,
//! there is only the size.

#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

mod timing;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::{Value, json};
use usher_engine::{Engine, Kind, Protected};

const CALLS: usize = 2000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let home = tempfile::tempdir()?;
    let file = |name: &str, content: &str| {
        let path = home.path().join(name);
        std::fs::write(&path, content).map(|()| path.display().to_string())
    };
    let role_id = file("role-id", "59d6d1ca-47bb-4e7e-a40b-8be3bc5a0ba8")?;
    let secret_id_text = "84896a0c-1347-aa90-a4f6-aca8b7558780";
    let secret_id = file("secret-id", secret_id_text)?;
    let jwt = file("jwt", &format!("{}.{}.{}", "a".repeat(40), "b".repeat(600), "c".repeat(342)))?;
    let base64 = "QUJD".repeat(16);
    let pem = |label: &str, lines: usize| {
        format!(
            "-----BEGIN {label}-----\n{}-----END {label}-----\n",
            format!("{base64}\n").repeat(lines)
        )
    };
    let certificate = file("certificate", &pem("CERTIFICATE", 20))?;
    let key = file("key", &pem("PRIVATE KEY", 26))?;

    if let Ok(address) = std::env::var(METADATA) {
        let token = json!({ "access_token": std::fs::read_to_string(&jwt)? });
        answer_with(&address, &token.to_string())?;
    }

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let alone = json!({ "role_id_file_path": role_id });
        let both = json!({
            "role_id_file_path": role_id,
            "secret_id_file_path": secret_id,
            "remove_secret_id_file_after_reading": false,
        });
        let one = median("approle", &alone).await?;
        let two = median("approle", &both).await?;
        let read = (two - one).max(0.0);
        for (name, config, files) in [
            (
                "alicloud",
                json!({
                    "role": "app",
                    "region": "eu-central-1",
                    "access_key": "STS.NTx",
                    "access_secret": secret_id_text,
                    "access_token": "CAIS".repeat(200),
                }),
                0.0,
            ),
            ("approle", both, 2.0),
            (
                "aws",
                json!({
                    "type": "iam",
                    "role": "app",
                    "access_key": "AKIDEXAMPLE",
                    "secret_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                    "header_value": "vault.example.com",
                }),
                0.0,
            ),
            (
                "azure",
                json!({
                    "role": "app",
                    "resource": "https://vault.test",
                    "subscription_id": "",
                    "resource_group_name": "",
                    "vm_name": "",
                    "vmss_name": "",
                }),
                0.0,
            ),
            (
                "cert",
                json!({ "client_cert": certificate, "client_key": key, "ca_cert": certificate }),
                3.0,
            ),
            (
                "gcp",
                json!({
                    "type": "iam",
                    "role": "app",
                    "sign_locally": true,
                    "credentials": google_key()?,
                }),
                0.0,
            ),
            ("jwt", json!({ "path": jwt, "role": "app", "remove_jwt_after_reading": false }), 1.0),
            ("kubernetes", json!({ "token_path": jwt, "role": "app" }), 1.0),
            ("token_file", json!({ "token_file_path": secret_id }), 1.0),
            (
                "userpass",
                json!({
                    "username": "app",
                    "password_file_path": secret_id,
                    "remove_password_after_reading": false,
                }),
                1.0,
            ),
        ] {
            let microseconds = median(name, &config).await? - files * read;
            let size = usher_builtins::find(Kind::AuthMethod, name).ok_or(name)?.size;
            println!("{name} {microseconds:.1} {}", size.div_ceil(1000));
        }
        for name in ["cf", "kerberos", "oci"] {
            let size = usher_builtins::find(Kind::AuthMethod, name).ok_or(name)?.size;
            println!("{name} {}", size.div_ceil(1000));
        }
        Ok(())
    })
}

/// Names the metadata service for `azure`.
const METADATA: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";

/// A service at "http://HOST:PORT" that answers everything with this body.
fn answer_with(address: &str, body: &str) -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind(address.trim_start_matches("http://"))?;
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // A request is one small packet. A client that is gone is its own affair.
            let _ = stream.read(&mut [0; 4096]).and_then(|_| stream.write_all(answer.as_bytes()));
        }
    });
    Ok(())
}

/// A key file of a service account.
fn google_key() -> Result<String, rcgen::Error> {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256)?;
    let file = json!({
        "type": "service_account",
        "client_email": "app@example.iam.gserviceaccount.com",
        "private_key_id": "1",
        "private_key": key.serialize_pem(),
    });
    Ok(file.to_string())
}

/// The median of a call, in microseconds.
async fn median(name: &str, config: &Value) -> Result<f64, Box<dyn std::error::Error>> {
    let engine = Engine::new(Protected::default())?;
    let built_in = usher_builtins::find(Kind::AuthMethod, name).ok_or(name)?;
    let plugin = engine.load_built_in(built_in).await?;
    let usage = timing::usage(format!("auth/{name}"), config.to_string());
    let method = engine.auth_method(&plugin, usage).await?;
    timing::authenticate(&*method, CALLS).await
}
