//! The built-in `gcp` method: Google is a stand-in that checks and signs with other programs, the
//! server is real and verifies what Google has signed, google-auth is driven beside it.
#![allow(clippy::expect_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use usher_tests::agent::{Ended, Launch};
use usher_tests::google::{Google, GoogleSite};
use usher_tests::leaks::leaks;
use usher_tests::oracle::{ask_for_text, clouds_python};
use usher_tests::proxy::Fault;
use usher_tests::site::Configuration;
use usher_tests::stand_in::{Answer, Received};

#[test]
fn a_machine_logs_in_with_its_identity_for_this_server_and_role() {
    let site = GoogleSite::new();
    let ended = log_in(&site, &site.method("type = \"gce\""));
    assert_eq!(ended.status, 0, "{ended:?}");
    let token = site.token().expect("a token");
    assert_eq!(site.bao.lookup(&token).expect("a valid token")["path"], "auth/gcp/login");
    let [request] = &site.google.requests()[..] else { panic!("one request") };
    let sent = site.sent();
    assert_eq!(
        (sent.as_object().map(serde_json::Map::len), &sent["role"]),
        (Some(2), &json!("app"))
    );
    let claims = claims(&sent["jwt"]);
    assert_eq!(claims["aud"], format!("{}/vault/app", site.address()));
    // Google's own library asks in the same way.
    let beside = Google::start();
    google_auth(&beside, &["identity", claims["aud"].as_str().expect("a text")], "");
    let theirs = beside.requests();
    // It looks at the account beside that.
    let theirs: Vec<Received> =
        theirs.into_iter().filter(|request| request.target.contains("identity")).collect();
    assert_eq!(comparable(&theirs), comparable(std::slice::from_ref(request)));
    assert_eq!(leaks(&ended.log, &site.google.secrets()), [""; 0]);
}

#[test]
fn a_service_account_key_logs_in_through_googles_signature() {
    let site = GoogleSite::new();
    let configuration = site.iam(&site.google.key());
    let ended = log_in(&site, &configuration);
    assert_eq!(ended.status, 0, "{ended:?}");
    let claims = claims(&site.sent()["jwt"]);
    assert_eq!(
        (&claims["aud"], &claims["sub"]),
        (&json!("http://vault/app"), &json!(site.google.email()))
    );
    assert_eq!(leaks(&ended.log, &site.google.secrets()), [""; 0]);

    let [exchange, signing] = &site.google.requests()[..] else { panic!("two requests") };
    let assertion = fields(exchange)["assertion"].clone();
    let (_, said) = opened(&assertion);
    let iat = said["iat"].to_string();
    let key = site.google.key().to_string();
    // Byte for byte what google-auth makes of this key at this time.
    assert_eq!(google_auth(&site.google, &["assertion", &iat], &key), assertion);
    let later = (said["iat"].as_u64().expect("a time") + 1).to_string();
    assert_ne!(google_auth(&site.google, &["assertion", &later], &key), assertion);

    let payload: Value = serde_json::from_slice(&signing.body).expect("JSON");
    let payload = payload["payload"].as_str().expect("a text");
    let token = signing.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let before = site.google.requests().len();
    google_auth(&site.google, &["credentials"], &key);
    let signed = google_auth(
        &site.google,
        &["sign", payload, token.expect("a token"), &site.google.url()],
        "",
    );
    assert_eq!(opened(&signed).1, claims);
    let theirs = &site.google.requests()[before..];
    assert_eq!(comparable(theirs), comparable(&[exchange.clone(), signing.clone()]));
}

