//! The built-in `oci` method: Oracle's own SDK judges the signatures and asks the same services, which
//! are stand-ins, and a judge before the real server is its auth method, which OpenBao lacks.
#![allow(clippy::expect_used, reason = "helpers fail the test that calls them")]

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use usher_tests::agent::{Ended, Launch};
use usher_tests::leaks::leaks;
use usher_tests::oracle::{Worker, oracle_cloud_python};
use usher_tests::proxy::Fault;
use usher_tests::site::{Configuration, Site};
use usher_tests::stand_in::{Answer, Received, StandIn};

#[test]
fn the_sdk_signs_a_users_login_byte_by_byte_the_same() {
    let cloud = Cloud::new();
    let user = cloud.user("TraditionalOpenSSL", None);
    let ended = cloud.log_in_once(&user);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(cloud.bao.is_valid(&cloud.wait_for_token()));
    assert_eq!(leaks(&ended.log, &user.secrets()), [""; 0]);

    let sent = cloud.proxy.requests(LOGIN).pop().expect("a login").body;
    assert_eq!(cloud.judge(&sent), "");
    for (name, change, problem) in [
        ("Date", another_second as fn(&str) -> String, "signature is not what"),
        ("Host", |host| host.replace("127.0.0.1", "127.0.0.2"), "another host"),
        ("(request-target)", |target| target.replace("dev", "deV"), "incorrect (request-target)"),
        ("Authorization", |text| text.replace("user0", "user1"), "an unknown key"),
        ("Authorization", |text| text.replace("sha256", "sha512"), "another algorithm"),
        ("Authorization", |text| text.replace("ture=\"", "ture=\"A"), "signature is not what"),
    ] {
        let judged = cloud.judge(&changed(&sent, name, change));
        assert!(judged.contains(problem), "{name}: {judged}");
    }
}

#[test]
fn keys_with_a_passphrase_log_in() {
    let cloud = Cloud::new();
    for form in ["PKCS8", "TraditionalOpenSSL"] {
        let user = cloud.user(form, Some(PASS_PHRASE));
        let ended = cloud.log_in_once(&user);
        assert_eq!(ended.status, 0, "{form}: {ended:?}");
        assert_eq!(leaks(&ended.log, &user.secrets()), [""; 0]);
    }
    assert_eq!(cloud.proxy.count(LOGIN), 2);
}

#[test]
fn what_is_wrong_with_a_users_files_is_told_without_the_key() {
    let cloud = Cloud::new();
    let user = cloud.user("PKCS8", Some(PASS_PHRASE));
    let config = user.home.join(".oci/config");
    let good = fs::read_to_string(&config).expect("the file");
    for (bad, part) in [
        (good.replace(PASS_PHRASE, "another-passphrase"), "another passphrase than pass_phrase"),
        (good.replace("pass_phrase", "#"), "set pass_phrase beside key_file"),
        (good.replace("fingerprint", "#"), "there is no fingerprint"),
        (good.replace("key.pem", "gone.pem"), "there is no private key"),
        (good.replace("~/.oci/key.pem", "/srv/key.pem"), "OCI_private_key_path"),
        ("[DEFAULT]\nuser".to_owned(), "half written"),
    ] {
        fs::write(&config, bad).expect("the file");
        let ended = user.launch(&cloud.impatient("apikey")).run(LIMIT);
        // Not for good: the files may change.
        assert_eq!(ended.status, 1, "{part}: {ended:?}");
        assert!(ended.log.contains(part), "{part}: {ended:?}");
        assert_eq!(leaks(&ended.log, &user.secrets()), [""; 0]);
    }
    assert_eq!(cloud.proxy.count(LOGIN), 0);
    fs::write(&config, good).expect("the file");
    assert_eq!(cloud.log_in_once(&user).status, 0);
}

