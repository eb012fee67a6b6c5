//! Which pod this is, as its service account's token says.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::error::Error;

/// What of the token stays the same while the kubelet replaces it, about once an hour: the claims that
/// name the pod and its account (Kubernetes, "Bound service account tokens"). Of a token that has none,
/// all of it.
pub(crate) fn binding(path: &Path) -> Result<Vec<u8>, Error> {
    let unusable = |why: &str| {
        Error::Key(format!(
            "the service account token {}, which says whom the state is for, {why}: mount it, or name another with service_account_token_file",
            path.display()
        ))
    };
    let text = std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|error| unusable(&format!("can't be read ({error})")))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(unusable("is empty"));
    }
    Ok(claims(token).unwrap_or_else(|| token.as_bytes().to_vec()))
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    iss: String,
    sub: String,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Option<Bound>,
}

#[derive(Deserialize)]
struct Bound {
    #[serde(default)]
    pod: Uid,
    #[serde(default)]
    serviceaccount: Uid,
}

#[derive(Default, Deserialize)]
struct Uid {
    #[serde(default)]
    uid: String,
}

fn claims(token: &str) -> Option<Vec<u8>> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).map(Zeroizing::new).ok()?;
    let Claims { iss, sub, kubernetes } = serde_json::from_slice(&payload).ok()?;
    let bound = kubernetes.map(|bound| [bound.pod.uid, bound.serviceaccount.uid]);
    let [pod, account] = bound.unwrap_or_default();
    // Each in its bounds.
    serde_json::to_vec(&[iss, sub, pod, account]).ok()
}
