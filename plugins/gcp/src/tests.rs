//! The method against the SDK's fake host.

mod federation;
mod iam;
mod machine;
mod refusals;

use super::*;
use serde_json::{Value, json};
use std::time::UNIX_EPOCH;
use usher_plugin::http::{Request, Response};
use usher_plugin::testing::{self, Host};
use usher_plugin::{Credential, Kind, clock};

/// A JWT in form: its payload names a machine.
const IDENTITY: &str =
    "eyJhbGciOiJSUzI1NiJ9.eyJnb29nbGUiOnsiY29tcHV0ZV9lbmdpbmUiOnt9fX0.c2lnbmF0dXJl";
/// Signed by Google, says the test.
const SIGNED: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ3ZWIifQ.c2lnbmVkIGJ5IEdvb2dsZQ";

const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
const ACCOUNT: &str = "web@shop.iam.gserviceaccount.com";
const SIGN_JWT: &str = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/web@shop.iam.gserviceaccount.com:signJwt";

const PRIVATE_KEY: &str =
    "-----BEGIN PRIVATE KEY-----\nbWFya2VyIG9mIGEga2V5\n-----END PRIVATE KEY-----\n";
/// What no failure and no line of the log may hold.
const MARKERS: [&str; 4] = ["bWFya2VyIG9mIGEga2V5", "marker-token", "marker-secret", "marker-page"];

fn gce() -> Value {
    json!({"type": "gce", "role": "app"})
}

fn iam() -> Value {
    json!({"type": "iam", "role": "app"})
}

fn with(mut config: Value, key: &str, value: Value) -> Value {
    config[key] = value;
    config
}

/// A key file.
fn key() -> Value {
    json!({
        "type": "service_account",
        "project_id": "shop",
        "private_key_id": "kid-1",
        "private_key": PRIVATE_KEY,
        "client_email": ACCOUNT,
        "client_id": "1",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": TOKEN_URI,
        "universe_domain": "googleapis.com",
    })
}

/// The configuration with these credentials in it.
fn holding(credentials: &Value) -> Value {
    with(iam(), "credentials", json!(credentials.to_string()))
}

/// A host whose key signs, whose token endpoint hands out and whose signing service signs.
fn google() -> Host {
    let host = Host::install();
    host.sign_with(|algorithm, key, data| {
        assert_eq!((algorithm, key), ("RS256", PRIVATE_KEY));
        Ok([b"of: ", data].concat())
    });
    host.answer_http("POST", TOKEN_URI, |_| Ok(token("marker-token-1")));
    host.answer_http("POST", SIGN_JWT, |_| Ok(signed()));
    host
}

fn token(token: &str) -> Response {
    let body = json!({"access_token": token, "expires_in": 3599, "token_type": "Bearer"});
    Response::new(200, body.to_string())
}

fn signed() -> Response {
    Response::new(200, json!({"keyId": "k", "signedJwt": SIGNED}).to_string())
}

fn authenticate(config: &Value) -> Result<(Value, String), Failure> {
    let answer = testing::authenticate::<Gcp>(config)?;
    let Credential::Login(login) = answer.credential else { panic!("not a login") };
    assert_eq!(login.path, "login");
    Ok((login.body, answer.revision))
}

/// The failure, in which and beside which nothing secret is told.
#[track_caller]
fn fails(host: &Host, config: &Value, kind: Kind, code: &str, parts: &[&str]) -> Failure {
    let failure = authenticate(config).unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (kind, code), "{failure}");
    for part in parts {
        assert!(failure.message.contains(part), "{part:?}: {failure}");
    }
    no_secret(host, &failure);
    failure
}

#[track_caller]
fn no_secret(host: &Host, failure: &Failure) {
    let told = format!("{failure:?} {:?}", host.logs());
    for marker in MARKERS {
        assert!(!told.contains(marker), "{marker}: {told}");
    }
}

/// The fields of a form.
fn fields(request: &Request) -> Vec<(String, String)> {
    let body = str::from_utf8(&request.body).unwrap();
    let pairs = body.split('&').map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_owned();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend(part[2..].bytes());
    }
    String::from_utf8(bytes).unwrap()
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let found = request.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

