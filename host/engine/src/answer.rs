//! Checks what a method answered before anything of it is sent.

use std::time::Duration;

use usher_secret::Secret;
use zeroize::Zeroizing;

use crate::bindings::exports::usher::plugin::auth_method as wit_method;
use crate::failure::{Failure, FailureKind};
use crate::grant::{Capability, Need, missing};
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
            let Ok(serde_json::Value::Object(values)) = serde_json::from_str(body.expose()) else {
                return Err(broken("the login body is no JSON object".to_owned()));
            };
            keep_out_of_logs(usage, values);
            Credential::Login(Login {
                path: login.path,
                body,
                headers: login.headers,
                certificate,
                ca_pem: login.ca_pem,
            })
        }
    };
    Ok(Answer { credential, revision: answer.revision, check_after })
}

/// A server may repeat what it was sent. Short values are names, which a log should have.
fn keep_out_of_logs(usage: &Usage, values: serde_json::Map<String, serde_json::Value>) {
    const SHORTEST: usize = 32;
    let texts: Vec<Zeroizing<String>> = values
        .into_iter()
        .filter_map(|(_, value)| match value {
            serde_json::Value::String(text) => Some(Zeroizing::new(text)),
            _ => None,
        })
        .filter(|text| text.len() >= SHORTEST)
        .collect();
    usage.keep_out_of_logs("login", texts.iter().map(|text| text.as_str()));
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