#[test]
fn a_key_that_comes_later_logs_in_and_another_one_logs_in_anew() {
    let cloud = Cloud::new();
    let user = cloud.user("TraditionalOpenSSL", None);
    let config = user.home.join(".oci/config");
    let good = fs::read_to_string(&config).expect("the file");
    fs::remove_file(&config).expect("the file");
    let agent = user.launch(&cloud.configuration("apikey")).start();
    agent.wait_for_log("there is no tenancy");
    fs::write(&config, good).expect("the file");
    let first = cloud.wait_for_token();
    let other = cloud.user("TraditionalOpenSSL", None);
    // The login between the two fails; the next one doesn't.
    fs::copy(other.home.join(".oci/config"), &config).expect("the file");
    fs::copy(other.home.join(".oci/key.pem"), user.home.join(".oci/key.pem")).expect("the key");
    let second = cloud.wait_for_token_after(&first);
    assert!(cloud.bao.is_valid(&second));
}

#[test]
fn an_instance_asks_for_its_session_as_the_sdk_does_and_logs_in() {
    let cloud = Cloud::new();
    let ended = cloud
        .on_instance(&cloud.configuration("instance"))
        .argument("--exit-after-auth")
        .run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(cloud.bao.is_valid(&cloud.wait_for_token()));
    assert_eq!(leaks(&ended.log, &cloud.secrets()), [""; 0]);

    // Another process: this one answers it.
    let paths = |asked: &[Received]| -> BTreeSet<String> {
        asked.iter().map(|asked| asked.target.clone()).collect()
    };
    let ours = cloud.metadata.requests();
    let (sdk, _) = Worker::start(&mut oracle_cloud_python("oracle_cloud.py"));
    sdk.ask(&json!({
        "task": "drive-sdk",
        "metadata": cloud.metadata_url(),
        "federation": format!("{}/v1/x509", cloud.auth.url()),
    }));
    let theirs = &cloud.metadata.requests()[ours.len()..];
    // It asks for the region even where it is told which service to use.
    let mut of_the_sdk = paths(theirs);
    assert!(of_the_sdk.remove("/opc/v2/instance/region"));
    assert_eq!(paths(&ours), of_the_sdk);
    let asked = cloud.auth.requests();
    let [ours, theirs] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(comparable(ours), comparable(theirs));
}

#[test]
fn one_changed_byte_of_an_instances_login_is_refused() {
    let cloud = Cloud::new();
    let ended = cloud
        .on_instance(&cloud.configuration("instance"))
        .argument("--exit-after-auth")
        .run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    let sent = cloud.proxy.requests(LOGIN).pop().expect("a login").body;
    assert_eq!(cloud.judge(&sent), "");
    for (name, change, problem) in [
        ("Date", another_second as fn(&str) -> String, "InvalidSignature"),
        ("Authorization", |text| text.replace("ST$e", "ST$f"), "an unknown key"),
        ("Authorization", |text| text.replace("ture=\"", "ture=\"AAAA"), "InvalidSignature"),
    ] {
        let judged = cloud.judge(&changed(&sent, name, change));
        assert!(judged.contains(problem), "{name}: {judged}");
    }
    let mut asked = federation(&cloud.auth.requests()[0]);
    assert_eq!(cloud.oracle.ask(&asked)["status"], 200);
    let body = asked["body"].as_str().expect("text").replace("publicKey\":\"M", "publicKey\":\"N");
    asked["body"] = body.into();
    assert_eq!(cloud.oracle.ask(&asked)["status"], 401);
}

