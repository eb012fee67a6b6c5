//! AWS for the tests: moto's IAM and STS, which check signatures, and stand-ins for the services that
//! hand credentials to instances and containers.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tempfile::TempDir;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::http::{self, Message};
use crate::openbao::text;
use crate::oracle::clouds_python;
use crate::plugins::setup_directory;
use crate::process::{self, Process};
use crate::stand_in::{Answer, Received, StandIn};

/// moto's IAM and STS with one user and one role. Ends with this value.
pub struct Moto {
    _process: Process,
    _home: TempDir,
    port: u64,
    /// ARN of a role that may be assumed.
    pub role: String,
    /// Of the user.
    pub user: Keys,
    /// Of a session of the role.
    pub session: Keys,
}

/// What signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The access key's id.
    pub key: String,
    /// The secret access key.
    pub secret: String,
    /// The session token; "" for the key of a user.
    pub token: String,
}

impl Moto {
    /// Starts it, and makes user, role and session.
    pub fn start() -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let python = setup_directory().join("python/bin/python");
        let mut command = process::command(python.as_os_str(), home.path(), &[]);
        command
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/oracles/aws_cloud.py"))
            .env("PYTHONPATH", setup_directory().join("clouds"))
            .stdout(Stdio::piped());
        let mut process = Process::start(command);
        let mut line = String::new();
        let output = process.child().stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("a line of moto's");
        let told: Value = serde_json::from_str(&line).expect("JSON");
        let keys = |value: &Value| Keys {
            key: text(&value["key"]),
            secret: text(&value["secret"]),
            token: value["token"].as_str().unwrap_or_default().into(),
        };
        Self {
            _process: process,
            _home: home,
            port: told["port"].as_u64().expect("a port"),
            role: text(&told["role"]),
            user: keys(&told["user"]),
            session: keys(&told["session"]),
        }
    }

    /// Its URL: "http://127.0.0.1:PORT".
    pub fn url(&self) -> String {
        format!("http://{}", self.authority())
    }

    /// "127.0.0.1:PORT".
    pub(crate) fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Serves the next call without a signature: `AssumeRoleWithWebIdentity` has none, which moto
    /// can't serve else.
    pub fn let_one_pass(&self) {
        let request = Message {
            first_line: "POST /moto-api/reset-auth HTTP/1.1".into(),
            headers: vec![
                ("host".into(), self.authority()),
                ("content-type".into(), "text/plain".into()),
            ],
            body: b"1".to_vec(),
        };
        let answer = http::exchange(&self.authority(), &request).expect("moto answers");
        assert!(answer.first_line.contains(" 200 "), "{}", answer.first_line);
    }
}

impl Keys {
    /// As instances and containers hand them out, good for six hours.
    pub fn handed_out(&self) -> Value {
        let end = OffsetDateTime::from(SystemTime::now() + Duration::from_hours(6));
        let end = end.replace_nanosecond(0).expect("a whole second").format(&Rfc3339);
        json!({
            "Code": "Success",
            "LastUpdated": "2026-01-01T00:00:00Z",
            "Type": "AWS-HMAC",
            "AccessKeyId": self.key,
            "SecretAccessKey": self.secret,
            "Token": self.token,
            "Expiration": end.expect("a time"),
        })
    }
}

/// The metadata service of an instance, version 2 only: without a token that it handed out itself,
/// and that is not older than asked for, it answers 401.
pub struct Imds {
    stand_in: StandIn,
    hops: Arc<AtomicBool>,
}

