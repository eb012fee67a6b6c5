//! What the host grants, and whether an author's test knows it before.

use serde_json::{Value, json};
use usher_grant::{Grant, Limits, Protected};
use usher_plugin::testing::{self, Host as FakeHost};

use super::*;
use crate::bindings::exports::usher::plugin::auth_method as wit_method;
use crate::configuration::configuration;
use crate::egress::Egress;
use crate::places::Place;
use crate::process::Process;
use crate::store::new_store;
use crate::usage::Use;

/// Needs, separated by semicolons, what is then done, and whether it is granted. `{}` is a directory
/// that exists, `{here}` what the variable `CARGO_MANIFEST_DIR` holds.
const CASES: &[(&str, &str, bool)] = &[
    ("read {}/a", "read {}/a", true),
    ("read {}/a", "read {}/b", false),
    ("read {}/a", "read {}/x/../a", true),
    ("read {}/./a", "read {}/a", true),
    ("read {}/*", "read {}/a", true),
    ("read {}/*", "read {}/../a", false),
    ("read {}/*.jwt", "read {}/a.pem", false),
    ("read /{}/a", "read {}/a", true),
    ("read role", "read ./role", true),
    ("read role", "read role2", false),
    ("read ~/usher-no-such", "read ~/usher-no-such", true),
    ("watch {}/a", "read {}/a", true),
    ("write {}/a", "read {}/a", false),
    ("write {}/a", "write {}/a", true),
    ("write {}/*", "write {}/a", true),
    ("read {}/a", "write {}/a", false),
    ("write {}/a", "remove {}/a", false),
    ("remove {}/a", "remove {}/a", true),
    ("read {}/a", "remove {}/a", false),
    ("read ${CARGO_MANIFEST_DIR}/x", "read {here}/x", true),
    ("read ${CARGO_MANIFEST_DIR}/x", "env CARGO_MANIFEST_DIR", true),
    ("read ${USHER_NO_SUCH}/x", "env USHER_NO_SUCH", true),
    ("read ${USHER_NO_SUCH}/x", "read /x", false),
    ("read /proc/*", "read /proc/version", false),
    ("read /dev/null", "read /dev/null", false),
    ("read /dev/shm/usher-no-such", "read /dev/shm/usher-no-such", true),
    ("env ACME", "env ACME", true),
    ("env ACME", "env ACME_2", false),
    ("env VAULT_TOKEN", "env VAULT_TOKEN", false),
    ("env VAULT_TOKEN; env ACME", "env ACME", false),
    ("connect https://sso.acme.test", "connect https://sso.acme.test/token?x=1", true),
    ("connect https://sso.acme.test", "connect https://SSO.acme.test:443/token", true),
    ("connect https://sso.acme.test", "connect http://sso.acme.test/", false),
    ("connect https://sso.acme.test", "connect https://sso.acme.test:8443/", false),
    ("connect https://sso.acme.test", "connect https://sso.acme.test.evil.test/", false),
    ("connect https://sso.acme.test", "connect https://sso.acme.test@evil.test/", false),
    ("connect https://sso.acme.test", "connect https://evil.test/https://sso.acme.test", false),
    ("connect https://sso.acme.test/v1", "connect https://sso.acme.test/v1/token", true),
    ("connect https://sso.acme.test/v1/", "connect https://sso.acme.test/v1", true),
    ("connect https://sso.acme.test/v1", "connect https://sso.acme.test/v10", false),
    ("connect https://sso.acme.test/v1", "connect https://sso.acme.test/v1/../admin", false),
    ("connect https://sso.acme.test/v1", "connect https://sso.acme.test/v1/%2e%2e/admin", false),
    ("connect https://sso.acme.test/v1", "connect https://sso.acme.test/v1/..%2fadmin", false),
    ("connect https://*.cloud.test", "connect https://eu.cloud.test/v1", true),
    ("connect https://*.cloud.test", "connect https://a.eu.cloud.test/v1", true),
    ("connect https://*.cloud.test", "connect https://cloud.test/", false),
    ("connect https://*.cloud.test", "connect https://eu.evil.test/.cloud.test", false),
    ("connect https://*.test", "connect https://eu.test/", false),
    ("connect http://127.0.0.1:1", "connect http://127.0.0.1:1/", true),
    ("connect http://127.0.0.1:1", "connect http://2130706433:1/", true),
    ("connect http://localhost:1", "connect http://127.0.0.1:1/", false),
    ("connect http://0.0.0.0:1", "connect http://0.0.0.0:1/", false),
    ("connect ftp://sso.acme.test", "connect ftp://sso.acme.test/", false),
    ("connect ${USHER_NO_SUCH}", "connect https://sso.acme.test/", false),
    ("server unwrap", "server unwrap", true),
    ("server token", "server unwrap", false),
    ("server everything", "server unwrap", false),
    ("server token", "answer token", true),
    ("server unwrap", "answer token", false),
    ("server trust", "answer trust", true),
    ("server token", "answer trust", false),
    ("kdc ACME.TEST; read /no/such", "kdc ACME.TEST", true),
    ("kdc ACME.TEST; read /no/such", "kdc EVIL.TEST", false),
    ("kdc ${CARGO_MANIFEST_DIR}", "kdc {here}", false),
    ("exec /bin/sh; env ACME", "env ACME", false),
];

#[tokio::test]
async fn an_authors_test_passes_exactly_where_the_host_accepts() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = std::fs::canonicalize(temporary.path()).unwrap().display().to_string();
    let fill =
        |text: &str| text.replace("{}", &directory).replace("{here}", env!("CARGO_MANIFEST_DIR"));
    for (needs, done, granted) in CASES {
        let needs: Vec<_> = needs.split("; ").map(|need| words(&fill(need))).collect();
        let done = words(&fill(done));
        let shown = format!("{done:?} with {needs:?}");
        assert_eq!(by_the_host(&needs, &done).await, *granted, "by the host: {shown}");
        assert_eq!(by_the_test(&needs, &done), *granted, "by an author's test: {shown}");
    }
}

