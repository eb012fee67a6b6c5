//! The login of `ec2`: the instance's identity document, signed by AWS, and a nonce.

use crate::failed;
use crate::imds::{Imds, unexpected};
use crate::{Config, exposed};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::fmt::Write;
use usher_plugin::context::{self, Reason};
use usher_plugin::files::{self, WriteOptions};
use usher_plugin::{Failure, Kind, random};
use usher_plugin_lib::nothing_to_use;

/// The body of the login, and whose it is.
pub(crate) fn body(config: &Config) -> Result<(Value, String), Failure> {
    let Some(imds) = Imds::of_environment()? else {
        let message = "AWS_EC2_METADATA_DISABLED is true, but only the EC2 metadata service can \
                       tell which instance this is";
        return Err(failed(Kind::Config, "imds.disabled", message));
    };
    let open = imds.open()?;
    let document = open.identity("document")?;
    if !document.trim_start().starts_with('{') || !document.contains("\"instanceId\"") {
        return Err(unexpected("identity document"));
    }
    let signature = open.identity(if config.pkcs7 { "pkcs7" } else { "signature" })?;
    if !is_base64(&signature) {
        return Err(unexpected("signature"));
    }
    // Last: what was written must be used.
    let nonce = nonce(config)?;
    let whose = format!("instance {document}");
    let body = if config.pkcs7 {
        let pkcs7: String = signature.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        json!({"role": config.role, "nonce": nonce, "pkcs7": pkcs7})
    } else {
        let identity = STANDARD.encode(document);
        json!({"role": config.role, "nonce": nonce, "identity": identity, "signature": signature})
    };
    Ok((body, whose))
}

/// The one configured, or the one in the state file, which is made if it isn't there.
fn nonce(config: &Config) -> Result<String, Failure> {
    if let Some(nonce) = exposed(config.nonce.as_ref()) {
        return Ok(nonce.to_owned());
    }
    let path = config.state_file.as_str();
    match files::read_trimmed(path) {
        Ok(nonce) => return Ok(nonce),
        Err(failure) if failure.code == "file.not-found" => {}
        Err(failure) => return Err(nothing_to_use("nonce", failure)),
    }
    if context::reason() == Reason::Explain {
        let message = format!(
            "the instance's identity is there; a nonce would be made for it in {path}, and the \
             server ties the instance to the first one it sees: --consume makes it"
        );
        return Err(failed(Kind::Unavailable, "explain.one-shot", &message));
    }
    let nonce = random::bytes(16).iter().fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    files::write(path, nonce.as_bytes(), &WriteOptions::mode(0o600)).map_err(|failure| {
        let message = format!(
            "the nonce can't be kept, and a login without would be the instance's last: {}",
            failure.message
        );
        Failure { message, ..failure }
    })?;
    Ok(nonce)
}

fn is_base64(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=\r\n".contains(&byte);
    !text.trim().is_empty() && text.bytes().all(allowed)
}
