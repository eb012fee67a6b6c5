//! Google Cloud as far as the `gcp` method asks it: metadata server, token endpoints and signing
//! service in one stand-in, whose checks and signatures are another program's
//! (`oracles/gcp_google.py`); and a site whose server trusts what it signs.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::agent::Launch;
use crate::oracle::{Worker, clouds_python};
use crate::site::{Configuration, Site};
use crate::stand_in::{Answer, Received, StandIn};

/// The stand-in for Google. Panics at its end if it was asked for something that the real one
/// would refuse, unless the test has taken the complaints.
pub struct Google {
    stand_in: StandIn,
    shared: Arc<Shared>,
    keys: Value,
}

struct Shared {
    worker: Worker,
    complaints: Mutex<Vec<String>>,
    /// Answers in place of its own, by a part of the target.
    instead: Mutex<Vec<(String, Answer)>>,
    /// The JWTs and tokens that it gave out.
    given: Mutex<Vec<String>>,
}

impl Google {
    /// With keys of its own.
    pub fn start() -> Self {
        let (worker, keys) = Worker::start(&mut clouds_python("gcp_google.py"));
        let shared = Arc::new(Shared {
            worker,
            complaints: Mutex::default(),
            instead: Mutex::default(),
            given: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        let stand_in = StandIn::http(move |request: &Received| serving.answer(request));
        Self { stand_in, shared, keys }
    }

    /// "http://127.0.0.1:PORT", without slash.
    pub fn url(&self) -> String {
        self.stand_in.url()
    }

    /// "127.0.0.1:PORT", for `GCE_METADATA_HOST`.
    pub fn host(&self) -> String {
        self.url().replace("http://", "")
    }

    /// What verifies Google's signatures, PEM.
    pub fn public_pem(&self) -> &str {
        self.told("google")
    }

    /// What verifies the service account's, PEM.
    pub fn account_pem(&self) -> &str {
        self.told("account")
    }

    /// The service account.
    pub fn email(&self) -> &str {
        self.told("email")
    }

    /// A key file of the service account.
    pub fn key(&self) -> Value {
        json!({
            "type": "service_account",
            "project_id": "shop",
            "private_key_id": self.keys["kid"],
            "private_key": self.keys["private"],
            "client_email": self.email(),
            "client_id": "1",
            "token_uri": format!("{}/token", self.url()),
        })
    }

    /// Credentials of a user who may use the service account.
    pub fn user(&self) -> Value {
        let mut user = self.keys["user"].clone();
        user["type"] = "authorized_user".into();
        user["token_uri"] = format!("{}/token", self.url()).into();
        user
    }

    /// Credentials for workload identity federation, with the subject token in a file.
    pub fn external(&self, file: &str) -> Value {
        json!({
            "type": "external_account",
            "audience": self.keys["audience"],
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": format!("{}/v1/token", self.url()),
            "credential_source": { "file": file },
            "service_account_impersonation_url": format!(
                "{}/v1/projects/-/serviceAccounts/{}:generateAccessToken",
                self.url(),
                self.email()
            ),
        })
    }

    /// A token of another issuer, whom Google trusts if the audience is "gcp".
    pub fn subject_token(&self, audience: &str) -> String {
        let told = self.shared.worker.ask(&json!({ "subject": audience }));
        told["token"].as_str().expect("a token").to_owned()
    }

    /// Sets Google's clock ahead.
    pub fn skew(&self, seconds: i64) {
        self.shared.worker.ask(&json!({ "skew": seconds }));
    }

    /// Whether callers have the role to sign as the service account.
    pub fn set_creator(&self, creator: bool) {
        self.shared.worker.ask(&json!({ "creator": creator }));
    }

    /// Answers whatever has this in its target so instead.
    pub fn answer_instead(&self, part: &str, answer: Answer) {
        lock(&self.shared.instead).push((part.to_owned(), answer));
    }

    /// Answers as Google again.
    pub fn heal(&self) {
        lock(&self.shared.instead).clear();
    }

    /// What it was asked so far.
    pub fn requests(&self) -> Vec<Received> {
        self.stand_in.requests()
    }

    /// What the real one would have refused; no longer a failure of the test.
    pub fn take_complaints(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.shared.complaints))
    }

