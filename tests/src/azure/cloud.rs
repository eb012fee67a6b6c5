//! What Azure's services answer, and what they refuse; both the agent and Microsoft's SDK are driven
//! against it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::issuer::{Issuer, in_seconds};
use crate::oracle::{ask_for_text, clouds_python};
use crate::stand_in::{Answer, Received};

/// What the tokens are for.
pub const RESOURCE: &str = "https://vault.test";
/// The application's.
pub const TENANT: &str = "11111111-2222-3333-4444-555555555555";
/// The application's.
pub const CLIENT: &str = "66666666-7777-8888-9999-000000000000";
/// The application's.
pub const SECRET: &str = "sEcret~of.the-application";
/// What App Service wants to see.
pub const HEADER: &str = "header-of-app-service";
/// Of the identity assigned to the machine.
pub const ASSIGNED: [(&str, &str); 2] = [
    ("client_id", "aaaaaaaa-1111-2222-3333-444444444444"),
    ("object_id", "bbbbbbbb-1111-2222-3333-444444444444"),
];

/// What the stand-ins share.
pub(super) struct Cloud {
    pub(super) issuer: Issuer,
    /// The application's certificate and its key.
    pub(super) certificate: PathBuf,
    /// The only JWT of another issuer that the application trusts.
    pub(super) federated: String,
    /// What Arc's agent has written into its file.
    pub(super) arc_secret: Mutex<(String, String)>,
    /// Instead of a token.
    pub(super) token_answer: Mutex<Option<Answer>>,
}

/// The claims of an access token.
pub(super) fn claims(subject: &str) -> Value {
    json!({
        "aud": RESOURCE,
        "iss": format!("https://sts.windows.net/{TENANT}/"),
        "sub": subject,
        "oid": subject,
        "tid": TENANT,
        "iat": in_seconds(0),
        "nbf": in_seconds(0),
        "exp": in_seconds(3600),
    })
}

impl Cloud {
    /// <https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service>
    pub(super) fn metadata(&self, request: &Received) -> Answer {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let query = fields(query);
        let has = |name: &str, value: &str| query.get(name).is_some_and(|found| found == value);
        let metadata = request.header("metadata") == Some("true");
        match path {
            _ if request.method != "GET" || request.header("x-forwarded-for").is_some() => {
                Answer::json(400, &json!({ "error": "Bad request" }))
            }
            "/metadata/instance" if metadata && has("api-version", "2018-02-01") => Answer::json(
                200,
                &json!({ "compute": {
                    "location": "westeurope",
                    "name": "web_0",
                    "resourceGroupName": "shop",
                    "subscriptionId": "cccccccc-1111-2222-3333-444444444444",
                    "vmScaleSetName": "web",
                }}),
            ),
            "/metadata/identity/oauth2/token" if metadata && has("api-version", "2018-02-01") => {
                self.managed(&query, "expires_in")
            }
            "/msi/token"
                if request.header("x-identity-header") == Some(HEADER)
                    && has("api-version", "2019-08-01") =>
            {
                self.managed(&query, "expires_on")
            }
            "/arc" if metadata && has("api-version", "2020-06-01") => {
                let (file, secret) = lock(&self.arc_secret).clone();
                if request.header("authorization") == Some(&format!("Basic {secret}")) {
                    return self.managed(&query, "expires_in");
                }
                Answer::from(401).header("WWW-Authenticate", &format!("Basic realm={file}"))
            }
            _ => {
                let error = json!({
                    "error": "invalid_request",
                    "error_description": "Required metadata header or parameter not specified",
                });
                Answer::json(400, &error)
            }
        }
    }

    fn managed(&self, query: &Fields, expiry: &str) -> Answer {
        if let Some(answer) = lock(&self.token_answer).clone() {
            return answer;
        }
        let refused = |error: &str, description: &str| {
            Answer::json(400, &json!({ "error": error, "error_description": description }))
        };
        if query.get("resource").map(String::as_str) != Some(RESOURCE) {
            return refused(
                "invalid_resource",
                "AADSTS500011: The resource principal was not found in the tenant.",
            );
        }
        let asked: Vec<_> = query
            .iter()
            .filter(|(name, _)| !["api-version", "resource"].contains(&name.as_str()))
            .collect();
        let subject = match asked[..] {
            [] => "system",
            [(name, value)]
                if ASSIGNED.contains(&(name.as_str(), value.as_str())) || value == CLIENT =>
            {
                name
            }
            _ => return refused("invalid_request", "Identity not found"),
        };
        let mut token = self.token(subject);
        token[expiry] = match expiry {
            "expires_on" => in_seconds(3600).to_string().into(),
            _ => "3600".into(),
        };
        for (name, value) in asked {
            token[name] = value.as_str().into();
        }
        Answer::json(200, &token)
    }

