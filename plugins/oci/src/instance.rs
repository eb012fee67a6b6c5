//! An instance as it proves itself: with the certificate that its metadata service has for it,
//! Oracle's identity service gives a session to a new key pair.
//!
//! <https://docs.oracle.com/en-us/iaas/Content/Identity/Tasks/callingservicesfrominstances.htm>; the
//! exchange is that of Oracle's SDKs.

use crate::Memory;
use crate::private_key::decode;
use crate::signature::Signer;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};
use usher_plugin::http::{Request, Response};
use usher_plugin::{Failure, Kind, Need, clock, context, crypto, env, json};
use usher_plugin_lib::der::{Malformed, Reader, SEQUENCE, SET, context as tagged};
use usher_plugin_lib::{ask_metadata, http_date, looks_like_jwt, refusal, said};

/// The session of a key pair of our own. Secret: not shown, not logged.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Session {
    token: String,
    key_pem: String,
    /// In seconds since 1970.
    expires: u64,
    /// The instance, its compartment and its tenancy.
    pub(crate) principal: String,
}

const METADATA: &str = "OCI_METADATA_BASE_URL";
const AUTH: &str = "OCI_SDK_AUTH_CLIENT_REGION_URL";

/// The domains of Oracle's realms, by its SDKs.
const DOMAINS: [&str; 19] = [
    "oraclecloud.com",
    "oraclegovcloud.com",
    "oraclegovcloud.uk",
    "oraclecloud.eu",
    "oraclecloud8.com",
    "oraclecloud9.com",
    "oraclecloud10.com",
    "oraclecloud14.com",
    "oraclecloud15.com",
    "oraclecloud20.com",
    "oraclecloud21.com",
    "oraclecloud23.com",
    "oraclecloud24.com",
    "oraclecloud26.com",
    "oraclecloud29.com",
    "oraclecloud35.com",
    "oraclecloud42.com",
    "oraclecloud51.com",
    "oraclecloud52.com",
];

/// Regions that old metadata services name by their key.
const KEYS: [(&str, &str); 4] = [
    ("phx", "us-phoenix-1"),
    ("iad", "us-ashburn-1"),
    ("fra", "eu-frankfurt-1"),
    ("lhr", "uk-london-1"),
];

pub(crate) fn needs() -> Vec<Need> {
    let mut needs = vec![
        Need::env(METADATA),
        Need::env(AUTH),
        Need::connect(ADDRESS),
        Need::connect("${OCI_METADATA_BASE_URL}"),
        Need::connect("${OCI_SDK_AUTH_CLIENT_REGION_URL}"),
    ];
    needs.extend(DOMAINS.map(|domain| Need::connect(format!("https://*.{domain}"))));
    needs
}

/// The session of the last call while it is good, else a new one.
pub(crate) fn session(memory: &mut Memory) -> Result<Session, Failure> {
    let refused = context::previous_failure().is_some_and(|failure| failure.kind == Kind::Denied);
    let good = |session: &&Session| session.expires > now() + EARLY && !refused;
    if let Some(session) = memory.session.as_ref().filter(good) {
        return Ok(session.clone());
    }
    let session = Identity::of_this_instance()?.session()?;
    memory.session = Some(session.clone());
    Ok(session)
}

impl Session {
    pub(crate) fn signer(&self) -> Signer {
        Signer {
            key_id: format!("ST${}", self.token),
            key_pem: self.key_pem.clone(),
            key_name: "the key of the instance's session".to_owned(),
        }
    }
}

/// What the metadata service has for the instance.
struct Identity {
    /// DER.
    certificate: Vec<u8>,
    key_pem: String,
    /// DER.
    intermediate: Vec<u8>,
    tenancy: String,
    principal: String,
}

impl Identity {
    fn of_this_instance() -> Result<Self, Failure> {
        let certificate = certificate("cert.pem")?;
        let names = names(&certificate).map_err(|_| {
            unusable("no certificate of an instance: something else answers in its place")
        })?;
        let tenancy = ["opc-tenant:", "opc-identity:"]
            .iter()
            .find_map(|prefix| names.iter().find_map(|name| name.strip_prefix(prefix)))
            .ok_or_else(|| unusable("a certificate that names no tenancy"))?;
        let identity = Self {
            tenancy: tenancy.to_owned(),
            principal: names.join(" "),
            key_pem: ask("identity/key.pem")?,
            intermediate: self::certificate("intermediate.pem")?,
            certificate,
        };
        if self::certificate("cert.pem")? != identity.certificate {
            let message =
                format!("{WHAT} is replacing the instance's certificate; it is asked again");
            return Err(Failure::unavailable("metadata.replacing", message));
        }
        Ok(identity)
    }

