//! The built-in `aws` method: signatures against moto's, credentials from stand-ins
//! that botocore accepts, logins at a stand-in for the server's own method with a real OpenBao
//! behind it.
#![allow(clippy::expect_used, clippy::panic, reason = "helpers fail the test that calls them")]

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use usher_tests::agent::{Ended, Launch};
use usher_tests::aws::{
    DOCUMENT, Imds, Keys, Moto, SIGNATURE, found_by_the_sdk, pod_identity_agent,
};
use usher_tests::aws_login::{LOGIN, Mount, judge_logins};
use usher_tests::eventually::always;
use usher_tests::leaks::leaks;
use usher_tests::openbao::text;
use usher_tests::site::Site;

#[test]
fn a_signed_request_logs_in() {
    let cloud = Cloud::new(Mount { server_id: "vault.example.com", ..Mount::default() });
    let configuration = cloud.configuration("header_value = \"vault.example.com\"", "");
    let ended = run(&configuration, &user_in_environment(&cloud.moto.user));
    assert_eq!(ended.status, 0, "{ended:?}");
    let token = cloud.site.token().expect("a token");
    let found = cloud.site.bao.lookup(&token).expect("a valid token");
    assert_eq!(found["policies"], json!(["app", "default"]));
    cloud.assert_clean(&ended);
}

#[test]
fn the_wrapped_variant_hands_out_a_wrapping_token() {
    let cloud = Cloud::new(Mount::default());
    let configuration = cloud.configuration("", "wrap_ttl = \"5m\"");
    let ended = run(&configuration, &user_in_environment(&cloud.moto.user));
    assert_eq!(ended.status, 0, "{ended:?}");
    let wrapped = cloud.site.wrap_info();
    let answer = cloud.site.bao.unwrap(&text(&wrapped["token"]));
    assert_eq!(answer.status, 200, "{answer:?}");
    let token = text(&answer.body["auth"]["client_token"]);
    assert_eq!(
        cloud.site.bao.lookup(&token).expect("a token")["policies"],
        json!(["app", "default"])
    );
    cloud.assert_clean(&ended);
}

#[test]
fn one_changed_byte_of_a_login_is_refused() {
    let cloud = Cloud::new(Mount { server_id: "vault.example.com", ..Mount::default() });
    let configuration = cloud.configuration("header_value = \"vault.example.com\"", "");
    let ended = run(&configuration, &session_in_environment(&cloud.moto.session));
    assert_eq!(ended.status, 0, "{ended:?}");
    let login = cloud.logins().remove(0);
    assert_eq!(cloud.log_in(&login), 200, "what was sent is accepted again");
    let decode = |name: &str| String::from_utf8(STANDARD.decode(text(&login[name])).unwrap());
    for (name, from, to) in [
        ("iam_request_body", "GetCallerIdentity", "GetCallerIdentitx"),
        ("iam_request_url", "sts.amazonaws.com", "sts.eu-west-1.amazonaws.com"),
        ("iam_request_headers", "Signature=", "Signature=0"),
        ("iam_request_headers", "/us-east-1/", "/us-east-2/"),
        ("iam_request_headers", "charset=utf-8", "charset=utf-9"),
        ("iam_request_headers", "vault.example.com", "vault.example.org"),
        ("iam_request_headers", ";x-vault-aws-iam-server-id", ""),
        ("iam_request_headers", "X-Amz-Security-Token\":[\"", "X-Amz-Security-Token\":[\"x"),
    ] {
        let original = decode(name).expect("text");
        assert!(original.contains(from), "{name} has {from:?}: {original}");
        let mut changed = login.clone();
        changed[name] = STANDARD.encode(original.replacen(from, to, 1)).into();
        assert_eq!(cloud.log_in(&changed), 400, "{name}: {from} to {to}");
    }
}

#[test]
fn a_wrong_secret_key_is_refused_and_told_with_the_remedy() {
    let cloud = Cloud::new(Mount::default());
    let wrong = Keys { secret: "wrong-secret-access-key".into(), ..cloud.moto.user.clone() };
    let ended = run(&cloud.configuration("", ""), &user_in_environment(&wrong));
    assert_eq!(ended.status, 3, "{ended:?}");
    assert!(ended.log.contains("SignatureDoesNotMatch"), "{ended:?}");
    assert!(ended.log.contains("check the secret access key"), "{ended:?}");
    assert_eq!(leaks(&ended.log, &[wrong.secret]), [""; 0]);
}

#[test]
fn a_pod_logs_in_with_its_web_identity() {
    let cloud = Cloud::new(Mount::default());
    cloud.moto.let_one_pass();
    cloud.site.write("jwt", JWT);
    let file = cloud.site.file("jwt").display().to_string();
    let ended = run(
        &cloud.configuration("", ""),
        &[
            ("AWS_ROLE_ARN", &cloud.moto.role),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", &file),
            ("AWS_ENDPOINT_URL_STS", &cloud.moto.url()),
        ],
    );
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(cloud.site.bao.is_valid(&cloud.site.token().expect("a token")));
    assert_eq!(leaks(&ended.log, &[JWT.into()]), [""; 0]);
}