#[test]
fn a_key_file_signs_alone_and_a_rotated_one_brings_a_new_login() {
    let site = GoogleSite::new();
    let key = site.google.key();
    site.write("key.json", &key.to_string());
    let mut configuration = site.method("type = \"iam\"\nsign_locally = true");
    let file = site.file("key.json").display().to_string();
    let launch = |configuration: &Configuration| {
        let launch = Launch::agent(&configuration.text());
        launch.environment("GOOGLE_APPLICATION_CREDENTIALS", &file)
    };
    let agent = launch(&configuration);
    configuration.method_settings += "\nexit_on_err = true";
    // The server trusts Google, not this key.
    let refused = launch(&configuration).argument("--exit-after-auth").run(LIMIT);
    assert_eq!(refused.status, 3, "{refused:?}");
    site.trust(site.google.account_pem());
    let agent = agent.start();
    let first = site.wait_for_token();
    assert!(site.bao.is_valid(&first));
    let (header, claims) = opened(site.sent()["jwt"].as_str().expect("a JWT"));
    assert_eq!(header, json!({ "alg": "RS256", "kid": key["private_key_id"], "typ": "JWT" }));
    assert_eq!(claims["sub"], site.google.email());
    let mut rotated = key;
    rotated["private_key_id"] = "account-2".into();
    site.write("key.new", &rotated.to_string());
    std::fs::rename(site.file("key.new"), &file).expect("in one step");
    assert!(site.bao.is_valid(&site.wait_for_token_after(&first)));
    assert!(site.google.requests().is_empty(), "nothing of Google is needed");
    assert_eq!(leaks(&agent.log(), &site.google.secrets()), [""; 0]);
}

#[test]
fn a_federated_workload_logs_in_as_the_service_account() {
    let site = GoogleSite::new();
    let file = site.file("subject-token").display().to_string();
    let external = site.google.external(&file);
    let subject_token = site.google.subject_token("gcp");
    site.write("subject-token", &subject_token);
    let ended = log_in(&site, &site.iam(&external));
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(claims(&site.sent()["jwt"])["sub"], site.google.email());
    let ours = site.google.requests();
    assert_eq!(ours.len(), 3);
    google_auth(&site.google, &["credentials"], &external.to_string());
    assert_eq!(comparable(&site.google.requests()[3..]), comparable(&ours[..2]));
    let mut secrets = site.google.secrets();
    secrets.push(subject_token);
    assert_eq!(leaks(&ended.log, &secrets), [""; 0]);

    let other = site.google.subject_token("other");
    site.write("subject-token", &other);
    let refused = log_in(&site, &site.iam(&external));
    assert_refused(&site, &refused, &["expected audience", "have the subject token issued"]);
    site.write("subject-token", &format!("{}x", site.google.subject_token("gcp")));
    let refused = log_in(&site, &site.iam(&external));
    assert_refused(&site, &refused, &["invalid_grant"]);
}

#[test]
fn a_user_and_a_machine_use_a_service_account_too() {
    let site = GoogleSite::new();
    let mut configuration = site.iam(&site.google.user());
    let account = format!("\nservice_account = \"{}\"", site.google.email());
    configuration.method_config += &account;
    let ended = log_in(&site, &configuration);
    assert_eq!(ended.status, 0, "{ended:?}");
    let by_user = site.google.requests();
    let ended = log_in(&site, &site.method("type = \"iam\""));
    assert_eq!(ended.status, 0, "{ended:?}");
    let by_machine = site.google.requests()[by_user.len()..].to_vec();
    let targets: Vec<&str> = by_machine.iter().map(|request| request.target.as_str()).collect();
    assert!(targets[0].ends_with("/default/email"), "{targets:?}");
    let beside = Google::start();
    let mut user = site.google.user();
    user["token_uri"] = format!("{}/token", beside.url()).into();
    google_auth(&beside, &["credentials"], &user.to_string());
    google_auth(&beside, &["machine"], "");
    // It looks at the account beside that.
    let theirs: Vec<Received> = beside.requests().into_iter().filter(is_for_a_token).collect();
    let ours: Vec<Received> =
        by_user.into_iter().chain(by_machine).filter(is_for_a_token).collect();
    assert_eq!(comparable(&theirs), comparable(&ours));
    assert_eq!(ours.len(), 2);
}