fn now() -> u64 {
    clock::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn the_schema_in_the_file_is_that_of_the_configuration() {
    testing::check_config_schema::<Config>(Gcp::CONFIG_SCHEMA);
}

#[test]
fn a_wrong_configuration_is_refused_by_key() {
    let _host = Host::install();
    let federated = federation::external(&json!({"file": "/run/token"}));
    let changed = |key: &str, value: Value| holding(&with(federated.clone(), key, value));
    for (config, key) in [
        (json!({"role": "app"}), "type"),
        (json!({"type": "gke", "role": "app"}), "type"),
        (json!({"type": "gce"}), "role"),
        (with(gce(), "role", json!("")), "role"),
        (with(gce(), "sign_locally", json!(true)), "sign_locally"),
        (with(gce(), "service_account", json!("../../x")), "service_account"),
        (with(gce(), "service_account", json!("a b")), "service_account"),
        (with(iam(), "jwt_exp", json!(0)), "jwt_exp"),
        (with(iam(), "jwt_exp", json!(-1)), "jwt_exp"),
        (with(iam(), "jwt_exp", json!("721")), "jwt_exp"),
        (with(iam(), "jwt_exp", json!("15m")), "jwt_exp"),
        (with(iam(), "credentials", json!("marker-secret")), "credentials"),
        (with(iam(), "credentials", json!({"type": "service_account"})), "credentials"),
        (with(iam(), "credentials", json!("")), "credentials"),
        (holding(&json!({"type": "marker-secret"})), "credentials"),
        (holding(&json!({"installed": {"client_secret": "marker-secret"}})), "type"),
        (holding(&json!({"type": "impersonated_service_account"})), "impersonated"),
        (holding(&json!({"type": "service_account"})), "private_key"),
        (holding(&with(key(), "private_key", json!("marker-secret"))), "private_key"),
        (holding(&with(key(), "token_uri", json!("file:///etc/passwd"))), "credentials"),
        (holding(&with(key(), "token_uri", json!("https://u:marker-secret@x/t"))), "credentials"),
        (changed("credential_source", json!({"executable": {"command": "x"}})), "programs"),
        (changed("credential_source", json!({"environment_id": "aws1"})), "AWS"),
        (changed("credential_source", json!({"file": "/run/*"})), "credentials"),
        (with(iam(), "iam_credentials_endpoint", json!("")), "iam_credentials_endpoint"),
        (with(iam(), "iam_credentials_endpoint", json!("http://a*")), "iam_credentials_endpoint"),
        (with(iam(), "subject_token_source", json!("/run/*")), "subject_token_source"),
    ] {
        let failure = testing::prepare_method::<Gcp>(&config).unwrap_err();
        assert_eq!(failure.kind, Kind::Config, "{failure}");
        assert!(failure.message.contains(key), "{key}: {failure}");
        assert!(!format!("{failure:?}").contains("marker-secret"), "{failure:?}");
    }
}

#[test]
fn needs_follow_the_configuration() {
    let _host = Host::install();
    let needs = |config: &Value| testing::prepare_method::<Gcp>(config).unwrap();
    let metadata = [
        Need::connect("http://169.254.169.254/computeMetadata/v1"),
        Need::connect("http://${GCE_METADATA_HOST}/computeMetadata/v1"),
        Need::connect("http://${GCE_METADATA_IP}/computeMetadata/v1"),
    ];
    assert_eq!(needs(&gce()), metadata);
    let signer = Need::connect("https://iamcredentials.googleapis.com");
    assert_eq!(needs(&holding(&key())), [Need::connect("https://oauth2.googleapis.com"), signer]);
    let local = with(holding(&key()), "sign_locally", json!(true));
    assert_eq!(needs(&local), []);
    let found = needs(&iam());
    for need in metadata {
        assert!(found.contains(&need), "{need:?}");
    }
    for file in [
        "~/.gcp/credentials",
        "${GOOGLE_APPLICATION_CREDENTIALS}",
        "${CLOUDSDK_CONFIG}/application_default_credentials.json",
        "~/.config/gcloud/application_default_credentials.json",
    ] {
        assert!(found.contains(&Need::watch(file)), "{file}");
    }
    // Its value may be a key, and what is watched is shown.
    assert!(found.contains(&Need::read("${GOOGLE_CREDENTIALS}")));
    let local = needs(&with(iam(), "sign_locally", json!(true)));
    assert!(!local.iter().any(|need| need.capability == "connect"), "{local:?}");
    let own = with(iam(), "subject_token_source", json!("http://169.254.169.254/token?x=y"));
    assert!(needs(&own).contains(&Need::connect("http://169.254.169.254")));
}
