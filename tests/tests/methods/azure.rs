//! The built-in `azure` method: its requests beside those of Microsoft's own `azure-identity`, at
//! stand-ins that both are driven against, and its logins at a server that checks signatures.
#![allow(clippy::expect_used, reason = "tests fail by panicking")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use usher_tests::agent::{Agent, Ended, Launch, is_root};
use usher_tests::azure::{
    ASSIGNED, AzureSite, CLIENT, Environment, HEADER, RESOURCE, SECRET, TENANT, check_assertion,
    fields, launch, make_certificate, part,
};
use usher_tests::leaks::leaks;
use usher_tests::oracle::clouds_python;
use usher_tests::proxy::Fault;
use usher_tests::site::Configuration;
use usher_tests::stand_in::{Answer, Received, StandIn};

const SCOPE: &str = "https://vault.test/.default";

#[test]
fn a_machine_asks_for_each_of_its_identities_as_azure_identity_does_and_logs_in() {
    let site = AzureSite::new(&json!({}));
    let environment = site.on_a_machine();
    let named = ASSIGNED.map(|(name, id)| vec![name, id]);
    for identity in std::iter::once(vec![]).chain(named) {
        let mut configuration = site.configuration();
        if let [name, id] = identity[..] {
            configuration.method_config.extend([format!("\n{name} = \"{id}\"")]);
        }
        let who = identity.first().unwrap_or(&"system");
        assert_eq!(site.logs_in(&configuration, &environment), format!("azure-{who}"));
        let ours = last(&site.metadata);
        site.asks_like_the_vendor(&[&["managed", SCOPE], &identity[..]].concat(), &environment);
        assert_alike(&ours, &last(&site.metadata));
    }
    let mut sent = site.sent();
    let jwt = sent["jwt"].take();
    assert_eq!(
        sent,
        json!({
            "jwt": null,
            "resource_group_name": "shop",
            "role": "app",
            "subscription_id": "cccccccc-1111-2222-3333-444444444444",
            "vm_name": "web_0",
            "vmss_name": "web",
        })
    );
    assert!(String::from_utf8_lossy(&part(jwt.as_str().expect("a JWT"), 1)).contains(RESOURCE));
}

#[test]
fn an_application_with_a_secret_asks_as_azure_identity_does_and_logs_in() {
    let site = AzureSite::new(&json!({}));
    let environment = site.of_the_application("AZURE_CLIENT_SECRET", SECRET);
    assert_eq!(site.logs_in(&site.from_environment(), &environment), "azure-application");
    let ours = last(&site.entra);
    site.asks_like_the_vendor(&["default", SCOPE], &environment);
    assert_alike(&ours, &last(&site.entra));

    let wrong = site.of_the_application("AZURE_CLIENT_SECRET", "another-secret-of-it");
    let ended = site.log_in_once(&site.from_environment(), &wrong);
    refused(&ended, &["AADSTS7000215", "not its id"], &["another-secret-of-it"]);
}

#[test]
fn an_application_with_a_certificate_asks_as_azure_identity_does_and_logs_in() {
    let site = AzureSite::new(&json!({}));
    let file = site.certificate().display().to_string();
    let environment = site.of_the_application("AZURE_CLIENT_CERTIFICATE_PATH", &file);
    assert_eq!(site.logs_in(&site.from_environment(), &environment), "azure-application");
    let ours = last(&site.entra);
    assert!(!header_of(&ours).contains_key("x5c"));

    // azure-identity still signs with RS256 and names the certificate by its SHA-1 digest.
    site.asks_like_the_vendor(&["default", SCOPE], &environment);
    assert_alike(&ours, &last(&site.entra));

    // msal, below it, does as Microsoft recommends, and so do we.
    let mut with_chain = environment.clone();
    with_chain.push(("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN".to_owned(), "true".to_owned()));
    site.logs_in(&site.from_environment(), &with_chain);
    let ours = last(&site.entra);
    site.asks_like_the_vendor(&["assertion", SCOPE], &environment);
    let theirs = last(&site.entra);
    assert_alike(&ours, &theirs);
    assert_eq!(header_of(&ours), header_of(&theirs));

    // The stand-in's check is no formality.
    let assertion = fields(&String::from_utf8_lossy(&ours.body))["client_assertion"].clone();
    let audience = format!("{}/{TENANT}/oauth2/v2.0/token", site.entra.url());
    assert_eq!(check_assertion(site.certificate(), &audience, &assertion), "");
    for at in [assertion.len() - 9, assertion.rfind('.').expect("a signature") - 9] {
        let other = if assertion.as_bytes()[at] == b'A' { "B" } else { "A" };
        let changed = format!("{}{other}{}", &assertion[..at], &assertion[at + 1..]);
        assert_ne!(check_assertion(site.certificate(), &audience, &changed), "", "at {at}");
    }
}