#[test]
fn one_changed_byte_of_what_google_signed_is_refused() {
    let site = GoogleSite::new();
    assert_eq!(log_in(&site, &site.iam(&site.google.key())).status, 0);
    let jwt = site.sent()["jwt"].as_str().expect("a JWT").to_owned();
    let parts: Vec<usize> = jwt.match_indices('.').map(|(at, _)| at).collect();
    for at in [parts[0] - 4, parts[0] + 8, parts[1] + 8] {
        let other = if jwt.as_bytes()[at] == b'A' { "B" } else { "A" };
        let changed = format!("{}{other}{}", &jwt[..at], &jwt[at + 1..]);
        let answer = Answer::json(200, &json!({ "keyId": "k", "signedJwt": changed }));
        site.google.answer_instead(":signJwt", answer);
        let refused = log_in(&site, &site.iam(&site.google.key()));
        assert_eq!(refused.status, 3, "{at}: {refused:?}");
        let answer = Answer::new(200, changed.as_str()).header("Metadata-Flavor", "Google");
        site.google.answer_instead("/identity", answer);
        let refused = log_in(&site, &site.method("type = \"gce\""));
        assert_eq!(refused.status, 3, "{at}: {refused:?}");
        assert_eq!(leaks(&refused.log, &[changed]), [""; 0]);
        site.google.heal();
    }
}

#[test]
fn a_changed_assertion_or_subject_is_refused_by_google() {
    let site = GoogleSite::new();
    let mut key = site.google.key();
    key["client_email"] = "other@shop.iam.gserviceaccount.com".into();
    assert_refused(&site, &log_in(&site, &site.iam(&key)), &["account not found", "use another"]);
    let mut key = site.google.key();
    key["private_key"] = Google::start().key()["private_key"].clone();
    let refused = log_in(&site, &site.iam(&key));
    assert_refused(&site, &refused, &["Invalid JWT Signature", "make a new one"]);
}

#[test]
fn each_bad_answer_has_its_class_nothing_is_sent_and_no_secret_told() {
    let site = GoogleSite::new();
    let gce = site.method("type = \"gce\"");
    let iam = site.iam(&site.google.key());
    let google = |answer: Answer| answer.header("Metadata-Flavor", "Google");
    let page = "<html>marker-page</html>";
    for (part, configuration, answer, status, said) in [
        ("/identity", &gce, Answer::new(401, page), 3, "401"),
        ("/identity", &gce, google(Answer::new(404, page)), 3, "service account"),
        ("/identity", &gce, google(Answer::new(410, "")), 1, "410"),
        ("/identity", &gce, google(Answer::new(429, "")), 1, "429"),
        ("/identity", &gce, google(Answer::new(500, page)), 1, "500"),
        ("/identity", &gce, google(Answer::new(200, page)), 1, "no JWT"),
        ("/identity", &gce, Answer::new(200, "eyJhIjoxfQ.e30.c2ln"), 3, "Metadata-Flavor"),
        ("/identity", &gce, Answer::new(302, "").header("Location", "/x"), 3, "not followed"),
        ("/identity", &gce, google(Answer::new(200, "x".repeat(70 << 10))), 1, "64 KiB"),
        ("/token", &iam, Answer::new(503, page), 1, "503"),
        ("/token", &iam, Answer::new(200, page), 1, "not as expected"),
        ("/token", &iam, Answer::new(200, "x".repeat(2 << 20)), 1, "larger than 1 MiB"),
        (":signJwt", &iam, Answer::new(200, page), 1, "not as expected"),
        (":signJwt", &iam, Answer::new(429, page), 1, "429"),
        (":signJwt", &iam, Answer::new(302, page), 3, "302"),
    ] {
        site.google.answer_instead(part, answer);
        let ended = log_in(&site, configuration);
        assert_eq!(ended.status, status, "{part}, {said}: {ended:?}");
        assert!(ended.log.contains(said), "{part}, {said}: {ended:?}");
        assert!(!ended.log.contains("marker-page"), "{part}, {said}: {ended:?}");
        assert_eq!(leaks(&ended.log, &site.google.secrets()), [""; 0], "{part}, {said}");
        site.google.heal();
    }
    assert_eq!(site.proxy.count("auth/gcp/login"), 0);
}