#[test]
fn a_container_logs_in_with_what_the_sdk_finds_too() {
    let cloud = Cloud::new(Mount::default());
    let agent = pod_identity_agent(JWT, &cloud.moto.session);
    cloud.site.write("jwt", JWT);
    let file = cloud.site.file("jwt").display().to_string();
    let url = format!("{}/v1/credentials", agent.url());
    let environment = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &file),
    ];
    let found = found_by_the_sdk(&environment);
    assert_eq!(found, (cloud.moto.session.clone(), "container-role".to_owned()));
    let ended = run(&cloud.configuration("", ""), &environment);
    assert_eq!(ended.status, 0, "{ended:?}");
    cloud.assert_clean(&ended);
    // The stand-in is no formality.
    cloud.site.write("jwt", "another");
    let refused = run(&cloud.configuration("", ""), &environment);
    assert_eq!(refused.status, 3, "{refused:?}");
    assert!(refused.log.contains("credential service answered 401"), "{refused:?}");
}

#[test]
fn an_instance_logs_in_with_what_the_sdk_finds_too() {
    let cloud = Cloud::new(Mount::default());
    let imds = Imds::start(&cloud.moto.session);
    let url = imds.url();
    let environment = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str())];
    let found = found_by_the_sdk(&environment);
    assert_eq!(found, (cloud.moto.session.clone(), "iam-role".to_owned()));
    let asked = imds.asked();
    let configuration = cloud.configuration("region = \"\"\ncredential_poll_interval = \"1s\"", "");
    let mut launch = Launch::agent(&configuration);
    for (name, value) in environment {
        launch = launch.environment(name, value);
    }
    let agent = launch.start();
    let token = cloud.site.wait_for_token();
    assert!(cloud.site.bao.is_valid(&token));
    let url = STANDARD.decode(text(&cloud.logins()[0]["iam_request_url"])).unwrap();
    assert_eq!(url, b"https://sts.eu-west-1.amazonaws.com/", "the instance's region");
    // Looks use what is kept, and bring no login.
    always("one login", Duration::from_secs(3), || cloud.logins().len() == 1);
    assert_eq!(imds.asked(), asked + 1);
    cloud.assert_clean(&agent.stop());
}

#[test]
fn a_hop_limit_that_is_too_low_is_explained() {
    let cloud = Cloud::new(Mount::default());
    let imds = Imds::start(&cloud.moto.session);
    imds.lose_tokens();
    let ended = cloud.explain("", &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &imds.url())]);
    assert_eq!(ended.status, 1, "{ended:?}");
    for part in ["credential      FAILED", "--http-put-response-hop-limit 2", "imds.hop-limit"] {
        assert!(ended.results.contains(part), "{part}: {ended:?}");
    }
    assert_eq!(cloud.logins().len(), 0);
}

#[test]
fn what_the_server_refuses_is_explained_with_its_remedy() {
    let skewed = |minutes| Mount { ahead: Duration::from_mins(minutes), ..Mount::default() };
    let with_id = Mount { server_id: "vault.example.com", ..Mount::default() };
    for (mount, settings, parts) in [
        (skewed(60), "", &["Signature expired", "clock"][..]),
        (Mount::default(), "role = \"nobody\"", &["entry for role", "create the role"]),
        (with_id.clone(), "", &["missing header", "header_value"]),
        (with_id, "header_value = \"other\"", &["expected", "header_value"]),
        // moto knows no user of this name in China, as AWS doesn't.
        (Mount::default(), "region = \"cn-north-1\"", &["InvalidClientTokenId", "region"]),
    ] {
        let cloud = Cloud::new(mount);
        let ended = cloud.explain(settings, &user_in_environment(&cloud.moto.user));
        assert_eq!(ended.status, 3, "{settings}: {ended:?}");
        for part in parts {
            assert!(ended.results.contains(part), "{part}: {ended:?}");
        }
        cloud.assert_clean(&ended);
    }
}

#[test]
fn a_half_written_file_is_told_a_good_one_ends_it_and_another_key_logs_in_anew() {
    let cloud = Cloud::new(Mount::default());
    let file = cloud.site.file("aws-credentials");
    let Keys { key, secret, .. } = &cloud.moto.user;
    let whole = format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
    write(&file, &whole[..whole.len() / 2]);
    let path = file.display().to_string();
    let launch = Launch::agent(&cloud.configuration("", ""))
        .environment("AWS_SHARED_CREDENTIALS_FILE", &path)
        .environment("AWS_EC2_METADATA_DISABLED", "true");
    let agent = launch.start();
    agent.wait_for_log("half written or damaged: line");
    assert_eq!(cloud.logins().len(), 0);
    write(&file, &whole);
    let first = cloud.site.wait_for_token();
    let Keys { key, secret, token } = &cloud.moto.session;
    write(
        &file,
        &format!(
            "[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n\
             aws_session_token = {token}\n"
        ),
    );
    let second = cloud.site.wait_for_token_after(&first);
    assert!(cloud.site.bao.is_valid(&second));
    cloud.assert_clean(&agent.stop());
}