type Words = (String, String);

fn words(text: &str) -> Words {
    let (verb, target) = text.split_once(' ').unwrap();
    (verb.to_owned(), target.to_owned())
}

/// What isn't granted fails with this code, whatever else may go wrong.
fn is_granted<T>(result: Result<T, &str>) -> bool {
    result.err() != Some("grant.missing")
}

async fn by_the_host(needs: &[Words], (verb, target): &Words) -> bool {
    let process = Arc::new(Process::new());
    let Ok(grant) =
        process.surroundings(|around| Grant::decide("acme", needs.to_vec(), None, around))
    else {
        return false;
    };
    let usage = Use {
        name: "default/method".into(),
        identity: "default".into(),
        server_address: "https://vault.test:8200".into(),
        namespace: String::new(),
        mount_path: "auth/acme".into(),
        config: "{}".into(),
        allow: usher_grant::Allow::default(),
        limits: Limits::default(),
        unwrapper: None,
        state_keeper: None,
    };
    let (protected, egress) = (Arc::new(Protected::default()), Arc::new(Egress::default()));
    let usage = Arc::new(Usage::new("acme".into(), usage, grant, protected, egress, process));
    let engine = wasmtime::Engine::new(&configuration()).unwrap();
    let (limits, place) = (Limits::default(), Place::default());
    let mut store = new_store(&engine, "acme", Some(Arc::clone(&usage)), None, &limits, place);
    let (state, target) = (store.data_mut(), target.clone());
    let code = match verb.as_str() {
        "read" => files::Host::read(state, target).await.unwrap().err(),
        "write" => {
            let options = files::WriteOptions {
                mode: 0o600,
                owner: None,
                group: None,
                placement: files::Placement::Replace,
            };
            files::Host::write(state, target, b"x".to_vec(), options).await.unwrap().err()
        }
        "remove" => files::Host::remove(state, target).await.unwrap().err(),
        "env" => env::Host::get(state, target).await.unwrap().err(),
        "connect" => {
            // It is judged before anything takes time.
            let request = http::Request {
                method: "GET".into(),
                url: target,
                headers: Vec::new(),
                body: Vec::new(),
                timeout_ms: Some(1),
                tls: None,
            };
            http::Host::send(state, request).await.unwrap().err()
        }
        "server" => server::Host::unwrap(state, "hvs.x".into(), None).await.unwrap().err(),
        "kdc" => {
            kdc::Host::exchange(state, "/no/such".into(), target, Vec::new()).await.unwrap().err()
        }
        _ => {
            let credential = match target.as_str() {
                "token" => wit_method::Credential::Token("hvs.x".into()),
                _ => wit_method::Credential::Login(wit_method::Login {
                    path: "login".into(),
                    body: "{}".into(),
                    headers: Vec::new(),
                    certificate: None,
                    ca_pem: Some("PEM".into()),
                }),
            };
            let answer =
                wit_method::Answer { credential, revision: String::new(), check_after_ms: None };
            return is_granted(
                crate::answer::accept(&usage, answer)
                    .as_ref()
                    .map_err(|failure| failure.code.as_str()),
            );
        }
    };
    is_granted(code.as_ref().map_or(Ok(()), |failure| Err(failure.code.as_str())))
}

fn by_the_test(needs: &[Words], done: &Words) -> bool {
    let host = FakeHost::install();
    for name in ["CARGO_MANIFEST_DIR", "HOME"] {
        host.set_env(name, &std::env::var(name).unwrap_or_default());
    }
    let config = json!({ "needs": needs, "done": done });
    let answer = testing::authenticate::<Doing>(&config);
    let code = answer.as_ref().err().map(|failure| failure.code.as_str());
    code != Some("grant.refused") && is_granted(code.map_or(Ok(()), Err))
}

/// A method that asks for what its configuration lists, and does one thing.
struct Doing;

impl usher_plugin::AuthMethod for Doing {
    type Config = Value;
    const ABOUT: usher_plugin::About = usher_plugin::About::new("doing", "0.0.0", "Does one thing");

    fn prepare(config: &Value) -> Result<Vec<usher_plugin::Need>, usher_plugin::Failure> {
        let needs = config["needs"].as_array().unwrap().iter().map(|need| usher_plugin::Need {
            capability: need[0].as_str().unwrap().to_owned(),
            target: need[1].as_str().unwrap().to_owned(),
        });
        Ok(needs.collect())
    }

    fn authenticate(config: &Value) -> Result<usher_plugin::Answer, usher_plugin::Failure> {
        use usher_plugin::{Answer, Login};

        let target = config["done"][1].as_str().unwrap();
        let mut login = Login::new("login", json!({}));
        match config["done"][0].as_str().unwrap() {
            "read" => drop(usher_plugin::files::read(target)?),
            "write" => {
                usher_plugin::files::write(
                    target,
                    b"x",
                    &usher_plugin::files::WriteOptions::mode(0o600),
                )?;
            }
            "remove" => usher_plugin::files::remove(target)?,
            "env" => drop(usher_plugin::env::get(target)?),
            "connect" => drop(usher_plugin::http::Request::get(target).send()?),
            "server" => drop(usher_plugin::server::unwrap("hvs.x", None)?),
            "kdc" => drop(usher_plugin::kdc::exchange("/no/such", target, &[])?),
            _ if target == "token" => return Ok(Answer::token("hvs.x")),
            _ => login.ca_pem = Some("PEM".to_owned()),
        }
        Ok(Answer::login(login))
    }
}