#[test]
fn another_certificate_than_the_applications_is_refused() {
    let site = AzureSite::new(&json!({}));
    let file = site.file("other.pem");
    make_certificate(&file);
    let other = file.display().to_string();
    let environment = site.of_the_application("AZURE_CLIENT_CERTIFICATE_PATH", &other);
    let ended = site.log_in_once(&site.from_environment(), &environment);
    refused(&ended, &["AADSTS700027", "register this certificate"], &[]);
    site.write(
        "other.pem",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nQUJD\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let ended = site.log_in_once(&site.from_environment(), &environment);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.log.contains("password"), "{ended:?}");
}

#[test]
fn a_pod_without_a_metadata_service_logs_in_with_its_federated_token() {
    let site = AzureSite::new(&json!({}));
    let file = site.federated_token().display().to_string();
    let environment = site.of_the_application("AZURE_FEDERATED_TOKEN_FILE", &file);
    assert_eq!(site.logs_in(&site.from_environment(), &environment), "azure-application");
    assert_eq!(site.sent()["vm_name"], "");
    let ours = last(&site.entra);
    site.asks_like_the_vendor(&["default", SCOPE], &environment);
    let theirs = last(&site.entra);
    assert_alike(&ours, &theirs);
    assert_eq!(ours.body.len(), theirs.body.len(), "the same assertion");
}

#[test]
fn a_federated_token_that_is_replaced_is_used_at_once() {
    let site = AzureSite::new(&json!({}));
    let file = site.federated_token();
    let good = std::fs::read_to_string(&file).expect("the token");
    let other = site.other_federated_token();
    site.write("federated", &other);
    let environment =
        site.of_the_application("AZURE_FEDERATED_TOKEN_FILE", &file.display().to_string());
    let mut configuration = site.from_environment();
    configuration.method_settings = "min_backoff = \"1h\"\nmax_backoff = \"2h\"".into();
    let agent = launch(Launch::agent(&configuration.text()), &environment).start();
    agent.wait_for_log("AADSTS700213");
    std::fs::remove_file(&file).expect("the token");
    site.write("federated", &good);
    site.wait_for_token();
    assert_eq!(leaks(&agent.log(), &[other, good]), [""; 0]);
}