#[test]
fn an_instance_proves_itself_by_its_document_with_one_nonce_for_good() {
    let cloud = Cloud::new(Mount::default());
    let imds = Imds::start(&cloud.moto.session);
    let url = imds.url();
    let environment = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str())];
    let state = cloud.site.file("nonce");
    let settings = format!("state_file = \"{}\"", state.display());
    let configuration = cloud.of_type("ec2", &settings, "");
    for _ in 0..2 {
        let ended = run(&configuration, &environment);
        assert_eq!(ended.status, 0, "{ended:?}");
    }
    let nonce = std::fs::read_to_string(&state).expect("the state file");
    let expected = json!({
        "role": "app",
        "identity": STANDARD.encode(DOCUMENT),
        "signature": SIGNATURE,
        "nonce": nonce,
    });
    assert_eq!(cloud.logins(), [expected.clone(), expected]);
    let other = cloud.of_type("ec2", "nonce = \"another-nonce\"", "");
    let refused = run(&other, &environment);
    assert_eq!(refused.status, 3, "{refused:?}");
    assert!(refused.log.contains("client nonce mismatch"), "{refused:?}");
    assert!(refused.log.contains("state_file"), "{refused:?}");
    let missing = run(&cloud.of_type("ec2", "", ""), &environment);
    assert_eq!(missing.status, 2, "{missing:?}");
    assert!(missing.log.contains("`config.nonce` is missing"), "{missing:?}");
}

/// AWS, and a server whose `aws` method knows it.
struct Cloud {
    site: Site,
    moto: Moto,
}

impl Cloud {
    fn new(mount: Mount) -> Self {
        let site = Site::new(json!({}));
        let moto = Moto::start();
        judge_logins(&site, &moto, mount);
        Self { site, moto }
    }

    /// The bodies of the logins so far.
    fn logins(&self) -> Vec<Value> {
        self.site.proxy.requests(LOGIN).into_iter().map(|login| login.body).collect()
    }

    /// The status of a login as anybody could make it.
    fn log_in(&self, body: &Value) -> u16 {
        self.site.proxy.send("PUT", LOGIN, body).expect("an answer").0
    }

    fn configuration(&self, settings: &str, method_settings: &str) -> String {
        self.of_type("iam", settings, method_settings)
    }

    /// `role` is "app", unless the settings have another.
    fn of_type(&self, kind: &str, settings: &str, method_settings: &str) -> String {
        let mut configuration = self.site.configuration();
        configuration.method = "aws".into();
        configuration.method_settings += "\n";
        configuration.method_settings += method_settings;
        let role = if settings.contains("role =") { "" } else { "role = \"app\"" };
        configuration.method_config = format!("type = \"{kind}\"\n{role}\n{settings}");
        configuration.text()
    }

    fn explain(&self, settings: &str, environment: &[(&str, &str)]) -> Ended {
        let mut launch = Launch::explain(&self.configuration(settings, ""));
        for (name, value) in environment {
            launch = launch.environment(name, value);
        }
        launch.run(LIMIT)
    }

    /// Panics if the agent has shown a secret.
    fn assert_clean(&self, ended: &Ended) {
        let mut secrets = vec![self.moto.user.secret.clone(), self.moto.session.secret.clone()];
        secrets.push(self.moto.session.token.clone());
        secrets.extend(self.site.secrets());
        let told = format!("{}{}", ended.log, ended.results);
        assert_eq!(leaks(&told, &secrets), [""; 0]);
    }
}

/// One login, whose failure ends the agent.
fn run(configuration: &str, environment: &[(&str, &str)]) -> Ended {
    let once = configuration.replace("min_backoff", "exit_on_err = true\nmin_backoff");
    let mut launch = Launch::agent(&once).argument("--exit-after-auth");
    for (name, value) in environment {
        launch = launch.environment(name, value);
    }
    launch.run(LIMIT)
}

fn user_in_environment(keys: &Keys) -> [(&str, &str); 2] {
    [("AWS_ACCESS_KEY_ID", &keys.key), ("AWS_SECRET_ACCESS_KEY", &keys.secret)]
}

fn session_in_environment(keys: &Keys) -> [(&str, &str); 3] {
    let [key, secret] = user_in_environment(keys);
    [key, secret, ("AWS_SESSION_TOKEN", &keys.token)]
}

fn write(file: &Path, content: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, content).expect("a file of the site");
    std::fs::rename(new, file).expect("in one step");
}

const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJzdHMuYW1hem9uYXdzLmNvbSJ9.c2lnbmF0dXJl";

const LIMIT: Duration = Duration::from_mins(1);