#[test]
fn each_bad_answer_has_its_class_and_nothing_is_sent() {
    let cloud = Cloud::new();
    for (part, answer, status, told) in [
        ("cert.pem", Answer::from(404), 3, "no instance of Oracle's"),
        ("cert.pem", Answer::from(429), 1, "the instance metadata service answered 429"),
        ("cert.pem", Answer::from(503), 1, "the instance metadata service answered 503"),
        ("cert.pem", Answer::new(302, "").header("location", "/x"), 3, "not followed"),
        ("cert.pem", Answer::new(200, "<html>"), 1, "something else answers in its place"),
        ("cert.pem", Answer::new(200, "x".repeat(70 << 10)), 1, "64 KiB"),
        ("key.pem", Answer::new(200, "marker-of-a-page"), 1, "the instance's key"),
        ("x509", Answer::from(500), 1, "Oracle's identity service answered 500"),
        ("x509", Answer::new(200, "{\"token\":\"<html>\"}"), 1, "something that is no token"),
        ("x509", Answer::new(200, "x".repeat(2 << 20)), 1, "larger than 1 MiB"),
        (
            "x509",
            Answer::json(401, &json!({"code": "NotAuthenticated", "message": "no"})),
            3,
            "NotAuthenticated (no); check this machine's clock",
        ),
    ] {
        cloud.instead.set(part, answer);
        let ended = cloud.on_instance(&cloud.impatient("instance")).run(LIMIT);
        assert_eq!(ended.status, status, "{told}: {ended:?}");
        assert!(ended.log.contains(told), "{told}: {ended:?}");
        let mut secrets = cloud.secrets();
        secrets.push("marker-of-a-page".into());
        assert_eq!(leaks(&ended.log, &secrets), [""; 0]);
        cloud.instead.clear();
    }
    assert_eq!(cloud.proxy.count(LOGIN), 0);
    let ended = cloud
        .on_instance(&cloud.configuration("instance"))
        .argument("--exit-after-auth")
        .run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
}

#[test]
fn a_metadata_service_that_hangs_or_is_not_there_is_told_in_time() {
    let cloud = Cloud::new();
    // Connections are made, and nothing is ever answered.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let launch = || {
        let launch = Launch::agent(&cloud.impatient("instance").text());
        launch.argument("--exit-after-auth").environment("OCI_METADATA_BASE_URL", &url).run(LIMIT)
    };
    let hanging = launch();
    assert_eq!(hanging.status, 1, "{hanging:?}");
    for part in ["instance metadata service can't be reached", "http.timeout", "apikey"] {
        assert!(hanging.log.contains(part), "{part}: {hanging:?}");
    }
    drop(silent);
    let gone = launch();
    assert_eq!(gone.status, 1, "{gone:?}");
    assert!(gone.log.contains("http.connect"), "{gone:?}");
}

#[test]
fn what_the_servers_plug_in_refuses_is_told_with_the_remedy() {
    // In its own words.
    let refusals = [
        ("Role is not found", "create the role"),
        ("OCI authentication failed", "fingerprint"),
        ("Invalid Tenancy", "home_tenancy_id"),
        ("Entity not a part of any of the Role OCIDs", "ocid_list"),
        ("No membership OCIDs found", "dynamic group of the instance"),
        ("Home Tenancy is invalid", "home_tenancy_id"),
        ("Wrong principal type", "a user or an instance"),
        ("incorrect (request-target) specified in header", "below auth/"),
        (
            "Service error:NotAuthorizedOrNotFound. http status code: 404. Opc request id: x",
            "AUTHENTICATION_INSPECT",
        ),
    ];
    let cloud = Cloud::new();
    let user = cloud.user("TraditionalOpenSSL", None);
    for (said, _) in refusals {
        let answer = Fault::Body(400, json!({ "errors": [said] }).to_string());
        cloud.proxy.fail_times(LOGIN, answer, 1);
    }
    let ended = cloud.log_in_once(&user);
    assert_eq!(ended.status, 0, "{ended:?}");
    for (said, remedy) in refusals {
        let line = ended.log.lines().find(|line| line.contains(said));
        assert!(line.is_some_and(|line| line.contains(remedy)), "{said}: {ended:?}");
    }
}

/// A server whose method at "auth/oci" is a judge, and the services of an instance.
struct Cloud {
    site: Site,
    oracle: Arc<Worker>,
    metadata: StandIn,
    auth: StandIn,
    instead: Arc<Instead>,
    /// The instance's key.
    key: String,
}

/// A user of the cloud, with the SDK's files in a home directory.
struct User {
    home: std::path::PathBuf,
    secrets: Vec<String>,
}