#[test]
fn app_service_is_asked_as_azure_identity_does() {
    let site = AzureSite::new(&json!({}));
    let mut environment: Environment = [
        ("IDENTITY_ENDPOINT", format!("{}/msi/token", site.metadata.url())),
        ("IDENTITY_HEADER", HEADER.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    for client in ["", CLIENT] {
        environment.push(("AZURE_CLIENT_ID".to_owned(), client.to_owned()));
        site.logs_in(&site.from_environment(), &environment);
        let ours = last(&site.metadata);
        let mut vendors = environment.clone();
        vendors.retain(|(_, value)| !value.is_empty());
        site.asks_like_the_vendor(&["default", SCOPE], &vendors);
        assert_alike(&ours, &last(&site.metadata));
    }
    environment[1].1 = "another-header-than-its-own".to_owned();
    let ended = site.log_in_once(&site.from_environment(), &environment);
    refused(&ended, &["App Service"], &["another-header-than-its-own"]);
}

#[test]
fn azure_arc_is_shown_its_file_as_azure_identity_does() {
    if !is_root() {
        return;
    }
    let site = AzureSite::new(&json!({}));
    let file = Path::new("/var/opt/azcmagent/tokens/usher.key");
    site.arc_secret(file, "what-arc-wants-to-see");
    let mounts = format!(
        "mount -t tmpfs tmpfs /var/opt && mkdir -p {} && printf what-arc-wants-to-see > {}",
        file.parent().expect("a directory").display(),
        file.display()
    );
    let environment: Environment = [
        ("IDENTITY_ENDPOINT", format!("{}/arc", site.metadata.url())),
        ("IMDS_ENDPOINT", site.metadata.url()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let run = |mounts: &str| {
        let mut configuration = site.from_environment();
        configuration.method_settings += "\nexit_on_err = true";
        launch(Launch::agent(&configuration.text()), &environment)
            .argument("--exit-after-auth")
            .mounts(mounts)
            .run(LIMIT)
    };
    let ended = run(&mounts);
    assert_eq!(ended.status, 0, "{ended:?}");
    let asked = site.metadata.requests();
    let python = clouds_python("azure_identity.py");
    let arguments: Vec<_> = python.get_args().collect();
    let theirs = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c"])
        .arg(format!("{mounts} && exec \"$@\""))
        .arg("sh")
        .arg(python.get_program())
        .args(arguments)
        .args(["default", SCOPE])
        .envs(python.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::null())
        .status()
        .expect("a mount namespace");
    assert!(theirs.success());
    let both = site.metadata.requests();
    let arc = |requests: &[Received]| -> Vec<Received> {
        requests.iter().filter(|request| request.target.starts_with("/arc")).cloned().collect()
    };
    let (ours, theirs) = (arc(&asked), arc(&both[asked.len()..]));
    assert_eq!((ours.len(), theirs.len()), (2, 2));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_alike(ours, theirs);
    }
    let ended = run(&mounts.replace("printf what", "printf not-what"));
    refused(&ended, &["Azure Arc"], &["not-what-arc-wants-to-see"]);
}

#[test]
fn one_changed_byte_of_the_token_is_refused_by_the_server() {
    let site = AzureSite::new(&json!({}));
    let jwt = site.token_with("sub", json!("system"));
    let at = jwt.rfind('.').expect("a signature") + 3;
    let other = if jwt.as_bytes()[at] == b'A' { "B" } else { "A" };
    let changed = format!("{}{other}{}", &jwt[..at], &jwt[at + 1..]);
    for (jwt, status) in [(jwt, 0), (changed, 3)] {
        let answer = json!({ "access_token": jwt, "expires_in": "3599" });
        site.answer_tokens_with(Some(Answer::json(200, &answer)));
        let ended = site.log_in_once(&site.configuration(), &site.on_a_machine());
        assert_eq!(ended.status, status, "{ended:?}");
        assert_eq!(leaks(&ended.log, &[jwt]), [""; 0]);
    }
}

#[test]
fn nothing_of_a_token_is_logged_even_if_the_server_repeats_it() {
    let site = AzureSite::new(&json!({}));
    let jwt = site.token_with("sub", json!("system"));
    let answer = json!({ "access_token": jwt, "expires_in": "3599" });
    site.answer_tokens_with(Some(Answer::json(200, &answer)));
    let echo = format!("{{\"errors\":[\"no: {jwt}\"]}}");
    site.proxy.fail_times("auth/azure/login", Fault::Body(400, echo), 1);
    let ended = site.log_in_once(&site.configuration(), &site.on_a_machine());
    assert_eq!(ended.status, 3, "{ended:?}");
    assert_eq!(leaks(&ended.log, &[jwt]), [""; 0]);
}

#[test]
fn a_metadata_service_in_trouble_is_asked_again_until_it_answers() {
    let site = AzureSite::new(&json!({}));
    let environment = site.on_a_machine();
    for (answer, said) in [
        (Answer::new(404, "<html>hunter2</html>"), "answered 404"),
        (Answer::new(410, ""), "answered 410"),
        (Answer::new(429, "").header("retry-after", "1"), "answered 429"),
        (Answer::new(500, "<html>hunter2</html>"), "answered 500"),
        (Answer::new(200, "<html>hunter2</html>"), "not as expected"),
        (Answer::new(200, "x".repeat(70_000)), "64 KiB"),
        (Answer::new(302, "").header("location", "http://127.0.0.1/hunter2"), "redirect"),
        (Answer::new(200, r#"{"access_token":"hunter2"}"#), "no JWT"),
    ] {
        site.answer_tokens_with(Some(answer));
        let _ = std::fs::remove_file(site.file("token"));
        let logins = site.proxy.count("auth/azure/login");
        let agent = launch(Launch::agent(&site.configuration().text()), &environment).start();
        agent.wait_for_log(said);
        assert_eq!(site.proxy.count("auth/azure/login"), logins, "{said}: nothing is sent");
        site.answer_tokens_with(None);
        site.wait_for_token();
        assert!(!agent.log().contains("hunter2"), "{said}: {}", agent.log());
    }
}

#[test]
fn a_metadata_service_that_hangs_costs_two_seconds() {
    let hanging = StandIn::http(|_: &Received| {
        std::thread::sleep(Duration::from_mins(2));
        200
    });
    let site = AzureSite::new(&json!({}));
    let environment = vec![("AZURE_POD_IDENTITY_AUTHORITY_HOST".to_owned(), hanging.url())];
    let ended = site.log_in_once(&site.configuration(), &environment);
    // Passing: it may answer in a moment.
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.log.contains("didn't answer in time"), "{ended:?}");
    // Where the credential comes from elsewhere, it is done without.
    let mut environment = site.of_the_application("AZURE_CLIENT_SECRET", SECRET);
    environment.push(("AZURE_POD_IDENTITY_AUTHORITY_HOST".to_owned(), hanging.url()));
    assert_eq!(site.logs_in(&site.from_environment(), &environment), "azure-application");
}

#[test]
fn usual_mistakes_are_explained() {
    let site = AzureSite::new(&json!({}));
    let machine = site.on_a_machine();
    let mut unknown = site.configuration();
    unknown.method_config += "\nclient_id = \"dddddddd-1111-2222-3333-444444444444\"";
    explain(&unknown, &machine).says(3, &["Identity not found", "assign a managed identity"]);
    let mut elsewhere = site.configuration();
    elsewhere.method_config = elsewhere.method_config.replace(RESOURCE, "https://other.test");
    explain(&elsewhere, &machine).says(3, &["AADSTS500011", "config.resource"]);
    let mut role = site.configuration();
    role.method_config = role.method_config.replace("\"app\"", "\"nobody\"");
    explain(&role, &machine).says(3, &["could not be found", "create the role"]);
    // The clock, by what Entra ID says, and by what the token says.
    let skewed = json!({
        "error": "invalid_client",
        "error_description": "AADSTS700024: Client assertion is not within its valid time range.",
    });
    site.answer_tokens_with(Some(Answer::json(401, &skewed)));
    let secret = site.of_the_application("AZURE_CLIENT_SECRET", SECRET);
    explain(&site.from_environment(), &secret).says(3, &["AADSTS700024", "clock"]);
    let hour_ago = usher_tests::issuer::in_seconds(-3600);
    for (name, value, said) in [
        (
            "aud",
            json!("https://other.test"),
            &["audience https://other.test", "bound_audiences"][..],
        ),
        ("exp", json!(hour_ago), &["by this machine's clock", "token is expired"]),
    ] {
        let answer = json!({ "access_token": site.token_with(name, value) });
        site.answer_tokens_with(Some(Answer::json(200, &answer)));
        explain(&site.configuration(), &machine).says(3, said);
    }
}

#[test]
fn an_agent_keeps_its_token_and_asks_for_another_one_only_to_log_in() {
    let site = AzureSite::new(&json!({}));
    let environment = site.on_a_machine();
    let configuration = site.configuration().token_check_interval("300ms");
    let _agent: Agent = launch(Launch::agent(&configuration.text()), &environment).start();
    let first = site.wait_for_token();
    usher_tests::eventually::eventually_true("checks", LIMIT, || {
        site.proxy.count("lookup-self") > 2
    });
    assert_eq!(site.metadata.requests().len(), 2, "the names and one token");
    site.bao.revoke(&first);
    assert!(site.bao.is_valid(&site.wait_for_token_after(&first)));
}

fn explain(configuration: &Configuration, environment: &Environment) -> Ended {
    launch(Launch::explain(&configuration.text()), environment).run(LIMIT)
}

/// Panics unless the login was refused with these words, and shows none of the secrets.
#[track_caller]
fn refused(ended: &Ended, parts: &[&str], secrets: &[&str]) {
    assert_eq!(ended.status, 3, "{ended:?}");
    for part in parts {
        assert!(ended.log.contains(part), "{part:?}: {ended:?}");
    }
    let secrets: Vec<String> = secrets.iter().map(|&secret| secret.to_owned()).collect();
    assert_eq!(leaks(&ended.log, &secrets), [""; 0]);
}

fn last(stand_in: &StandIn) -> Received {
    stand_in.requests().pop().expect("a request")
}

/// Panics unless both ask for the same: what differs is what a library tells of itself, and what
/// is made anew each time.
#[track_caller]
fn assert_alike(ours: &Received, theirs: &Received) {
    assert_eq!(ours.method, theirs.method);
    let path = |request: &Received| request.target.split('?').next().map(str::to_owned);
    assert_eq!(path(ours), path(theirs));
    let query =
        |request: &Received| fields(request.target.split_once('?').map_or("", |(_, query)| query));
    assert_eq!(query(ours), query(theirs));
    for name in ["authorization", "content-type", "metadata", "secret", "x-identity-header"] {
        assert_eq!(ours.header(name), theirs.header(name), "{name}");
    }
    let form = |request: &Received| {
        let mut form = fields(&String::from_utf8_lossy(&request.body));
        form.remove("client_info");
        form
    };
    let (mut ours, mut theirs) = (form(ours), form(theirs));
    let (our_assertion, their_assertion) =
        (ours.remove("client_assertion"), theirs.remove("client_assertion"));
    assert_eq!(ours, theirs);
    // One that is handed on is the same; one that is made tells the same.
    if our_assertion != their_assertion {
        let claims = |assertion: Option<String>| assertion.as_deref().map(claims_of);
        assert_eq!(claims(our_assertion), claims(their_assertion));
    }
}

/// What an assertion claims, less its id; the times as what lies between them. Microsoft's page
/// asks for "nbf", which msal leaves out.
fn claims_of(assertion: &str) -> Value {
    let mut claims: Value = serde_json::from_slice(&part(assertion, 1)).expect("claims");
    let time = |name: &str| claims[name].as_f64().expect("a time");
    let life = json!((time("exp") - time("iat")).round());
    let claims = claims.as_object_mut().expect("claims");
    for name in ["iat", "nbf"] {
        claims.remove(name);
    }
    assert_eq!(claims.remove("jti").as_ref().and_then(Value::as_str).map(str::len), Some(36));
    claims.insert("exp".into(), life);
    Value::Object(claims.clone())
}

/// The header of an assertion, less what libraries add to base64.
fn header_of(request: &Received) -> serde_json::Map<String, Value> {
    let form = fields(&String::from_utf8_lossy(&request.body));
    let header = part(&form["client_assertion"], 0);
    let text = String::from_utf8(header).expect("a header").replace("\\n", "").replace('=', "");
    serde_json::from_str(&text).expect("a header")
}

const LIMIT: Duration = Duration::from_mins(1);