    /// <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>
    pub(super) fn entra(&self, request: &Received) -> Answer {
        let base = format!("https://{}/{TENANT}", request.header("host").unwrap_or_default());
        let endpoint = format!("{base}/oauth2/v2.0/token");
        let refused = |status, error: &str, description: &str| {
            let description = format!("{description} Trace ID: 0 Correlation ID: 0");
            Answer::json(status, &json!({ "error": error, "error_description": description }))
        };
        let Some(path) = request.target.strip_prefix(&format!("/{TENANT}")) else {
            return refused(400, "invalid_request", "AADSTS90002: Tenant not found.");
        };
        if path == "/v2.0/.well-known/openid-configuration" {
            let found = json!({
                "issuer": format!("{base}/v2.0"),
                "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
                "token_endpoint": endpoint,
            });
            return Answer::json(200, &found);
        }
        let form = fields(&String::from_utf8_lossy(&request.body));
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if request.method != "POST"
            || path != "/oauth2/v2.0/token"
            || request.header("content-type") != Some("application/x-www-form-urlencoded")
            || field("grant_type") != "client_credentials"
        {
            return refused(400, "invalid_request", "AADSTS900144: The request is not right.");
        }
        if let Some(answer) = lock(&self.token_answer).clone() {
            return answer;
        }
        if field("client_id") != CLIENT {
            return refused(
                400,
                "unauthorized_client",
                "AADSTS700016: Application was not found in the directory.",
            );
        }
        match field("scope").strip_suffix("/.default") {
            Some(RESOURCE) => {}
            Some(_) => {
                let said = "AADSTS500011: The resource principal was not found in the tenant.";
                return refused(400, "invalid_resource", said);
            }
            None => {
                let said = "AADSTS1002012: The provided value for scope is not valid.";
                return refused(400, "invalid_scope", said);
            }
        }
        let assertion = field("client_assertion");
        let wrong = if assertion.is_empty() {
            let said = "AADSTS7000215: Invalid client secret provided.";
            if field("client_secret") == SECRET { String::new() } else { said.to_owned() }
        } else if field("client_assertion_type")
            != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        {
            "AADSTS90023: Unsupported client_assertion_type.".to_owned()
        } else if assertion == self.federated {
            String::new()
        } else if !assertion_header(assertion).contains("x5t") {
            "AADSTS700213: No matching federated identity record found.".to_owned()
        } else {
            check_assertion(&self.certificate, &endpoint, assertion)
        };
        if !wrong.is_empty() {
            return refused(401, "invalid_client", &wrong);
        }
        Answer::json(200, &self.token("application"))
    }

    fn token(&self, subject: &str) -> Value {
        json!({
            "access_token": self.issuer.sign(&claims(subject)),
            "expires_in": 3599,
            "resource": RESOURCE,
            "token_type": "Bearer",
        })
    }
}

/// The header of a JWT, decoded.
fn assertion_header(assertion: &str) -> String {
    String::from_utf8_lossy(&part(assertion, 0)).into_owned()
}

/// A part of a JWT, decoded.
pub fn part(jwt: &str, index: usize) -> Vec<u8> {
    use base64::Engine as _;
    let part = jwt.split('.').nth(index).unwrap_or_default();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap_or_default()
}

/// What is wrong with an assertion, by an independent program; "" if nothing.
pub fn check_assertion(certificate: &Path, audience: &str, assertion: &str) -> String {
    let mut python = clouds_python("azure_application.py");
    ask_for_text(python.arg("check").arg(certificate).args([audience, CLIENT]), assertion)
}

/// Names and values, by name.
pub type Fields = BTreeMap<String, String>;

/// The fields of a query or a form. Panics if a name repeats.
pub fn fields(text: &str) -> Fields {
    let mut fields = Fields::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let before = fields.insert(decoded(name), decoded(value));
        assert!(before.is_none(), "{name} twice");
    }
    fields
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                let digits = str::from_utf8(&digits).expect("hexadecimal digits");
                bytes.push(u8::from_str_radix(digits, 16).expect("hexadecimal digits"));
                rest = after;
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
