//! A stand-in for the server's `aws` method, before a real OpenBao.
//!
//! OpenBao 2.7 has no `aws` of its own, and the plug-in that serves it isn't to be had in a test. So
//! this decodes logins, applies the rules that the real one applies to them, and sends the signed
//! request to moto, which checks the signature as STS would. The token comes from OpenBao itself.
//! What it can't show is that the real plug-in accepts the same.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::aws::{DOCUMENT, Moto, SIGNATURE};
use crate::http::{self, Message};
use crate::site::Site;

/// What logins are sent to.
pub const LOGIN: &str = "/v1/auth/aws/login";

/// How the method is set up on the server; its one role is "app".
#[derive(Clone, Debug, Default)]
pub struct Mount {
    /// `iam_server_id_header_value`; "" for none.
    pub server_id: &'static str,
    /// How much later it is for AWS than here.
    pub ahead: Duration,
}

/// Judges the logins at the site's proxy from now on, with AWS as `moto` is.
pub fn judge_logins(site: &Site, moto: &Moto, mount: Mount) {
    let judge = Judge { moto: moto.authority(), mount, nonce: Mutex::default() };
    site.proxy.judge_logins(LOGIN, site.bao.root_token(), move |body| judge.judge(body));
}

/// The rules of the real method.
struct Judge {
    moto: String,
    mount: Mount,
    /// Of the instance's first login.
    nonce: Mutex<Option<String>>,
}

impl Judge {
    fn judge(&self, body: &Value) -> Result<(), String> {
        let field = |name: &str| body[name].as_str().unwrap_or_default();
        if field("role") != "app" {
            return Err(format!("entry for role {:?} not found", field("role")));
        }
        let decoded = |name: &str| {
            let bytes = STANDARD.decode(field(name)).map_err(|_| format!("{name} is no base64"))?;
            String::from_utf8(bytes).map_err(|_| format!("{name} is no text"))
        };
        if body.get("identity").is_some() {
            return self.judge_instance(&decoded("identity")?, field("signature"), field("nonce"));
        }
        if field("iam_http_request_method") != "POST" {
            return Err("iam_http_request_method must be POST".into());
        }
        if decoded("iam_request_body")? != CALL {
            return Err("iam_request_body must be GetCallerIdentity".into());
        }
        let url = decoded("iam_request_url")?;
        let host = url.strip_prefix("https://").and_then(|rest| rest.strip_suffix('/'));
        let host = host.filter(|host| !host.contains(['/', '?', '#'])).ok_or("a wrong URL")?;
        let headers: Map<String, Value> =
            serde_json::from_str(&decoded("iam_request_headers")?).map_err(|_| "no headers")?;
        let headers: Vec<(String, String)> = headers
            .iter()
            .map(|(name, values)| match values.as_array().map(Vec::as_slice) {
                Some([Value::String(value)]) => Ok((name.to_ascii_lowercase(), value.clone())),
                _ => Err(format!("{name} isn't a list of one text")),
            })
            .collect::<Result<_, _>>()?;
        self.judge_request(host, headers)
    }

    fn judge_request(&self, host: &str, mut headers: Vec<(String, String)>) -> Result<(), String> {
        let header = |wanted: &str| {
            let found = headers.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        if let Some((name, _)) = headers
            .iter()
            .find(|(name, _)| name.starts_with("x-amz-") && !ALLOWED.contains(&name.as_str()))
        {
            return Err(format!("invalid request header: {name}"));
        }
        let authorization = header("authorization");
        let (_, signed) = authorization.split_once("SignedHeaders=").ok_or("unsigned")?;
        let signed = signed.split(',').next().unwrap_or_default();
        let id = self.mount.server_id;
        if !id.is_empty() {
            let wrong = match header(SERVER_ID) {
                "" => Some("missing header \"X-Vault-AWS-IAM-Server-ID\"".to_owned()),
                given if given != id => Some(format!("expected {id:?} but got {given:?}")),
                _ if signed.split(';').any(|name| name == SERVER_ID) => None,
                _ => Some("header wasn't signed".to_owned()),
            };
            if let Some(wrong) = wrong {
                let head = "error validating X-Vault-AWS-IAM-Server-ID header";
                return Err(format!("{head}: {wrong}"));
            }
        }
        // What follows is STS's own judgement; moto looks at the signature alone.
        let now = written(SystemTime::now() + self.mount.ahead);
        let oldest = written(SystemTime::now() + self.mount.ahead - VALIDITY);
        let newest = written(SystemTime::now() + self.mount.ahead + VALIDITY);
        let date = header("x-amz-date");
        if date < oldest.as_str() {
            let said =
                format!("Signature expired: {date} is now earlier than {oldest} ({now} - 15 min.)");
            return Err(refused_by_sts("SignatureDoesNotMatch", &said));
        }
        if date > newest.as_str() {
            let said = format!(
                "Signature not yet current: {date} is still later than {newest} ({now} + 15 min.)"
            );
            return Err(refused_by_sts("SignatureDoesNotMatch", &said));
        }
        let scope = authorization.split('/').nth(2).unwrap_or_default();
        let region = host.split('.').nth(1).filter(|part| *part != "amazonaws");
        if let Some(region) = region.filter(|region| *region != scope) {
            let said =
                format!("Credential should be scoped to a valid region, not '{scope}'. {region}");
            return Err(refused_by_sts("SignatureDoesNotMatch", &said));
        }
        headers.push(("host".into(), host.into()));
        let request = Message {
            first_line: "POST / HTTP/1.1".into(),
            headers,
            body: CALL.as_bytes().to_vec(),
        };
        let answer = http::exchange(&self.moto, &request).expect("moto answers");
        let said = String::from_utf8_lossy(&answer.body);
        if answer.first_line.contains(" 200 ") && said.contains("<Arn>arn:aws") {
            return Ok(());
        }
        let code = answer.first_line.split(' ').nth(1).unwrap_or_default();
        Err(format!("error making upstream request: received error code {code} from STS: {said}"))
    }

    /// The real method has AWS's certificate to check the signature with; here it is known.
    fn judge_instance(&self, document: &str, signature: &str, nonce: &str) -> Result<(), String> {
        if (document, signature) != (DOCUMENT, SIGNATURE) {
            return Err("failed to verify the instance's identity document".into());
        }
        let mut known = self.nonce.lock().expect("no panic while it was held");
        if nonce.is_empty() || known.as_ref().is_some_and(|known| known != nonce) {
            return Err("client nonce mismatch".into());
        }
        *known = Some(nonce.to_owned());
        Ok(())
    }
}

/// As the real method passes on what STS says.
fn refused_by_sts(code: &str, message: &str) -> String {
    format!(
        "error making upstream request: received error code 403 from STS: <ErrorResponse><Error>\
         <Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    )
}

/// As `X-Amz-Date` is.
fn written(time: SystemTime) -> String {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    OffsetDateTime::from(time).format(format).expect("a time")
}

const CALL: &str = "Action=GetCallerIdentity&Version=2011-06-15";
const SERVER_ID: &str = "x-vault-aws-iam-server-id";

/// How far STS lets clocks differ.
const VALIDITY: Duration = Duration::from_mins(15);

/// Headers that a login may bring, of those that begin like this.
const ALLOWED: [&str; 7] = [
    "x-amz-algorithm",
    "x-amz-content-sha256",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
];