#[test]
fn a_metadata_server_that_hangs_or_is_not_there_is_told_in_time() {
    let site = GoogleSite::new();
    let mut configuration = site.method("type = \"gce\"");
    configuration.method_settings += "\nexit_on_err = true";
    // Connections are made, and nothing is ever answered.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let place = silent.local_addr().expect("an address").to_string();
    let launch = |configuration: &Configuration| {
        let launch = Launch::agent(&configuration.text()).argument("--exit-after-auth");
        launch.environment("GCE_METADATA_HOST", &place).run(LIMIT)
    };
    let hanging = launch(&configuration);
    assert_eq!(hanging.status, 1, "{hanging:?}");
    let said = ["metadata server can't be reached", "http.timeout", "outside of Google Cloud"];
    for part in said {
        assert!(hanging.log.contains(part), "{part}: {hanging:?}");
    }
    drop(silent);
    let gone = launch(&configuration);
    assert_eq!(gone.status, 1, "{gone:?}");
    assert!(gone.log.contains("http.connect"), "{gone:?}");
}

#[test]
fn a_bad_key_file_is_named_and_a_good_one_ends_it() {
    let site = GoogleSite::new();
    site.trust(site.google.account_pem());
    let key = site.google.key().to_string();
    let file = site.file("key.json").display().to_string();
    let mut configuration = site.method("type = \"iam\"\nsign_locally = true");
    let launch = |configuration: &Configuration| {
        let launch = Launch::agent(&configuration.text());
        launch.environment("GOOGLE_APPLICATION_CREDENTIALS", &file)
    };
    let agent = launch(&configuration).start();
    agent.wait_for_log("doesn't exist");
    site.write("key.new", &key);
    std::fs::rename(site.file("key.new"), &file).expect("in one step");
    site.wait_for_token();
    drop(agent);
    configuration.method_settings += "\nexit_on_err = true";
    let encrypted = key.replace("BEGIN PRIVATE KEY", "BEGIN ENCRYPTED PRIVATE KEY");
    let no_key = key.replace("BEGIN PRIVATE KEY", "BEGIN PUBLIC KEY");
    for (content, said) in [
        (&key[..key.len() / 2], "no JSON"),
        ("", "is empty"),
        ("<html>", "no JSON"),
        (&encrypted, "encrypted"),
        (&no_key, "can't sign"),
    ] {
        site.write("key.json", content);
        let ended = launch(&configuration).argument("--exit-after-auth").run(LIMIT);
        assert_eq!(ended.status, 1, "{said}: {ended:?}");
        assert!(ended.log.contains(said), "{said}: {ended:?}");
        assert_eq!(leaks(&ended.log, &site.google.secrets()), [""; 0], "{said}");
    }
}

#[test]
fn explain_tells_each_usual_mistake_with_its_remedy() {
    let site = GoogleSite::new();
    let iam = site.iam(&site.google.key());
    let gce = site.method("type = \"gce\"");
    let good = explain(&site, &iam);
    good.says(0, &["subject web@shop", "audience http://vault/app", "login           ok"]);
    assert_eq!(leaks(&good.results, &site.google.secrets()), [""; 0]);
    site.google.set_creator(false);
    let parts = ["serviceAccounts.signJwt", "roles/iam.serviceAccountTokenCreator on web@shop"];
    explain(&site, &iam).says(3, &parts);
    site.google.set_creator(true);
    for ahead in [3700, -3700] {
        site.google.skew(ahead);
        explain(&site, &iam).says(3, &["reasonable timeframe", "check this machine's clock"]);
    }
    site.google.skew(0);
    site.google.take_complaints();
    site.set_role(&["http://vault/other".to_owned()]);
    for configuration in [&iam, &gce] {
        explain(&site, configuration).says(3, &["audience", "bound_audiences"]);
    }
    // As the gcp method of Vault and of OpenBao's plug-ins answers.
    for (configuration, said, remedy) in [
        (&iam, "role \"app\" not found", "create the role"),
        (&iam, "role requires that service account JWTs expire within 300 seconds", "jwt_exp"),
        (&iam, "JWT is expired or does not have proper 'exp' claim", "clocks"),
        (&iam, "service account web (id: 1) is not authorized for role", "bound_service_accounts"),
        (&iam, "service account \"web\" not in bound projects [x]", "bound_projects"),
        (&iam, "no Google OAuth2 provider key found for GCE role", "type = \"gce\""),
        (&gce, "expected JWT to have claims with GCE metadata", "GKE"),
        (
            &gce,
            "Got GCE token but IAM role \"app\" does not allow GCE inference",
            "allow_gce_inference",
        ),
        (&gce, "at least one of the JWT claim 'aud' must end in \"vault/x\"", "role"),
    ] {
        let body = json!({ "errors": [said] }).to_string();
        site.proxy.fail("auth/gcp/login", Fault::Body(400, body));
        explain(&site, configuration).says(3, &[said, remedy]);
        site.proxy.heal();
    }
}

