//! The signature of a request to an Alibaba Cloud RPC API, version 1.0.
//!
//! As Alibaba Cloud documents it ("Request signatures of RPC APIs"): everything is in the query,
//! sorted and percent-encoded, and HMAC-SHA1 is what the services take.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use usher_plugin_lib::{form, percent_encode};

/// An access key, as long as it is good.
pub(crate) struct AccessKey<'a> {
    pub(crate) id: &'a str,
    pub(crate) secret: &'a str,
    /// Of credentials that STS has issued.
    pub(crate) security_token: Option<&'a str>,
}

/// When and where a request is made.
pub(crate) struct Circumstances<'a> {
    pub(crate) region: &'a str,
    /// "2026-11-21T12:34:56Z".
    pub(crate) timestamp: &'a str,
    /// Unlike any other request's.
    pub(crate) nonce: &'a str,
}

/// The query of a signed `POST` to STS (version 2015-04-01).
pub(crate) fn signed_query(
    key: &AccessKey<'_>,
    circumstances: &Circumstances<'_>,
    action: &[(&str, &str)],
) -> String {
    let mut parameters = vec![
        ("AccessKeyId", key.id),
        ("Format", "JSON"),
        ("RegionId", circumstances.region),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureNonce", circumstances.nonce),
        ("SignatureType", ""),
        ("SignatureVersion", "1.0"),
        ("Timestamp", circumstances.timestamp),
        ("Version", "2015-04-01"),
    ];
    parameters.extend(key.security_token.map(|token| ("SecurityToken", token)));
    parameters.extend(action);
    let signature = signature("POST", key.secret, &mut parameters);
    parameters.push(("Signature", &signature));
    form(&parameters)
}

/// The signature over parameters, which it sorts.
fn signature(method: &str, secret: &str, parameters: &mut [(&str, &str)]) -> String {
    parameters.sort_unstable();
    let signed = format!("{method}&{}&{}", percent_encode("/"), percent_encode(&form(parameters)));
    let key = format!("{secret}&");
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).expect("a key of any length");
    mac.update(signed.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of Alibaba Cloud's own SDK tests.
    #[test]
    fn the_published_vectors_come_out() {
        let parameters = [
            ("Version", ""),
            ("AccessKeyId", "accessKeyId"),
            ("Action", ""),
            ("Format", "JSON"),
            ("RegionId", "regionId"),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureNonce", "MOCK_UUID"),
            ("SignatureType", ""),
            ("SignatureVersion", "1.0"),
            ("Timestamp", "mock date"),
        ];
        let sign = |more: &[(&'static str, &'static str)]| {
            signature("GET", "accessKeySecret", &mut [&parameters, more].concat())
        };
        assert_eq!(sign(&[]), "7loPmFjvDnzOVnQeQNj85S6nFGY=");
        let token = [("SecurityToken", "accessKeyStsToken")];
        assert_eq!(sign(&token), "5Nxdcler+ihqWqv0Hr2On4PsBf4=");
    }
}
