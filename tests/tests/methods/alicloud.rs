//! The built-in `alicloud` method: Alibaba Cloud's own SDK judges the signatures, stand-ins are the
//! cloud's services, and a judge before the real server is its auth method, which OpenBao lacks.
#![allow(clippy::expect_used, reason = "helpers fail the test that calls them")]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use usher_tests::agent::{Agent, Ended, Launch};
use usher_tests::leaks::leaks;
use usher_tests::oracle::{ask_for_text, clouds_python};
use usher_tests::site::{Configuration, Site};
use usher_tests::stand_in::{Answer, Received, StandIn};

#[test]
fn the_clouds_own_sdk_signs_the_same() {
    let site = Site::new(json!({}));
    let keys = [
        ("STS.plain", "secret", "token"),
        ("STS.odd-1", "a b+c/d=e&f%g~h", "CAIS+w/==&? *"),
        ("STS.odd-2", "äö€", "你好"),
        ("STS.odd-3", "~!@#^*()_-[];:'<>,.|`", "~-_.!*'()"),
    ];
    let mut text = format!("vault {{\n  address = \"{}\"\n}}\n", site.configuration().address);
    for (number, (id, secret, token)) in keys.iter().enumerate() {
        let mut configuration = site.configuration();
        configuration.method = "alicloud".into();
        configuration.method_settings = format!("mount_path = \"auth/cloud-{number}\"");
        configuration.method_config = format!(
            "role = \"app\"\nregion = \"eu-central-1\"\naccess_key = \"{id}\"\n\
             access_secret = \"{secret}\"\naccess_token = \"{token}\""
        );
        let file = site.file(&format!("token-{number}"));
        configuration.sinks = vec![usher_tests::site::file_sink(&file)];
        text += &configuration.identity(&format!("identity \"cloud-{number}\""));
        let path = format!("/v1/auth/cloud-{number}/login");
        site.proxy.judge_logins(&path, site.bao.root_token(), |_| Ok(()));
    }
    let ended = Launch::agent(&text).argument("--exit-after-auth").run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    for (number, (id, secret, _)) in keys.iter().enumerate() {
        let sent = site.proxy.requests(&format!("cloud-{number}/login")).pop().expect("a login");
        let url = signed_url(&sent.body);
        assert_eq!(parameter(&url, "AccessKeyId"), *id);
        let ours = parameter(&url, "Signature");
        assert_eq!(ours, signature_of_sdk(&url, secret), "{url}");
        let changed = url.replace("Action=GetCallerIdentity", "Action=GetCallerIdentitz");
        assert_ne!(ours, signature_of_sdk(&changed, secret));
    }
}

#[test]
fn given_credentials_log_in_and_a_wrong_secret_does_not() {
    let site = CloudSite::new();
    let given = |secret: &str| {
        site.log_in_once(&format!(
            "access_key = \"{ID}\"\naccess_secret = \"{secret}\"\naccess_token = \"{TOKEN}\""
        ))
    };
    let ended = given("another-secret");
    assert_eq!(ended.status, 3, "{ended:?}");
    assert!(ended.log.contains("SignatureDoesNotMatch"), "{ended:?}");
    assert_eq!(leaks(&ended.log, &["another-secret".into(), TOKEN.into()]), [""; 0]);
    let ended = given(SECRET);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(site.bao.is_valid(&site.wait_for_token()));
    assert_eq!(leaks(&ended.log, &[SECRET.into(), TOKEN.into()]), [""; 0]);
}

#[test]
fn the_role_of_the_instance_logs_in() {
    let site = CloudSite::new();
    let ended = site.log_in_once("");
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(site.bao.is_valid(&site.wait_for_token()));
    assert_eq!(leaks(&ended.log, &[SECRET.into(), TOKEN.into(), METADATA_TOKEN.into()]), [""; 0]);
}

#[test]
fn a_role_is_assumed_with_the_access_key_of_the_environment() {
    let site = CloudSite::new();
    let launch = |secret: &str| {
        Launch::agent(&site.configuration("").text())
            .environment("ALICLOUD_ACCESS_KEY", USER)
            .environment("ALICLOUD_SECRET_KEY", secret)
            .environment("ALICLOUD_ROLE_ARN", ROLE)
            .argument("--exit-after-auth")
            .argument("--timeout=10s")
            .run(LIMIT)
    };
    let ended = launch("another-secret");
    assert_eq!(ended.status, 3, "{ended:?}");
    assert!(ended.log.contains("SignatureDoesNotMatch"), "{ended:?}");
    let ended = launch(USERS_SECRET);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(site.bao.is_valid(&site.wait_for_token()));
    assert_eq!(leaks(&ended.log, &[USERS_SECRET.into(), SECRET.into(), TOKEN.into()]), [""; 0]);
}

#[test]
fn a_users_access_key_is_refused_with_the_remedy() {
    let site = CloudSite::new();
    let ended = site.log_in_once("access_key = \"LTAI-user\"\naccess_secret = \"of-a-user\"");
    assert_eq!(ended.status, 2, "{ended:?}");
    for part in ["assumed roles only", "role_arn"] {
        assert!(ended.log.contains(part), "{part}: {ended:?}");
    }
    assert_eq!(site.proxy.count(LOGIN), 0);
    assert_eq!(leaks(&ended.log, &["of-a-user".into()]), [""; 0]);
}

#[test]
fn an_instance_without_a_role_is_told() {
    let site = CloudSite::new();
    let gone = StandIn::http(|request| match request.method.as_str() {
        "PUT" => Answer::new(200, METADATA_TOKEN),
        _ => Answer::from(404),
    });
    let mut configuration = site.configuration("");
    configuration.method_config =
        configuration.method_config.replace(&site.metadata.url(), &gone.url());
    let agent = Agent::start(&configuration.text());
    agent.wait_for_log("this instance has no RAM role");
    assert_eq!(site.proxy.count(LOGIN), 0);
}

