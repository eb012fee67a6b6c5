//! The login of `iam`: a signed `GetCallerIdentity` that the server, not the agent, sends to STS.

use crate::Config;
use crate::credentials::Credentials;
use crate::region::sts_host;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::time::SystemTime;
use usher_plugin_lib::basic_date_time;
use usher_plugin_lib::sigv4::{Request, Signer};

/// The body of the login, signed now.
pub(crate) fn body(
    config: &Config,
    credentials: &Credentials,
    region: &str,
    now: SystemTime,
) -> Value {
    let host = sts_host(region);
    let date_time = basic_date_time(now);
    let length = REQUEST.len().to_string();
    let mut headers = vec![
        ("Content-Length", length.as_str()),
        ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"),
        ("X-Amz-Date", &date_time),
    ];
    if !credentials.session_token.is_empty() {
        headers.push((TOKEN, &credentials.session_token));
    }
    if !config.header_value.is_empty() {
        headers.push((SERVER_ID, &config.header_value));
    }
    // Signed, but for the server to make from the URL.
    let mut signed = headers.clone();
    signed.push(("Host", &host));
    let signer = Signer {
        access_key: &credentials.access_key,
        secret_key: &credentials.secret_key,
        region,
        service: "sts",
        date_time: &date_time,
    };
    let authorization = signer.authorization(&Request {
        method: "POST",
        path: "/",
        query: &[],
        headers: &signed,
        body: REQUEST.as_bytes(),
    });
    headers.push(("Authorization", &authorization));
    let mut sent = Map::new();
    for (name, value) in headers {
        sent.insert(name.to_owned(), json!([value]));
    }
    json!({
        "iam_http_request_method": "POST",
        "iam_request_url": STANDARD.encode(format!("https://{host}/")),
        "iam_request_body": STANDARD.encode(REQUEST),
        "iam_request_headers": STANDARD.encode(Value::from(sent).to_string()),
        "role": config.role,
    })
}

const REQUEST: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// Spelt as Go's `net/http`, with which the server reads them, spells names.
const TOKEN: &str = "X-Amz-Security-Token";
const SERVER_ID: &str = "X-Vault-Aws-Iam-Server-Id";
