//! A sink that posts the token to a service of your own, signed.
//!
//! The body is JSON: `identity`, `generation`, `form` and `content`. `x-usher-signature:
//! t=SECONDS,v1=HEX` is the HMAC-SHA256, under the key in `secret_file`, of SECONDS, a dot and the
//! body: compare it in constant time, and refuse what is older than a few minutes. The same
//! `generation` may come twice.
//!
//! ```hcl
//! sink {
//!   type = "webhook"
//!   config = { url = "https://hooks.acme.internal/usher", secret_file = "/etc/acme/webhook.key" }
//! }
//!
//! plugin "webhook" {
//!   allow {
//!     connect = ["https://hooks.acme.internal"]
//!     read    = ["/etc/acme/webhook.key"]
//!   }
//! }
//! ```

use std::fmt::Write as _;
use std::time::SystemTime;

use hmac::{Hmac, Mac};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use sha2::Sha256;
use usher_plugin::{About, Delivery, Failure, Form, Need, Sink, clock, context, files, http};

/// The sink.
pub struct Webhook;

/// The `config` block.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to post it.
    url: String,
    /// File with the key.
    secret_file: String,
}

impl Sink for Webhook {
    type Config = Config;
    const ABOUT: About = About::new(
        "webhook",
        env!("CARGO_PKG_VERSION"),
        "Posts the token to a service, signed with HMAC-SHA256",
    );

    fn prepare(config: &Config) -> Result<Vec<Need>, Failure> {
        let origin = origin(&config.url)
            .ok_or_else(|| Failure::config("webhook.url", "`url` must be an http or https URL"))?;
        Ok(vec![Need::connect(origin), Need::read(&config.secret_file)])
    }

    fn check(config: &Config) -> Result<(), Failure> {
        key(config).map(drop)
    }

    fn deliver(config: &Config, delivery: &Delivery) -> Result<(), Failure> {
        let body = json!({
            "identity": context::identity(),
            "generation": delivery.generation,
            "form": match delivery.form {
                Form::Token => "token",
                Form::Wrapped => "wrapped",
                Form::Encrypted => "encrypted",
            },
            "content": String::from_utf8_lossy(&delivery.content),
        });
        let body = serde_json::to_vec(&body)?;
        let since = clock::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seconds = since.as_secs().to_string();
        let signature = signature(key(config)?.as_bytes(), &seconds, &body);
        let response = http::Request::post(&config.url, body)
            .header("content-type", "application/json")
            .header("x-usher-signature", format!("t={seconds},v1={signature}"))
            .send()?;
        if response.is_success() {
            return Ok(());
        }
        let message = format!("the webhook answered {}", response.status);
        Err(match response.status {
            401 | 403 => Failure::denied("webhook.refused", message),
            _ => Failure::unavailable("webhook.refused", message),
        })
    }

    /// There is nothing that a webhook could take back.
    fn withdraw(_: &Config) -> Result<(), Failure> {
        Ok(())
    }
}

/// `https://hooks.acme.internal` of `https://hooks.acme.internal/usher`.
fn origin(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next().filter(|host| !host.is_empty())?;
    ["https", "http"].contains(&scheme).then(|| &url[..scheme.len() + 3 + host.len()])
}

fn key(config: &Config) -> Result<String, Failure> {
    let key = files::read_trimmed(&config.secret_file)?;
    if key.len() < 16 {
        let message = "the key is shorter than 16 bytes; write a random one into `secret_file`";
        return Err(Failure::unavailable("webhook.secret", message));
    }
    Ok(key)
}

fn signature(key: &[u8], seconds: &str, body: &[u8]) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(seconds.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.finalize().into_bytes().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

usher_plugin::export!(sink: Webhook);

#[cfg(test)]
mod tests {
    use usher_plugin::Kind;
    use usher_plugin::testing::{self, Host};

    use super::*;

    const CONFIG: &str =
        r#"{ "url": "https://hooks.test/usher", "secret_file": "/etc/webhook.key" }"#;

    #[test]
    fn a_signature_is_that_of_another_program() {
        // printf '17.{}' | openssl dgst -sha256 -hmac 0123456789abcdef
        assert_eq!(signature(b"0123456789abcdef", "17", b"{}"), SIGNATURE);
    }

    #[test]
    fn the_token_is_posted_with_its_signature() {
        let host = Host::install();
        host.put_file("/etc/webhook.key", "0123456789abcdef\n");
        host.answer_http("POST", "https://hooks.test/usher", |request| {
            let headers = &request.headers;
            let signature = headers.iter().find(|(name, _)| name == "x-usher-signature");
            // The clock of the test host.
            let expected = signature_of(&request.body, "1767225600");
            assert_eq!(signature.map(|(_, value)| value.clone()), Some(expected));
            let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
            assert_eq!((&body["content"], &body["identity"]), (&json!("s.a"), &json!("default")));
            Ok(http::Response::new(204, ""))
        });
        let config = serde_json::from_str(CONFIG).unwrap();
        testing::check::<Webhook>(&config).unwrap();
        testing::deliver::<Webhook>(&config, &Delivery::token("s.a")).unwrap();
        assert_eq!(host.requests().len(), 1);
    }

    #[test]
    fn an_answer_decides_what_happens_next() {
        for (status, kind) in [(403, Kind::Denied), (500, Kind::Unavailable)] {
            let host = Host::install();
            host.put_file("/etc/webhook.key", "0123456789abcdef\n");
            host.answer_http("POST", "https://hooks.test/usher", move |_| {
                Ok(http::Response::new(status, ""))
            });
            let config = serde_json::from_str(CONFIG).unwrap();
            let failure = testing::deliver::<Webhook>(&config, &Delivery::token("s")).unwrap_err();
            assert_eq!(failure.kind, kind);
        }
    }

    fn signature_of(body: &[u8], seconds: &str) -> String {
        format!("t={seconds},v1={}", signature(b"0123456789abcdef", seconds, body))
    }

    const SIGNATURE: &str = "47fbe0b0fc46f5c1c83c07456c70992bb9ad376f5f8bd7e3c695a76445ac2cbc";
}
