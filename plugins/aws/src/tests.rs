//! The method against the SDK's fake host.

mod botocore;
mod config;
mod container;
mod ec2;
mod imds;
mod profile;
mod session;
mod signature;
mod web_identity;

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use usher_plugin::Credential;
use usher_plugin::http::Response;
use usher_plugin::testing::{self, Host};
use usher_plugin_lib::rfc3339;

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "FwoGZXIvYXdzEXAMPLE//token==";
const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJzdHMifQ.c2lnbmF0dXJl";
const NOW: &str = "2026-11-21T12:34:56Z";
const SOON: &str = "2026-11-21T18:00:00Z";

/// What the server gets, decoded.
struct Sent {
    url: String,
    headers: Map<String, Value>,
    authorization: String,
    revision: String,
}

impl Sent {
    /// The key that signed it.
    fn key(&self) -> &str {
        let (_, rest) = self.authorization.split_once("Credential=").unwrap();
        rest.split_once('/').unwrap().0
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|values| values[0].as_str().unwrap())
    }
}

fn host() -> Host {
    let host = Host::install();
    wait_until(&host, NOW);
    host
}

fn wait_until(host: &Host, text: &str) {
    host.advance(rfc3339(text).unwrap().duration_since(clock::now()).unwrap());
}

fn iam() -> Value {
    json!({"type": "iam", "role": "app"})
}

fn with(changes: Value) -> Value {
    let mut config = iam();
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

fn log_in(config: &Value) -> Result<Sent, Failure> {
    let answer = testing::authenticate::<Aws>(config)?;
    let Credential::Login(login) = answer.credential else { panic!("not a login") };
    assert_eq!((login.path.as_str(), login.headers.len()), ("login", 0));
    let decode = |key: &str| {
        String::from_utf8(STANDARD.decode(login.body[key].as_str().unwrap()).unwrap()).unwrap()
    };
    assert_eq!(login.body["role"], config["role"]);
    assert_eq!(login.body["iam_http_request_method"], "POST");
    assert_eq!(decode("iam_request_body"), "Action=GetCallerIdentity&Version=2011-06-15");
    let headers: Map<String, Value> = serde_json::from_str(&decode("iam_request_headers")).unwrap();
    Ok(Sent {
        url: decode("iam_request_url"),
        authorization: headers["Authorization"][0].as_str().unwrap().to_owned(),
        headers,
        revision: answer.revision,
    })
}

/// The failure, which shows no credential, and neither does the log.
#[track_caller]
fn failure(host: &Host, config: &Value) -> Failure {
    let failure = log_in(config).err().expect("a failure");
    assert_clean(host, &failure);
    failure
}

#[track_caller]
fn assert_clean(host: &Host, failure: &Failure) {
    let told = format!("{failure:?} {:?}", host.logs());
    for secret in [SECRET, TOKEN, JWT, "marker"] {
        assert!(!told.contains(secret), "{told}");
    }
}

#[track_caller]
fn assert_fails(host: &Host, config: &Value, kind: Kind, code: &str, parts: &[&str]) {
    let failure = failure(host, config);
    assert_eq!((failure.kind, failure.code.as_str()), (kind, code), "{failure}");
    for part in parts {
        assert!(failure.message.contains(part), "{part:?}: {failure}");
    }
}

/// As instances and containers hand credentials out.
fn handed(key: &str) -> Value {
    json!({
        "Code": "Success",
        "Type": "AWS-HMAC",
        "AccessKeyId": key,
        "SecretAccessKey": SECRET,
        "Token": TOKEN,
        "Expiration": SOON,
    })
}

/// Answers each such request the same.
fn answer(host: &Host, method: &str, url: &str, status: u16, body: impl ToString) {
    let body = body.to_string();
    host.answer_http(method, url, move |_| Ok(Response::new(status, body.clone())));
}

#[test]
fn the_schema_in_the_file_is_that_of_the_configuration() {
    testing::check_config_schema::<Config>(Aws::CONFIG_SCHEMA);
}
