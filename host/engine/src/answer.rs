//! Checks what a method answered before anything of it is sent.

use std::time::Duration;

use usher_grant::{Capability, Need};
use usher_secret::Secret;
use zeroize::Zeroize;

use crate::bindings::exports::usher::plugin::auth_method as wit_method;
use crate::failure::{Failure, FailureKind, missing};
use crate::kept::{Item, LONGEST_CREDENTIAL};
use crate::text;
use crate::traits::{Answer, Certificate, Credential, Login};
use crate::usage::Usage;

/// The answer, if it is well formed and granted.
pub(crate) fn accept(usage: &Usage, answer: wit_method::Answer) -> Result<Answer, Failure> {
    let check_after = answer.check_after_ms.map(|ms| Duration::from_millis(ms.into()));
    let credential = match answer.credential {
        wit_method::Credential::Token(token) => {
            let token = Secret::new(token);
            require(usage, "token", "an answer with a token")?;
            // No header could carry it, and it would be searched for in every line.
            if token.expose().len() > LONGEST_CREDENTIAL {
                return Err(Failure::exceeded(
                    "the token that the plug-in answers is longer than 8 KiB",
                ));
            }
            usage.count(Item::Certificate, 0)?;
            Credential::Token(token)
        }
        wit_method::Credential::Login(login) => {
            let body = Secret::new(login.body);
            let certificate = login.certificate.map(|certificate| Certificate {
                chain_pem: certificate.chain_pem,
                key_pem: Secret::new(certificate.key_pem),
            });
            if login.ca_pem.is_some() {
                require(usage, "trust", "an answer with roots of its own for the server")?;
            }
            if !is_path(&login.path) {
                return Err(broken(format!(
                    "the login path {:?} must not be empty, start with \"/\" or have \".\" or \"..\" segments",
                    text::line(&login.path)
                )));
            }
            if body.expose().len() > LONGEST_BODY {
                return Err(Failure::exceeded("the login body is longer than 1 MiB"));
            }
            let Ok(serde_json::Value::Object(values)) = serde_json::from_str(body.expose()) else {
                return Err(broken("the login body is no JSON object".to_owned()));
            };
            keep_out_of_logs(usage, serde_json::Value::Object(values), &login.headers)?;
            let pem = certificate.as_ref().map_or(0, |certificate| {
                certificate.chain_pem.len() + certificate.key_pem.expose().len()
            });
            usage.count(Item::Certificate, pem + login.ca_pem.as_ref().map_or(0, String::len))?;
            Credential::Login(Login {
                path: login.path,
                body,
                headers: login.headers,
                certificate,
                ca_pem: login.ca_pem,
            })
        }
    };
    usage.count(Item::Revision, answer.revision.len())?;
    Ok(Answer { credential, revision: answer.revision, check_after })
}

/// The longest login body, in bytes.
const LONGEST_BODY: usize = 1 << 20;

/// A server may repeat what it was sent, from wherever in the body it stands. Short values are
/// names, which a log should have.
fn keep_out_of_logs(
    usage: &Usage,
    mut body: serde_json::Value,
    headers: &[(String, String)],
) -> Result<(), Failure> {
    const SHORTEST: usize = 32;
    let mut texts = Vec::new();
    strings(&body, &mut texts);
    texts.extend(headers.iter().map(|(_, value)| value.as_str()));
    texts.retain(|text| text.len() >= SHORTEST);
    let kept = usage.keep_out_of_logs("login", texts.into_iter());
    wipe(&mut body);
    kept
}

/// Every string of a JSON value.
fn strings<'a>(value: &'a serde_json::Value, texts: &mut Vec<&'a str>) {
    match value {
        serde_json::Value::String(text) => texts.push(text),
        serde_json::Value::Array(items) => items.iter().for_each(|item| strings(item, texts)),
        serde_json::Value::Object(map) => map.values().for_each(|item| strings(item, texts)),
        _ => {}
    }
}

fn wipe(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => text.zeroize(),
        serde_json::Value::Array(items) => items.iter_mut().for_each(wipe),
        serde_json::Value::Object(map) => map.values_mut().for_each(wipe),
        _ => {}
    }
}

fn require(usage: &Usage, target: &str, what: &str) -> Result<(), Failure> {
    if usage.grant.permits_named(Capability::Server, target) {
        return Ok(());
    }
    let need = Need { capability: Capability::Server, target: target.to_owned() };
    Err(missing(&usage.plugin, what, need))
}

fn broken(message: String) -> Failure {
    Failure::new(FailureKind::Internal, "plugin.answer", message)
}

fn is_path(path: &str) -> bool {
    !path.is_empty()
        && path.split('/').all(|segment| !["", ".", ".."].contains(&segment))
        && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\".contains(&byte))
}