/// One attempt, whose failure ends the agent.
fn log_in(site: &GoogleSite, configuration: &Configuration) -> Ended {
    let mut configuration = configuration.clone();
    configuration.method_settings += "\nexit_on_err = true";
    site.launch(&configuration).argument("--exit-after-auth").run(LIMIT)
}

fn explain(site: &GoogleSite, configuration: &Configuration) -> Ended {
    Launch::explain(&configuration.text())
        .environment("GCE_METADATA_HOST", &site.google.host())
        .run(LIMIT)
}

/// Refused by Google, which has complained, and told without a secret.
#[track_caller]
fn assert_refused(site: &GoogleSite, ended: &Ended, parts: &[&str]) {
    assert_eq!(ended.status, 3, "{ended:?}");
    for part in parts {
        assert!(ended.log.contains(part), "{part:?}: {ended:?}");
    }
    assert_ne!(site.google.take_complaints(), [""; 0]);
    assert_eq!(leaks(&ended.log, &site.google.secrets()), [""; 0]);
}

#[test]
fn credentials_in_the_configuration_are_not_shown_when_they_are_refused() {
    let site = GoogleSite::new();
    let ended = log_in(&site, &site.method("type = \"iam\"\ncredentials = \"{ hunter2hunter2\""));
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.log.contains("`config.credentials` is no JSON"), "{ended:?}");
    assert_eq!(leaks(&ended.log, &["hunter2hunter2".into()]), [""; 0]);
}

/// What google-auth says on this, with the stand-in as its metadata server.
#[track_caller]
fn google_auth(google: &Google, arguments: &[&str], input: &str) -> String {
    let mut python = clouds_python("gcp_google_auth.py");
    ask_for_text(python.args(arguments).env("GCE_METADATA_HOST", google.host()), input)
}

/// What counts of requests: method, path, the query or form by name, and the headers that mean
/// something to Google. Assertions of other seconds count as equal: their bytes are compared
/// apart.
fn comparable(requests: &[Received]) -> Vec<Value> {
    let comparable = |request: &Received| {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let header = |name| request.header(name).map(|value| value.split(';').next());
        let body = if let Ok(mut body) = serde_json::from_slice::<Value>(&request.body) {
            if let Some(payload) = body["payload"].as_str() {
                body["payload"] = serde_json::from_str(payload).expect("JSON");
            }
            // google-auth says that there are none.
            body.as_object_mut().expect("an object").remove("delegates");
            body
        } else {
            let mut fields = fields(request);
            if let Some(assertion) = fields.get_mut("assertion") {
                *assertion = opened(assertion).0.to_string();
            }
            json!(fields)
        };
        json!([
            request.method,
            path,
            pairs(query),
            header("metadata-flavor"),
            header("authorization"),
            header("content-type"),
            body,
        ])
    };
    requests.iter().map(comparable).collect()
}

fn is_for_a_token(request: &Received) -> bool {
    request.target.contains("token")
}

fn fields(request: &Received) -> BTreeMap<String, String> {
    pairs(str::from_utf8(&request.body).expect("text"))
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    let mut parts = text.split('%');
    let mut bytes = parts.next().expect("a part").as_bytes().to_owned();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).expect("hexadecimal"));
        bytes.extend(part[2..].bytes());
    }
    String::from_utf8(bytes).expect("text")
}

fn claims(jwt: &Value) -> Value {
    opened(jwt.as_str().expect("a JWT")).1
}

fn opened(jwt: &str) -> (Value, Value) {
    let mut parts = jwt.split('.').map(|part| {
        let decoded = URL_SAFE_NO_PAD.decode(part).expect("base64url");
        serde_json::from_slice(&decoded).unwrap_or_default()
    });
    (parts.next().expect("a header"), parts.next().expect("claims"))
}

const LIMIT: Duration = Duration::from_secs(30);