    /// Every secret that exists here, and what was signed and given out.
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets = lock(&self.shared.given).clone();
        let private = self.told("private");
        // One line: PEM may be broken anew wherever it is told.
        secrets.extend(private.lines().nth(5).map(str::to_owned));
        let list = |value: &Value| -> Vec<String> {
            value
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        };
        secrets.extend(list(&self.keys["tokens"]));
        for name in ["client_secret", "refresh_token"] {
            secrets.extend(self.keys["user"][name].as_str().map(str::to_owned));
        }
        secrets
    }

    fn told(&self, name: &str) -> &str {
        self.keys[name].as_str().expect("told at the start")
    }
}

impl Drop for Google {
    fn drop(&mut self) {
        let complaints = self.take_complaints();
        let told = complaints.is_empty() || std::thread::panicking();
        assert!(told, "Google would have refused this: {complaints:?}");
    }
}

impl Shared {
    fn answer(&self, request: &Received) -> Answer {
        let instead = lock(&self.instead).clone();
        if let Some((_, answer)) =
            instead.into_iter().find(|(part, _)| request.target.contains(part))
        {
            return answer;
        }
        let headers: serde_json::Map<String, Value> = request
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect();
        let told = self.worker.ask(&json!({
            "method": request.method,
            "target": request.target,
            "headers": headers,
            "body": String::from_utf8_lossy(&request.body),
        }));
        if let Some(complaint) = told["complaint"].as_str() {
            lock(&self.complaints)
                .push(format!("{} {}: {complaint}", request.method, request.target));
        }
        let body = told["body"].as_str().unwrap_or_default();
        let signed = serde_json::from_str::<Value>(body).ok();
        let signed = signed.as_ref().and_then(|body| body["signedJwt"].as_str()).unwrap_or(body);
        if signed.starts_with("eyJ") {
            lock(&self.given).push(signed.to_owned());
        }
        let status = told["status"].as_u64().and_then(|status| u16::try_from(status).ok());
        let mut answer = Answer::new(status.expect("a status"), body);
        for (name, value) in told["headers"].as_object().into_iter().flatten() {
            answer = answer.header(name, value.as_str().unwrap_or_default());
        }
        answer
    }
}

/// A site whose server has its `jwt` method at "auth/gcp", where the role "app" trusts Google.
pub struct GoogleSite {
    site: Site,
    /// What the method asks.
    pub google: Google,
}

impl Deref for GoogleSite {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl GoogleSite {
    /// The real server checks signature and audience of what Google signed.
    pub fn new() -> Self {
        let site = Self { site: Site::new(json!({})), google: Google::start() };
        site.bao.enable("jwt", "gcp");
        site.trust(site.google.public_pem());
        let audiences = ["http://vault/app".to_owned(), format!("{}/vault/app", site.address())];
        site.set_role(&audiences);
        site
    }

    /// Has the server verify with this key alone.
    pub fn trust(&self, public_pem: &str) {
        self.bao.write("auth/gcp/config", json!({ "jwt_validation_pubkeys": [public_pem] }));
    }

    /// Has the role take these audiences alone. The JWTs of `iam` have no `nbf`, so the server
    /// reckons it from `exp`.
    pub fn set_role(&self, audiences: &[String]) {
        let settings = json!({
            "role_type": "jwt",
            "user_claim": "sub",
            "bound_audiences": audiences,
            "not_before_leeway": 3600,
            "token_policies": ["app"],
            "token_ttl": "1h",
        });
        self.bao.write("auth/gcp/role/app", settings);
    }

    /// As the agent's configuration names the server.
    pub fn address(&self) -> String {
        self.configuration().address
    }

    /// The method with these settings in its `config`, besides the role.
    pub fn method(&self, settings: &str) -> Configuration {
        let mut configuration = self.configuration();
        configuration.method = "gcp".into();
        configuration.method_config = format!(
            "role = \"app\"\niam_credentials_endpoint = \"{}\"\n{settings}",
            self.google.url()
        );
        configuration
    }

    /// `iam` with these credentials in the configuration.
    pub fn iam(&self, credentials: &Value) -> Configuration {
        let text = Value::from(credentials.to_string()).to_string();
        self.method(&format!("type = \"iam\"\ncredentials = {text}"))
    }

    /// An agent on this configuration with the stand-in as its metadata server.
    pub fn launch(&self, configuration: &Configuration) -> Launch {
        Launch::agent(&configuration.text()).environment("GCE_METADATA_HOST", &self.google.host())
    }

    /// What the newest login was made of.
    pub fn sent(&self) -> Value {
        self.proxy.requests("auth/gcp/login").pop().expect("a login").body
    }
}

impl Default for GoogleSite {
    fn default() -> Self {
        Self::new()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