    /// Asks Oracle's identity service for a session of a new key pair.
    fn session(self) -> Result<Session, Failure> {
        let pair = crypto::generate("RSA-2048")?;
        let public_key = base64_of(&pair.public_pem);
        let body = serde_json::json!({
            "certificate": STANDARD.encode(&self.certificate),
            "publicKey": public_key,
            "intermediateCertificates": [STANDARD.encode(&self.intermediate)],
        })
        .to_string();
        let url = format!("{}/v1/x509", auth_service()?);
        let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
        let target = format!("post /{}", path.unwrap_or_default().1);
        let date = http_date(clock::now());
        let digest = STANDARD.encode(crypto::digest("sha256", body.as_bytes())?);
        let length = body.len().to_string();
        let signer = Signer {
            key_id: format!("{}/fed-x509/{}", self.tenancy, fingerprint(&self.certificate)?),
            key_pem: self.key_pem,
            key_name: format!("the instance's key of {WHAT}"),
        };
        // No `host`, unlike elsewhere.
        let authorization = signer.authorization(&[
            ("date", &date),
            ("(request-target)", &target),
            ("content-length", &length),
            ("content-type", JSON),
            ("x-content-sha256", &digest),
        ])?;
        let request = Request::post(url, body)
            .header("authorization", authorization)
            .header("content-type", JSON)
            .header("date", date)
            .header("x-content-sha256", digest)
            .timeout(LONGEST);
        let (token, expires) = token(&request.send()?)?;
        Ok(Session { token, key_pem: pair.private_pem, expires, principal: self.principal })
    }
}

/// The token in an answer of the identity service, and its end.
fn token(response: &Response) -> Result<(String, u64), Failure> {
    const WHAT: &str = "Oracle's identity service";
    if !response.is_success() {
        let failure = refusal("oci.refused", WHAT, response);
        let refused: Value = json::read(&response.body).unwrap_or_default();
        let line = |name: &str| said(refused[name].as_str().unwrap_or_default().as_bytes());
        let Some(code) = line("code") else { return Err(failure) };
        let line = line("message").unwrap_or_default();
        let hint = match response.status {
            401 => "; check this machine's clock, of which it tolerates five minutes",
            404 => "; check that the instance's tenancy is the server's region's",
            _ => "",
        };
        let message = format!("{WHAT} gives no session: {code} ({line}){hint}");
        return Err(Failure { message, ..failure });
    }
    let unusable = |why: &str| {
        let message = format!("{WHAT} answered with {why}; nothing was sent");
        Failure::unavailable("oci.no-session", message)
    };
    let issued: Value = response.json()?;
    let token = issued["token"].as_str().unwrap_or_default();
    // The SDKs' own services have written it with and without.
    let token = token.strip_prefix("ST$").unwrap_or(token);
    if !looks_like_jwt(token) {
        return Err(unusable("something that is no token"));
    }
    let claims = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims: Value = claims.and_then(|claims| json::read(&claims).ok()).unwrap_or_default();
    // RFC 7519, section 4.1.4.
    let expires = claims["exp"].as_u64();
    let expires = expires.ok_or_else(|| unusable("a token whose end can't be read"))?;
    if expires <= now() {
        return Err(unusable("a token that has expired; check this machine's clock"));
    }
    Ok((token.to_owned(), expires))
}

