//! The client of the agent against the real server: what it wraps.

// The lint's exception for tests doesn't reach the functions that tests share.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use serde_json::{Value, json};
use usher_secret::Secret;
use usher_server::{Client, Error, Governor, Login, Scope, Session, Settings, WrapInfo};
use usher_tests::site::Site;

fn client(site: &Site) -> Client {
    Client::new(Settings::new(site.proxy.address()), Governor::new()).unwrap()
}

fn login(site: &Site) -> Login {
    let read = |name| std::fs::read_to_string(site.file(name)).unwrap();
    let body = json!({ "role_id": read("role-id"), "secret_id": read("secret-id") });
    Login {
        path: "auth/approle/login".into(),
        body: Secret::new(body.to_string()),
        headers: Vec::new(),
        certificate: None,
        ca_pem: None,
    }
}

async fn log_in(client: &Client, site: &Site) -> Session {
    let result = client.login(&Scope::default(), &login(site)).await;
    result.unwrap_or_else(|error| panic!("{error}")).0
}

/// What the server sent, field by field, beside what the client made of it.
fn assert_same(made: Result<WrapInfo, Error>, sent: &Value) -> WrapInfo {
    let made = made.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(sent["token"], *made.token.expose());
    assert_eq!(sent["accessor"], made.accessor);
    assert_eq!(sent["ttl"], made.ttl.as_secs());
    assert_eq!(sent["creation_time"], made.creation_time);
    assert_eq!(sent["creation_path"], made.creation_path);
    assert_eq!(sent["wrapped_accessor"].as_str().unwrap_or_default(), made.wrapped_accessor);
    made
}

#[tokio::test]
async fn a_wrapped_token_unwraps_once_and_is_described_as_the_server_does() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let client = client(&site);
    let session = log_in(&client, &site).await;
    let made = client.wrap(&session, Duration::from_secs(90)).await;
    let sent = site.proxy.requests("sys/wrapping/wrap").remove(0).answer["wrap_info"].clone();
    let made = assert_same(made, &sent);
    assert_eq!((made.ttl.as_secs(), made.creation_path.as_str()), (90, "sys/wrapping/wrap"));
    assert_eq!(made.wrapped_accessor, "");

    let wrapping_token = made.token;
    let scope = Scope::default();
    let looked_at = client.wrapping_lookup(&scope, &wrapping_token).await.unwrap();
    assert_eq!(looked_at.creation_path, made.creation_path);
    assert_eq!(looked_at.creation_ttl, made.ttl);
    assert_eq!(looked_at.creation_time, made.creation_time);
    let inside = client.unwrap(&scope, &wrapping_token).await.unwrap_or_else(|e| panic!("{e}"));
    let inside: Value = serde_json::from_str(inside.expose()).unwrap();
    assert_eq!(inside["data"]["token"], *session.token().expose());
    let again = client.unwrap(&scope, &wrapping_token).await.err().unwrap();
    assert!(again.wrapping_used(), "{again}");
}

#[tokio::test]
async fn a_wrapped_login_gives_a_token_that_only_its_receiver_sees() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let client = client(&site);
    let scope = Scope::default();
    let made = client.login_wrapped(&scope, &login(&site), Duration::from_mins(2)).await;
    let request = site.proxy.requests("auth/approle/login").remove(0);
    assert!(request.headers.contains(&("x-vault-wrap-ttl".into(), "120s".into())));
    let made = assert_same(made, &request.answer["wrap_info"]);
    assert_eq!((made.ttl.as_secs(), made.creation_path.as_str()), (120, "auth/approle/login"));
    assert_ne!(made.wrapped_accessor, "");
    assert!(request.answer["auth"].is_null());

    let inside = client.unwrap(&scope, &made.token).await.unwrap_or_else(|e| panic!("{e}"));
    let inside: Value = serde_json::from_str(inside.expose()).unwrap();
    let token = inside["auth"]["client_token"].as_str().unwrap();
    assert!(site.bao.is_valid(token));
    assert_eq!(inside["auth"]["accessor"], made.wrapped_accessor);
}