impl Imds {
    /// Of an instance whose role has these keys.
    pub fn start(keys: &Keys) -> Self {
        let hops = Arc::new(AtomicBool::new(true));
        let arrive = Arc::clone(&hops);
        let tokens: Mutex<Vec<(String, SystemTime)>> = Mutex::default();
        let credentials = keys.handed_out();
        let stand_in = StandIn::http(move |request| {
            let mut tokens = tokens.lock().unwrap_or_else(PoisonError::into_inner);
            if (request.method.as_str(), request.target.as_str()) != ("PUT", "/latest/api/token") {
                let now = SystemTime::now();
                let good = request.header("x-aws-ec2-metadata-token").is_some_and(|given| {
                    tokens.iter().any(|(token, end)| token == given && now < *end)
                });
                return if good { metadata(request, &credentials) } else { Answer::new(401, "") };
            }
            let header = request.header("x-aws-ec2-metadata-token-ttl-seconds");
            let seconds = header.and_then(|seconds| seconds.parse::<u64>().ok());
            let Some(seconds) = seconds.filter(|seconds| (1..=21600).contains(seconds)) else {
                return Answer::new(400, "");
            };
            if request.header("x-forwarded-for").is_some() {
                return Answer::new(403, "");
            }
            if !arrive.load(Ordering::SeqCst) {
                drop(tokens);
                // Longer than anybody waits: the answer dies on the way.
                std::thread::sleep(Duration::from_mins(1));
                return Answer::new(504, "");
            }
            let token = format!("AQAAA-token-{}==", tokens.len());
            tokens.push((token.clone(), SystemTime::now() + Duration::from_secs(seconds)));
            Answer::new(200, token)
                .header("x-aws-ec2-metadata-token-ttl-seconds", &seconds.to_string())
        });
        Self { stand_in, hops }
    }

    /// For `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
    pub fn url(&self) -> String {
        self.stand_in.url()
    }

    /// From now on its tokens get lost, as in a container where the hop limit is 1.
    pub fn lose_tokens(&self) {
        self.hops.store(false, Ordering::SeqCst);
    }

    /// How often it was asked for credentials.
    pub fn asked(&self) -> usize {
        let requests = self.stand_in.requests();
        requests
            .iter()
            .filter(|request| request.target.ends_with("security-credentials/app"))
            .count()
    }
}

fn metadata(request: &Received, credentials: &Value) -> Answer {
    if request.method != "GET" {
        return Answer::new(405, "");
    }
    match request.target.strip_prefix("/latest/").unwrap_or_default() {
        "meta-data/" => Answer::new(200, "iam/\nplacement/"),
        "meta-data/iam/security-credentials/" => Answer::new(200, "app"),
        "meta-data/iam/security-credentials/app" => Answer::json(200, credentials),
        "meta-data/placement/region" => Answer::new(200, "eu-west-1"),
        "dynamic/instance-identity/document" => Answer::new(200, DOCUMENT),
        "dynamic/instance-identity/signature" => Answer::new(200, SIGNATURE),
        _ => Answer::new(404, ""),
    }
}

/// EKS's pod identity agent: it wants the pod's JWT, as it is.
pub fn pod_identity_agent(jwt: &str, keys: &Keys) -> StandIn {
    let (jwt, credentials) = (jwt.to_owned(), keys.handed_out());
    StandIn::http(move |request| {
        let right =
            (request.method.as_str(), request.target.as_str()) == ("GET", "/v1/credentials");
        match request.header("authorization") {
            _ if !right => Answer::new(404, ""),
            Some(given) if given == jwt => Answer::json(200, &credentials),
            _ => Answer::new(401, "the JWT is not the pod's"),
        }
    })
}

/// What AWS's SDK for Python finds in this environment: its keys, and where it found them.
pub fn found_by_the_sdk(environment: &[(&str, &str)]) -> (Keys, String) {
    let home = tempfile::tempdir().expect("a temporary directory");
    let output = clouds_python("aws_sdk.py")
        .env("HOME", home.path())
        .envs(environment.iter().copied())
        .output()
        .expect("Python runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let keys = Keys {
        key: text(&found["key"]),
        secret: text(&found["secret"]),
        token: found["token"].as_str().unwrap_or_default().into(),
    };
    (keys, text(&found["found_by"]))
}

/// Of the instance; AWS signs its bytes, white space too.
pub const DOCUMENT: &str = "{\n  \"instanceId\" : \"i-0123456789\",\n  \"region\" : \"eu-west-1\",\n  \"accountId\" : \"1\"\n}";

/// In two lines, as AWS hands it out.
pub const SIGNATURE: &str = "ZmFrZSBzaWduYXR1cmUgb2YgdGhl\nIGRvY3VtZW50+/==";