/// `https://auth.REGION.DOMAIN` of the region that the instance is in.
fn auth_service() -> Result<String, Failure> {
    if let Some(url) = variable(AUTH)? {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let answer = request("instance/regionInfo")?;
    let (region, domain) = if answer.status == 404 {
        let key = ask("instance/region")?.trim().to_ascii_lowercase();
        let known = KEYS.iter().find(|(short, _)| *short == key);
        (known.map_or(key, |(_, region)| (*region).to_owned()), DOMAINS[0].to_owned())
    } else {
        let text = text(answer)?;
        let info: Value = json::read(text.as_bytes())
            .map_err(|_| unusable("no region: something else answers in its place"))?;
        let part = |name: &str| info[name].as_str().unwrap_or_default().to_ascii_lowercase();
        (part("regionIdentifier"), part("realmDomainComponent"))
    };
    // They become a host name.
    let label = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if region.is_empty() || !region.chars().all(label) || domain.is_empty() {
        return Err(unusable("no region"));
    }
    if !DOMAINS.contains(&&*domain) {
        let message = format!(
            "this instance is in a realm whose domain {domain:.80} isn't known here; name its \
             identity service in the variable {AUTH}: https://auth.{region}.{domain:.80}"
        );
        return Err(Failure::unavailable("oci.realm", message));
    }
    Ok(format!("https://auth.{region}.{domain}"))
}

/// A certificate of the instance, DER.
fn certificate(file: &str) -> Result<Vec<u8>, Failure> {
    let pem = ask(&format!("identity/{file}"))?;
    let begin = pem.contains("-----BEGIN CERTIFICATE-----");
    begin.then(|| decode(&base64_of(&pem))).flatten().ok_or_else(|| {
        unusable(&format!("no certificate as {file}: something else answers in its place"))
    })
}

/// What stands between the first pair of lines of dashes.
fn base64_of(pem: &str) -> String {
    let inside = pem.trim().lines().skip(1).take_while(|line| !line.starts_with("-----"));
    inside.map(str::trim).collect()
}

/// The parts of a certificate's subject (RFC 5280, section 4.1) that Oracle names an instance by:
/// "opc-tenant:ocid1…".
fn names(certificate: &[u8]) -> Result<Vec<String>, Malformed> {
    let mut to_be_signed = Reader::new(certificate).only_sequence()?.inside(SEQUENCE)?;
    if to_be_signed.tag() == Some(tagged(0)) {
        to_be_signed.any()?;
    }
    // Serial number, algorithm, issuer, validity.
    for _ in 0..4 {
        to_be_signed.any()?;
    }
    let mut subject = to_be_signed.inside(SEQUENCE)?;
    let mut names = Vec::new();
    while !subject.is_empty() {
        let mut parts = subject.inside(SET)?;
        while !parts.is_empty() {
            let mut attribute = parts.inside(SEQUENCE)?;
            attribute.object_identifier()?;
            let value = str::from_utf8(attribute.any()?).unwrap_or_default();
            if value.starts_with("opc-") {
                names.push(value.to_owned());
            }
        }
    }
    Ok(names)
}

/// SHA-1 of a certificate: "0A:1B:…".
fn fingerprint(certificate: &[u8]) -> Result<String, Failure> {
    let digest = crypto::digest("sha1", certificate)?;
    Ok(digest.iter().enumerate().fold(String::new(), |mut text, (at, byte)| {
        // Writing to a String can't fail.
        let _ = write!(text, "{}{byte:02X}", if at > 0 { ":" } else { "" });
        text
    }))
}

fn ask(path: &str) -> Result<String, Failure> {
    text(request(path)?)
}

fn text(response: Response) -> Result<String, Failure> {
    if !response.is_success() {
        let failure = refusal("metadata.refused", WHAT, &response);
        let remedy = match response.status {
            404 => {
                "; the instance has no identity there, or what answers is no instance of Oracle's"
            }
            _ => "",
        };
        let message = format!("{}{remedy}", failure.message);
        return Err(Failure { message, ..failure });
    }
    String::from_utf8(response.body).map_err(|_| unusable("something that is no text"))
}

fn request(path: &str) -> Result<Response, Failure> {
    let base = variable(METADATA)?;
    let base = base.as_deref().unwrap_or(ADDRESS).trim_end_matches('/');
    let request = Request::get(format!("{base}/{path}")).header("authorization", "Bearer Oracle");
    ask_metadata(WHAT, request).map_err(|failure| match failure.code.as_str() {
        "http.timeout" | "http.connect" | "http.dns" => {
            let message = format!(
                "{}; outside of Oracle Cloud Infrastructure use type = \"apikey\"",
                failure.message
            );
            Failure { message, ..failure }
        }
        _ => failure,
    })
}

/// Seconds since 1970.
fn now() -> u64 {
    clock::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A variable that isn't empty.
fn variable(name: &str) -> Result<Option<String>, Failure> {
    let value = env::get(name)?;
    Ok(value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()))
}

fn unusable(what: &str) -> Failure {
    Failure::unavailable("metadata.unusable", format!("{WHAT} answered with {what}"))
}

const WHAT: &str = "the instance metadata service";
const ADDRESS: &str = "http://169.254.169.254/opc/v2";
const JSON: &str = "application/json";

/// Seconds before its end, another session is asked for.
const EARLY: u64 = 5 * 60;

/// For a whole exchange: a login has ten seconds, and asks the metadata service besides.
const LONGEST: Duration = Duration::from_secs(3);