/// A server whose method at "auth/alicloud" is a judge, and the cloud.
struct CloudSite {
    site: Site,
    metadata: StandIn,
    sts: StandIn,
}

impl std::ops::Deref for CloudSite {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl CloudSite {
    fn new() -> Self {
        let site = Site::new(json!({}));
        site.proxy.judge_logins(LOGIN, site.bao.root_token(), |login| {
            let url = signed_url(login);
            if !url.starts_with("https://sts.eu-central-1.aliyuncs.com/?") || login["role"] != "app"
            {
                return Err("not the region's STS, or another role".into());
            }
            judge_request(&url, "GetCallerIdentity", ID, SECRET)?;
            let known = parameter(&url, "SecurityToken") == TOKEN;
            known.then_some(()).ok_or_else(|| "InvalidSecurityToken".into())
        });
        Self { site, metadata: StandIn::http(metadata), sts: StandIn::http(sts) }
    }

    fn configuration(&self, credentials: &str) -> Configuration {
        let mut configuration = self.site.configuration();
        configuration.method = "alicloud".into();
        configuration.method_config = format!(
            "role = \"app\"\nregion = \"eu-central-1\"\nmetadata_endpoint = \"{}\"\n\
             sts_endpoint = \"{}\"\n{credentials}",
            self.metadata.url(),
            self.sts.url()
        );
        configuration
    }

    fn log_in_once(&self, credentials: &str) -> Ended {
        Launch::agent(&self.configuration(credentials).text())
            .argument("--exit-after-auth")
            .argument("--timeout=10s")
            .run(LIMIT)
    }
}

/// The metadata service of an instance with the role "app": nothing without a token.
fn metadata(request: &Received) -> Answer {
    let header = |name: &str| request.header(name).unwrap_or_default();
    match (request.method.as_str(), request.target.as_str()) {
        ("PUT", "/latest/api/token") => {
            let seconds = header("x-aliyun-ecs-metadata-token-ttl-seconds").parse();
            let lawful = seconds.is_ok_and(|seconds: u32| (1..=21_600).contains(&seconds));
            if lawful { Answer::new(200, METADATA_TOKEN) } else { Answer::from(400) }
        }
        _ if header("x-aliyun-ecs-metadata-token") != METADATA_TOKEN => Answer::from(403),
        ("GET", "/latest/meta-data/ram/security-credentials/") => Answer::new(200, "app"),
        ("GET", "/latest/meta-data/ram/security-credentials/app") => {
            let mut issued = issued();
            issued["Code"] = "Success".into();
            Answer::json(200, &issued)
        }
        _ => Answer::from(404),
    }
}

/// STS: issues what the metadata service issues, to whom can sign as the user.
fn sts(request: &Received) -> Answer {
    let refusal = |code: &str| Answer::json(400, &json!({ "Code": code, "Message": "no" }));
    if request.method != "POST" {
        return refusal("MethodNotAllowed");
    }
    match judge_request(&request.target, "AssumeRole", USER, USERS_SECRET) {
        Err(code) => refusal(&code),
        Ok(()) if parameter(&request.target, "RoleArn") != ROLE => refusal("EntityNotExist.Role"),
        Ok(()) => Answer::json(200, &json!({ "Credentials": issued() })),
    }
}

fn issued() -> Value {
    json!({
        "AccessKeyId": ID,
        "AccessKeySecret": SECRET,
        "SecurityToken": TOKEN,
        "Expiration": "2099-01-01T00:00:00Z",
    })
}

/// What the service finds wrong with a signed request, by the code that it uses.
fn judge_request(url: &str, action: &str, id: &str, secret: &str) -> Result<(), String> {
    for (name, value) in [("Action", action), ("AccessKeyId", id), ("Version", "2015-04-01")] {
        if parameter(url, name) != value {
            return Err(format!("InvalidParameter.{name}"));
        }
    }
    let good = parameter(url, "Signature") == signature_of_sdk(url, secret);
    good.then_some(()).ok_or_else(|| "SignatureDoesNotMatch".into())
}

/// The URL that a login has the server send a request to.
fn signed_url(login: &Value) -> String {
    let encoded = login["identity_request_url"].as_str().unwrap_or_default();
    let url = STANDARD.decode(encoded).expect("base64");
    String::from_utf8(url).expect("a URL")
}

/// A parameter of a URL's query, decoded; empty: it isn't there.
fn parameter(url: &str, name: &str) -> String {
    let query = url.split_once('?').expect("a query").1;
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.filter(|(candidate, _)| *candidate == name).map(|(_, value)| value).next();
    let value = percent_encoding::percent_decode_str(found.unwrap_or_default());
    value.decode_utf8().expect("text").into_owned()
}

fn signature_of_sdk(url: &str, secret: &str) -> String {
    let asked = json!({ "url": url, "secret": secret }).to_string();
    ask_for_text(&mut clouds_python("alicloud.py"), asked).trim().to_owned()
}

const LOGIN: &str = "/v1/auth/alicloud/login";
const ID: &str = "STS.of-the-role";
const SECRET: &str = "secret-of-the-role";
const TOKEN: &str = "security-token-of-the-role";
const USER: &str = "LTAI-user";
const USERS_SECRET: &str = "secret-of-the-user";
const ROLE: &str = "acs:ram::1:role/app";
const METADATA_TOKEN: &str = "token-of-the-metadata-service";
const LIMIT: Duration = Duration::from_mins(1);