/// What a service answers instead, by a part of the target.
#[derive(Default)]
struct Instead(std::sync::Mutex<Option<(&'static str, Answer)>>);

impl Deref for Cloud {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl Cloud {
    fn new() -> Self {
        let site = Site::new(json!({}));
        let (oracle, _) = Worker::start(&mut oracle_cloud_python("oracle_cloud.py"));
        let oracle = Arc::new(oracle);
        let instead = Arc::new(Instead::default());
        let identity = oracle.ask(&json!({ "task": "instance" }));
        let key = identity["key.pem"].as_str().expect("a key").to_owned();
        let host = host_of(&site);
        let judge = Arc::clone(&oracle);
        site.proxy.judge_logins(LOGIN, site.bao.root_token(), move |login| {
            let judged = judge.ask(&json!({ "task": "judge", "login": login, "host": host }));
            judged["problem"].as_str().map_or(Ok(()), |problem| Err(problem.into()))
        });
        let other = Arc::clone(&instead);
        let metadata = StandIn::http(move |asked: &Received| {
            other.answer(&asked.target).unwrap_or_else(|| metadata(asked, &identity))
        });
        let (other, service) = (Arc::clone(&instead), Arc::clone(&oracle));
        let auth = StandIn::http(move |asked: &Received| {
            other.answer(&asked.target).unwrap_or_else(|| {
                let told = service.ask(&federation(asked));
                let status = told["status"].as_u64().and_then(|status| status.try_into().ok());
                Answer::new(status.expect("a status"), told["body"].as_str().expect("a body"))
            })
        });
        Self { site, oracle, metadata, auth, instead, key }
    }

    /// A user whose private key is written so.
    fn user(&self, form: &str, pass_phrase: Option<&str>) -> User {
        let asked = json!({ "task": "user", "form": form, "pass_phrase": pass_phrase });
        let told = self.oracle.ask(&asked);
        let told = |name: &str| told[name].as_str().expect("text").to_owned();
        let home = self.file(&told("fingerprint"));
        fs::create_dir_all(home.join(".oci")).expect("a home");
        // As the console has users write it: with a line behind the key.
        fs::write(home.join(".oci/key.pem"), told("key") + "OCI_API_KEY\n").expect("a key");
        let pass_phrase = pass_phrase.map(|text| format!("pass_phrase={text}\n"));
        let config = format!(
            "[DEFAULT]\nuser={}\nfingerprint={}\ntenancy={}\nregion=us-phoenix-1\n\
             key_file=~/.oci/key.pem\n{}",
            told("user"),
            told("fingerprint"),
            told("tenancy"),
            pass_phrase.unwrap_or_default()
        );
        fs::write(home.join(".oci/config"), config).expect("a file");
        let mut secrets = vec![PASS_PHRASE.to_owned()];
        for key in [told("key"), told("open")] {
            secrets.extend(key.lines().nth(5).map(str::to_owned));
        }
        User { home, secrets }
    }

    fn configuration(&self, r#type: &str) -> Configuration {
        let mut configuration = self.site.configuration();
        configuration.method = "oci".into();
        // The server knows the role as "dev".
        configuration.method_config = format!("type = \"{type}\"\nrole = \"Dev\"");
        configuration.method_settings = "min_backoff = \"100ms\"\nmax_backoff = \"300ms\"".into();
        configuration
    }

    /// The same for an agent that ends with its first failure.
    fn impatient(&self, r#type: &str) -> Configuration {
        let mut configuration = self.configuration(r#type);
        configuration.method_settings += "\nexit_on_err = true";
        configuration
    }

    fn log_in_once(&self, user: &User) -> Ended {
        let launch = user.launch(&self.configuration("apikey"));
        launch.argument("--exit-after-auth").argument("--timeout=20s").run(LIMIT)
    }

    fn on_instance(&self, configuration: &Configuration) -> Launch {
        Launch::agent(&configuration.text())
            .environment("OCI_METADATA_BASE_URL", &self.metadata_url())
            .environment("OCI_SDK_AUTH_CLIENT_REGION_URL", &self.auth.url())
    }

    fn metadata_url(&self) -> String {
        format!("{}/opc/v2", self.metadata.url())
    }

    /// What is wrong with a login; "": nothing.
    fn judge(&self, login: &Value) -> String {
        let asked = json!({ "task": "judge", "login": login, "host": host_of(&self.site) });
        self.oracle.ask(&asked)["problem"].as_str().unwrap_or_default().to_owned()
    }

    fn secrets(&self) -> Vec<String> {
        let mut secrets: Vec<String> =
            self.key.lines().nth(5).map(str::to_owned).into_iter().collect();
        for login in self.proxy.requests(LOGIN) {
            let authorization = &login.body["request_headers"]["Authorization"][0];
            let token = authorization.as_str().and_then(|text| text.split("ST$").nth(1));
            secrets.extend(token.and_then(|rest| rest.split('"').next()).map(str::to_owned));
        }
        secrets
    }
}

impl User {
    fn launch(&self, configuration: &Configuration) -> Launch {
        let home = self.home.to_str().expect("text");
        Launch::agent(&configuration.text()).environment("HOME", home)
    }

    /// The passphrase, and a line of the key as it is in the file and without encryption.
    fn secrets(&self) -> Vec<String> {
        self.secrets.clone()
    }
}

impl Instead {
    fn set(&self, part: &'static str, answer: Answer) {
        *self.0.lock().expect("no panic") = Some((part, answer));
    }

    fn clear(&self) {
        *self.0.lock().expect("no panic") = None;
    }

    fn answer(&self, target: &str) -> Option<Answer> {
        let instead = self.0.lock().expect("no panic");
        instead.as_ref().filter(|(part, _)| target.contains(part)).map(|(_, answer)| answer.clone())
    }
}

/// As the login names the server.
fn host_of(site: &Site) -> String {
    site.configuration().address.replace("http://", "")
}

/// The metadata service, version 2.
fn metadata(asked: &Received, identity: &Value) -> Answer {
    if asked.header("authorization") != Some("Bearer Oracle") {
        return Answer::from(401);
    }
    let path = asked.target.strip_prefix("/opc/v2/").unwrap_or_default();
    match path.strip_prefix("identity/").and_then(|file| identity[file].as_str()) {
        Some(file) => Answer::new(200, file),
        None if path == "instance/region" => Answer::new(200, "phx"),
        None => Answer::from(404),
    }
}

/// A request to the identity service, for the oracle.
fn federation(asked: &Received) -> Value {
    let headers: serde_json::Map<String, Value> =
        asked.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    json!({
        "task": "federate",
        "method": asked.method,
        "target": asked.target,
        "headers": headers,
        "body": String::from_utf8_lossy(&asked.body),
    })
}

/// A login whose header of this name is another.
fn changed(login: &Value, name: &str, change: fn(&str) -> String) -> Value {
    let mut login = login.clone();
    let value = &mut login["request_headers"][name][0];
    let text = change(value.as_str().expect("text"));
    assert_ne!(value.as_str(), Some(text.as_str()));
    *value = text.into();
    login
}

/// A date a few seconds before or after.
fn another_second(date: &str) -> String {
    let (date, last) = date.strip_suffix(" GMT").expect("a date").split_at(date.len() - 5);
    let last: u8 = last.parse().expect("a digit");
    format!("{date}{} GMT", (last + 1) % 10)
}

/// What two requests for a session have in common: all but time, key and signature.
fn comparable(asked: &Received) -> Value {
    let mut body: Value = serde_json::from_slice(&asked.body).expect("JSON");
    body["publicKey"] = Value::Null;
    let authorization = asked.header("authorization").expect("a signature");
    let mut parameters: Vec<&str> = authorization.split([' ', ',']).collect();
    parameters.retain(|parameter| !parameter.starts_with("signature="));
    parameters.sort_unstable();
    json!([asked.method, asked.target, asked.header("content-type"), body, parameters])
}

const LOGIN: &str = "/v1/auth/oci/login/dev";
const PASS_PHRASE: &str = "passphrase-of-a-key";
const LIMIT: Duration = Duration::from_mins(1);
